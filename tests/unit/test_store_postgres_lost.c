/* A PostgreSQL server that goes away, falls silent or stands still. Runs where
 * EXPORTD_TEST_DATABASE names a database (tests/tools/with-postgres). */
#include "hosts_support.h"

#include "store/postgres.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void a_lost_connection_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND application_name = 'exportd'");
    struct store_op *op = store_op_new(STORE_GET, on_done, fixture);
    op->get.id = memory_text("a");
    fixture->done = NULL;
    store_enqueue(fixture->store, op);
    while (!fixture->done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_true(error_is_set(&op->error)); /* it can't be known whether the batch was carried out */
    assert_true(op->error.retryable);
    assert_string_equal(op->error.code, "store_unreachable");
    char trouble[100];
    store_trouble(fixture->store, trouble, sizeof trouble);
    assert_true(trouble[0] != '\0');
    store_op_free(op);
    usleep(300000);
    submit_plain(fixture, "b");
    assert_int_equal(state_of(fixture, "a"), JOB_PENDING);
    store_trouble(fixture->store, trouble, sizeof trouble);
    assert_string_equal(trouble, "");
}

/* It is noticed as it happens, and no operation fails for it. */
static void a_connection_that_is_lost_while_nothing_is_asked_costs_no_operation(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exportd'");
    for (int i = 0; i < 50; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(10000);
    }
    assert_int_equal(state_of(fixture, "a"), JOB_PENDING); /* or run() says what failed */
    submit_plain(fixture, "b");
}

/* A pooler takes the connection at once, and may have no server to hand the first query to. */
static void a_server_that_takes_the_connection_and_says_no_more_is_given_up(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    pid_t pooler = fork();
    if (pooler == 0) {
        static const char welcome[] = "R\0\0\0\x08\0\0\0\0S\0\0\0\x18server_version\00015.0\0Z\0\0\0\x05I";
        char start[1000];
        alarm(30);
        int connection = accept(listener, NULL, NULL);
        if (read(connection, start, sizeof start) > 0 && write(connection, welcome, sizeof welcome - 1) > 0)
            pause();
        _exit(0);
    }
    close(listener);
    char *url =
        memory_format("postgresql://127.0.0.1:%d/x?sslmode=disable&gssencmode=disable", (int)ntohs(address.sin_port));
    struct error error = {0};
    int64_t began_ms = clock_now_ms();
    assert_null(postgres_connect(url, 1000, &error));
    assert_true(clock_now_ms() - began_ms < 10000);
    assert_string_equal(error.code, "store_unreachable");
    assert_true(error.retryable);
    kill(pooler, SIGKILL);
    waitpid(pooler, NULL, 0);
    free(url);
}

struct answered {
    struct store_op *ops[6000];
    int left;
};

static void on_answered(struct store_op *op, void *client)
{
    struct answered *answered = client;
    (void)op;
    assert_true(answered->left > 0);
    answered->left--;
}

static void enqueue_many(struct fixture *fixture, struct answered *answered, int count, size_t bytes)
{
    answered->left = count;
    for (int i = 0; i < count; i++) {
        char id[20];
        snprintf(id, sizeof id, "job-%d", i % (count / 2)); /* each twice: the second is looked up */
        struct store_op *op = answered->ops[i] = store_op_new(STORE_SUBMIT, on_answered, answered);
        op->submit.job = make_job(id, "noop");
        op->submit.claim = i % 3 == 0;
        free(op->submit.job->data);
        op->submit.job->data = memory_zeroed(1, bytes + 1);
        memset(op->submit.job->data, 'x', bytes);
        op->submit.job->data_length = bytes;
        store_enqueue(fixture->store, op);
    }
}

/* The kill may have come after the last answer: then the next operation is the first to hear of it, and fails. */
static void wait_until_reconnected(struct fixture *fixture)
{
    bool failed = true;
    for (int tries = 0; failed && tries < 50; tries++) {
        struct store_op *op = store_op_new(STORE_GET, NULL, NULL);
        op->get.id = memory_text("none");
        run_together(fixture, &op, 1);
        failed = error_is_set(&op->error);
        assert_true(!failed || op->error.retryable);
        store_op_free(op);
        if (failed)
            usleep(100000);
    }
    assert_false(failed);
}

/* In the middle of what it is sent, of its answers, of look-ups, and after the last answer. */
static void whenever_the_server_goes_each_operation_is_answered_once(void **state)
{
    struct fixture *fixture = *state;
    struct answered *answered = calloc(1, sizeof *answered);
    for (int round = 0; round < 10; round++) {
        int count = 3000;
        enqueue_many(fixture, answered, count, round % 2 ? 10000 : 100);
        for (int turn = 0; (turn < round * 3 || round == 8) && answered->left > 0; turn++)
            uv_run(&fixture->loop, UV_RUN_ONCE);
        execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'exportd'");
        if (round % 5 == 4) {
            close_store(fixture);
            assert_int_equal(answered->left, 0);
            open_store(fixture);
        }
        while (answered->left > 0)
            uv_run(&fixture->loop, UV_RUN_ONCE);
        for (int i = 0; i < count; i++)
            if (error_is_set(&answered->ops[i]->error))
                assert_true(answered->ops[i]->error.retryable);
        wait_until_reconnected(fixture);
        for (int i = 0; i < count; i += 97)
            if (!error_is_set(&answered->ops[i]->error)) {
                struct job *job = get(fixture, answered->ops[i]->submit.job->id);
                assert_non_null(job);
                job_free(job);
            }
        for (int i = 0; i < count; i++)
            store_op_free(answered->ops[i]);
        execute("TRUNCATE exportd.jobs, exportd.queue");
    }
    free(answered);
}

static void signal_backends(const char *ids, int number)
{
    const char *at = ids;
    for (char *end = NULL; *at; at = *end ? end + 1 : end)
        kill((pid_t)strtol(at, &end, 10), number);
}

/* For longer than a lease (2 s here), but not than [store] timeout. */
static void a_server_that_stood_still_costs_no_host_its_leases(void **state)
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
    const char *backends = ask("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = "
                               "'exportd' AND pid <> pg_backend_pid()");
    struct store_op *first = store_op_new(STORE_TICK, on_done, one);
    first->tick.now_ms = clock_now_ms();
    signal_backends(backends, SIGSTOP);
    one->done = NULL;
    store_enqueue(one->store, first);
    for (int i = 0; i < 30; i++) {
        uv_run(&one->loop, UV_RUN_NOWAIT);
        usleep(100000);
    }
    signal_backends(backends, SIGCONT);
    while (!one->done)
        uv_run(&one->loop, UV_RUN_ONCE);
    assert_false(error_is_set(&first->error));
    store_op_free(first);
    expect_lease_kept(one, &two, op->submit.job);
    store_op_free(op);
    close_other(&two);
}

static void a_store_that_is_closed_without_descriptors_left_answers_too(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit limit, none;
    fixture->done = NULL;
    struct store_op *op = store_op_new(STORE_GET, on_done, fixture);
    op->get.id = memory_text("a");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    store_enqueue(fixture->store, op);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uv_run(&fixture->loop, UV_RUN_NOWAIT);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    close_store(fixture);
    assert_ptr_equal(fixture->done, op);
    store_op_free(op);
}

int main(void)
{
    if (!has_database("test_store_postgres_lost"))
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_lost_connection_is_made_anew),
        TEST(a_connection_that_is_lost_while_nothing_is_asked_costs_no_operation),
        TEST(whenever_the_server_goes_each_operation_is_answered_once),
        TEST(a_server_that_stood_still_costs_no_host_its_leases),
        TEST(a_store_that_is_closed_without_descriptors_left_answers_too),
        TEST(a_server_that_takes_the_connection_and_says_no_more_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
