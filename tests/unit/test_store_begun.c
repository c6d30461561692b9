/* A job alone, which begins before it is on disk: what brings it there, and what becomes of it where that fails. Runs
 * where EXPORTD_TEST_DATABASE names a database (tests/tools/with-postgres). */
#include "pipeline_support.h"

static void never_called(struct store_op *op, void *client)
{
    (void)client;
    fail_msg("%s was begun by the engine", op->submit.job->id);
}

static struct op_list beginner(const char *prefix)
{
    struct op_list list = jobs_of(prefix, 1, true);
    list.first->submit.on_begun = never_called; /* that is for the store to do */
    return list;
}

static struct op_list end_list(const struct op_list *list, int64_t lease)
{
    struct op_list ends = {0};
    struct store_op *op = store_op_new(STORE_FINISH, NULL, NULL);
    op->finish.finish = STORE_FINISH_COMPLETED;
    op->finish.sequence = list->first->submit.job->sequence;
    op->finish.lease = lease;
    op->finish.attempts = 1;
    op->finish.result = memory_text("{}");
    op_list_append(&ends, op);
    return ends;
}

/* The log's end, as others see it, in bytes. */
static int64_t log_end(const char *function)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT %s() - '0/0'::pg_lsn", function);
    return strtoll(ask(sql), NULL, 10);
}

#define WRITTEN log_end("pg_current_wal_insert_lsn")
#define ON_DISK log_end("pg_current_wal_flush_lsn")

static enum store_engine_progress go_on(struct under_way *test, const struct op_list *list)
{
    struct error error = {0};
    bool wants_write = false;
    return test->engine->type->go_on(test->engine, list->first, false, &wants_write, &error);
}

static void begin(struct under_way *test, const struct op_list *list)
{
    struct error error = {0};
    assert_true(start(test, list));
    assert_int_equal(end_of(test, list, &error), STORE_ENGINE_BEGUN);
    assert_int_equal(list->first->submit.outcome, STORE_CREATED);
    assert_true(list->first->submit.job->lease > 0);
    assert_int_equal(go_on(test, list), STORE_ENGINE_BEGUN); /* no answer is awaited */
}

static bool settle(struct under_way *test)
{
    bool wants_write = false;
    return test->engine->type->settle(test->engine, &wants_write);
}

static void a_job_alone_begins_and_is_on_disk_when_asked(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list list = beginner("a");
    assert_false(settle(test));
    begin(test, &list);
    assert_int_equal(count_jobs(), 1); /* others see it */
    int64_t written = WRITTEN;
    assert_true(settle(test));
    assert_false(settle(test)); /* it is on its way */
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
    assert_true(ON_DISK >= written);
    assert_false(settle(test));
    free_list(&list);
}

static void its_end_brings_it_to_the_disk(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list list = beginner("a");
    begin(test, &list);
    struct op_list ends = end_list(&list, list.first->submit.job->lease), more = beginner("b");
    int64_t written = WRITTEN;
    assert_true(start(test, &ends));
    assert_false(start(test, &more)); /* two are under way */
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
    assert_true(ON_DISK >= written);
    assert_int_equal(end_of(test, &ends, &error), STORE_ENGINE_DONE);
    assert_true(ends.first->finish.applied);
    assert_false(settle(test));
    begin(test, &more);
    struct op_list stale = end_list(&more, 1); /* writes nothing */
    assert_true(start(test, &stale));
    written = WRITTEN;
    assert_int_equal(end_of(test, &more, &error), STORE_ENGINE_DONE);
    assert_true(ON_DISK >= written);
    assert_int_equal(end_of(test, &stale, &error), STORE_ENGINE_DONE);
    assert_false(stale.first->finish.applied);
    free_list(&list);
    free_list(&ends);
    free_list(&more);
    free_list(&stale);
}

static void a_reader_behind_it_does_not_wait_for_long(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list list = beginner("a"), reads = {0};
    struct store_op *get = store_op_new(STORE_GET, NULL, NULL);
    get->get.id = memory_text("a-0");
    op_list_append(&reads, get);
    begin(test, &list);
    assert_true(start(test, &reads));
    int64_t written = WRITTEN;
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE); /* without being asked */
    assert_true(ON_DISK >= written);
    assert_int_equal(end_of(test, &reads, &error), STORE_ENGINE_DONE);
    assert_string_equal(get->get.job->id, "a-0");
    assert_int_equal(get->get.job->state, JOB_RUNNING);
    assert_true(get->get.job->lease == list.first->submit.job->lease);
    free_list(&list);
    free_list(&reads);
}

static void settled_while_another_is_under_way(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list list = beginner("a"), many = jobs_of("b", 300, true);
    begin(test, &list);
    assert_true(start(test, &many));
    assert_true(settle(test));
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &many, &error), STORE_ENGINE_DONE);
    expect_outcomes(&many, STORE_CREATED);
    assert_int_equal(count_jobs(), 301);
    free_list(&list);
    free_list(&many);
}

/* Neither one that stands behind another, nor one of several, nor one that is there, nor one that waits, nor where
 * nobody wants it. */
static void not_every_job_begins(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list first = beginner("a"), behind = beginner("b"), several = beginner("c"), more = beginner("d"),
                   again = beginner("a"), waits = beginner("e"), unwanted = jobs_of("f", 1, true);
    op_list_join(&several, &more);
    waits.first->submit.claim = false;
    begin(test, &first);
    assert_true(start(test, &behind));
    assert_int_equal(end_of(test, &first, &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &behind, &error), STORE_ENGINE_DONE);
    struct op_list *others[] = {&several, &again, &waits, &unwanted};
    for (int i = 0; i < 4; i++) {
        assert_true(start(test, others[i]));
        assert_int_equal(end_of(test, others[i], &error), STORE_ENGINE_DONE);
        assert_int_equal(others[i]->first->submit.outcome, others[i] == &again ? STORE_SAME : STORE_CREATED);
        free_list(others[i]);
    }
    free_list(&first);
    free_list(&behind);
}

/* What a crash takes away of the sequence is never handed out again. */
static void leases_go_on_far_beyond_those_of_the_connection_before(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    int64_t before = 0;
    for (int i = 0; i < 3; i++) {
        char prefix[8];
        snprintf(prefix, sizeof prefix, "a%d", i);
        struct op_list list = beginner(prefix);
        begin(test, &list);
        int64_t lease = list.first->submit.job->lease;
        assert_true(lease > before + 1000000);
        before = lease;
        settle(test);
        assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
        free_list(&list);
        test->engine->type->close(test->engine);
        execute("SELECT setval('exportd.leases', last_value - 30000) FROM exportd.leases"); /* as a crash may */
        test->engine = make_engine(test->folder);
    }
}

/* A user who may not move the sequence: then nothing begins. */
static void where_leases_are_not_safe_no_job_begins(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list list = beginner("a");
    ((struct postgres *)test->engine)->may_begin = false;
    assert_true(start(test, &list));
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
    free_list(&list);
}

/* Also where that was asked behind the batch. */
static void it_is_brought_to_the_disk_though_the_next_batch_fails(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list known = jobs_of("k", 2, true);
    assert_int_equal(test->engine->type->run(test->engine, known.first, &error), 0);
    for (int asked = 0; asked < 2; asked++) {
        struct op_list list = beginner(asked ? "b" : "a"), twice = jobs_of("k", 3 + asked, true);
        ((struct postgres *)test->engine)->careful = 0;
        begin(test, &list);
        assert_true(start(test, &twice));
        assert_true(!asked || settle(test));
        int64_t written = WRITTEN;
        assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
        assert_true(ON_DISK >= written);
        assert_int_equal(end_of(test, &twice, &error), STORE_ENGINE_AGAIN);
        error_clear(&error);
        assert_int_equal(test->engine->type->run(test->engine, twice.first, &error), 0);
        assert_int_equal(twice.last->submit.outcome, STORE_CREATED);
        free_list(&list);
        free_list(&twice);
    }
    free_list(&known);
}

/* One that is there, alone, is looked up, and the connection stays. */
static void a_known_job_behind_it_is_looked_up(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list known = jobs_of("k", 1, true), list = beginner("a"), same = jobs_of("k", 1, true),
                   other = beginner("b"), conflict = jobs_of("k", 1, false);
    assert_int_equal(test->engine->type->run(test->engine, known.first, &error), 0);
    PGconn *connection = ((struct postgres *)test->engine)->connection;
    begin(test, &list);
    assert_true(start(test, &same));
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &same, &error), STORE_ENGINE_DONE);
    expect_outcomes(&same, STORE_SAME);
    memset(conflict.first->submit.job->body_hash, 'y', JOB_HASH_BYTES);
    begin(test, &other);
    assert_true(start(test, &conflict));
    assert_true(settle(test));
    assert_int_equal(end_of(test, &other, &error), STORE_ENGINE_DONE);
    assert_int_equal(end_of(test, &conflict, &error), STORE_ENGINE_DONE);
    expect_outcomes(&conflict, STORE_CONFLICT);
    assert_ptr_equal(((struct postgres *)test->engine)->connection, connection);
    free_list(&known);
    free_list(&list);
    free_list(&same);
    free_list(&other);
    free_list(&conflict);
}

/* Whoever finds it has it on disk then, for he acknowledges the request that came to him. */
static void another_host_that_finds_it_brings_it_to_the_disk(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    char *folder = support_make_folder();
    struct store_engine *other = make_engine(folder);
    for (int round = 0; round < 2; round++) {
        const char *prefix = round ? "b" : "a";
        struct op_list list = beginner(prefix), same = jobs_of(prefix, 1, true);
        struct under_way elsewhere = {.engine = other};
        begin(test, &list);
        int64_t written = WRITTEN;
        if (round == 0) {
            assert_true(start(&elsewhere, &same));
            assert_int_equal(end_of(&elsewhere, &same, &error), STORE_ENGINE_DONE);
        } else {
            assert_int_equal(other->type->run(other, same.first, &error), 0);
        }
        expect_outcomes(&same, STORE_SAME);
        assert_true(ON_DISK >= written);
        settle(test);
        assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_DONE);
        free_list(&list);
        free_list(&same);
    }
    other->type->close(other);
    support_remove_folder(folder);
}

/* Whether it is on disk can't be known: who handed it in does so again. What stands behind it ends with it. */
static void it_is_in_doubt_where_it_can_not_be_settled(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    struct op_list list = beginner("a"), behind = jobs_of("b", 2, true);
    begin(test, &list);
    ((struct postgres *)test->engine)->prepared[PG_SETTLE] = true; /* which the server doesn't know */
    assert_true(settle(test));
    assert_true(start(test, &behind));
    assert_int_equal(end_of(test, &list, &error), STORE_ENGINE_LOST);
    assert_true(error.retryable);
    assert_non_null(strstr(error.message, "may not be on disk"));
    error_clear(&error);
    assert_int_equal(end_of(test, &behind, &error), STORE_ENGINE_LOST);
    error_clear(&error);
    assert_int_equal(test->engine->type->run(test->engine, behind.first, &error), 0);
    free_list(&list);
    free_list(&behind);
}

static void end_connections(void)
{
    execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'exportd'");
}

/* Until it is over, also where nothing is asked: the socket tells of the end. */
static enum store_engine_progress loss_of(struct under_way *test, const struct op_list *list, struct error *error)
{
    enum store_engine_progress progress;
    while ((progress = end_of(test, list, error)) == STORE_ENGINE_BEGUN) {
        struct pollfd descriptor = {.fd = test->socket, .events = POLLIN};
        assert_int_equal(poll(&descriptor, 1, 20000), 1);
    }
    return progress;
}

/* With nothing asked, with the question for the disk under way, and with a batch behind it. */
static void it_is_in_doubt_where_the_connection_is_lost(void **state)
{
    struct under_way *test = *state;
    struct error error = {0};
    for (int round = 0; round < 3; round++) {
        char prefix[8];
        snprintf(prefix, sizeof prefix, "a%d", round);
        struct op_list list = beginner(prefix), again = beginner(prefix), behind = jobs_of(prefix + 1, 2, true);
        begin(test, &list);
        end_connections();
        if (round == 1)
            settle(test);
        else if (round == 2)
            start(test, &behind);
        assert_int_equal(loss_of(test, &list, &error), STORE_ENGINE_LOST);
        assert_true(error.retryable);
        error_clear(&error);
        if (round == 2)
            assert_int_equal(end_of(test, &behind, &error), STORE_ENGINE_LOST);
        error_clear(&error);
        assert_false(settle(test));
        assert_false(start(test, &again));
        for (int tries = 0; test->engine->type->run(test->engine, again.first, &error) != 0; tries++) {
            assert_true(tries < 100 && error.retryable);
            error_clear(&error);
            usleep(50000); /* it isn't tried more often */
        }
        assert_int_equal(again.first->submit.outcome, STORE_SAME); /* the server itself didn't crash */
        free_list(&list);
        free_list(&again);
        free_list(&behind);
    }
}

struct told {
    int begun, done;
    bool failed;
    struct job *job;
};

static void on_begun(struct store_op *op, void *client)
{
    struct told *told = client;
    assert_int_equal(told->begun + told->done, 0);
    told->begun++;
    told->job = op->submit.job;
    op->submit.job = NULL;
}

static void on_over(struct store_op *op, void *client)
{
    struct told *told = client;
    told->done++;
    told->failed = error_is_set(&op->error);
    assert_true(told->failed || op->submit.outcome == STORE_CREATED);
    store_op_free(op);
}

static struct store_op *hand_in(struct fixture *fixture, const char *id, struct told *told)
{
    struct store_op *op = store_op_new(STORE_SUBMIT, on_over, told);
    op->submit.job = make_job(id, "noop");
    op->submit.claim = true;
    op->submit.on_begun = on_begun;
    store_enqueue(fixture->store, op);
    while (!told->begun)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_int_equal(told->done, 0);
    return op;
}

/* Over the store. */
static void the_store_settles_what_takes_longer(void **state)
{
    struct fixture *fixture = *state;
    struct told told = {0};
    hand_in(fixture, "a", &told);
    int64_t written = WRITTEN;
    while (!told.done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_false(told.failed);
    assert_true(ON_DISK >= written);
    job_free(told.job);
}

static void the_end_of_a_quick_one_tells_of_both(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 20; i++) {
        char id[8];
        struct told told = {0};
        snprintf(id, sizeof id, "j%d", i);
        hand_in(fixture, id, &told);
        assert_true(finish(fixture, told.job, STORE_FINISH_COMPLETED, told.job->lease, NULL));
        assert_int_equal(told.done, 1); /* callbacks keep their order */
        assert_false(told.failed);
        assert_int_equal(state_of(fixture, id), JOB_COMPLETED);
        job_free(told.job);
    }
}

static void closing_waits_until_it_is_on_disk(void **state)
{
    struct fixture *fixture = *state;
    struct told told = {0};
    hand_in(fixture, "a", &told);
    int64_t written = WRITTEN;
    close_store(fixture);
    assert_int_equal(told.done, 1);
    assert_false(told.failed);
    assert_true(ON_DISK >= written);
    job_free(told.job);
}

/* Enqueued, and no turn of the loop since. */
static void closing_takes_along_what_has_not_begun(void **state)
{
    struct fixture *fixture = *state;
    struct told told = {0};
    struct store_op *op = store_op_new(STORE_SUBMIT, on_over, &told);
    op->submit.job = make_job("a", "noop");
    op->submit.claim = true;
    op->submit.on_begun = on_begun;
    store_enqueue(fixture->store, op);
    uv_run(&fixture->loop, UV_RUN_NOWAIT); /* it is sent */
    int64_t began_ns = clock_monotonic_ns();
    close_store(fixture);
    assert_int_equal(told.done, 1);
    assert_false(told.failed);
    assert_true(clock_monotonic_ns() - began_ns < INT64_C(8000000000)); /* [store] timeout is 10 s */
    job_free(told.job);
}

static void a_job_in_doubt_goes_on_and_ends_where_it_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct told told = {0};
    hand_in(fixture, "a", &told);
    end_connections();
    while (!told.done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_true(told.failed);
    struct job *again = make_job("a", "noop");
    again->created_at_ms = told.job->created_at_ms;
    struct store_op *op = submit(fixture, again, true);
    assert_int_equal(op->submit.outcome, STORE_SAME);
    store_op_free(op);
    assert_true(finish(fixture, told.job, STORE_FINISH_COMPLETED, told.job->lease, NULL));
    job_free(told.job);
}

int main(void)
{
    if (!has_database("test_store_begun"))
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_alone_begins_and_is_on_disk_when_asked),
        TEST(its_end_brings_it_to_the_disk),
        TEST(a_reader_behind_it_does_not_wait_for_long),
        TEST(settled_while_another_is_under_way),
        TEST(not_every_job_begins),
        TEST(leases_go_on_far_beyond_those_of_the_connection_before),
        TEST(where_leases_are_not_safe_no_job_begins),
        TEST(it_is_brought_to_the_disk_though_the_next_batch_fails),
        TEST(a_known_job_behind_it_is_looked_up),
        TEST(another_host_that_finds_it_brings_it_to_the_disk),
        TEST(it_is_in_doubt_where_it_can_not_be_settled),
        TEST(it_is_in_doubt_where_the_connection_is_lost),
        STORE_TEST(the_store_settles_what_takes_longer),
        STORE_TEST(the_end_of_a_quick_one_tells_of_both),
        STORE_TEST(closing_waits_until_it_is_on_disk),
        STORE_TEST(closing_takes_along_what_has_not_begun),
        STORE_TEST(a_job_in_doubt_goes_on_and_ends_where_it_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
