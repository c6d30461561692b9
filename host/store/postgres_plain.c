/*
 * What most batches are made of, with statements of its own: jobs that can run at once, and ends with one delivery at
 * the most. The callers' table exports isn't written for them.
 */
#include "store/postgres.h"

#include <string.h>

/* Jobs. */

static bool is_plain_submit(const struct postgres *store, const struct store_op *op)
{
    const struct job *job = op->submit.job;
    return job->state != JOB_FAILED && job->run_at_ms == 0 && !postgres_keeps_exports(store, job->door);
}

/* The new ones come back in the order in which they went. */
static void read_submitted(struct postgres *store, const PGresult *result, void *client)
{
    const struct postgres_bulk *bulk = client;
    int row = 0;
    for (size_t i = 0; i < bulk->count; i++) {
        struct store_op *op = bulk->ops[i];
        bool is_new = row < PQntuples(result) && strcmp(PQgetvalue(result, row, 2), op->submit.job->id) == 0;
        op->submit.outcome = STORE_SAME; /* or a conflict: it is looked up */
        if (!is_new)
            continue;
        postgres_note_created(store, op, postgres_number(result, row, 0), postgres_number(result, row, 1));
        row++;
    }
}

static void read_submitted_one(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    op->submit.outcome = STORE_SAME;
    if (PQntuples(result) > 0)
        postgres_note_created(store, op, postgres_number(result, 0, 1), postgres_number(result, 0, 2));
}

static void submit_one(struct postgres *store, struct store_op *op)
{
    const struct job *job = op->submit.job;
    struct postgres_parameters parameters = {0};
    postgres_add_text(&parameters, job->id);
    postgres_add_text(&parameters, job->task);
    postgres_add_text(&parameters, job->route);
    postgres_add_number(&parameters, job->priority);
    postgres_add_number(&parameters, job->run_at_ms);
    postgres_add_number(&parameters, job->max_attempts);
    postgres_add_number(&parameters, job->created_at_ms);
    postgres_add_bytes(&parameters, job->body_hash, JOB_HASH_BYTES);
    postgres_add_text(&parameters, job->callback_url);
    postgres_add_number(&parameters, job->door);
    postgres_add_text(&parameters, job->origin);
    postgres_add_bytes(&parameters, job->data, job->data_length);
    postgres_add_number(&parameters, postgres_wants_claim(op) ? store->lease_ms : 0);
    postgres_add_text(&parameters, store->host);
    postgres_add_text(&parameters, job->trace);
    postgres_send(store, store->now->begins ? PG_SUBMIT_AND_BEGIN : PG_SUBMIT_ONE, &parameters, read_submitted_one,
                  op);
}

static void submit_many(struct postgres *store, struct store_op **ops, size_t count)
{
    struct postgres_array id = {0}, task = {0}, route = {0}, priority = {0}, max_attempts = {0}, created_at = {0},
                          hash = {0}, callback = {0}, door = {0}, origin = {0}, data = {0}, claim = {0}, trace = {0};
    struct postgres_parameters parameters = {0};
    for (size_t i = 0; i < count; i++) {
        const struct job *job = ops[i]->submit.job;
        postgres_array_text(&id, job->id);
        postgres_array_text(&task, job->task);
        postgres_array_text(&route, job->route);
        postgres_array_number(&priority, job->priority);
        postgres_array_number(&max_attempts, job->max_attempts);
        postgres_array_number(&created_at, job->created_at_ms);
        postgres_array_bytes(&hash, job->body_hash, JOB_HASH_BYTES);
        postgres_array_text(&callback, job->callback_url);
        postgres_array_number(&door, job->door);
        postgres_array_text(&origin, job->origin);
        postgres_array_bytes(&data, job->data, job->data_length);
        postgres_array_number(&claim, postgres_wants_claim(ops[i]) ? 1 : 0);
        postgres_array_text(&trace, job->trace);
    }
    postgres_add_array(&parameters, &id, POSTGRES_TEXT);
    postgres_add_array(&parameters, &task, POSTGRES_TEXT);
    postgres_add_array(&parameters, &route, POSTGRES_TEXT);
    postgres_add_array(&parameters, &priority, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &max_attempts, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &created_at, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &hash, POSTGRES_BYTEA);
    postgres_add_array(&parameters, &callback, POSTGRES_TEXT);
    postgres_add_array(&parameters, &door, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &origin, POSTGRES_TEXT);
    postgres_add_array(&parameters, &data, POSTGRES_TEXT);
    postgres_add_array(&parameters, &claim, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &trace, POSTGRES_TEXT);
    postgres_add_number(&parameters, store->lease_ms);
    postgres_add_text(&parameters, store->host);
    struct postgres_bulk *bulk = postgres_bulk(ops, count);
    postgres_send(store, store->careful > 0 ? PG_SUBMIT_CAREFULLY : PG_SUBMIT, &parameters, read_submitted, bulk);
    postgres_keep(store, bulk);
}

bool postgres_submit_plain(struct postgres *store, struct store_op **ops, size_t count)
{
    const struct job *first = ops[0]->submit.job;
    if (count == 1 && first->state != JOB_FAILED && !postgres_keeps_exports(store, first->door)) {
        submit_one(store, ops[0]); /* also one that has to wait for its time */
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_plain_submit(store, ops[i]))
            return false;
    submit_many(store, ops, count);
    return true;
}

/* Ends. */

enum job_state postgres_end_state(const struct store_op *op)
{
    static const enum job_state states[] = {
        [STORE_FINISH_COMPLETED] = JOB_COMPLETED,
        [STORE_FINISH_FAILED] = JOB_FAILED,
        [STORE_FINISH_CANCELLED] = JOB_CANCELLED,
    };
    return states[op->finish.finish];
}

static bool is_plain_finish(const struct postgres *store, const struct store_op *op)
{
    const struct store_delivery *delivery = op->finish.delivery;
    return !(delivery && delivery->next) && !postgres_keeps_exports(store, op->finish.door);
}

static void read_finished(struct postgres *store, const PGresult *result, void *client)
{
    const struct postgres_bulk *bulk = client;
    (void)store;
    for (size_t i = 0; i < bulk->count; i++)
        bulk->ops[i]->finish.applied = false;
    for (int row = 0; row < PQntuples(result); row++) {
        struct store_op *op = bulk->ops[postgres_number(result, row, 0) - 1];
        op->finish.applied = true;
        if (op->finish.delivery)
            op->finish.delivery->sequence = postgres_number(result, row, 1);
    }
}

static void read_finished_one(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    op->finish.applied = PQntuples(result) > 0;
    if (op->finish.applied && op->finish.delivery)
        op->finish.delivery->sequence = postgres_number(result, 0, 0);
}

static void finish_one(struct postgres *store, struct store_op *op)
{
    const struct store_delivery *delivery = op->finish.delivery;
    struct postgres_parameters parameters = {0};
    postgres_add_number(&parameters, op->finish.sequence);
    postgres_add_number(&parameters, op->finish.lease);
    postgres_add_number(&parameters, postgres_end_state(op));
    postgres_add_number(&parameters, op->finish.attempts);
    postgres_add_number(&parameters, op->finish.started_at_ms);
    postgres_add_number(&parameters, op->finish.finished_at_ms);
    postgres_add_text(&parameters, op->finish.result);
    postgres_add_text(&parameters, op->finish.error_code);
    postgres_add_text(&parameters, op->finish.error_message);
    postgres_add_text(&parameters, store->host);
    postgres_add_text(&parameters, delivery ? delivery->id : NULL);
    postgres_add_text(&parameters, delivery ? delivery->job_id : NULL);
    postgres_add_number(&parameters, delivery ? delivery->channel : 0);
    postgres_add_text(&parameters, delivery ? delivery->target : NULL);
    postgres_add_text(&parameters, delivery ? delivery->body : NULL);
    postgres_add_number(&parameters, delivery ? delivery->created_at_ms : 0);
    postgres_add_number(&parameters, delivery ? delivery->next_at_ms : 0);
    postgres_add_number(&parameters, delivery ? delivery->give_up_at_ms : 0);
    postgres_send(store, PG_FINISH_ONE, &parameters, read_finished_one, op);
}

static void finish_many(struct postgres *store, struct store_op **ops, size_t count)
{
    struct postgres_array sequence = {0}, lease = {0}, state = {0}, attempts = {0}, started = {0}, finished = {0},
                          result = {0}, code = {0}, message = {0};
    struct postgres_array id = {0}, job_id = {0}, channel = {0}, target = {0}, body = {0}, created_at = {0},
                          next_at = {0}, give_up_at = {0}, place = {0};
    struct postgres_parameters parameters = {0};
    for (size_t i = 0; i < count; i++) {
        const struct store_op *op = ops[i];
        const struct store_delivery *delivery = op->finish.delivery;
        postgres_array_number(&sequence, op->finish.sequence);
        postgres_array_number(&lease, op->finish.lease);
        postgres_array_number(&state, postgres_end_state(op));
        postgres_array_number(&attempts, op->finish.attempts);
        postgres_array_number(&started, op->finish.started_at_ms);
        postgres_array_number(&finished, op->finish.finished_at_ms);
        postgres_array_text(&result, op->finish.result);
        postgres_array_text(&code, op->finish.error_code);
        postgres_array_text(&message, op->finish.error_message);
        postgres_array_text(&id, delivery ? delivery->id : NULL);
        postgres_array_text(&job_id, delivery ? delivery->job_id : NULL);
        postgres_array_number(&channel, delivery ? delivery->channel : 0);
        postgres_array_text(&target, delivery ? delivery->target : NULL);
        postgres_array_text(&body, delivery ? delivery->body : NULL);
        postgres_array_number(&created_at, delivery ? delivery->created_at_ms : 0);
        postgres_array_number(&next_at, delivery ? delivery->next_at_ms : 0);
        postgres_array_number(&give_up_at, delivery ? delivery->give_up_at_ms : 0);
        postgres_array_number(&place, (int64_t)i + 1);
    }
    postgres_add_array(&parameters, &sequence, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &lease, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &state, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &attempts, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &started, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &finished, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &result, POSTGRES_TEXT);
    postgres_add_array(&parameters, &code, POSTGRES_TEXT);
    postgres_add_array(&parameters, &message, POSTGRES_TEXT);
    postgres_add_text(&parameters, store->host);
    postgres_add_array(&parameters, &id, POSTGRES_TEXT);
    postgres_add_array(&parameters, &job_id, POSTGRES_TEXT);
    postgres_add_array(&parameters, &channel, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &target, POSTGRES_TEXT);
    postgres_add_array(&parameters, &body, POSTGRES_TEXT);
    postgres_add_array(&parameters, &created_at, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &next_at, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &give_up_at, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &place, POSTGRES_BIGINT);
    struct postgres_bulk *bulk = postgres_bulk(ops, count);
    postgres_send(store, PG_FINISH, &parameters, read_finished, bulk);
    postgres_keep(store, bulk);
}

bool postgres_finish_plain(struct postgres *store, struct store_op **ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_plain_finish(store, ops[i]))
            return false;
    if (count == 1)
        finish_one(store, ops[0]);
    else
        finish_many(store, ops, count);
    return true;
}
