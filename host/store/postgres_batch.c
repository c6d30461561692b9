/*
 * Batches of the PostgreSQL engine that are under way while the loop does other things: up to STORE_ENGINE_DEPTH, one
 * behind the other over one connection.
 *
 * One new job alone, whose caller wants it begun, is committed without waiting for the disk (asynchronous commit).
 * Its batch is over when it is there: with the commit of the next batch that writes, which the end of a quick job is,
 * so that both share one flush of the log; or when it is asked to settle. Where the connection is lost before, nobody
 * knows, and it fails: the caller does it again. Then a job may have begun that is in no database. Its lease, which
 * no other job ever gets, keeps it from writing.
 */
#include "store/postgres.h"

#include <string.h>

static struct postgres_batch *free_batch(struct postgres *store)
{
    for (int i = 0; i < STORE_ENGINE_DEPTH; i++)
        if (!store->batches[i].first)
            return &store->batches[i];
    return NULL;
}

/* Not behind another batch: then many come, and share their commits anyway. */
static bool can_begin(const struct postgres *store, const struct store_op *first)
{
    if (!store->may_begin || store->order_count > 0 || store->unflushed || first->next || first->kind != STORE_SUBMIT)
        return false;
    return first->submit.on_begun && postgres_wants_claim(first) &&
           !postgres_keeps_exports(store, first->submit.job->door);
}

bool postgres_batch_start(struct store_engine *engine, struct store_op *first, int *socket, bool *wants_write)
{
    struct postgres *store = (struct postgres *)engine;
    struct postgres_batch *batch = free_batch(store);
    if (!store->connection || store->unclean || !batch)
        return false;
    batch->first = first;
    batch->waits = 0;
    batch->looking_up = batch->over = batch->settling = batch->told = false;
    batch->begins = can_begin(store, first);
    error_clear(&batch->error);
    store->now = batch;
    store->order[store->order_count++] = batch;
    postgres_send_batch(store, first);
    *wants_write = postgres_flush(store);
    *socket = PQsocket(store->connection);
    return true;
}

static void end_batch(struct postgres_batch *batch, enum store_engine_progress outcome)
{
    batch->over = true;
    batch->outcome = outcome;
}

/* Behind a batch that fails, or may, a transaction may be open; else this is a warning, which nobody hears. */
static void leave_transaction(struct postgres *store)
{
    postgres_send(store, PG_ROLLBACK, NULL, NULL, NULL);
}

/* Returns whether the socket has no room for it yet. */
static bool ask_to_settle(struct postgres *store)
{
    struct postgres_batch *now = store->now, *batch = store->unflushed;
    batch->settling = true;
    store->now = batch;
    if (store->order_count > 0 || store->unclean)
        leave_transaction(store);
    postgres_send(store, PG_SETTLE, NULL, NULL, NULL);
    store->order[store->order_count++] = batch;
    bool wants_write = postgres_flush(store);
    store->now = now;
    return wants_write;
}

/* Whether it is on disk nobody knows. */
static void lose_unflushed(struct postgres *store, const struct postgres_batch *failed)
{
    struct postgres_batch *batch = store->unflushed;
    store->unflushed = NULL;
    const struct error cause = failed->error;
    error_clear(&batch->error);
    error_set(&batch->error, "store_unreachable", true, "a job that has begun may not be on disk: %s", cause.message);
    end_batch(batch, STORE_ENGINE_LOST);
}

/* What failed with the whole batch rolled back, and a connection that stands, run() sorts out. */
static void end_failed(struct postgres *store)
{
    struct postgres_batch *batch = store->now;
    if (batch->looking_up) {
        postgres_fail_look_ups(batch, &batch->error); /* the batch itself is on disk */
        end_batch(batch, STORE_ENGINE_DONE);
    } else {
        end_batch(batch, store->sqlstate[0] ? STORE_ENGINE_AGAIN : STORE_ENGINE_LOST);
    }
}

/* The connection is gone, and with it what was still on its way. */
static void end_rest(struct postgres *store, const struct error *error)
{
    for (int i = 0; i < store->order_count; i++) {
        store->now = store->order[i];
        store->now->pipeline.failure = *error;
        postgres_complete(store, -1, &store->now->error);
        store->now->waits = 0;
        end_failed(store);
    }
    store->order_count = 0;
}

/* Only a transaction that has written flushes the log. That of other operations may have, too: then it is flushed
 * once more. */
static bool has_written(const struct store_op *first)
{
    for (const struct store_op *op = first; op; op = op->next)
        if ((op->kind == STORE_FINISH && op->finish.applied) ||
            (op->kind == STORE_SUBMIT && op->submit.outcome == STORE_CREATED))
            return true;
    return false;
}

/* The batch is on disk, and with it what was committed before it. One that only read must not wait for that. */
static void settle_with(struct postgres *store, struct postgres_batch *batch)
{
    struct postgres_batch *unflushed = store->unflushed;
    if (!unflushed || (unflushed->settling && unflushed != batch))
        return;
    if (unflushed == batch || has_written(batch->first)) {
        store->unflushed = NULL;
        end_batch(unflushed, STORE_ENGINE_DONE);
    } else if (store->order_count == 0) {
        ask_to_settle(store);
    }
}

/* A failure of its own question ends the connection, so that what stands behind it ends too. Where another's batch
 * failed, over a connection that stands, it can still be asked. */
static void settle_in_spite(struct postgres *store, const struct postgres_batch *failed)
{
    if (!store->unflushed)
        return;
    if (store->connection && store->unflushed != failed) {
        if (!store->unflushed->settling)
            ask_to_settle(store);
        return;
    }
    store->sqlstate[0] = '\0';
    postgres_disconnect(store);
    lose_unflushed(store, failed);
}

/* The answers to the first in the order are there, or will never be. What it asks anew goes to the order's end. */
static void complete_first(struct postgres *store, int failed)
{
    struct postgres_batch *batch = store->now;
    store->order_count--;
    memmove(store->order, store->order + 1, (size_t)store->order_count * sizeof(struct postgres_batch *));
    failed = postgres_complete(store, failed, &batch->error);
    batch->waits = 0;
    if (failed) {
        end_failed(store);
        settle_in_spite(store, batch);
        if (!store->connection)
            end_rest(store, &batch->error);
        return;
    }
    if (batch->begins && !batch->told && batch->first->submit.outcome == STORE_CREATED) {
        store->unflushed = batch;
        return;
    }
    settle_with(store, batch);
    if (batch->over)
        return;
    if (batch->looking_up || postgres_count_look_ups(store, batch->first) == 0) {
        end_batch(batch, STORE_ENGINE_DONE);
        return;
    }
    batch->looking_up = true;
    if (store->order_count > 0)
        leave_transaction(store);
    postgres_send_look_ups(store);
    store->order[store->order_count++] = batch;
    postgres_flush(store);
}

static struct postgres_batch *find_batch(struct postgres *store, const struct store_op *first)
{
    struct postgres_batch *batch = store->batches;
    while (batch->first != first)
        batch++;
    return batch;
}

/* A server that stops says so, or only hangs up. Who asks next shall not be the one to find out. */
bool postgres_batch_hear(struct store_engine *engine)
{
    struct postgres *store = (struct postgres *)engine;
    if (!store->connection)
        return false;
    if (PQconsumeInput(store->connection)) {
        PQisBusy(store->connection); /* takes in what came */
        if (PQstatus(store->connection) == CONNECTION_OK)
            return true;
    }
    store->sqlstate[0] = '\0';
    postgres_disconnect(store);
    return false;
}

enum store_engine_progress postgres_batch_go_on(struct store_engine *engine, struct store_op *first, bool too_late,
                                                bool *wants_write, struct error *error)
{
    struct postgres *store = (struct postgres *)engine;
    struct postgres_batch *batch = find_batch(store, first);
    while (!batch->over) {
        if (store->order_count == 0 && !too_late && postgres_batch_hear(engine))
            return STORE_ENGINE_BEGUN;
        if (store->order_count == 0) {
            error_set(&batch->error, "store_unreachable", true, "the connection to the database was lost");
            lose_unflushed(store, batch);
            break;
        }
        store->now = store->order[0];
        if (too_late)
            postgres_give_up(store);
        int more = too_late ? -1 : postgres_read(store, wants_write);
        if (more > 0)
            return STORE_ENGINE_WAITS;
        complete_first(store, more);
        if (store->unflushed == batch && !batch->told) {
            batch->told = true;
            return STORE_ENGINE_BEGUN;
        }
    }
    *error = batch->error;
    batch->first = NULL;
    return (enum store_engine_progress)batch->outcome;
}

bool postgres_batch_settle(struct store_engine *engine, bool *wants_write)
{
    struct postgres *store = (struct postgres *)engine;
    if (!store->unflushed || store->unflushed->settling)
        return false;
    *wants_write = ask_to_settle(store);
    return true;
}
