/*
 * The operations on jobs. Column numbers follow JOB_COLUMNS in postgres_sql.c. Places in a statement's answer count
 * from 1.
 */
#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"
#include "store/postgres.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMN_SEQUENCE,
    COLUMN_ID,
    COLUMN_TASK,
    COLUMN_ROUTE,
    COLUMN_STATE,
    COLUMN_PRIORITY,
    COLUMN_RUN_AT,
    COLUMN_ATTEMPTS,
    COLUMN_LOSSES,
    COLUMN_MAX_ATTEMPTS,
    COLUMN_LEASE,
    COLUMN_CANCEL_REQUESTED,
    COLUMN_CREATED_AT,
    COLUMN_STARTED_AT,
    COLUMN_FINISHED_AT,
    COLUMN_CALLBACK_URL,
    COLUMN_RESULT,
    COLUMN_ERROR_CODE,
    COLUMN_ERROR_MESSAGE,
    COLUMN_BODY_HASH,
    COLUMN_DOOR,
    COLUMN_ORIGIN,
    COLUMN_TRACE,
    COLUMN_DATA,
};

struct job *postgres_read_job(const PGresult *result, int row, bool with_data)
{
    struct job *job = job_new();
    if (!job)
        return NULL;
    job->sequence = postgres_number(result, row, COLUMN_SEQUENCE);
    job->id = postgres_text(result, row, COLUMN_ID);
    job->task = postgres_text(result, row, COLUMN_TASK);
    job->route = postgres_text(result, row, COLUMN_ROUTE);
    job->state = (enum job_state)postgres_number(result, row, COLUMN_STATE);
    job->priority = (int)postgres_number(result, row, COLUMN_PRIORITY);
    job->run_at_ms = postgres_number(result, row, COLUMN_RUN_AT);
    job->attempts = (int)postgres_number(result, row, COLUMN_ATTEMPTS);
    job->losses = (int)postgres_number(result, row, COLUMN_LOSSES);
    job->max_attempts = (int)postgres_number(result, row, COLUMN_MAX_ATTEMPTS);
    job->lease = postgres_number(result, row, COLUMN_LEASE);
    job->cancel_requested = PQgetvalue(result, row, COLUMN_CANCEL_REQUESTED)[0] == 't';
    job->created_at_ms = postgres_number(result, row, COLUMN_CREATED_AT);
    job->started_at_ms = postgres_number(result, row, COLUMN_STARTED_AT);
    job->finished_at_ms = postgres_number(result, row, COLUMN_FINISHED_AT);
    job->callback_url = postgres_text(result, row, COLUMN_CALLBACK_URL);
    job->result = postgres_text(result, row, COLUMN_RESULT);
    job->error_code = postgres_text(result, row, COLUMN_ERROR_CODE);
    job->error_message = postgres_text(result, row, COLUMN_ERROR_MESSAGE);
    job->door = (enum job_door)postgres_number(result, row, COLUMN_DOOR);
    job->origin = postgres_text(result, row, COLUMN_ORIGIN);
    job->trace = postgres_text(result, row, COLUMN_TRACE);
    const char *hash = PQgetvalue(result, row, COLUMN_BODY_HASH); /* \x… */
    if (strlen(hash) > 2)
        sodium_hex2bin(job->body_hash, JOB_HASH_BYTES, hash + 2, strlen(hash) - 2, NULL, NULL, NULL);
    if (with_data) {
        job->data = postgres_text(result, row, COLUMN_DATA);
        job->data_length = job->data ? strlen(job->data) : 0;
    }
    return job;
}

struct postgres_bulk *postgres_bulk(struct store_op **ops, size_t count)
{
    struct postgres_bulk *bulk = memory_zeroed(1, sizeof *bulk + count * sizeof(struct store_op *));
    bulk->count = count;
    memcpy(bulk->ops, ops, count * sizeof(struct store_op *));
    return bulk;
}

bool postgres_wants_claim(const struct store_op *op)
{
    return op->submit.claim && op->submit.job->run_at_ms == 0 && op->submit.job->state != JOB_FAILED;
}

void postgres_note_created(struct postgres *store, struct store_op *op, int64_t sequence, int64_t lease)
{
    struct job *job = op->submit.job;
    bool claimed = postgres_wants_claim(op);
    op->submit.outcome = STORE_CREATED;
    op->submit.claim = claimed;
    job->sequence = sequence;
    if (job->state == JOB_FAILED)
        return;
    job->state = claimed ? JOB_RUNNING : JOB_PENDING;
    job->lease = lease;
    job->attempts = claimed ? 1 : 0;
    job->started_at_ms = claimed ? job->created_at_ms : 0;
    store->waiting += claimed ? 0 : 1;
}

static void read_submitted(struct postgres *store, const PGresult *result, void *client)
{
    struct postgres_bulk *bulk = client;
    for (size_t i = 0; i < bulk->count; i++)
        bulk->ops[i]->submit.outcome = STORE_SAME; /* or a conflict: it is looked up */
    for (int row = 0; row < PQntuples(result); row++)
        postgres_note_created(store, bulk->ops[postgres_number(result, row, 0) - 1], postgres_number(result, row, 1),
                              postgres_number(result, row, 2));
}

static void read_sent(struct store_delivery *first, const PGresult *result, int row, int column)
{
    const char *id = PQgetvalue(result, row, column + 1);
    for (struct store_delivery *delivery = first; delivery; delivery = delivery->next)
        if (strcmp(delivery->id, id) == 0)
            delivery->sequence = postgres_number(result, row, column);
}

static void read_dead(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    for (int row = 0; row < PQntuples(result); row++)
        read_sent(op->submit.delivery, result, row, 0);
}

static void send_dead_deliveries(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    struct postgres_delivery_arrays arrays = {0};
    char hex[JOB_HASH_BYTES * 2 + 1];
    sodium_bin2hex(hex, sizeof hex, op->submit.job->body_hash, JOB_HASH_BYTES);
    postgres_add_text(&parameters, op->submit.job->id);
    postgres_add_text(&parameters, hex);
    postgres_add_deliveries(&arrays, 1, op->submit.delivery);
    postgres_put_deliveries(&parameters, &arrays);
    postgres_send(store, PG_DEAD_DELIVERIES, &parameters, read_dead, op);
}

/* What the table exports says of the request; only where its ids can be kept there. */
static void add_requests(struct postgres_parameters *parameters, struct store_op **ops, size_t count)
{
    struct postgres_array place = {0}, repro_id = {0}, type = {0}, options = {0};
    char uuid[ID_TEXT_SIZE];
    for (size_t i = 0; i < count; i++) {
        const struct job *job = ops[i]->submit.job;
        if (job->door != JOB_DOOR_EXPORT || !job->origin || !id_is_uuid(job->id, uuid))
            continue;
        json_t *origin = json_loads(job->origin, 0, NULL);
        const char *repro = json_string_value(json_object_get(origin, "repro_id"));
        json_t *given = json_object_get(origin, "options");
        char *text = given ? json_dumps(given, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        if (repro && id_is_uuid(repro, uuid)) {
            postgres_array_number(&place, (int64_t)i + 1);
            postgres_array_text(&repro_id, uuid);
            postgres_array_text(&type, json_string_value(json_object_get(origin, "export_type")));
            postgres_array_text(&options, text);
        }
        free(text);
        json_decref(origin);
    }
    postgres_add_array(parameters, &place, POSTGRES_BIGINT);
    postgres_add_array(parameters, &repro_id, POSTGRES_TEXT);
    postgres_add_array(parameters, &type, POSTGRES_TEXT);
    postgres_add_array(parameters, &options, POSTGRES_TEXT);
}

bool postgres_keeps_exports(const struct postgres *store, enum job_door door)
{
    return store->has_exports && door == JOB_DOOR_EXPORT;
}

void postgres_submit(struct postgres *store, struct store_op **ops, size_t count)
{
    if (postgres_submit_plain(store, ops, count))
        return;
    enum {
        ID,
        TASK,
        ROUTE,
        PRIORITY,
        RUN_AT,
        MAX_ATTEMPTS,
        CREATED_AT,
        HASH,
        CALLBACK,
        DOOR,
        ORIGIN,
        DATA,
        CLAIM,
        STATE,
        FINISHED_AT,
        ERROR_CODE,
        ERROR_MESSAGE,
        TRACE,
        ARRAYS
    };
    struct postgres_array arrays[ARRAYS] = {{0}};
    static const unsigned types[ARRAYS] = {
        [ID] = POSTGRES_TEXT,           [TASK] = POSTGRES_TEXT,          [ROUTE] = POSTGRES_TEXT,
        [PRIORITY] = POSTGRES_BIGINT,   [RUN_AT] = POSTGRES_BIGINT,      [MAX_ATTEMPTS] = POSTGRES_BIGINT,
        [CREATED_AT] = POSTGRES_BIGINT, [HASH] = POSTGRES_BYTEA,         [CALLBACK] = POSTGRES_TEXT,
        [DOOR] = POSTGRES_BIGINT,       [ORIGIN] = POSTGRES_TEXT,        [DATA] = POSTGRES_TEXT,
        [CLAIM] = POSTGRES_BIGINT,      [STATE] = POSTGRES_BIGINT,       [FINISHED_AT] = POSTGRES_BIGINT,
        [ERROR_CODE] = POSTGRES_TEXT,   [ERROR_MESSAGE] = POSTGRES_TEXT, [TRACE] = POSTGRES_TEXT};
    bool exports = false;
    for (size_t i = 0; i < count; i++) {
        const struct job *job = ops[i]->submit.job;
        postgres_array_text(&arrays[ID], job->id);
        postgres_array_text(&arrays[TASK], job->task);
        postgres_array_text(&arrays[ROUTE], job->route);
        postgres_array_number(&arrays[PRIORITY], job->priority);
        postgres_array_number(&arrays[RUN_AT], job->run_at_ms);
        postgres_array_number(&arrays[MAX_ATTEMPTS], job->max_attempts);
        postgres_array_number(&arrays[CREATED_AT], job->created_at_ms);
        postgres_array_bytes(&arrays[HASH], job->body_hash, JOB_HASH_BYTES);
        postgres_array_text(&arrays[CALLBACK], job->callback_url);
        postgres_array_number(&arrays[DOOR], job->door);
        postgres_array_text(&arrays[ORIGIN], job->origin);
        postgres_array_bytes(&arrays[DATA], job->data, job->data_length);
        postgres_array_number(&arrays[CLAIM], postgres_wants_claim(ops[i]) ? 1 : 0);
        postgres_array_number(&arrays[STATE], job->state == JOB_FAILED ? JOB_FAILED : 0);
        postgres_array_number(&arrays[FINISHED_AT], job->state == JOB_FAILED ? job->finished_at_ms : 0);
        postgres_array_text(&arrays[ERROR_CODE], job->error_code);
        postgres_array_text(&arrays[ERROR_MESSAGE], job->error_message);
        postgres_array_text(&arrays[TRACE], job->trace);
        exports = exports || postgres_keeps_exports(store, job->door);
    }
    struct postgres_parameters parameters = {0};
    for (int i = 0; i < ARRAYS; i++)
        postgres_add_array(&parameters, &arrays[i], types[i]);
    postgres_add_number(&parameters, store->lease_ms);
    postgres_add_text(&parameters, store->host);
    if (exports)
        add_requests(&parameters, ops, count);
    struct postgres_bulk *bulk = postgres_bulk(ops, count);
    postgres_send(store, exports ? PG_SUBMIT_EXPORTS : PG_SUBMIT_ANY, &parameters, read_submitted, bulk);
    postgres_keep(store, bulk);
    for (size_t i = 0; i < count; i++)
        if (ops[i]->submit.delivery)
            send_dead_deliveries(store, ops[i]);
}

static void read_looked_up(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    if (PQntuples(result) == 0) {
        if (op->submit.outcome != STORE_QUEUE_FULL)
            error_set(&op->error, "store_failed", true, "the store lost a job while it looked at it");
        return;
    }
    struct job *known = postgres_read_job(result, 0, true);
    if (!known) {
        error_set(&op->error, "store_failed", true, "out of memory");
        return;
    }
    bool same = memcmp(known->body_hash, op->submit.job->body_hash, JOB_HASH_BYTES) == 0;
    op->submit.outcome = same ? STORE_SAME : STORE_CONFLICT;
    job_free(op->submit.job);
    op->submit.job = known;
}

static void send_get(struct postgres *store, const char *id, postgres_reader reader, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    postgres_add_text(&parameters, id);
    postgres_send(store, PG_GET, &parameters, reader, op);
}

void postgres_look_up(struct postgres *store, struct store_op *op)
{
    send_get(store, op->submit.job->id, read_looked_up, op);
}

static void read_claimed(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    op->claim.count = PQntuples(result);
    for (int row = 0; row < op->claim.count; row++)
        op->claim.jobs[row] = postgres_read_job(result, row, true);
    store->waiting -= op->claim.count;
}

void postgres_claim(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    struct postgres_array routes = {0};
    if (op->claim.limit > 0) {
        struct postgres_parameters lock = {0};
        postgres_add_text(&lock, op->claim.limit_routes[0]);
        postgres_send(store, PG_LIMIT_LOCK, &lock, NULL, NULL);
    }
    for (int i = 0; i < op->claim.limit_route_count && op->claim.limit > 0; i++)
        postgres_array_text(&routes, op->claim.limit_routes[i]);
    postgres_add_text(&parameters, op->claim.route);
    postgres_add_number(&parameters, op->claim.count);
    postgres_add_number(&parameters, op->claim.limit);
    postgres_add_array(&parameters, &routes, POSTGRES_TEXT);
    postgres_add_number(&parameters, store->lease_ms);
    postgres_add_text(&parameters, store->host);
    postgres_add_number(&parameters, clock_now_ms());
    postgres_send(store, PG_CLAIM, &parameters, read_claimed, op);
}

static void read_finished(struct postgres *store, const PGresult *result, void *client)
{
    struct postgres_bulk *bulk = client;
    (void)store;
    for (size_t i = 0; i < bulk->count; i++)
        bulk->ops[i]->finish.applied = false;
    for (int row = 0; row < PQntuples(result); row++) {
        int64_t place = postgres_number(result, row, 0);
        if (place > 0)
            bulk->ops[place - 1]->finish.applied = true;
        else if (place < 0)
            read_sent(bulk->ops[-place - 1]->finish.delivery, result, row, 1);
    }
}

void postgres_finish_jobs(struct postgres *store, struct store_op **ops, size_t count)
{
    if (postgres_finish_plain(store, ops, count))
        return;
    struct postgres_array sequence = {0}, lease = {0}, state = {0}, attempts = {0}, started = {0}, finished = {0},
                          result = {0}, code = {0}, message = {0};
    struct postgres_delivery_arrays deliveries = {0};
    struct postgres_parameters parameters = {0};
    bool exports = false;
    for (size_t i = 0; i < count; i++) {
        const struct store_op *op = ops[i];
        postgres_array_number(&sequence, op->finish.sequence);
        postgres_array_number(&lease, op->finish.lease);
        postgres_array_number(&state, postgres_end_state(op));
        postgres_array_number(&attempts, op->finish.attempts);
        postgres_array_number(&started, op->finish.started_at_ms);
        postgres_array_number(&finished, op->finish.finished_at_ms);
        postgres_array_text(&result, op->finish.result);
        postgres_array_text(&code, op->finish.error_code);
        postgres_array_text(&message, op->finish.error_message);
        postgres_add_deliveries(&deliveries, (int64_t)i + 1, op->finish.delivery);
        exports = exports || postgres_keeps_exports(store, op->finish.door);
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
    postgres_put_deliveries(&parameters, &deliveries);
    postgres_add_text(&parameters, store->host);
    struct postgres_bulk *bulk = postgres_bulk(ops, count);
    postgres_send(store, exports ? PG_FINISH_EXPORTS : PG_FINISH_ANY, &parameters, read_finished, bulk);
    postgres_keep(store, bulk);
}

static void read_again(struct postgres *store, const PGresult *result, void *client)
{
    struct postgres_bulk *bulk = client;
    for (size_t i = 0; i < bulk->count; i++)
        bulk->ops[i]->finish.applied = false;
    for (int row = 0; row < PQntuples(result); row++)
        bulk->ops[postgres_number(result, row, 0) - 1]->finish.applied = true;
    store->waiting += PQntuples(result);
}

void postgres_again(struct postgres *store, struct store_op **ops, size_t count)
{
    struct postgres_array sequence = {0}, lease = {0}, attempts = {0}, run_at = {0}, code = {0}, message = {0};
    struct postgres_parameters parameters = {0};
    for (size_t i = 0; i < count; i++) {
        const struct store_op *op = ops[i];
        postgres_array_number(&sequence, op->finish.sequence);
        postgres_array_number(&lease, op->finish.lease);
        postgres_array_number(&attempts, op->finish.attempts);
        postgres_array_number(&run_at, op->finish.run_at_ms);
        postgres_array_text(&code, op->finish.error_code);
        postgres_array_text(&message, op->finish.error_message);
    }
    postgres_add_array(&parameters, &sequence, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &lease, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &attempts, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &run_at, POSTGRES_BIGINT);
    postgres_add_array(&parameters, &code, POSTGRES_TEXT);
    postgres_add_array(&parameters, &message, POSTGRES_TEXT);
    struct postgres_bulk *bulk = postgres_bulk(ops, count);
    postgres_send(store, PG_AGAIN, &parameters, read_again, bulk);
    postgres_keep(store, bulk);
}

/* A row: it was live, and whose lease it has now tells whether it had one before. */
static void read_cancelled(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    if (PQntuples(result) == 0) {
        op->cancel.outcome = STORE_CANCEL_FINISHED; /* or unknown: the job tells */
        return;
    }
    op->cancel.outcome = postgres_number(result, 0, 0) > 0 ? STORE_CANCEL_RUNNING : STORE_CANCEL_CLAIMED;
    op->cancel.lease = postgres_number(result, 0, 1);
    store->waiting -= op->cancel.outcome == STORE_CANCEL_CLAIMED ? 1 : 0;
}

static void read_cancelled_job(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    op->cancel.job = PQntuples(result) > 0 ? postgres_read_job(result, 0, true) : NULL;
    if (!op->cancel.job)
        op->cancel.outcome = STORE_CANCEL_UNKNOWN;
}

void postgres_cancel(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    postgres_add_text(&parameters, op->cancel.id);
    postgres_add_number(&parameters, store->lease_ms);
    postgres_add_text(&parameters, store->host);
    postgres_send(store, PG_CANCEL, &parameters, read_cancelled, op);
    send_get(store, op->cancel.id, read_cancelled_job, op);
}

static void read_got(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    op->get.job = PQntuples(result) > 0 ? postgres_read_job(result, 0, true) : NULL;
}

void postgres_get(struct postgres *store, struct store_op *op)
{
    send_get(store, op->get.id, read_got, op);
}

static void read_retried(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    op->get.applied = PQntuples(result) > 0;
    store->waiting += op->get.applied ? 1 : 0;
}

void postgres_retry(struct postgres *store, struct store_op *op)
{
    const struct job *revised = op->get.revised;
    struct postgres_parameters parameters = {0};
    postgres_add_text(&parameters, op->get.id);
    postgres_add_text(&parameters, revised ? revised->task : NULL);
    postgres_add_text(&parameters, revised ? revised->route : NULL);
    postgres_add_number(&parameters, revised ? revised->max_attempts : 0);
    postgres_add_text(&parameters, revised ? revised->data : NULL);
    postgres_send(store, store->has_exports ? PG_RETRY_EXPORTS : PG_RETRY, &parameters, read_retried, op);
    send_get(store, op->get.id, read_got, op);
}

static void read_listed(struct postgres *store, const PGresult *result, void *client)
{
    struct store_op *op = client;
    (void)store;
    op->list.count = PQntuples(result);
    op->list.jobs = memory_zeroed((size_t)op->list.count + 1, sizeof(struct job *));
    for (int row = 0; row < op->list.count; row++)
        op->list.jobs[row] = postgres_read_job(result, row, false);
}

void postgres_list(struct postgres *store, struct store_op *op)
{
    struct postgres_parameters parameters = {0};
    int limit = op->list.limit > 0 && op->list.limit < STORE_LIST_MAX ? op->list.limit : STORE_LIST_MAX;
    postgres_add_number(&parameters, op->list.before > 0 ? op->list.before : INT64_MAX);
    postgres_add_text(&parameters, op->list.route);
    postgres_add_number(&parameters, limit);
    if (op->list.state >= 0)
        postgres_add_number(&parameters, op->list.state);
    enum postgres_statement which = op->list.state < 0                ? PG_LIST
                                    : op->list.state >= JOB_COMPLETED ? PG_LIST_FINISHED
                                                                      : PG_LIST_LIVE;
    postgres_send(store, PG_PLAN_ONCE, NULL, NULL, NULL);
    postgres_send(store, which, &parameters, read_listed, op);
    postgres_send(store, PG_PLAN_FOR_ALL, NULL, NULL, NULL);
}
