/*
 * The PostgreSQL engine: one store for many hosts.
 *
 * A batch is one transaction in one pipeline. Operations go by kind: first what frees jobs or ends them, then what
 * brings new ones, then what reads, so that no two hosts wait for each other's rows in a circle: a host touches only
 * rows that it leased, and passes over (SKIP LOCKED) those that others hold.
 *
 * Readers run after the commit. Jobs are inserted as if none were there yet; where one is, the batch fails, and is
 * carried out again with more care, as are those after it for a while. Where one operation's data spoil a batch (a
 * value that the database refuses), each is carried out alone, so that the others don't suffer.
 */
#include "store/postgres.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "store/oplist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES_AT_CONFLICT 5
#define CONNECT_PAUSE_NS 250000000LL
#define NOTIFY_PAUSE_NS 100000000LL
#define LOCK_SHARE 12       /* of a lease is waited for a lock */
#define ALONE_SHARE 6       /* of a lease may go by until operations that failed together are no more tried alone */
#define CAREFUL_BATCHES 100 /* after one with a job that was there already: most come again many at a time */
#define BULK_OPERATIONS 500
#define BULK_BYTES ((size_t)8 << 20)

int64_t postgres_number(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? 0 : strtoll(PQgetvalue(result, row, column), NULL, 10);
}

char *postgres_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    return memory_bytes(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

/* Without it jobs wait for the disk, as they do where many come. */
static void skip_leases(struct postgres *store)
{
    PGresult *result = postgres_ask(store->connection, postgres_sql[PG_SKIP_LEASES], NULL, store->timeout_ms);
    store->may_begin = PQresultStatus(result) == PGRES_TUPLES_OK;
    if (!store->may_begin) {
        struct error why = {0};
        postgres_fail(store->connection, result, "move exportd.leases", &why);
        log_write(LOG_LEVEL_WARNING, "store", NULL,
                  "jobs that come alone don't begin before they are on disk: %s; grant UPDATE on the sequence",
                  why.message);
    }
    PQclear(result);
}

/* Others hold locks too (a caller on a row of exports, a backend that hangs), and leases must be renewed meanwhile.
 */
static int use_pipeline(struct postgres *store, struct error *error)
{
    int64_t patience_ms = store->lease_ms / LOCK_SHARE;
    if (patience_ms > store->timeout_ms / 2)
        patience_ms = store->timeout_ms / 2;
    char *sql = memory_format("SET lock_timeout = %lld", (long long)patience_ms);
    PQclear(postgres_ask(store->connection, sql, NULL, store->timeout_ms));
    free(sql);
    skip_leases(store);
    store->careful = CAREFUL_BATCHES; /* what was under way when the last connection ended comes again */
    if (PQsetnonblocking(store->connection, 1) == 0 && PQenterPipelineMode(store->connection))
        return 0;
    postgres_fail(store->connection, NULL, "carry on", error);
    postgres_disconnect(store);
    return -1;
}

static int reconnect(struct postgres *store, struct error *error)
{
    int64_t now_ns = clock_monotonic_ns();
    store->sqlstate[0] = '\0';
    if (now_ns < store->next_try_ns)
        return error_set(error, "store_unreachable", true, "the database can't be reached; it is tried again soon");
    store->connection = postgres_connect(store->url, store->timeout_ms, error);
    now_ns = clock_monotonic_ns();
    store->next_try_ns = now_ns + CONNECT_PAUSE_NS;
    if (!store->connection)
        return -1;
    store->has_exports = postgres_has_exports(store->connection, store->timeout_ms);
    store->reap_from_ns = now_ns + store->lease_ms * 1000000;
    store->count_from_ns = 0;
    store->ticked_at_ms = 0;
    log_write(LOG_LEVEL_INFO, "store", NULL, "the database answers again");
    return use_pipeline(store, error);
}

typedef void (*bulk_sender)(struct postgres *store, struct store_op **ops, size_t count);
typedef bool (*bulk_filter)(const struct store_op *op);

/* Sends all operations that the filter takes, some hundred in one statement. */
static void send_bulk(struct postgres *store, struct store_op *first, bulk_filter takes, bulk_sender send)
{
    struct store_op *ops[BULK_OPERATIONS];
    size_t count = 0, bytes = 0;
    for (struct store_op *op = first; op; op = op->next) {
        if (!takes(op))
            continue;
        ops[count++] = op;
        bytes += op_list_weight(op);
        if (count == BULK_OPERATIONS || bytes > BULK_BYTES) {
            send(store, ops, count);
            count = bytes = 0;
        }
    }
    if (count > 0)
        send(store, ops, count);
}

static bool ends_for_good(const struct store_op *op)
{
    return op->kind == STORE_FINISH && op->finish.finish <= STORE_FINISH_CANCELLED;
}

static bool goes_back(const struct store_op *op)
{
    return op->kind == STORE_FINISH && op->finish.finish > STORE_FINISH_CANCELLED;
}

static bool arrived_at_once(const struct store_op *op)
{
    return op->kind == STORE_DELIVERY_RESULT && op->delivery_result.state == STORE_DELIVERY_DONE &&
           op->delivery_result.attempts == 1;
}

static bool is_other_result(const struct store_op *op)
{
    return op->kind == STORE_DELIVERY_RESULT && !arrived_at_once(op);
}

static bool is_dead_letter(const struct store_op *op)
{
    return op->submit.job->state == JOB_FAILED;
}

/* Beyond the limit an id may still be one that is there: it is looked up, and nothing is inserted. */
static bool fits(const struct store_op *op)
{
    return op->kind == STORE_SUBMIT && op->submit.outcome != STORE_QUEUE_FULL;
}

static void note_unknown(struct postgres_batch *batch, struct store_op *op)
{
    if (batch->unknown_count == batch->unknown_size) {
        batch->unknown_size = batch->unknown_size * 2 + 16;
        batch->unknown = memory_resized(batch->unknown, batch->unknown_size, sizeof *batch->unknown);
    }
    batch->unknown[batch->unknown_count++] = op;
}

static int64_t room_in_queue(const struct postgres *store)
{
    int64_t room = store->queue_limit - store->waiting;
    for (int i = 0; i < STORE_ENGINE_DEPTH; i++)
        room -= store->batches[i].waits;
    return room;
}

/* Looks at what the submits find: which are beyond the queue's limit, and whether any job is left for others. */
static bool sort_submits(struct postgres *store, struct store_op *first)
{
    struct postgres_batch *batch = store->now;
    int64_t room = room_in_queue(store);
    bool leaves = false;
    batch->unknown_count = 0;
    for (struct store_op *op = first; op; op = op->next) {
        if (op->kind != STORE_SUBMIT)
            continue;
        op->submit.outcome = STORE_CREATED;
        bool waits = !is_dead_letter(op) && !(op->submit.claim && op->submit.job->run_at_ms == 0);
        if (waits && room <= 0) {
            op->submit.outcome = STORE_QUEUE_FULL;
            note_unknown(batch, op);
        } else if (waits) {
            room--;
            batch->waits++;
            leaves = leaves || op->submit.job->run_at_ms == 0;
        }
    }
    return leaves;
}

static void send_single(struct postgres *store, struct store_op *op)
{
    switch (op->kind) {
    case STORE_CLAIM:
        postgres_claim(store, op);
        break;
    case STORE_GET:
        postgres_get(store, op);
        break;
    case STORE_LIST:
        postgres_list(store, op);
        break;
    case STORE_TICK:
        postgres_tick(store, op);
        break;
    case STORE_DELIVERY_TAKE:
        postgres_delivery_take(store, op);
        break;
    case STORE_DELIVERY_LIST:
        postgres_delivery_list(store, op);
        break;
    case STORE_DELIVERY_RETRY:
        postgres_delivery_retry(store, op);
        break;
    default: /* sent before */
        break;
    }
}

static bool is_time_for_hint(const struct postgres *store)
{
    return clock_monotonic_ns() - store->notified_ns >= NOTIFY_PAUSE_NS;
}

static void send_hint(struct postgres *store)
{
    struct postgres_parameters parameters = {0};
    postgres_add_text(&parameters, store->host);
    postgres_send(store, PG_NOTIFY, &parameters, NULL, NULL);
    store->notified_ns = clock_monotonic_ns();
}

/* What stands between two ends of a pipeline is a transaction, also without being told (Pipelining, in the chapter on
 * the protocol). For one job alone, to tell it costs a tenth of the whole. Not where something else may fail at the
 * commit, a constraint of the callers' or a hint: then there must be a statement that it fails. */
static bool needs_begin(const struct postgres *store, const struct store_op *first, bool hint)
{
    if (first->next || hint)
        return true;
    if (first->kind == STORE_SUBMIT)
        return postgres_keeps_exports(store, first->submit.job->door);
    return first->kind != STORE_FINISH || postgres_keeps_exports(store, first->finish.door);
}

void postgres_send_batch(struct postgres *store, struct store_op *first)
{
    bool hint = sort_submits(store, first) && is_time_for_hint(store), begin = needs_begin(store, first, hint);
    if (begin)
        postgres_send(store, PG_BEGIN, NULL, NULL, NULL);
    for (struct store_op *op = first; op; op = op->next) {
        if (op->kind == STORE_CANCEL)
            postgres_cancel(store, op);
        else if (op->kind == STORE_RETRY)
            postgres_retry(store, op);
    }
    send_bulk(store, first, ends_for_good, postgres_finish_jobs);
    send_bulk(store, first, goes_back, postgres_again);
    send_bulk(store, first, fits, postgres_submit);
    send_bulk(store, first, arrived_at_once, postgres_deliveries_done);
    send_bulk(store, first, is_other_result, postgres_delivery_results);
    for (struct store_op *op = first; op; op = op->next)
        send_single(store, op);
    if (hint)
        send_hint(store);
    if (begin)
        postgres_send(store, PG_COMMIT, NULL, NULL, NULL);
    store->careful -= store->careful > 0 ? 1 : 0;
}

static int run_once(struct postgres *store, struct store_op *first, struct error *error)
{
    store->now = &store->batches[0];
    store->now->waits = 0;
    store->now->begins = false;
    postgres_clean(store);
    if (!store->connection && reconnect(store, error) != 0)
        return -1;
    postgres_send_batch(store, first);
    int failed = postgres_finish(store, error);
    store->now->waits = 0;
    return failed;
}

size_t postgres_count_look_ups(struct postgres *store, struct store_op *first)
{
    struct postgres_batch *batch = store->now;
    for (struct store_op *op = first; op; op = op->next) {
        if (!fits(op) || op->submit.outcome != STORE_SAME)
            continue;
        note_unknown(batch, op);
        store->careful = CAREFUL_BATCHES;
    }
    return batch->unknown_count;
}

/* What is there may be another host's, and not on disk yet; who hears of it takes it for that. */
void postgres_send_look_ups(struct postgres *store)
{
    for (size_t i = 0; i < store->now->unknown_count; i++)
        postgres_look_up(store, store->now->unknown[i]);
    postgres_send(store, PG_SETTLE, NULL, NULL, NULL);
}

void postgres_fail_look_ups(const struct postgres_batch *batch, const struct error *error)
{
    for (size_t i = 0; i < batch->unknown_count; i++)
        batch->unknown[i]->error = *error;
}

static void look_up_unknown(struct postgres *store, struct store_op *first)
{
    struct error error = {0};
    if (postgres_count_look_ups(store, first) == 0)
        return;
    postgres_send_look_ups(store);
    if (postgres_finish(store, &error) != 0)
        postgres_fail_look_ups(store->now, &error);
}

static int run_with_tries(struct postgres *store, struct store_op *first, struct error *error)
{
    for (int tries = 1;; tries++) {
        error_clear(error);
        if (run_once(store, first, error) == 0) {
            look_up_unknown(store, first);
            return 0;
        }
        /* 40P01: a deadlock; 40001: a conflict: nothing was written, and next time it goes well. */
        if (strncmp(store->sqlstate, "40", 2) != 0 || tries == TRIES_AT_CONFLICT)
            return -1;
    }
}

/* 22, 23: a value; 54: too much of it; 42: the statement itself; 55P03, 57014: it waits for what another holds. Not
 * the connection, nor want of room. */
static bool is_one_operations_fault(const struct postgres *store)
{
    static const char *const classes[] = {"22", "23", "42", "54", "55P03", "57014"};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(store->sqlstate, classes[i], strlen(classes[i])) == 0)
            return true;
    return false;
}

enum turn { TURN_LEASES, TURN_OWN, TURN_CALLERS, TURN_COUNT };

/* What may wait for the callers' locks comes last. */
static enum turn turn_of(const struct store_op *op)
{
    if (op->kind == STORE_TICK)
        return TURN_LEASES;
    bool keeps_exports = (op->kind == STORE_SUBMIT && op->submit.job->door == JOB_DOOR_EXPORT) ||
                         (op->kind == STORE_FINISH && op->finish.door == JOB_DOOR_EXPORT) || op->kind == STORE_RETRY;
    return keeps_exports ? TURN_CALLERS : TURN_OWN;
}

static bool waited_for_others(const struct postgres *store)
{
    return strcmp(store->sqlstate, "55P03") == 0 || strcmp(store->sqlstate, "57014") == 0;
}

/* What kept this host from its leases may have kept the others from theirs: they come first. */
static void note_failed_tick(struct postgres *store, const struct store_op *op)
{
    if (op->kind == STORE_TICK)
        store->reap_from_ns = clock_monotonic_ns() + store->lease_ms * 1000000;
}

/* Each in a transaction of its own. After some waits the rest fails unseen: callers do it again. */
static void run_alone(struct postgres *store, struct store_op *first)
{
    const int64_t patience_until_ns = clock_monotonic_ns() + store->lease_ms * 1000000 / ALONE_SHARE;
    struct error held_up = {0};
    for (enum turn turn = TURN_LEASES; turn < TURN_COUNT; turn++) {
        for (struct store_op *op = first; op; op = op->next) {
            if (turn_of(op) != turn)
                continue;
            if (error_is_set(&held_up)) {
                op->error = held_up;
                continue;
            }
            struct store_op *next = op->next;
            op->next = NULL;
            bool failed = run_with_tries(store, op, &op->error) != 0;
            op->next = next;
            if (failed)
                note_failed_tick(store, op);
            if (failed && waited_for_others(store) && clock_monotonic_ns() > patience_until_ns)
                held_up = op->error;
        }
    }
}

static int engine_run(struct store_engine *engine, struct store_op *first, struct error *error)
{
    struct postgres *store = (struct postgres *)engine;
    store->careful = CAREFUL_BATCHES;
    if (run_with_tries(store, first, error) == 0)
        return 0;
    if (!is_one_operations_fault(store) || !first->next) {
        for (const struct store_op *op = first; op; op = op->next)
            note_failed_tick(store, op);
        return -1;
    }
    error_clear(error);
    run_alone(store, first);
    return 0;
}

static void engine_rest(struct store_engine *engine)
{
    (void)engine;
}

static void engine_close(struct store_engine *engine)
{
    struct postgres *store = (struct postgres *)engine;
    postgres_disconnect(store);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    for (int i = 0; i < STORE_ENGINE_DEPTH; i++) {
        free(store->batches[i].pipeline.requests);
        free(store->batches[i].unknown);
    }
    free(store->url);
    free(store);
}

static const struct store_engine_type postgres_type = {
    .run = engine_run,
    .start = postgres_batch_start,
    .go_on = postgres_batch_go_on,
    .settle = postgres_batch_settle,
    .hear = postgres_batch_hear,
    .rest = engine_rest,
    .close = engine_close,
};

/* Who this host is, in the state folder that it holds the lock of. */
static int read_host(struct postgres *store, const char *folder, struct error *error)
{
    char *path = memory_format("%s/host", folder);
    char text[ID_TEXT_SIZE] = "";
    FILE *file = fopen(path, "re");
    if (file) {
        if (!fgets(text, sizeof text, file))
            text[0] = '\0';
        fclose(file);
    }
    if (!id_is_uuid(text, store->host)) {
        id_make(store->host);
        file = fopen(path, "we");
        if (!file || fprintf(file, "%s\n", store->host) < 0 || fflush(file) != 0 || fsync(fileno(file)) != 0)
            error_set(error, "store_folder", true, "%s can't be written: %s", path, strerror(errno));
        if (file)
            fclose(file);
    }
    free(path);
    return error_is_set(error) ? -1 : 0;
}

/* Whatever this host ran when it last ended isn't running any more: no need to wait until the leases end. */
static int take_over(struct postgres *store, struct error *error)
{
    const char *values[] = {store->host};
    PGresult *result =
        PQexecParams(store->connection,
                     "UPDATE exportd.queue SET lease = 0, lease_until = NULL, host = NULL, losses = losses + 1,"
                     " attempts = greatest(attempts - 1, 0), run_at = 0 WHERE lease > 0 AND host = $1",
                     1, NULL, values, NULL, NULL, 0);
    int failed = PQresultStatus(result) == PGRES_COMMAND_OK
                     ? 0
                     : postgres_fail(store->connection, result, "be taken over", error);
    PQclear(result);
    if (failed)
        return -1;
    result = PQexec(store->connection, postgres_sql[PG_COUNT]);
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        store->waiting = postgres_number(result, 0, 0);
    else
        failed = postgres_fail(store->connection, result, "be counted", error);
    PQclear(result);
    return failed;
}

static int open_database(struct postgres *store, struct error *error)
{
    char *warning = NULL;
    store->connection = postgres_connect(store->url, store->timeout_ms, error);
    if (!store->connection || postgres_migrate(store->connection, 0, &warning, error) != 0 ||
        take_over(store, error) != 0)
        return -1;
    store->has_exports = postgres_has_exports(store->connection, store->timeout_ms);
    if (warning)
        log_write(LOG_LEVEL_WARNING, "store", NULL, "%s", warning);
    else if (!store->has_exports)
        log_write(LOG_LEVEL_WARNING, "store", NULL,
                  "the table exports isn't as callers know it (columns, types, or a primary key on id): it is left "
                  "alone");
    free(warning);
    return use_pipeline(store, error);
}

struct store_engine *store_postgres_open(const struct store_options *options, struct error *error)
{
    struct postgres *store = memory_zeroed(1, sizeof *store);
    store->engine.type = &postgres_type;
    store->url = memory_text(options->url);
    store->lease_ms = options->lease_ms;
    store->timeout_ms = options->timeout_ms;
    store->queue_limit = options->queue_limit;
    store->lock_fd = store_lock_folder(options->folder, options->create, error);
    if (store->lock_fd >= 0 && read_host(store, options->folder, error) == 0 && open_database(store, error) == 0) {
        store->reap_from_ns = clock_monotonic_ns() + store->lease_ms * 1000000;
        return &store->engine;
    }
    engine_close(&store->engine);
    return NULL;
}
