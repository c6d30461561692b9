/*
 * store/engine.h: what a database engine does for the store. Everything here runs on the store's thread.
 */
#ifndef EXPORTD_STORE_ENGINE_H
#define EXPORTD_STORE_ENGINE_H

#include "store/store.h"

struct store_engine {
    const struct store_engine_type *type;
};

#define STORE_ENGINE_DEPTH 2

enum store_engine_progress {
    STORE_ENGINE_WAITS,
    STORE_ENGINE_BEGUN,
    STORE_ENGINE_DONE,
    STORE_ENGINE_AGAIN,
    STORE_ENGINE_LOST,
};

struct store_engine_type {
    /* Carries the list of operations out. After it returned 0, all is on disk but those whose error it set. -1:
     * nothing is, or, where the connection was lost at the commit, perhaps all. An operation that merely finds
     * nothing, or conflicts, answers in its own fields. */
    int (*run)(struct store_engine *engine, struct store_op *first, struct error *error);
    /* For an engine that only waits for a server (else NULL): the same without waiting, so that the loop can do it
     * itself. start() sends the list and names the socket whose readiness calls for go_on() (with wants_write, room
     * in it too; -1: it has broken, and go_on() tells). False: it can't be done so now, and run() must, once nothing
     * is under way any more. Up to STORE_ENGINE_DEPTH lists may be under way; the server does one after the other.
     * go_on(), for the oldest: STORE_ENGINE_WAITS, as start(). STORE_ENGINE_BEGUN: its one submit is carried out, but
     * perhaps not on disk; the first time, that is news; after it, that no answer is awaited: the next list brings it
     * there, or settle(). STORE_ENGINE_DONE: as run()'s 0, and the next may be done too: ask. STORE_ENGINE_AGAIN:
     * nothing was carried out, and run() must do it. STORE_ENGINE_LOST: as run()'s -1. too_late: the time for an
     * answer is over. */
    bool (*start)(struct store_engine *engine, struct store_op *first, int *socket, bool *wants_write);
    enum store_engine_progress (*go_on)(struct store_engine *engine, struct store_op *first, bool too_late,
                                        bool *wants_write, struct error *error);
    /* Sends what brings the list that has begun to the disk, and go_on() waits for it. False: none has, or it is on
     * its way. */
    bool (*settle)(struct store_engine *engine, bool *wants_write);
    /* With these: nothing is under way, and the socket is ready all the same. False: the connection has ended,
     * and run() makes it anew. */
    bool (*hear)(struct store_engine *engine);
    /* Nothing to do for a while: give memory back. */
    void (*rest)(struct store_engine *engine);
    void (*close)(struct store_engine *engine);
};

/* folder.c: makes the folder where create is set, and locks it for this process: one host at a time. Returns the
 * lock's descriptor, or -1 with error set (store_folder, store_locked). */
int store_lock_folder(const char *folder, bool create, struct error *error);

struct store_engine *store_sqlite_open(const struct store_options *options, struct error *error);
struct store_engine *store_postgres_open(const struct store_options *options, struct error *error);

#endif
