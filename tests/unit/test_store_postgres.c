/* What is PostgreSQL's alone: many hosts on one store, leases that end, the callers' exports. Runs where
 * EXPORTD_TEST_DATABASE names a database (tests/tools/with-postgres). */
#include "hosts_support.h"

#include "store/postgres.h"

static void two_hosts_never_claim_the_same_job(void **state)
{
    struct fixture *one = *state;
    struct fixture two;
    open_other(&two);
    for (int i = 0; i < 100; i++) {
        char id[16];
        snprintf(id, sizeof id, "job-%d", i);
        submit_plain(i % 2 ? one : &two, id);
    }
    bool seen[100] = {false};
    int total = 0;
    for (;;) {
        struct fixture *host = total % 3 ? one : &two;
        struct store_op *op = run(host, store_op_claim("noop", 7, NULL, NULL));
        int came = op->claim.count;
        for (int i = 0; i < came; i++) {
            long number = strtol(op->claim.jobs[i]->id + 4, NULL, 10);
            assert_false(seen[number]);
            seen[number] = true;
        }
        store_op_free(op);
        total += came;
        if (came == 0)
            break;
    }
    assert_int_equal(total, 100);
    close_other(&two);
}

/* The lease is 2 s here. */
static void a_silent_host_loses_its_jobs_and_may_not_finish_them(void **state)
{
    struct fixture *silent = *state;
    struct fixture other;
    open_other(&other);
    struct store_op *op = submit(silent, make_job("a", "noop"), true);
    struct job *first = op->submit.job;
    op->submit.job = NULL;
    store_op_free(op);
    struct job *second = NULL;
    for (int64_t until_ms = clock_now_ms() + 10000; !second && clock_now_ms() < until_ms; usleep(100000)) {
        store_op_free(tick(&other, NULL, 0));
        second = claim_one(&other, "noop");
    }
    assert_non_null(second);
    assert_true(second->lease > first->lease);
    assert_int_equal(second->losses, 1);
    assert_int_equal(second->attempts, 1);
    assert_false(finish(silent, first, STORE_FINISH_COMPLETED, first->lease, make_delivery("msg_stale", "a")));
    op = tick(silent, &first->lease, 1);
    assert_int_equal(op->tick.lost_count, 1);
    assert_int_equal(op->tick.lost[0], first->lease);
    store_op_free(op);
    assert_true(finish(&other, second, STORE_FINISH_COMPLETED, second->lease, make_delivery("msg_1", "a")));
    assert_string_equal(ask("SELECT string_agg(id, ' ') FROM exportd.deliveries"), "msg_1");
    job_free(first);
    job_free(second);
    close_other(&other);
}

static void a_host_that_ticks_keeps_its_jobs(void **state)
{
    struct fixture *busy = *state;
    struct fixture other;
    open_other(&other);
    struct store_op *op = submit(busy, make_job("a", "noop"), true);
    int64_t lease = op->submit.job->lease;
    store_op_free(op);
    for (int64_t until_ms = clock_now_ms() + 5000; clock_now_ms() < until_ms; usleep(200000)) {
        op = tick(busy, &lease, 1);
        assert_int_equal(op->tick.lost_count, 0);
        store_op_free(op);
        store_op_free(tick(&other, NULL, 0));
        assert_null(claim_one(&other, "noop"));
    }
    close_other(&other);
}

static void a_cancel_reaches_the_host_that_runs_the_job(void **state)
{
    struct fixture *runner = *state;
    struct fixture other;
    struct job *job;
    open_other(&other);
    struct store_op *op = submit(runner, make_job("a", "noop"), true);
    int64_t lease = op->submit.job->lease;
    store_op_free(op);
    assert_int_equal(cancel(&other, "a", &job), STORE_CANCEL_RUNNING);
    job_free(job);
    op = tick(&other, NULL, 0);
    assert_int_equal(op->tick.cancelled_count, 0);
    store_op_free(op);
    op = tick(runner, &lease, 1);
    assert_int_equal(op->tick.cancelled_count, 1);
    assert_int_equal(op->tick.cancelled[0], lease);
    store_op_free(op);
    close_other(&other);
}

static void a_limit_holds_over_all_hosts(void **state)
{
    struct fixture *one = *state;
    struct fixture two;
    static const char *const routes[] = {"noop", "other"};
    open_other(&two);
    for (int i = 0; i < 10; i++) {
        char id[16];
        snprintf(id, sizeof id, "job-%d", i);
        submit_plain(one, id);
    }
    int total = 0;
    for (int i = 0; i < 6; i++) {
        struct store_op *op = store_op_claim("noop", 2, NULL, NULL);
        op->claim.limit = 3;
        op->claim.limit_routes = routes;
        op->claim.limit_route_count = 2;
        run(i % 2 ? one : &two, op);
        total += op->claim.count;
        store_op_free(op);
    }
    assert_int_equal(total, 3);
    close_other(&two);
}

static void exports_follow_the_job(void **state)
{
    struct fixture *fixture = *state;
    static const char id[] = "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001";
    insert_repro();
    store_op_free(submit(fixture, make_export(id, repro_id), false));
    assert_string_equal(ask("SELECT concat_ws('|', id, repro_id, export_type, status, options) FROM exports"),
                        "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001|5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018|report|pending|"
                        "{\"format\": \"pdf\"}");
    struct job *job = claim_one(fixture, "report/pdf");
    assert_int_equal(job->door, JOB_DOOR_EXPORT);
    assert_non_null(job->origin);
    assert_true(finish(fixture, job, STORE_FINISH_FAILED, job->lease, NULL));
    assert_string_equal(ask("SELECT concat_ws('|', status, error_message, result) FROM exports"), "failed|it broke");
    job_free(job);
    assert_true(retry(fixture, id));
    assert_string_equal(ask("SELECT concat_ws('|', status, error_message, result) FROM exports"), "pending");
    job = claim_one(fixture, "report/pdf");
    assert_true(finish(fixture, job, STORE_FINISH_COMPLETED, job->lease, NULL));
    assert_string_equal(ask("SELECT concat_ws('|', status, error_message, result) FROM exports"),
                        "completed|{\"ok\": true}");
    job_free(job);
    /* The same request once more changes nothing. */
    struct store_op *op = submit(fixture, make_export(id, repro_id), false);
    assert_int_equal(op->submit.outcome, STORE_SAME);
    store_op_free(op);
    assert_string_equal(ask("SELECT status FROM exports"), "completed");
}

static void an_export_of_a_repro_that_is_not_there_is_a_job_without_a_row(void **state)
{
    struct fixture *fixture = *state;
    struct store_op *op = submit(fixture, make_export("0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0002", repro_id), false);
    assert_int_equal(op->submit.outcome, STORE_CREATED);
    store_op_free(op);
    op = submit(fixture, make_export("0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0003", "no uuid at all"), false);
    assert_int_equal(op->submit.outcome, STORE_CREATED);
    store_op_free(op);
    assert_string_equal(ask("SELECT count(*) FROM exports"), "0");
}

/* One operation that the database refuses doesn't spoil those that share its batch. */
static void a_value_that_is_refused_fails_alone(void **state)
{
    struct fixture *fixture = *state;
    insert_repro();
    execute("ALTER TABLE exports ADD CONSTRAINT never CHECK (export_type <> 'report' OR id::text NOT LIKE '%9')");
    struct store_op *ops[3];
    static const char *const ids[] = {"0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001", "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0009",
                                      "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0003"};
    for (int i = 0; i < 3; i++) {
        ops[i] = store_op_new(STORE_SUBMIT, on_done, fixture);
        ops[i]->submit.job = make_export(ids[i], repro_id);
    }
    fixture->done = NULL;
    for (int i = 0; i < 3; i++)
        store_enqueue(fixture->store, ops[i]);
    while (fixture->done != ops[2])
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_false(error_is_set(&ops[0]->error));
    assert_true(error_is_set(&ops[1]->error));
    assert_false(ops[1]->error.retryable);
    assert_false(error_is_set(&ops[2]->error));
    for (int i = 0; i < 3; i++)
        store_op_free(ops[i]);
    assert_string_equal(ask("SELECT count(*) FROM exportd.jobs"), "2");
}

static void on_hint(void *client)
{
    *(bool *)client = true;
}

static void jobs_that_another_host_leaves_are_hinted_at(void **state)
{
    struct fixture *one = *state;
    struct fixture two;
    bool hinted = false;
    open_other(&two);
    store_on_hint(one->store, on_hint, &hinted);
    int number = 0;
    for (int64_t until_ms = clock_now_ms() + 10000; !hinted && clock_now_ms() < until_ms;) {
        char id[16];
        snprintf(id, sizeof id, "job-%d", number++);
        submit_plain(&two, id);
        for (int i = 0; i < 15; i++) {
            uv_run(&one->loop, UV_RUN_NOWAIT);
            usleep(10000);
        }
    }
    assert_true(hinted);
    close_other(&two);
}

/* The lease is 2 s here, and [store] timeout 10 s. */
static void a_row_that_a_caller_locks_costs_no_other_job_its_lease(void **state)
{
    struct fixture *fixture = *state;
    struct fixture other;
    open_other(&other);
    insert_repro();
    struct store_op *locked = submit(fixture, make_export("0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001", repro_id), true);
    struct store_op *running = submit(fixture, make_job("running", "noop"), true);
    struct store_op *ended = submit(fixture, make_job("ended", "noop"), true);
    PGconn *caller = connect_plainly();
    PQclear(PQexec(caller, "BEGIN; UPDATE exports SET options = NULL"));

    struct store_op *ops[] = {completed(locked->submit.job), completed(ended->submit.job),
                              store_op_new(STORE_TICK, NULL, NULL)};
    ops[2]->tick.now_ms = clock_now_ms();
    ops[2]->tick.held = memory_zeroed(1, sizeof(int64_t));
    ops[2]->tick.held[ops[2]->tick.held_count++] = running->submit.job->lease;
    run_together(fixture, ops, 3);
    assert_true(error_is_set(&ops[0]->error));
    assert_true(ops[0]->error.retryable);
    assert_false(error_is_set(&ops[1]->error));
    assert_true(ops[1]->finish.applied);
    assert_false(error_is_set(&ops[2]->error));
    assert_int_equal(ops[2]->tick.lost_count, 0);
    assert_string_equal(ask("SELECT lease_until > now() FROM exportd.queue q JOIN exportd.jobs j USING (sequence)"
                            " WHERE j.id = 'running'"),
                        "t");
    for (int i = 0; i < 3; i++)
        store_op_free(ops[i]);

    PQclear(PQexec(caller, "COMMIT"));
    PQfinish(caller);
    ops[0] = run(fixture, completed(locked->submit.job));
    assert_true(ops[0]->finish.applied);
    store_op_free(ops[0]);
    assert_string_equal(ask("SELECT status FROM exports"), "completed");
    store_op_free(locked);
    store_op_free(running);
    store_op_free(ended);
    close_other(&other);
}

/* Together, as one batch. The ids are prefix-0, prefix-1, …. Returns how many job numbers the server gave away for
 * it: those of what it rolled back too. */
static int64_t submit_some(struct fixture *fixture, const char *prefix, struct store_op **ops, int count)
{
    static const char numbers[] = "SELECT last_value FROM exportd.jobs_sequence";
    int64_t before = strtoll(ask(numbers), NULL, 10);
    for (int i = 0; i < count; i++) {
        char *id = memory_format("%s-%d", prefix, i);
        ops[i] = store_op_new(STORE_SUBMIT, NULL, NULL);
        ops[i]->submit.job = make_job(id, "noop");
        free(id);
    }
    run_together(fixture, ops, count);
    for (int i = 0; i < count; i++)
        assert_false(error_is_set(&ops[i]->error));
    return strtoll(ask(numbers), NULL, 10) - before;
}

static void free_some(struct store_op **ops, int count)
{
    for (int i = 0; i < count; i++)
        store_op_free(ops[i]);
}

/* After a hundred batches of new jobs they are inserted as if none could be there. */
static void jobs_that_come_again_among_new_ones_are_known(void **state)
{
    struct fixture *fixture = *state;
    struct store_op *ops[4];
    for (int i = 0; i < 110; i++) {
        char *prefix = memory_format("new-%d", i);
        submit_some(fixture, prefix, ops, 2);
        free_some(ops, 2);
        free(prefix);
    }
    assert_true(submit_some(fixture, "new-109", ops, 4) > 4); /* in vain, then carefully */
    for (int i = 0; i < 4; i++)
        assert_int_equal(ops[i]->submit.outcome, i < 2 ? STORE_SAME : STORE_CREATED);
    free_some(ops, 4);
    assert_int_equal(submit_some(fixture, "new-50", ops, 4), 4); /* for a while it goes on like that */
    for (int i = 0; i < 4; i++)
        assert_int_equal(ops[i]->submit.outcome, i < 2 ? STORE_SAME : STORE_CREATED);
    free_some(ops, 4);
    assert_string_equal(ask("SELECT count(*) FROM exportd.jobs"), "224");
    assert_string_equal(ask("SELECT count(*) FROM exportd.queue"), "224");
}

static bool tick_fails(struct fixture *fixture, int64_t held)
{
    struct store_op *op = store_op_new(STORE_TICK, NULL, NULL);
    op->tick.now_ms = clock_now_ms();
    op->tick.held = memory_zeroed(1, sizeof held);
    op->tick.held[op->tick.held_count++] = held;
    run_together(fixture, &op, 1);
    bool failed = error_is_set(&op->error);
    store_op_free(op);
    return failed;
}

/* Where all were kept from it, by a table that is locked or a disk that is full. The lease is 2 s here. */
static void a_host_that_could_not_renew_is_given_time_to(void **state)
{
    struct fixture *one = *state;
    struct fixture two;
    open_other(&two);
    struct store_op *op = submit(&two, make_job("a", "noop"), true);
    int64_t lease = op->submit.job->lease;
    for (int i = 0; i < 25; i++) { /* both have been up for longer than a lease */
        store_op_free(tick(one, NULL, 0));
        store_op_free(tick(&two, &lease, 1));
        usleep(100000);
    }
    PGconn *owner = connect_plainly();
    PQclear(PQexec(owner, "BEGIN; LOCK TABLE exportd.queue"));
    for (int64_t until_ms = clock_now_ms() + 3000; clock_now_ms() < until_ms;) {
        assert_true(tick_fails(one, 0));
        assert_true(tick_fails(&two, lease));
    }
    PQclear(PQexec(owner, "COMMIT"));
    PQfinish(owner);
    expect_lease_kept(one, &two, op->submit.job);
    store_op_free(op);
    close_other(&two);
}

int main(void)
{
    if (!has_database("test_store_postgres"))
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(two_hosts_never_claim_the_same_job),
        TEST(a_silent_host_loses_its_jobs_and_may_not_finish_them),
        TEST(a_host_that_ticks_keeps_its_jobs),
        TEST(a_cancel_reaches_the_host_that_runs_the_job),
        TEST(a_limit_holds_over_all_hosts),
        TEST(exports_follow_the_job),
        TEST(an_export_of_a_repro_that_is_not_there_is_a_job_without_a_row),
        TEST(a_value_that_is_refused_fails_alone),
        TEST(jobs_that_another_host_leaves_are_hinted_at),
        TEST(a_host_that_could_not_renew_is_given_time_to),
        TEST(jobs_that_come_again_among_new_ones_are_known),
        TEST(a_row_that_a_caller_locks_costs_no_other_job_its_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
