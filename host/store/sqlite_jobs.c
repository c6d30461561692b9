/*
 * The operations on jobs. Column numbers follow JOB_COLUMNS in sqlite.c.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "store/sqlite.h"

#include <stdlib.h>
#include <string.h>

#define COLUMN_HASH 19
#define COLUMN_DOOR 20
#define COLUMN_ORIGIN 21
#define COLUMN_TRACE 22
#define COLUMN_DATA 23
#define ROUTES_MAX 4096

static struct job *read_job(sqlite3_stmt *row, bool with_data)
{
    struct job *job = job_new();
    if (!job)
        return NULL;
    job->sequence = sqlite3_column_int64(row, 0);
    job->id = sqlite_text(row, 1);
    job->task = sqlite_text(row, 2);
    job->route = sqlite_text(row, 3);
    job->state = (enum job_state)sqlite3_column_int(row, 4);
    job->priority = sqlite3_column_int(row, 5);
    job->run_at_ms = sqlite3_column_int64(row, 6);
    job->attempts = sqlite3_column_int(row, 7);
    job->losses = sqlite3_column_int(row, 8);
    job->max_attempts = sqlite3_column_int(row, 9);
    job->lease = sqlite3_column_int64(row, 10);
    job->cancel_requested = sqlite3_column_int(row, 11) != 0;
    job->created_at_ms = sqlite3_column_int64(row, 12);
    job->started_at_ms = sqlite3_column_int64(row, 13);
    job->finished_at_ms = sqlite3_column_int64(row, 14);
    job->callback_url = sqlite_text(row, 15);
    job->result = sqlite_text(row, 16);
    job->error_code = sqlite_text(row, 17);
    job->error_message = sqlite_text(row, 18);
    if (sqlite3_column_bytes(row, COLUMN_HASH) == JOB_HASH_BYTES)
        memcpy(job->body_hash, sqlite3_column_blob(row, COLUMN_HASH), JOB_HASH_BYTES);
    job->door = (enum job_door)sqlite3_column_int(row, COLUMN_DOOR);
    job->origin = sqlite_text(row, COLUMN_ORIGIN);
    job->trace = sqlite_text(row, COLUMN_TRACE);
    if (with_data) {
        job->data = sqlite_text(row, COLUMN_DATA);
        job->data_length = (size_t)sqlite3_column_bytes(row, COLUMN_DATA);
    }
    return job;
}

/* Returns 0 with *job NULL where there is none. */
static int find_job(struct sqlite_store *store, const char *id, struct job **job, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_GET_BY_ID, error);
    if (!statement)
        return -1;
    sqlite_bind_text(statement, 1, id);
    int code = sqlite3_step(statement);
    *job = code == SQLITE_ROW ? read_job(statement, true) : NULL;
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_fail(store, "read", error);
}

static int insert_payload(struct sqlite_store *store, const struct job *job, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_INSERT_PAYLOAD, error);
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, job->sequence);
    sqlite3_bind_text64(statement, 2, job->data, job->data_length, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite_run(store, statement, error);
}

int sqlite_submit(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    struct job *job = op->submit.job;
    bool dead = job->state == JOB_FAILED;
    bool claim = op->submit.claim && job->run_at_ms == 0 && !dead;
    if (!claim && !dead && store->waiting >= store->queue_limit) {
        /* A known id is answered even then. */
        struct job *known = NULL;
        if (find_job(store, job->id, &known, error) != 0)
            return -1;
        if (!known) {
            op->submit.outcome = STORE_QUEUE_FULL;
            return 0;
        }
        job_free(known);
    }
    sqlite3_stmt *statement = sqlite_statement(store, SQL_INSERT_JOB, error);
    if (!statement)
        return -1;
    int64_t lease = claim ? store->next_lease++ : 0;
    sqlite_bind_text(statement, 1, job->id);
    sqlite_bind_text(statement, 2, job->task);
    sqlite_bind_text(statement, 3, job->route);
    sqlite3_bind_int(statement, 4, dead ? JOB_FAILED : claim ? JOB_RUNNING : JOB_PENDING);
    sqlite3_bind_int(statement, 5, job->priority);
    sqlite3_bind_int64(statement, 6, job->run_at_ms);
    sqlite3_bind_int(statement, 7, claim ? 1 : 0);
    sqlite3_bind_int(statement, 8, job->max_attempts);
    sqlite3_bind_int64(statement, 9, lease);
    sqlite3_bind_int64(statement, 10, job->created_at_ms);
    sqlite3_bind_int64(statement, 11, claim ? job->created_at_ms : 0);
    sqlite3_bind_blob(statement, 12, job->body_hash, JOB_HASH_BYTES, SQLITE_STATIC);
    sqlite_bind_text(statement, 13, job->callback_url);
    sqlite3_bind_int(statement, 14, (int)job->door);
    sqlite_bind_text(statement, 15, job->origin);
    sqlite3_bind_int64(statement, 16, dead ? job->finished_at_ms : 0);
    sqlite_bind_text(statement, 17, job->error_code);
    sqlite_bind_text(statement, 18, job->error_message);
    sqlite_bind_text(statement, 19, job->trace);
    if (sqlite_run(store, statement, error) != 0)
        return -1;
    if (sqlite3_changes(store->db) == 0) {
        struct job *known = NULL;
        if (find_job(store, job->id, &known, error) != 0)
            return -1;
        bool same = known && memcmp(known->body_hash, job->body_hash, JOB_HASH_BYTES) == 0;
        op->submit.outcome = same ? STORE_SAME : STORE_CONFLICT;
        op->submit.job = known;
        job_free(job);
        return known ? 0 : error_set(error, "store_failed", true, "the store lost a job while it looked at it");
    }
    job->sequence = sqlite3_last_insert_rowid(store->db);
    op->submit.claim = claim;
    op->submit.outcome = STORE_CREATED;
    if (dead)
        return insert_payload(store, job, error) == 0
                   ? sqlite_insert_deliveries(store, op->submit.delivery, job->sequence, error)
                   : -1;
    job->state = claim ? JOB_RUNNING : JOB_PENDING;
    job->lease = lease;
    job->attempts = claim ? 1 : 0;
    job->started_at_ms = claim ? job->created_at_ms : 0;
    store->waiting += claim ? 0 : 1;
    return insert_payload(store, job, error);
}

/* How many more of the limited routes may run. -1 with error set. */
static int room_below_limit(struct sqlite_store *store, const struct store_op *op, struct error *error)
{
    int64_t room = op->claim.limit;
    for (int i = 0; i < op->claim.limit_route_count; i++) {
        sqlite3_stmt *statement = sqlite_statement(store, SQL_RUNNING_OF_ROUTE, error);
        if (!statement)
            return -1;
        sqlite_bind_text(statement, 1, op->claim.limit_routes[i]);
        int code = sqlite3_step(statement);
        room -= code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
        sqlite3_reset(statement);
        if (code != SQLITE_ROW)
            return sqlite_fail(store, "read the queue", error);
    }
    return room > 0 ? (int)room : 0;
}

int sqlite_claim(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    int limit = op->claim.count;
    op->claim.count = 0;
    int room = op->claim.limit > 0 ? room_below_limit(store, op, error) : limit;
    if (room < 0)
        return -1;
    limit = room < limit ? room : limit;
    sqlite3_stmt *ready = sqlite_statement(store, SQL_READY, error);
    if (!ready)
        return -1;
    sqlite_bind_text(ready, 1, op->claim.route);
    sqlite3_bind_int(ready, 2, limit);
    int code;
    while ((code = sqlite3_step(ready)) == SQLITE_ROW)
        op->claim.jobs[op->claim.count++] = read_job(ready, true);
    sqlite3_reset(ready);
    if (code != SQLITE_DONE)
        return sqlite_fail(store, "read the queue", error);

    int64_t now_ms = clock_now_ms();
    for (int i = 0; i < op->claim.count; i++) {
        struct job *job = op->claim.jobs[i];
        job->state = JOB_RUNNING;
        job->lease = store->next_lease++;
        job->attempts++;
        job->started_at_ms = now_ms;
        sqlite3_stmt *claim = sqlite_statement(store, SQL_CLAIM, error);
        if (!claim)
            return -1;
        sqlite3_bind_int64(claim, 1, job->lease);
        sqlite3_bind_int(claim, 2, job->attempts);
        sqlite3_bind_int64(claim, 3, now_ms);
        sqlite3_bind_int64(claim, 4, job->sequence);
        if (sqlite_run(store, claim, error) != 0)
            return -1;
        store->waiting--;
    }
    return 0;
}

static int finish_for_good(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    static const enum job_state states[] = {
        [STORE_FINISH_COMPLETED] = JOB_COMPLETED,
        [STORE_FINISH_FAILED] = JOB_FAILED,
        [STORE_FINISH_CANCELLED] = JOB_CANCELLED,
    };
    sqlite3_stmt *statement = sqlite_statement(store, SQL_FINISH, error);
    if (!statement)
        return -1;
    sqlite3_bind_int(statement, 1, (int)states[op->finish.finish]);
    sqlite3_bind_int(statement, 2, op->finish.attempts);
    sqlite3_bind_int64(statement, 3, op->finish.started_at_ms);
    sqlite3_bind_int64(statement, 4, op->finish.finished_at_ms);
    sqlite_bind_text(statement, 5, op->finish.result);
    sqlite_bind_text(statement, 6, op->finish.error_code);
    sqlite_bind_text(statement, 7, op->finish.error_message);
    sqlite3_bind_int64(statement, 8, op->finish.sequence);
    sqlite3_bind_int64(statement, 9, op->finish.lease);
    if (sqlite_run(store, statement, error) != 0)
        return -1;
    op->finish.applied = sqlite3_changes(store->db) > 0;
    return op->finish.applied ? sqlite_insert_deliveries(store, op->finish.delivery, op->finish.sequence, error) : 0;
}

int sqlite_finish(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    if (op->finish.finish != STORE_FINISH_AGAIN && op->finish.finish != STORE_FINISH_RELEASE)
        return finish_for_good(store, op, error);
    sqlite3_stmt *statement = sqlite_statement(store, SQL_AGAIN, error);
    if (!statement)
        return -1;
    sqlite3_bind_int(statement, 1, op->finish.attempts);
    sqlite3_bind_int64(statement, 2, op->finish.run_at_ms);
    sqlite_bind_text(statement, 3, op->finish.error_code);
    sqlite_bind_text(statement, 4, op->finish.error_message);
    sqlite3_bind_int64(statement, 5, op->finish.sequence);
    sqlite3_bind_int64(statement, 6, op->finish.lease);
    if (sqlite_run(store, statement, error) != 0)
        return -1;
    op->finish.applied = sqlite3_changes(store->db) > 0;
    store->waiting += op->finish.applied ? 1 : 0;
    return 0;
}

int sqlite_cancel(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    if (find_job(store, op->cancel.id, &op->cancel.job, error) != 0)
        return -1;
    struct job *job = op->cancel.job;
    if (!job) {
        op->cancel.outcome = STORE_CANCEL_UNKNOWN;
        return 0;
    }
    if (job_is_finished(job->state)) {
        op->cancel.outcome = STORE_CANCEL_FINISHED;
        return 0;
    }
    bool running = job->state == JOB_RUNNING;
    sqlite3_stmt *statement = sqlite_statement(store, running ? SQL_REQUEST_CANCEL : SQL_CLAIM_ONE, error);
    if (!statement)
        return -1;
    if (running) {
        sqlite3_bind_int64(statement, 1, job->sequence);
        op->cancel.outcome = STORE_CANCEL_RUNNING;
    } else {
        job->lease = store->next_lease++;
        job->state = JOB_RUNNING;
        sqlite3_bind_int64(statement, 1, job->lease);
        sqlite3_bind_int64(statement, 2, job->sequence);
        op->cancel.outcome = STORE_CANCEL_CLAIMED;
        store->waiting--;
    }
    job->cancel_requested = true;
    op->cancel.lease = job->lease;
    return sqlite_run(store, statement, error);
}

int sqlite_retry(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    const struct job *revised = op->get.revised;
    sqlite3_stmt *statement = sqlite_statement(store, SQL_RETRY, error);
    if (!statement)
        return -1;
    sqlite_bind_text(statement, 1, op->get.id);
    sqlite_bind_text(statement, 2, revised ? revised->task : NULL);
    sqlite_bind_text(statement, 3, revised ? revised->route : NULL);
    if (revised)
        sqlite3_bind_int(statement, 4, revised->max_attempts);
    else
        sqlite3_bind_null(statement, 4);
    int code = sqlite3_step(statement);
    int64_t sequence = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return sqlite_fail(store, "write", error);
    op->get.applied = code == SQLITE_ROW;
    store->waiting += op->get.applied ? 1 : 0;
    if (op->get.applied && revised) {
        sqlite3_stmt *payload = sqlite_statement(store, SQL_UPDATE_PAYLOAD, error);
        if (!payload)
            return -1;
        sqlite3_bind_text64(payload, 1, revised->data, revised->data_length, SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_bind_int64(payload, 2, sequence);
        if (sqlite_run(store, payload, error) != 0)
            return -1;
    }
    return find_job(store, op->get.id, &op->get.job, error);
}

int sqlite_get(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    return find_job(store, op->get.id, &op->get.job, error);
}

#define LIST_COLUMNS                                                                                                 \
    "SELECT sequence, id, task, route, state, priority, run_at, attempts, losses, max_attempts, lease,"              \
    " cancel_requested, created_at, started_at, finished_at, callback_url, result, error_code, error_message, "      \
    "body_hash, door, origin, trace"                                                                                 \
    " FROM jobs "

/* The last to end come first; a page goes on behind the place that the job ?1 has in that order. state >= 2: SQLite
 * takes the partial index only where its condition is repeated. */
#define FINISHED(state)                                                                                              \
    "INDEXED BY jobs_finished WHERE state = " state " AND state >= 2 AND (?2 IS NULL OR route = ?2)"                 \
    " AND (finished_at, sequence) < (CASE WHEN ?1 = 9223372036854775807 THEN ?1"                                     \
    " ELSE coalesce((SELECT finished_at FROM jobs cursor WHERE cursor.sequence = ?1), 0) END, ?1)"                   \
    " ORDER BY finished_at DESC, sequence DESC LIMIT ?3"

int sqlite_list(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    /* Each state has an index of its own to walk; without one, the newest come first by their number. */
    static const char *const by_state[JOB_STATE_COUNT] = {
        [JOB_PENDING] = LIST_COLUMNS
        "WHERE state = 0 AND sequence < ?1 AND (?2 IS NULL OR route = ?2) ORDER BY sequence DESC LIMIT ?3",
        [JOB_RUNNING] =
            LIST_COLUMNS "INDEXED BY jobs_running WHERE state = 1 AND sequence < ?1 AND (?2 IS NULL OR route = ?2)"
                         " ORDER BY sequence DESC LIMIT ?3",
        [JOB_COMPLETED] = LIST_COLUMNS FINISHED("2"),
        [JOB_FAILED] = LIST_COLUMNS FINISHED("3"),
        [JOB_CANCELLED] = LIST_COLUMNS FINISHED("4"),
    };
    static const char any[] =
        LIST_COLUMNS "WHERE sequence < ?1 AND (?2 IS NULL OR route = ?2) ORDER BY sequence DESC LIMIT ?3";
    int limit = op->list.limit > 0 && op->list.limit < STORE_LIST_MAX ? op->list.limit : STORE_LIST_MAX;
    op->list.jobs = memory_zeroed((size_t)limit, sizeof *op->list.jobs);
    op->list.count = 0;
    sqlite3_stmt *statement = NULL;
    const char *text = op->list.state < 0 ? any : by_state[op->list.state];
    if (sqlite3_prepare_v2(store->db, text, -1, &statement, NULL) != SQLITE_OK)
        return sqlite_fail(store, "list jobs", error);
    sqlite3_bind_int64(statement, 1, op->list.before > 0 ? op->list.before : INT64_MAX);
    sqlite_bind_text(statement, 2, op->list.route);
    sqlite3_bind_int(statement, 3, limit);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        op->list.jobs[op->list.count++] = read_job(statement, false);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? 0 : sqlite_fail(store, "list jobs", error);
}

static int first_number(struct sqlite_store *store, enum sqlite_statement which, int64_t *number, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, which, error);
    if (!statement)
        return -1;
    int code = sqlite3_step(statement);
    *number = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? 0 : sqlite_fail(store, "read", error);
}

static int next_deliveries(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    for (int channel = 0; channel < STORE_CHANNEL_COUNT; channel++) {
        sqlite3_stmt *statement = sqlite_statement(store, SQL_NEXT_DELIVERY, error);
        if (!statement)
            return -1;
        sqlite3_bind_int(statement, 1, channel);
        if (first_number(store, SQL_NEXT_DELIVERY, &op->tick.next_delivery_ms[channel], error) != 0)
            return -1;
    }
    return 0;
}

static int waiting_routes(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    char *last = memory_text("");
    int failed = 0;
    while (op->tick.route_count < ROUTES_MAX) {
        sqlite3_stmt *statement = sqlite_statement(store, SQL_NEXT_ROUTE, error);
        if (!statement) {
            failed = -1;
            break;
        }
        sqlite_bind_text(statement, 1, last);
        int code = sqlite3_step(statement);
        char *route = code == SQLITE_ROW ? sqlite_text(statement, 0) : NULL;
        sqlite3_reset(statement);
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            failed = sqlite_fail(store, "read the queue", error);
        if (!route)
            break;
        op->tick.routes = memory_resized(op->tick.routes, (size_t)op->tick.route_count + 1, sizeof *op->tick.routes);
        op->tick.routes[op->tick.route_count++] = route;
        free(last);
        last = memory_text(route);
    }
    free(last);
    return failed;
}

static int wanted_cancels(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_CANCELLED, error);
    if (!statement)
        return -1;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        op->tick.cancelled =
            memory_resized(op->tick.cancelled, (size_t)op->tick.cancelled_count + 1, sizeof *op->tick.cancelled);
        op->tick.cancelled[op->tick.cancelled_count++] = sqlite3_column_int64(statement, 0);
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : sqlite_fail(store, "read", error);
}

static int delete_by_sequence(struct sqlite_store *store, enum sqlite_statement which, int64_t sequence,
                              struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, which, error);
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, sequence);
    return sqlite_run(store, statement, error);
}

static int prune(struct sqlite_store *store, struct store_op *op, enum job_state state, int64_t before_ms,
                 struct error *error)
{
    sqlite3_stmt *statement = before_ms > 0 ? sqlite_statement(store, SQL_PRUNABLE, error) : NULL;
    if (!statement)
        return before_ms > 0 ? -1 : 0;
    int first = op->tick.pruned_count;
    sqlite3_bind_int(statement, 1, (int)state);
    sqlite3_bind_int64(statement, 2, before_ms);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct job *job = job_new();
        if (!job)
            break;
        job->sequence = sqlite3_column_int64(statement, 0);
        job->id = sqlite_text(statement, 1);
        op->tick.pruned = memory_resized(op->tick.pruned, (size_t)op->tick.pruned_count + 1, sizeof *op->tick.pruned);
        op->tick.pruned[op->tick.pruned_count++] = job;
    }
    sqlite3_reset(statement);
    for (int i = first; i < op->tick.pruned_count; i++) {
        int64_t sequence = op->tick.pruned[i]->sequence;
        if (delete_by_sequence(store, SQL_DELETE_DELIVERIES, sequence, error) != 0 ||
            delete_by_sequence(store, SQL_DELETE_PAYLOAD, sequence, error) != 0 ||
            delete_by_sequence(store, SQL_DELETE_JOB, sequence, error) != 0)
            return -1;
    }
    return 0;
}

int sqlite_tick(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    sqlite3_stmt *promote = sqlite_statement(store, SQL_PROMOTE, error);
    if (!promote)
        return -1;
    sqlite3_bind_int64(promote, 1, op->tick.now_ms);
    if (sqlite_run(store, promote, error) != 0 ||
        first_number(store, SQL_NEXT_DUE, &op->tick.next_due_ms, error) != 0 ||
        first_number(store, SQL_OLDEST_READY, &op->tick.oldest_waiting_ms, error) != 0 ||
        next_deliveries(store, op, error) != 0 || waiting_routes(store, op, error) != 0 ||
        wanted_cancels(store, op, error) != 0 ||
        prune(store, op, JOB_COMPLETED, op->tick.prune_completed_before_ms, error) != 0 ||
        prune(store, op, JOB_CANCELLED, op->tick.prune_completed_before_ms, error) != 0 ||
        prune(store, op, JOB_FAILED, op->tick.prune_failed_before_ms, error) != 0)
        return -1;
    op->tick.waiting = store->waiting;
    return 0;
}
