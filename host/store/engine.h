/*
 * store/engine.h: what a database engine does for the store. Everything here runs on the store's thread.
 */
#ifndef EXPORTD_STORE_ENGINE_H
#define EXPORTD_STORE_ENGINE_H

#include "store/store.h"

struct store_engine {
    const struct store_engine_type *type;
};

struct store_engine_type {
    /* Begins the transaction that the following operations share. Returns 0 or -1 with error set. */
    int (*begin)(struct store_engine *engine, struct error *error);
    /* Carries one operation out. -1: the whole transaction can't go on (disk full, connection lost). An operation
     * that merely finds nothing, or conflicts, answers in its own fields. */
    int (*apply)(struct store_engine *engine, struct store_op *op, struct error *error);
    /* After it returned 0, all is on disk. */
    int (*commit)(struct store_engine *engine, struct error *error);
    void (*rollback)(struct store_engine *engine);
    /* Nothing to do for a while: give memory back. */
    void (*rest)(struct store_engine *engine);
    void (*close)(struct store_engine *engine);
};

struct store_engine *store_sqlite_open(const struct store_options *options, struct error *error);

#endif
