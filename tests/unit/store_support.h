/*
 * What the tests of the store share: a store in a folder or a database of its own, and operations that wait for their
 * commit.
 */
#ifndef EXPORTD_TESTS_STORE_SUPPORT_H
#define EXPORTD_TESTS_STORE_SUPPORT_H

#include "support.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/store.h"

#include <libpq-fe.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    uv_loop_t loop;
    char *folder;
    struct store *store;
    struct store_op *done; /* of the last wait */
};

static inline struct store_options store_options_of(const struct fixture *fixture)
{
    return (struct store_options){.folder = fixture->folder,
                                  .url = getenv("EXPORTD_TEST_DATABASE"),
                                  .lease_ms = 2000,
                                  .timeout_ms = 10000,
                                  .queue_limit = 10000,
                                  .create = true};
}

/* Another database than the last test's. */
static inline void empty_database(void)
{
    const char *url = getenv("EXPORTD_TEST_DATABASE");
    if (!url)
        return;
    PGconn *connection = PQconnectdb(url);
    PGresult *result = PQexec(connection, "SET client_min_messages = error; SET search_path = public; DROP SCHEMA IF "
                                          "EXISTS exportd CASCADE; DROP TABLE IF EXISTS exports, repros");
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
    PQfinish(connection);
}

static inline void open_store(struct fixture *fixture)
{
    struct error error = {0};
    struct store_options options = store_options_of(fixture);
    fixture->store = store_open(&options, &fixture->loop, &error);
    if (!fixture->store)
        print_error("%s\n", error.message);
    assert_non_null(fixture->store);
}

static inline void close_store(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_int_equal(uv_loop_init(&fixture->loop), 0);
    fixture->folder = support_make_folder();
    empty_database();
    open_store(fixture);
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->store)
        close_store(fixture);
    assert_int_equal(uv_loop_close(&fixture->loop), 0);
    support_remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

static inline void on_done(struct store_op *op, void *client)
{
    ((struct fixture *)client)->done = op;
}

/* Enqueues, waits for the commit, and returns the op. */
static inline struct store_op *run(struct fixture *fixture, struct store_op *op)
{
    fixture->done = NULL;
    op->callback = on_done;
    op->client = fixture;
    store_enqueue(fixture->store, op);
    while (!fixture->done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    if (error_is_set(&op->error))
        print_error("%s\n", op->error.message);
    assert_false(error_is_set(&op->error));
    return op;
}

static inline struct job *make_job(const char *id, const char *route)
{
    struct job *job = job_new();
    job->id = memory_text(id);
    job->task = memory_text(route);
    job->route = memory_text(route);
    job->max_attempts = 5;
    job->created_at_ms = clock_now_ms();
    job->data = memory_text("{\"x\":1}");
    job->data_length = strlen(job->data);
    memset(job->body_hash, id[0], JOB_HASH_BYTES);
    return job;
}

static inline struct store_op *submit(struct fixture *fixture, struct job *job, bool claim)
{
    struct store_op *op = store_op_new(STORE_SUBMIT, NULL, NULL);
    op->submit.job = job;
    op->submit.claim = claim;
    return run(fixture, op);
}

static inline void submit_plain(struct fixture *fixture, const char *id)
{
    struct store_op *op = submit(fixture, make_job(id, "noop"), false);
    assert_int_equal(op->submit.outcome, STORE_CREATED);
    store_op_free(op);
}

/* The one job that is claimed, taken out of the op. */
static inline struct job *claim_one(struct fixture *fixture, const char *route)
{
    struct store_op *op = run(fixture, store_op_claim(route, 1, NULL, NULL));
    struct job *job = op->claim.count ? op->claim.jobs[0] : NULL;
    if (job)
        op->claim.jobs[0] = NULL;
    store_op_free(op);
    return job;
}

static inline bool finish(struct fixture *fixture, const struct job *job, enum store_finish_kind kind, int64_t lease,
                          struct store_delivery *delivery)
{
    struct store_op *op = store_op_new(STORE_FINISH, NULL, NULL);
    op->finish.finish = kind;
    op->finish.sequence = job->sequence;
    op->finish.door = job->door;
    op->finish.lease = lease;
    op->finish.attempts = job->attempts;
    op->finish.started_at_ms = job->started_at_ms;
    op->finish.finished_at_ms = clock_now_ms();
    op->finish.result = kind == STORE_FINISH_COMPLETED ? memory_text("{\"ok\":true}") : NULL;
    op->finish.error_code = kind == STORE_FINISH_FAILED ? memory_text("broken") : NULL;
    op->finish.error_message = kind == STORE_FINISH_FAILED ? memory_text("it broke") : NULL;
    op->finish.delivery = delivery;
    run(fixture, op);
    bool applied = op->finish.applied;
    store_op_free(op);
    return applied;
}

static inline struct job *get(struct fixture *fixture, const char *id)
{
    struct store_op *op = store_op_new(STORE_GET, NULL, NULL);
    op->get.id = memory_text(id);
    run(fixture, op);
    struct job *job = op->get.job;
    op->get.job = NULL;
    store_op_free(op);
    return job;
}

static inline enum job_state state_of(struct fixture *fixture, const char *id)
{
    struct job *job = get(fixture, id);
    assert_non_null(job);
    enum job_state state = job->state;
    job_free(job);
    return state;
}

static inline struct store_delivery *make_delivery(const char *id, const char *job_id)
{
    struct store_delivery *delivery = memory_zeroed(1, sizeof *delivery);
    delivery->id = memory_text(id);
    delivery->job_id = memory_text(job_id);
    delivery->target = memory_text("http://example.org/");
    delivery->body = memory_text("{}");
    delivery->created_at_ms = delivery->next_at_ms = clock_now_ms();
    delivery->give_up_at_ms = delivery->created_at_ms + 86400000;
    return delivery;
}

static inline enum store_cancel_outcome cancel(struct fixture *fixture, const char *id, struct job **job)
{
    struct store_op *op = store_op_new(STORE_CANCEL, NULL, NULL);
    op->cancel.id = memory_text(id);
    run(fixture, op);
    enum store_cancel_outcome outcome = op->cancel.outcome;
    *job = op->cancel.job;
    op->cancel.job = NULL;
    store_op_free(op);
    return outcome;
}

static inline bool retry(struct fixture *fixture, const char *id)
{
    struct store_op *op = store_op_new(STORE_RETRY, NULL, NULL);
    op->get.id = memory_text(id);
    run(fixture, op);
    bool applied = op->get.applied;
    store_op_free(op);
    return applied;
}

/* The first callback that is due is this one. */
static inline void expect_due(struct fixture *fixture, const char *id)
{
    struct store_op *op = store_op_new(STORE_DELIVERY_TAKE, NULL, NULL);
    op->delivery_take.channel = STORE_CHANNEL_WEBHOOK;
    op->delivery_take.now_ms = clock_now_ms();
    op->delivery_take.taken_until_ms = op->delivery_take.now_ms + 1000;
    op->delivery_take.limit = 10;
    run(fixture, op);
    assert_non_null(op->delivery_take.deliveries);
    assert_string_equal(op->delivery_take.deliveries->id, id);
    store_op_free(op);
}

#endif
