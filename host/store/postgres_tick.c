/*
 * Once a second: leases are renewed, those of silent hosts end, what falls due moves up, what is old goes.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "store/postgres.h"

#define COUNT_SHARE 50 /* counting may take a fiftieth of the time */
#define STILL_SHARE 2  /* of a lease without a tick is more than a host can renew over */

static void send_numbers(struct postgres *store, enum postgres_statement which, postgres_reader reader,
                         struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    struct postgres_array held = {0};
    for (int i = 0; i < op->tick.held_count; i++)
        postgres_array_number(&held, op->tick.held[i]);
    postgres_add_array(&parameters, &held, POSTGRES_BIGINT);
    if (which == PG_RENEW) {
        postgres_add_number(&parameters, store->lease_ms);
        postgres_add_number(&parameters, store->lease_ms * 3 / 4);
    }
    postgres_send(store, which, &parameters, reader, op);
}

static void read_numbers(const PGresult *result, int64_t **numbers, int *count)
{
    *count = PQntuples(result);
    *numbers = memory_zeroed((size_t)*count + 1, sizeof **numbers);
    for (int row = 0; row < *count; row++)
        (*numbers)[row] = postgres_number(result, row, 0);
}

static void read_lost(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    read_numbers(result, &op->tick.lost, &op->tick.lost_count);
}

static void read_cancelled(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    read_numbers(result, &op->tick.cancelled, &op->tick.cancelled_count);
}

/* Leases may have ended that nobody could renew: their hosts come first. Once: where each tick comes late, the dead
 * would never be reaped. */
static void note_time(struct postgres *store, int64_t now_ms)
{
    int64_t now_ns = clock_monotonic_ns();
    bool late = store->ticked_at_ms > 0 && now_ms - store->ticked_at_ms >= store->lease_ms / STILL_SHARE;
    if (late && !store->stood_still) {
        store->stood_still = true;
        store->reap_from_ns = now_ns + store->lease_ms * 1000000;
    } else if (now_ns >= store->reap_from_ns) {
        store->stood_still = false;
    }
    store->ticked_at_ms = now_ms;
}

static void send_reap(struct postgres *store)
{
    struct postgres_parameters parameters = {0};
    postgres_add_number(&parameters, store->stood_still ? 0 : store->ticked_at_ms);
    postgres_add_number(&parameters, store->lease_ms / STILL_SHARE);
    postgres_send(store, PG_REAP, &parameters, NULL, NULL);
}

static void read_state(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    op->tick.next_due_ms = postgres_number(result, 0, 0);
    op->tick.oldest_waiting_ms = postgres_number(result, 0, 1);
    op->tick.next_delivery_ms[STORE_CHANNEL_WEBHOOK] = postgres_number(result, 0, 2);
    op->tick.next_delivery_ms[STORE_CHANNEL_NATS] = postgres_number(result, 0, 3);
    op->tick.waiting = store->waiting;
    note_time(store, postgres_number(result, 0, 4));
}

static void read_routes(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    op->tick.route_count = PQntuples(result);
    op->tick.routes = memory_zeroed((size_t)op->tick.route_count + 1, sizeof *op->tick.routes);
    for (int row = 0; row < op->tick.route_count; row++)
        op->tick.routes[row] = postgres_text(result, row, 0);
}

static void read_count(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    store->waiting = op->tick.waiting = postgres_number(result, 0, 0);
    /* About 400 ns a row; not more often than costs a small share. */
    store->count_from_ns = clock_monotonic_ns() + store->waiting * 400 * COUNT_SHARE;
}

static void read_pruned(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    for (int row = 0; row < PQntuples(result); row++) {
        struct job *job = job_new();
        if (!job)
            return;
        job->sequence = postgres_number(result, row, 0);
        job->id = postgres_text(result, row, 1);
        op->tick.pruned = memory_resized(op->tick.pruned, (size_t)op->tick.pruned_count + 1, sizeof *op->tick.pruned);
        op->tick.pruned[op->tick.pruned_count++] = job;
    }
}

static void prune(struct postgres *store, struct store_op *op, enum job_state state, int64_t before_ms)
{
    struct postgres_parameters parameters = {0};
    if (before_ms <= 0)
        return;
    postgres_add_number(&parameters, state);
    postgres_add_number(&parameters, before_ms);
    postgres_add_text(&parameters, store->host);
    postgres_send(store, PG_PRUNE, &parameters, read_pruned, op);
}

void postgres_tick(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters now = {0}, host = {0};
    int64_t now_ns = clock_monotonic_ns();
    if (op->tick.held_count > 0) {
        send_numbers(store, PG_RENEW, NULL, op);
        send_numbers(store, PG_LOST, read_lost, op);
    }
    if (now_ns >= store->reap_from_ns)
        send_reap(store);
    postgres_add_number(&now, op->tick.now_ms);
    postgres_send(store, PG_PROMOTE, &now, NULL, NULL);
    postgres_send(store, PG_STATE, NULL, read_state, op);
    postgres_send(store, PG_ROUTES, NULL, read_routes, op);
    postgres_add_text(&host, store->host);
    postgres_send(store, PG_CANCELLED, &host, read_cancelled, op);
    if (now_ns >= store->count_from_ns)
        postgres_send(store, PG_COUNT, NULL, read_count, op);
    prune(store, op, JOB_COMPLETED, op->tick.prune_completed_before_ms);
    prune(store, op, JOB_CANCELLED, op->tick.prune_completed_before_ms);
    prune(store, op, JOB_FAILED, op->tick.prune_failed_before_ms);
}
