/*
 * store/postgres.h: what the files of the PostgreSQL engine share. postgres.c: batches; postgres_link.c: the
 * connection and its pipeline; postgres_sql.c: the statements; postgres_array.c: parameters; postgres_plain.c,
 * postgres_jobs.c, postgres_deliveries.c, postgres_tick.c: the operations; postgres_schema.c: migrations;
 * postgres_listen.c: hints.
 *
 * A job is a row of exportd.jobs, inserted once and updated once, at its end. While it waits or runs it has a row in
 * exportd.queue too, the hot table, which is as small as the queue. A lease is a number of one sequence, so that it
 * grows over all hosts, and lasts until lease_until on the database's clock.
 *
 * Two batches may be under way on the one connection, so that the server has the next when it is done with the first.
 * It carries them out in turn. Where the first fails in the middle, its transaction stays open and refuses the
 * second.
 */
#ifndef EXPORTD_STORE_POSTGRES_H
#define EXPORTD_STORE_POSTGRES_H

#include "base/id.h"
#include "store/engine.h"

#include <libpq-fe.h>
#include <uv.h>

enum postgres_statement {
    PG_BEGIN,
    PG_COMMIT,
    PG_ROLLBACK,
    PG_SUBMIT, /* fails where one is there already */
    PG_SUBMIT_CAREFULLY,
    PG_SUBMIT_ONE,
    PG_SUBMIT_AND_BEGIN,
    PG_SETTLE,
    PG_SKIP_LEASES,
    PG_SUBMIT_ANY,
    PG_SUBMIT_EXPORTS,
    PG_DEAD_DELIVERIES,
    PG_GET,
    PG_LIMIT_LOCK,
    PG_CLAIM,
    PG_FINISH,
    PG_FINISH_ONE,
    PG_FINISH_ANY,
    PG_FINISH_EXPORTS,
    PG_AGAIN,
    PG_CANCEL,
    PG_RETRY,
    PG_RETRY_EXPORTS,
    PG_LIST,
    PG_LIST_LIVE,
    PG_LIST_FINISHED,
    PG_RENEW,
    PG_LOST,
    PG_REAP,
    PG_PROMOTE,
    PG_STATE,
    PG_ROUTES,
    PG_CANCELLED,
    PG_PRUNE,
    PG_COUNT,
    PG_PLAN_ONCE,
    PG_PLAN_FOR_ALL,
    PG_NOTIFY,
    PG_DELIVERY_TAKE,
    PG_DELIVERY_DONE,
    PG_DELIVERY_RESULT,
    PG_DELIVERY_LIST,
    PG_DELIVERY_POSTED,
    PG_DELIVERY_OF_JOB,
    PG_DELIVERY_RETRY,
    PG_STATEMENT_COUNT,
};

extern const char *const postgres_sql[PG_STATEMENT_COUNT];

#define POSTGRES_PARAMETERS_MAX 24

/* The parameters of one statement: numbers, texts, and arrays of them, in PostgreSQL's binary format. */
struct postgres_parameters {
    int count;
    char *values[POSTGRES_PARAMETERS_MAX]; /* owned */
    int lengths[POSTGRES_PARAMETERS_MAX];
    int formats[POSTGRES_PARAMETERS_MAX];
};

/* One array parameter while it is built. Zero it first. */
struct postgres_array {
    char *bytes;
    size_t length, size;
    int count;
    unsigned type;
};

enum { POSTGRES_BYTEA = 17, POSTGRES_BIGINT = 20, POSTGRES_TEXT = 25 };

void postgres_add_number(struct postgres_parameters *parameters, int64_t number);
void postgres_add_text(struct postgres_parameters *parameters, const char *text); /* NULL: null */
void postgres_add_bytes(struct postgres_parameters *parameters, const void *bytes, size_t length);
void postgres_add_array(struct postgres_parameters *parameters, struct postgres_array *array, unsigned type);

void postgres_array_number(struct postgres_array *array, int64_t number);
void postgres_array_text(struct postgres_array *array, const char *text); /* NULL: null */
void postgres_array_bytes(struct postgres_array *array, const void *bytes, size_t length);

struct postgres;

/* Reads a result, once the whole batch is on disk. client: as it was given. */
typedef void (*postgres_reader)(struct postgres *store, const PGresult *result, void *client);

struct postgres_request {
    enum postgres_statement which;
    postgres_reader reader; /* or NULL */
    void *client;
    void *kept;
    PGresult *result;
};

/* What the server is asked in one piece, up to a mark in the stream that tells its answers' end. */
struct postgres_pipeline {
    struct postgres_request *requests;
    size_t request_count, request_size;
    size_t read_count; /* of them, those whose results have come */
    struct error failure;
    char sqlstate[6]; /* of the failure; "": the connection's */
    bool send_failed;
};

/* A list of operations under way. */
struct postgres_batch {
    struct postgres_pipeline pipeline;
    struct store_op *first;    /* NULL: this one is free */
    int64_t waits;             /* jobs that it puts into the queue, as long as they aren't in postgres.waiting */
    bool looking_up;           /* it is on disk, and its unknown submits are asked for */
    bool begins;               /* a job alone, that begins before it is on disk */
    bool told;                 /* and has */
    bool settling;             /* and is being flushed */
    bool over;                 /* all that it asked is answered: outcome tells */
    int outcome;               /* a store_engine_progress */
    struct error error;        /* its failure */
    struct store_op **unknown; /* submits whose job was there already, or may be */
    size_t unknown_count, unknown_size;
};

struct postgres {
    struct store_engine engine;
    PGconn *connection; /* NULL: lost */
    bool prepared[PG_STATEMENT_COUNT];
    struct postgres_batch batches[STORE_ENGINE_DEPTH]; /* the thread uses the first alone */
    struct postgres_batch *now;                        /* whose statements are added, or whose answers are read */
    struct postgres_batch *order[STORE_ENGINE_DEPTH];  /* whose answers are to come, in their order */
    int order_count;
    struct postgres_batch *unflushed; /* committed, but perhaps not on disk yet; or NULL */
    bool unclean;                     /* a pipeline failed, and nobody has rolled back yet */
    char sqlstate[6];                 /* of the last failure; "": the connection's */

    char *url;
    char host[ID_TEXT_SIZE]; /* who this is: the same over restarts, from the state folder */
    int lock_fd;
    int64_t lease_ms, timeout_ms, queue_limit;
    bool has_exports;
    bool may_begin;       /* leases are safe from a crash: jobs may begin before they are on disk */
    int64_t reap_from_ns; /* not before: after an outage the others renew first */
    int64_t ticked_at_ms; /* the last tick, on the database's clock; 0: none over this connection */
    bool stood_still;     /* between the last ticks: reaping was put off for it */
    int careful;          /* so many batches to come may well have jobs that are there already */
    int64_t next_try_ns;
    int64_t waiting;       /* jobs that wait, as last counted, and what this host did since */
    int64_t count_from_ns; /* not counted again before */
    int64_t notified_ns;
};

/* postgres_link.c */

/* Opens and sets up a connection. Blocking, at most timeout_ms. NULL with error set (store_unreachable, …). */
PGconn *postgres_connect(const char *url, int64_t timeout_ms, struct error *error);

/* As PQexec(), outside a pipeline, but NULL where no sign comes for timeout_ms: then the connection is of no more
 * use. value: $1, or NULL. */
PGresult *postgres_ask(PGconn *connection, const char *sql, const char *value, int64_t timeout_ms);

/* Adds a statement to the pipeline of store->now; takes the parameters. */
void postgres_send(struct postgres *store, enum postgres_statement which, struct postgres_parameters *parameters,
                   postgres_reader reader, void *client);

/* Frees block once the statement that was added last is over. */
void postgres_keep(struct postgres *store, void *block);

/* All for store->now. Sends what was added and reads all results, then calls the readers, in order. -1: one of them
 * failed, and none was called; store->sqlstate says how. */
int postgres_finish(struct postgres *store, struct error *error);

/* After a failure, before anything else is sent. Waits for the server. */
void postgres_clean(struct postgres *store);

/* The same in steps that don't wait, of which several pipelines may be under way: send; read what has come for the
 * oldest (1: wait for the socket and call again, 0: all is there, -1: it failed); then complete it with what the
 * reading said. postgres_give_up(): no answer came in time. */
bool postgres_flush(struct postgres *store); /* true: the socket has no room for all of it yet */
int postgres_read(struct postgres *store, bool *wants_write);
void postgres_give_up(struct postgres *store);
int postgres_complete(struct postgres *store, int failed, struct error *error);

/* Fills error from a failed result or the connection. Returns -1. */
int postgres_fail(PGconn *connection, const PGresult *result, const char *what, struct error *error);

void postgres_disconnect(struct postgres *store);

/* postgres_schema.c. Brings the schema up to version (0: this program's), under an advisory lock, and makes exports
 * and repros where they are missing. warning, if not NULL, gets what could not be made though the store works without
 * it; free it. Returns 0, or -1 with error set. */
int postgres_migrate(PGconn *connection, int version, char **warning, struct error *error);

/* How many steps the database has taken (0: none), and how many there are. Returns 0, or -1 with error set. */
int postgres_versions(PGconn *connection, int *version, int *wanted, struct error *error);

/* Whether there is an exports table that this program can keep in step. */
bool postgres_has_exports(PGconn *connection, int64_t timeout_ms);

/* postgres_jobs.c. Whether the callers' table exports is written for a job of this door. */
bool postgres_keeps_exports(const struct postgres *store, enum job_door door);

/* They add to the pipeline. Lists are in the order of the batch. */
void postgres_submit(struct postgres *store, struct store_op **ops, size_t count);
void postgres_finish_jobs(struct postgres *store, struct store_op **ops, size_t count);
void postgres_again(struct postgres *store, struct store_op **ops, size_t count);
void postgres_claim(struct postgres *store, struct store_op *op);
void postgres_cancel(struct postgres *store, struct store_op *op);
void postgres_retry(struct postgres *store, struct store_op *op);
void postgres_get(struct postgres *store, struct store_op *op);
void postgres_list(struct postgres *store, struct store_op *op);
void postgres_look_up(struct postgres *store, struct store_op *op); /* a submit whose id may be there */
struct job *postgres_read_job(const PGresult *result, int row, bool with_data);

/* A list of operations that outlives the sending, for the reader. free() it. */
struct postgres_bulk {
    size_t count;
    struct store_op *ops[];
};
struct postgres_bulk *postgres_bulk(struct store_op **ops, size_t count);
bool postgres_wants_claim(const struct store_op *op);
/* A submit was carried out: fills its job. lease: 0 where it waits. */
void postgres_note_created(struct postgres *store, struct store_op *op, int64_t sequence, int64_t lease);

/* postgres.c. What the loop's batches and the thread's share; all for store->now. */
void postgres_send_batch(struct postgres *store, struct store_op *first);
/* Submits whose id was there already, and those beyond the limit whose id may be: how many. */
size_t postgres_count_look_ups(struct postgres *store, struct store_op *first);
void postgres_send_look_ups(struct postgres *store);
void postgres_fail_look_ups(const struct postgres_batch *batch, const struct error *error);

/* postgres_batch.c: as store_engine_type says. */
bool postgres_batch_start(struct store_engine *engine, struct store_op *first, int *socket, bool *wants_write);
enum store_engine_progress postgres_batch_go_on(struct store_engine *engine, struct store_op *first, bool too_late,
                                                bool *wants_write, struct error *error);
bool postgres_batch_settle(struct store_engine *engine, bool *wants_write);
bool postgres_batch_hear(struct store_engine *engine);

/* postgres_plain.c: what most batches are made of. False: one of the list isn't so plain, and nothing was added. */
bool postgres_submit_plain(struct postgres *store, struct store_op **ops, size_t count);
bool postgres_finish_plain(struct postgres *store, struct store_op **ops, size_t count);
enum job_state postgres_end_state(const struct store_op *op);

/* postgres_deliveries.c */
void postgres_delivery_take(struct postgres *store, struct store_op *op);
void postgres_deliveries_done(struct postgres *store, struct store_op **ops, size_t count);
void postgres_delivery_results(struct postgres *store, struct store_op **ops, size_t count);
void postgres_delivery_list(struct postgres *store, struct store_op *op);
void postgres_delivery_retry(struct postgres *store, struct store_op *op);

/* Adds nine arrays with the deliveries of ops, and a tenth of whose they are: as owner() tells. */
struct postgres_delivery_arrays {
    struct postgres_array owner, id, job_id, channel, target, body, created_at, next_at, give_up_at;
};
void postgres_add_deliveries(struct postgres_delivery_arrays *arrays, int64_t owner,
                             const struct store_delivery *first);
void postgres_put_deliveries(struct postgres_parameters *parameters, struct postgres_delivery_arrays *arrays);

/* postgres_tick.c */
void postgres_tick(struct postgres *store, struct store_op *op);

int64_t postgres_number(const PGresult *result, int row, int column); /* 0 for null */
char *postgres_text(const PGresult *result, int row, int column);     /* a new copy, or NULL for null */

/* postgres_listen.c: hears of jobs that other hosts left in the queue. Loop thread. Never NULL. */
struct postgres_listener;
struct postgres_listener *postgres_listen(uv_loop_t *loop, const struct store_engine *engine,
                                          void (*callback)(void *client), void *client);
void postgres_unlisten(struct postgres_listener *listener); /* its handles close in the loop */
/* Operations were carried out, and so many jobs wait: from time to time, the hot tables are vacuumed. */
void postgres_note_work(struct postgres_listener *listener, int64_t operations, int64_t waiting);

#endif
