/*
 * The operations on deliveries, the outbox. Column numbers follow DELIVERY_COLUMNS in postgres_sql.c.
 */
#include "base/memory.h"
#include "store/postgres.h"

#include <stdlib.h>

static struct store_delivery *read_delivery(const PGresult *result, int row)
{
    struct store_delivery *delivery = memory_zeroed(1, sizeof *delivery);
    delivery->sequence = postgres_number(result, row, 0);
    delivery->id = postgres_text(result, row, 1);
    delivery->job_id = postgres_text(result, row, 2);
    delivery->target = postgres_text(result, row, 3);
    delivery->body = postgres_text(result, row, 4);
    delivery->state = (enum store_delivery_state)postgres_number(result, row, 5);
    delivery->attempts = (int)postgres_number(result, row, 6);
    delivery->created_at_ms = postgres_number(result, row, 7);
    delivery->next_at_ms = postgres_number(result, row, 8);
    delivery->give_up_at_ms = postgres_number(result, row, 9);
    delivery->last_error = postgres_text(result, row, 10);
    delivery->channel = (enum store_channel)postgres_number(result, row, 11);
    delivery->job_sequence = postgres_number(result, row, 12);
    delivery->trace = postgres_text(result, row, 13);
    return delivery;
}

static struct store_delivery *read_all(const PGresult *result)
{
    struct store_delivery *first = NULL, **tail = &first;
    for (int row = 0; row < PQntuples(result); row++) {
        *tail = read_delivery(result, row);
        tail = &(*tail)->next;
    }
    return first;
}

void postgres_add_deliveries(struct postgres_delivery_arrays *arrays, int64_t owner,
                             const struct store_delivery *first)
{
    for (const struct store_delivery *delivery = first; delivery; delivery = delivery->next) {
        postgres_array_number(&arrays->owner, owner);
        postgres_array_text(&arrays->id, delivery->id);
        postgres_array_text(&arrays->job_id, delivery->job_id);
        postgres_array_number(&arrays->channel, delivery->channel);
        postgres_array_text(&arrays->target, delivery->target);
        postgres_array_text(&arrays->body, delivery->body);
        postgres_array_number(&arrays->created_at, delivery->created_at_ms);
        postgres_array_number(&arrays->next_at, delivery->next_at_ms);
        postgres_array_number(&arrays->give_up_at, delivery->give_up_at_ms);
    }
}

void postgres_put_deliveries(struct postgres_parameters *parameters, struct postgres_delivery_arrays *arrays)
{
    postgres_add_array(parameters, &arrays->owner, POSTGRES_BIGINT);
    postgres_add_array(parameters, &arrays->id, POSTGRES_TEXT);
    postgres_add_array(parameters, &arrays->job_id, POSTGRES_TEXT);
    postgres_add_array(parameters, &arrays->channel, POSTGRES_BIGINT);
    postgres_add_array(parameters, &arrays->target, POSTGRES_TEXT);
    postgres_add_array(parameters, &arrays->body, POSTGRES_TEXT);
    postgres_add_array(parameters, &arrays->created_at, POSTGRES_BIGINT);
    postgres_add_array(parameters, &arrays->next_at, POSTGRES_BIGINT);
    postgres_add_array(parameters, &arrays->give_up_at, POSTGRES_BIGINT);
}

static void read_taken(struct postgres *store, const PGresult *result, void *client)
{
    (void)store;
    ((struct store_op *)client)->delivery_take.deliveries = read_all(result);
}

void postgres_delivery_take(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    postgres_add_number(&parameters, op->delivery_take.channel);
    postgres_add_number(&parameters, op->delivery_take.now_ms);
    postgres_add_number(&parameters, op->delivery_take.limit);
    postgres_add_number(&parameters, op->delivery_take.taken_until_ms);
    postgres_send(store, PG_DELIVERY_TAKE, &parameters, read_taken, op);
}

void postgres_deliveries_done(struct postgres *store, struct store_op **ops, size_t count)
{
    struct postgres_array sequence = {0};
    struct postgres_parameters parameters = {0};
    for (size_t i = 0; i < count; i++)
        postgres_array_number(&sequence, ops[i]->delivery_result.sequence);
    postgres_add_array(&parameters, &sequence, POSTGRES_BIGINT);
    postgres_send(store, PG_DELIVERY_DONE, &parameters, NULL, NULL);
}

void postgres_delivery_results(struct postgres *store, struct store_op **ops, size_t count)
{
    struct postgres_array sequence = {0}, state = {0}, attempts = {0}, next_at = {0}, last_error = {0};
    struct postgres_parameters parameters = {0};
    for (size_t i = 0; i < count; i++) {
        postgres_array_number(&sequence, ops[i]->delivery_result.sequence);
        postgres_array_number(&state, ops[i]->delivery_result.state);
        postgres_array_number(&attempts, ops[i]->delivery_result.attempts);
        postgres_array_number(&next_at, ops[i]->delivery_result.next_at_ms);
        postgres_array_text(&last_error, ops[i]->delivery_result.last_error);
    }
    postgres_add_array(&parameters, &sequence, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &state, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &attempts, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &next_at, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &last_error, POSTGRES_TEXT);
    postgres_send(store, PG_DELIVERY_RESULT, &parameters, NULL, NULL);
}

static void read_listed(struct postgres *store, const PGresult *result, void *client)
{
    (void)store;
    ((struct store_op *)client)->delivery_list.deliveries = read_all(result);
}

void postgres_delivery_list(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    if (op->delivery_list.job_id)
        postgres_add_text(&parameters, op->delivery_list.job_id);
    else
        postgres_add_number(&parameters, op->delivery_list.state);
    postgres_add_number(&parameters, op->delivery_list.limit);
    bool posted = op->delivery_list.state == STORE_DELIVERY_WAITING || op->delivery_list.state == STORE_DELIVERY_DEAD;
    postgres_send(store, PG_PLAN_ONCE, NULL, NULL, NULL);
    postgres_send(store,
                  op->delivery_list.job_id ? PG_DELIVERY_OF_JOB
                  : posted                 ? PG_DELIVERY_POSTED
                                           : PG_DELIVERY_LIST,
                  &parameters, read_listed, op);
    postgres_send(store, PG_PLAN_FOR_ALL, NULL, NULL, NULL);
}

static void read_retried(struct postgres *store, const PGresult *result, void *client)
{
    (void)store;
    ((struct store_op *)client)->delivery_retry.applied =
        strtol(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
}

void postgres_delivery_retry(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    postgres_add_text(&parameters, op->delivery_retry.id);
    postgres_add_number(&parameters, op->delivery_retry.now_ms);
    postgres_add_number(&parameters, op->delivery_retry.give_up_at_ms);
    postgres_send(store, PG_DELIVERY_RETRY, &parameters, read_retried, op);
}
