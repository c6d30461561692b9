/*
 * store/sqlite.h: what the files of the SQLite engine share. See sqlite.c for the whole.
 */
#ifndef EXPORTD_STORE_SQLITE_H
#define EXPORTD_STORE_SQLITE_H

#include "store/engine.h"

#include <sqlite3.h>

enum sqlite_statement {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_INSERT_JOB,
    SQL_INSERT_PAYLOAD,
    SQL_GET_BY_ID,
    SQL_READY,
    SQL_CLAIM,
    SQL_FINISH,
    SQL_AGAIN,
    SQL_REQUEST_CANCEL,
    SQL_CLAIM_ONE,
    SQL_RETRY,
    SQL_UPDATE_PAYLOAD,
    SQL_RUNNING_OF_ROUTE,
    SQL_PROMOTE,
    SQL_NEXT_DUE,
    SQL_NEXT_ROUTE,
    SQL_OLDEST_READY,
    SQL_CANCELLED,
    SQL_PRUNABLE,
    SQL_DELETE_JOB,
    SQL_DELETE_PAYLOAD,
    SQL_DELETE_DELIVERIES,
    SQL_INSERT_DELIVERY,
    SQL_DUE_DELIVERIES,
    SQL_TAKE_DELIVERY,
    SQL_NEXT_DELIVERY,
    SQL_DELIVERY_RESULT,
    SQL_DELIVERY_RETRY,
    SQL_STATEMENT_COUNT,
};

struct sqlite_store {
    struct store_engine engine;
    sqlite3 *db;
    int lock_fd;
    sqlite3_stmt *statements[SQL_STATEMENT_COUNT];
    int64_t next_lease; /* higher than any that this store gave out before */
    int64_t waiting;    /* jobs in JOB_PENDING */
    int64_t queue_limit;
};

/* Brings the file's schema up to this program's. Returns 0 or -1. */
int sqlite_schema_migrate(sqlite3 *db, const char *path, struct error *error);

/* Prepares (once) and resets a statement. NULL with error set where the database refuses it. */
sqlite3_stmt *sqlite_statement(struct sqlite_store *store, enum sqlite_statement which, struct error *error);

/* Runs one that returns no rows. */
int sqlite_run(struct sqlite_store *store, sqlite3_stmt *statement, struct error *error);

/* Fills error from the connection's last failure, with the mend for a full disk. Returns -1. */
int sqlite_fail(struct sqlite_store *store, const char *what, struct error *error);

/* A new copy of a text column, or NULL for NULL. */
char *sqlite_text(sqlite3_stmt *statement, int column);

void sqlite_bind_text(sqlite3_stmt *statement, int index, const char *text); /* borrowed until the statement ran */

int sqlite_submit(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_claim(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_finish(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_cancel(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_retry(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_get(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_list(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_tick(struct sqlite_store *store, struct store_op *op, struct error *error);

/* Of one job; sets their numbers. */
int sqlite_insert_deliveries(struct sqlite_store *store, struct store_delivery *first, int64_t job_sequence,
                             struct error *error);
int sqlite_delivery_take(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_delivery_result(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_delivery_list(struct sqlite_store *store, struct store_op *op, struct error *error);
int sqlite_delivery_retry(struct sqlite_store *store, struct store_op *op, struct error *error);

#endif
