/* Batches that go to PostgreSQL behind each other, over one connection: what the engine promises of them, step by
 * step, and what the store makes of one that fails; and how it tidies up after many. Runs where EXPORTD_TEST_DATABASE
 * names a database (tests/tools/with-postgres). */
#include "pipeline_support.h"

static const char repro_id[] = "5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018";

static struct store_op *refused_export(void)
{
    static const char id[] = "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0009";
    struct store_op *op = store_op_new(STORE_SUBMIT, NULL, NULL);
    op->submit.claim = true;
    op->submit.job = make_job(id, "report/pdf");
    op->submit.job->door = JOB_DOOR_EXPORT;
    op->submit.job->origin = memory_format("{\"export_id\":\"%s\",\"repro_id\":\"%s\",\"export_type\":\"report\","
                                           "\"options\":{\"format\":\"pdf\"}}",
                                           id, repro_id);
    return op;
}

static void refuse_exports(void)
{
    execute("INSERT INTO repros (id, title, test) VALUES ('5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018', 'a bug', '{}')");
    execute("ALTER TABLE exports ADD CONSTRAINT never CHECK (export_type <> 'report')");
}

static void two_batches_are_under_way_and_end_in_turn(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list lists[3] = {jobs_of("a", 300, true), jobs_of("b", 1, true), jobs_of("c", 2, true)};
    assert_true(start(test, &lists[0]));
    assert_true(start(test, &lists[1]));
    assert_false(start(test, &lists[2])); /* no more than two */
    assert_int_equal(end_of(test, &lists[0], &error), STORE_ENGINE_DONE);
    assert_true(start(test, &lists[2]));
    assert_int_equal(end_of(test, &lists[1], &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &lists[2], &error), STORE_ENGINE_DONE);
    assert_false(error_is_set(&error));
    int64_t sequence = 0;
    for (int i = 0; i < 3; i++) {
        expect_outcomes(&lists[i], STORE_CREATED);
        assert_true(lists[i].first->submit.job->sequence > sequence);
        sequence = lists[i].last->submit.job->sequence;
        free_list(&lists[i]);
    }
    assert_int_equal(count_jobs(), 303);
}

/* Its transaction stays open, and refuses the one behind it. */
static void where_the_first_fails_nothing_of_both_is_done(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list first = jobs_of("a", 3, true), second = jobs_of("b", 300, true), third = jobs_of("c", 2, true);
    refuse_exports();
    op_list_append(&first, refused_export());
    assert_true(start(test, &first));
    assert_true(start(test, &second));
    assert_int_equal(end_of(test, &first, &error), STORE_ENGINE_AGAIN);
    assert_false(start(test, &third)); /* not over a connection that has to be cleaned up */
    assert_int_equal(end_of(test, &second, &error), STORE_ENGINE_AGAIN);
    assert_int_equal(count_jobs(), 0);
    op_list_join(&first, &second);
    error_clear(&error);
    assert_int_equal(test->engine->type->run(test->engine, first.first, &error), 0);
    int refused = 0;
    for (const struct store_op *op = first.first; op; op = op->next) {
        bool is_export = op->submit.job->door == JOB_DOOR_EXPORT;
        assert_int_equal(error_is_set(&op->error), is_export);
        assert_false(is_export && op->error.retryable);
        refused += is_export;
    }
    assert_int_equal(refused, 1);
    assert_int_equal(count_jobs(), 303);
    assert_int_equal(test->engine->type->run(test->engine, third.first, &error), 0);
    expect_outcomes(&third, STORE_CREATED);
    free_list(&first);
    free_list(&third);
}

static void where_the_second_fails_the_first_is_done(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list first = jobs_of("a", 300, true), second = jobs_of("b", 3, true);
    refuse_exports();
    op_list_append(&second, refused_export());
    assert_true(start(test, &first));
    assert_true(start(test, &second));
    assert_int_equal(end_of(test, &first, &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &second, &error), STORE_ENGINE_AGAIN);
    expect_outcomes(&first, STORE_CREATED);
    assert_int_equal(count_jobs(), 300);
    error_clear(&error);
    assert_int_equal(test->engine->type->run(test->engine, second.first, &error), 0);
    assert_int_equal(count_jobs(), 303);
    free_list(&first);
    free_list(&second);
}

/* Jobs that are there already, where none was expected to be: in the first of two, or in the second. */
static void where_a_job_comes_again_its_batch_and_the_one_behind_it_are_done_anew(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    for (int failing = 0; failing < 2; failing++) {
        const char *prefixes[] = {failing ? "c" : "a", failing ? "d" : "b"};
        struct op_list known = jobs_of(prefixes[failing], 2, true), again = {0};
        assert_int_equal(test->engine->type->run(test->engine, known.first, &error), 0);
        ((struct postgres *)test->engine)->careful = 0;
        struct op_list lists[] = {jobs_of(prefixes[0], 5, true), jobs_of(prefixes[1], 5, true)};
        assert_true(start(test, &lists[0]));
        assert_true(start(test, &lists[1]));
        for (int i = 0; i < 2; i++) {
            bool stays = i < failing;
            assert_int_equal(end_of(test, &lists[i], &error), stays ? STORE_ENGINE_DONE : STORE_ENGINE_AGAIN);
            error_clear(&error);
            if (stays)
                expect_outcomes(&lists[i], STORE_CREATED);
            op_list_join(&again, &lists[i]);
        }
        assert_int_equal(test->engine->type->run(test->engine, again.first, &error), 0);
        int created = 0;
        for (const struct store_op *op = again.first; op; op = op->next) {
            assert_false(error_is_set(&op->error));
            assert_in_range(op->submit.outcome, STORE_CREATED, STORE_SAME);
            created += op->submit.outcome == STORE_CREATED;
        }
        assert_int_equal(created, failing ? 3 : 8); /* the first of the second round was created before */
        assert_int_equal(count_jobs(), 10 * (failing + 1));
        free_list(&known);
        free_list(&again);
    }
}

/* What it asks anew goes behind the second, and still it ends first. */
static void a_look_up_of_the_first_waits_behind_the_second(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list known = jobs_of("a", 5, true), same = jobs_of("a", 7, true), more = jobs_of("b", 300, true);
    assert_true(start(test, &known));
    assert_int_equal(end_of(test, &known, &error), STORE_ENGINE_DONE);
    memset(same.first->submit.job->body_hash, 'y', JOB_HASH_BYTES);
    assert_true(start(test, &same));
    assert_true(start(test, &more));
    assert_int_equal(end_of(test, &same, &error), STORE_ENGINE_DONE);
    assert_int_equal(same.first->submit.outcome, STORE_CONFLICT);
    assert_int_equal(same.first->next->submit.outcome, STORE_SAME);
    assert_int_equal(same.first->next->submit.job->sequence, known.first->next->submit.job->sequence);
    assert_int_equal(same.last->submit.outcome, STORE_CREATED);
    assert_int_equal(end_of(test, &more, &error), STORE_ENGINE_DONE);
    expect_outcomes(&more, STORE_CREATED);
    assert_int_equal(count_jobs(), 307);
    free_list(&known);
    free_list(&same);
    free_list(&more);
}

static void a_look_up_behind_a_batch_that_fails_is_answered(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list known = jobs_of("a", 5, true), once = jobs_of("a", 2, true), same = jobs_of("a", 7, true),
                   second = jobs_of("b", 3, true);
    refuse_exports();
    op_list_append(&second, refused_export());
    assert_true(start(test, &known));
    assert_int_equal(end_of(test, &known, &error), STORE_ENGINE_DONE);
    assert_true(start(test, &once)); /* so that the look-up itself is known to the server */
    assert_int_equal(end_of(test, &once, &error), STORE_ENGINE_DONE);
    assert_true(start(test, &same));
    assert_true(start(test, &second));
    assert_int_equal(end_of(test, &same, &error), STORE_ENGINE_DONE);
    assert_false(error_is_set(&error));
    assert_int_equal(same.first->submit.outcome, STORE_SAME);
    assert_false(error_is_set(&same.first->error));
    assert_int_equal(same.last->submit.outcome, STORE_CREATED);
    assert_int_equal(end_of(test, &second, &error), STORE_ENGINE_AGAIN);
    error_clear(&error);
    assert_int_equal(test->engine->type->run(test->engine, second.first, &error), 0);
    assert_int_equal(count_jobs(), 10);
    free_list(&known);
    free_list(&once);
    free_list(&same);
    free_list(&second);
}

static void the_queues_limit_counts_what_is_under_way(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list first = jobs_of("a", 6, false), second = jobs_of("b", 6, false), third = jobs_of("c", 1, false);
    assert_true(start(test, &first));
    assert_true(start(test, &second));
    assert_int_equal(end_of(test, &first, &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &second, &error), STORE_ENGINE_DONE);
    expect_outcomes(&first, STORE_CREATED);
    int full = 0;
    for (const struct store_op *op = second.first; op; op = op->next)
        full += op->submit.outcome == STORE_QUEUE_FULL;
    assert_int_equal(full, 12 - QUEUE_LIMIT);
    assert_true(start(test, &third));
    assert_int_equal(end_of(test, &third, &error), STORE_ENGINE_DONE);
    expect_outcomes(&third, STORE_QUEUE_FULL);
    assert_int_equal(count_jobs(), QUEUE_LIMIT);
    free_list(&first);
    free_list(&second);
    free_list(&third);
}

/* The first waits for a row that another holds, when the server goes. */
static void both_are_lost_with_the_connection(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list made = jobs_of("a", 1, true), ends = {0}, behind = jobs_of("b", 300, true),
                   lost = jobs_of("d", 5, false);
    op_list_join(&behind, &lost);
    assert_true(start(test, &made));
    assert_int_equal(end_of(test, &made, &error), STORE_ENGINE_DONE);
    PGconn *other = connect_plainly();
    PQclear(PQexec(other, "BEGIN"));
    PQclear(PQexec(other, "LOCK TABLE exportd.queue"));
    struct store_op *end = store_op_new(STORE_FINISH, NULL, NULL);
    end->finish.finish = STORE_FINISH_COMPLETED;
    end->finish.sequence = made.first->submit.job->sequence;
    end->finish.lease = made.first->submit.job->lease;
    op_list_append(&ends, end);
    assert_true(start(test, &ends));
    assert_true(start(test, &behind));
    execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exportd'");
    PQclear(PQexec(other, "ROLLBACK"));
    PQfinish(other);
    assert_int_equal(end_of(test, &ends, &error), STORE_ENGINE_LOST);
    assert_true(error.retryable);
    assert_false(start(test, &made));
    error_clear(&error);
    assert_int_equal(end_of(test, &behind, &error), STORE_ENGINE_LOST);
    assert_true(error.retryable);
    assert_int_equal(count_jobs(), 1);
    error_clear(&error);
    assert_int_equal(test->engine->type->run(test->engine, behind.first, &error), 0);
    assert_int_equal(count_jobs(), 306);
    struct op_list waiting = jobs_of("c", QUEUE_LIMIT - 5, false); /* what was lost takes no room */
    assert_true(start(test, &waiting));
    assert_int_equal(end_of(test, &waiting, &error), STORE_ENGINE_DONE);
    expect_outcomes(&waiting, STORE_CREATED);
    free_list(&waiting);
    free_list(&made);
    free_list(&ends);
    free_list(&behind);
}

struct called {
    struct store_op *ops[700];
    int count;
};

static void on_called(struct store_op *op, void *client)
{
    struct called *called = client;
    called->ops[called->count++] = op;
}

/* Over the store: where one of two batches has to be done again, callbacks still come in the order of the calls. */
static void callbacks_keep_their_order_when_a_batch_is_done_again(void **state)
{
    struct fixture *fixture = *state;
    struct called called = {.count = 0};
    struct op_list all = jobs_of("a", 300, true), second = jobs_of("b", 300, true);
    refuse_exports();
    op_list_append(&all, refused_export());
    size_t in_first = all.count;
    op_list_join(&all, &second);
    struct store_op *ops[700];
    int count = 0;
    for (struct store_op *op = all.first; op; op = op->next)
        ops[count++] = op;
    for (int i = 0; i < count; i++) {
        ops[i]->callback = on_called;
        ops[i]->client = &called;
        store_enqueue(fixture->store, ops[i]);
        if (i + 1 == (int)in_first)
            uv_run(&fixture->loop, UV_RUN_NOWAIT); /* what has gathered goes */
    }
    while (called.count < count)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    for (int i = 0; i < count; i++) {
        assert_ptr_equal(called.ops[i], ops[i]);
        assert_int_equal(error_is_set(&ops[i]->error), ops[i]->submit.job->door == JOB_DOOR_EXPORT);
        store_op_free(ops[i]);
    }
    assert_int_equal(count_jobs(), 600);
}

static void ignore_hint(void *client)
{
    (void)client;
}

static bool is_vacuumed(const char *table)
{
    PGconn *connection = connect_plainly();
    PGresult *result = PQexecParams(connection,
                                    "SELECT vacuum_count FROM pg_stat_user_tables WHERE schemaname = 'exportd'"
                                    " AND relname = $1",
                                    1, NULL, &table, NULL, NULL, 0);
    bool vacuumed = PQntuples(result) == 1 && strtol(PQgetvalue(result, 0, 0), NULL, 10) > 0;
    PQclear(result);
    PQfinish(connection);
    return vacuumed;
}

/* Autovacuum looks once a minute, in which a busy host leaves a million rows behind. */
static void a_busy_host_vacuums_the_hot_tables(void **state)
{
    struct fixture *fixture = *state;
    store_on_hint(fixture->store, ignore_hint, NULL);
    int64_t until_ms = clock_now_ms() + 300000;
    for (int round = 0; !(is_vacuumed("queue") && is_vacuumed("outbox")); round++) {
        struct called called = {.count = 0};
        char prefix[20];
        assert_true(clock_now_ms() < until_ms);
        snprintf(prefix, sizeof prefix, "r%d", round);
        struct op_list list = jobs_of(prefix, 500, true);
        for (struct store_op *op = list.first, *next; op; op = next) {
            next = op->next;
            op->callback = on_called;
            op->client = &called;
            store_enqueue(fixture->store, op);
        }
        while (called.count < 500)
            uv_run(&fixture->loop, UV_RUN_ONCE);
        for (int i = 0; i < 500; i++) {
            assert_false(error_is_set(&called.ops[i]->error));
            store_op_free(called.ops[i]);
        }
    }
    assert_true(count_jobs() >= 30000);
}

int main(void)
{
    if (!has_database("test_store_pipeline"))
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)
    const struct CMUnitTest tests[] = {
        TEST(two_batches_are_under_way_and_end_in_turn),
        TEST(where_the_first_fails_nothing_of_both_is_done),
        TEST(where_the_second_fails_the_first_is_done),
        TEST(where_a_job_comes_again_its_batch_and_the_one_behind_it_are_done_anew),
        TEST(a_look_up_of_the_first_waits_behind_the_second),
        TEST(a_look_up_behind_a_batch_that_fails_is_answered),
        TEST(the_queues_limit_counts_what_is_under_way),
        TEST(both_are_lost_with_the_connection),
        cmocka_unit_test_setup_teardown(callbacks_keep_their_order_when_a_batch_is_done_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_busy_host_vacuums_the_hot_tables, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
