/* What is PostgreSQL's alone: many hosts on one store, leases that end, the callers' tables, migrations, a server
 * that goes away. Runs where EXPORTD_TEST_DATABASE names a database (tests/tools/with-postgres). */
#include "store_support.h"

#include "store/postgres.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

static const char repro_id[] = "5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018";

static PGconn *connect_plainly(void)
{
    PGconn *connection = PQconnectdb(getenv("EXPORTD_TEST_DATABASE"));
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQclear(PQexec(connection, "SET search_path = public; SET client_min_messages = error"));
    return connection;
}

static void execute(const char *sql)
{
    PGconn *connection = connect_plainly();
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

/* The first column of the first row; "" where there is none. */
static const char *ask(const char *sql)
{
    static char text[1000];
    PGconn *connection = connect_plainly();
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    snprintf(text, sizeof text, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    return text;
}

/* A second host, with a folder of its own, on the same database. */
static void open_other(struct fixture *other)
{
    *other = (struct fixture){0};
    assert_int_equal(uv_loop_init(&other->loop), 0);
    other->folder = support_make_folder();
    open_store(other);
}

static void close_other(struct fixture *other)
{
    if (other->store)
        close_store(other);
    assert_int_equal(uv_loop_close(&other->loop), 0);
    support_remove_folder(other->folder);
}

static struct store_op *tick(struct fixture *fixture, const int64_t *held, int count)
{
    struct store_op *op = store_op_new(STORE_TICK, NULL, NULL);
    op->tick.now_ms = clock_now_ms();
    op->tick.held = memory_zeroed((size_t)count + 1, sizeof *op->tick.held);
    if (count > 0)
        memcpy(op->tick.held, held, (size_t)count * sizeof *held);
    op->tick.held_count = count;
    return run(fixture, op);
}

/* Another host's tick takes nothing from the one that runs the job, which renews its lease and finishes it. */
static void expect_lease_kept(struct fixture *other, struct fixture *runner, const struct job *job)
{
    store_op_free(tick(other, NULL, 0));
    struct store_op *renewed = tick(runner, &job->lease, 1);
    assert_int_equal(renewed->tick.lost_count, 0);
    store_op_free(renewed);
    assert_true(finish(runner, job, STORE_FINISH_COMPLETED, job->lease, NULL));
}

static struct job *make_export(const char *id, const char *repro)
{
    struct job *job = make_job(id, "report/pdf");
    job->door = JOB_DOOR_EXPORT;
    job->origin = memory_format("{\"export_id\":\"%s\",\"repro_id\":\"%s\",\"export_type\":\"report\","
                                "\"options\":{\"format\":\"pdf\"}}",
                                id, repro);
    return job;
}

static void insert_repro(void)
{
    execute("INSERT INTO repros (id, title, test) VALUES ('5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018', 'a bug', '{}')");
}

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

static void a_step_of_the_schema_brings_the_old_one_up(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    close_store(fixture);
    empty_database();
    PGconn *connection = postgres_connect(getenv("EXPORTD_TEST_DATABASE"), 5000, &error);
    assert_non_null(connection);
    assert_int_equal(postgres_migrate(connection, 1, NULL, &error), 0);
    PQfinish(connection);
    assert_string_equal(ask("SELECT version FROM exportd.version"), "1");
    /* As the version before left them: a job that waits, one that is over, and its callback. */
    execute(
        "INSERT INTO exportd.jobs (sequence, id, task, route, state, priority, max_attempts, created_at, body_hash,"
        " data, finished_at) VALUES (1, 'old', 'noop', 'noop', 0, 0, 5, 1000, decode(repeat('6f', 32), 'hex'),"
        " '{}', 0), (2, 'over', 'noop', 'noop', 2, 0, 5, 1000, decode(repeat('6f', 32), 'hex'), '{}', 2000);"
        "INSERT INTO exportd.queue (sequence, route, priority, run_at, lease, attempts, started_at, created_at)"
        " VALUES (1, 'noop', 0, 0, 0, 0, 0, 1000);"
        "INSERT INTO exportd.finished VALUES (2, 2000, 2);"
        "INSERT INTO exportd.deliveries (sequence, id, job_sequence, job_id, target, body, created_at, give_up_at)"
        " VALUES (1, 'msg_1', 2, 'over', 'http://example.org/', '{}', 2000, 9000000000000);"
        "INSERT INTO exportd.outbox (sequence, id, next_at) VALUES (1, 'msg_1', 2000);"
        "SELECT setval('exportd.jobs_sequence', 2), setval('exportd.deliveries_sequence', 1)");
    open_store(fixture);
    assert_string_equal(ask("SELECT version FROM exportd.version"), "4");
    struct job *job = claim_one(fixture, "noop");
    assert_string_equal(job->id, "old");
    assert_int_equal(job->door, JOB_DOOR_HTTP);
    assert_true(finish(fixture, job, STORE_FINISH_COMPLETED, job->lease, NULL));
    job_free(job);
    expect_due(fixture, "msg_1");
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    close_store(fixture);
    execute("UPDATE exportd.version SET version = 99");
    struct store_options options = store_options_of(fixture);
    assert_null(store_open(&options, &fixture->loop, &error));
    assert_string_equal(error.code, "store_too_new");
}

/* What callers have made themselves is used as it is, and never changed. */
static void the_callers_own_tables_are_left_as_they_are(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    empty_database();
    execute("CREATE TABLE repros (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text, owner text);"
            "CREATE TABLE exports (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), repro_id uuid NOT NULL REFERENCES"
            " repros(id) ON DELETE CASCADE, export_type varchar(20) NOT NULL, status varchar(20) NOT NULL DEFAULT"
            " 'pending', result jsonb, error_message text, options jsonb, created_at timestamptz DEFAULT now(),"
            " updated_at timestamptz DEFAULT now(), tenant text DEFAULT 'acme');"
            "INSERT INTO repros (id, title, owner) VALUES ('5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018', 'a bug', 'me');"
            "INSERT INTO exports (id, repro_id, export_type) VALUES ('0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001',"
            " '5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018', 'pr')");
    char before[1000], shape[] = "SELECT string_agg(table_name || '.' || column_name || ':' || data_type || ':' ||"
                                 " coalesce(column_default, ''), ' ' ORDER BY table_name, ordinal_position)"
                                 " FROM information_schema.columns WHERE table_schema = 'public'";
    snprintf(before, sizeof before, "%s", ask(shape));
    open_store(fixture);
    assert_string_equal(ask(shape), before);
    static const char id[] = "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0002";
    store_op_free(submit(fixture, make_export(id, repro_id), false));
    assert_string_equal(ask("SELECT concat_ws('|', status, tenant) FROM exports WHERE export_type = 'report'"),
                        "pending|acme");
    assert_string_equal(ask("SELECT concat_ws('|', status, tenant) FROM exports WHERE export_type = 'pr'"),
                        "pending|acme");
}

static void a_table_exports_of_another_shape_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    empty_database();
    execute("CREATE TABLE repros (id uuid PRIMARY KEY); CREATE TABLE exports (id serial PRIMARY KEY, note text)");
    open_store(fixture);
    struct store_op *op = submit(fixture, make_export("0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001", repro_id), true);
    assert_int_equal(op->submit.outcome, STORE_CREATED);
    assert_true(finish(fixture, op->submit.job, STORE_FINISH_COMPLETED, op->submit.job->lease, NULL));
    store_op_free(op);
    assert_string_equal(ask("SELECT count(*) FROM exports"), "0");
}

static void two_hosts_migrate_one_database_at_once(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    empty_database();
    struct error errors[2] = {{{0}, false, {0}}, {{0}, false, {0}}};
    PGconn *one = postgres_connect(getenv("EXPORTD_TEST_DATABASE"), 5000, &errors[0]);
    PGconn *two = postgres_connect(getenv("EXPORTD_TEST_DATABASE"), 5000, &errors[1]);
    assert_non_null(one);
    assert_non_null(two);
    assert_int_equal(postgres_migrate(one, 0, NULL, &errors[0]), 0);
    assert_int_equal(postgres_migrate(two, 0, NULL, &errors[1]), 0);
    PGresult *timeout = PQexec(one, "SHOW statement_timeout");
    assert_string_equal(PQgetvalue(timeout, 0, 0), "5s"); /* as it was before */
    PQclear(timeout);
    PQfinish(one);
    PQfinish(two);
    open_store(fixture);
    submit_plain(fixture, "a");
}

/* Enqueues them all, and waits for the last. */
static void run_together(struct fixture *fixture, struct store_op **ops, int count)
{
    fixture->done = NULL;
    for (int i = 0; i < count; i++) {
        ops[i]->callback = on_done;
        ops[i]->client = fixture;
        store_enqueue(fixture->store, ops[i]);
    }
    while (fixture->done != ops[count - 1])
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

static struct store_op *completed(const struct job *job)
{
    struct store_op *op = store_op_new(STORE_FINISH, NULL, NULL);
    op->finish.finish = STORE_FINISH_COMPLETED;
    op->finish.sequence = job->sequence;
    op->finish.door = job->door;
    op->finish.lease = job->lease;
    op->finish.attempts = job->attempts;
    op->finish.finished_at_ms = clock_now_ms();
    op->finish.result = memory_text("{}");
    return op;
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

static void a_table_exports_that_goes_keeps_no_job_from_its_end(void **state)
{
    struct fixture *fixture = *state;
    insert_repro();
    struct store_op *op = submit(fixture, make_export("0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001", repro_id), true);
    execute("DROP TABLE exports");
    struct store_op *end = completed(op->submit.job);
    for (int tries = 0; tries < 3; tries++) { /* as its host does */
        run_together(fixture, &end, 1);
        if (!error_is_set(&end->error))
            break;
        assert_true(end->error.retryable);
        error_clear(&end->error);
    }
    assert_true(end->finish.applied);
    assert_int_equal(state_of(fixture, "0b8f6f0e-8f55-4a3e-9b35-2f3a1f1c0001"), JOB_COMPLETED);
    store_op_free(end);
    store_op_free(op);
}

/* Whoever owns the database may have set them for it. */
static void the_databases_own_settings_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    execute("ALTER DATABASE postgres SET bytea_output = 'escape'");
    execute("ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'");
    open_store(fixture);
    execute("ALTER DATABASE postgres RESET ALL");
    submit_plain(fixture, "a");
    submit_plain(fixture, "b");
    struct store_op *op = submit(fixture, make_job("a", "noop"), false);
    assert_int_equal(op->submit.outcome, STORE_SAME);
    store_op_free(op);

    /* Another host takes what the limit leaves, while this one waits for its turn. */
    PGconn *other = connect_plainly();
    PQclear(PQexec(other,
                   "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('exportd.limit.noop', 0));"
                   "UPDATE exportd.queue SET lease = nextval('exportd.leases'), lease_until = now() + interval "
                   "'1 minute', host = 'other' WHERE sequence = (SELECT max(sequence) FROM exportd.queue)"));
    static const char *const routes[] = {"noop"};
    fixture->done = NULL;
    op = store_op_claim("noop", 1, on_done, fixture);
    op->claim.limit = 1;
    op->claim.limit_routes = routes;
    op->claim.limit_route_count = 1;
    store_enqueue(fixture->store, op);
    for (int i = 0; i < 5; i++) {
        uv_run(&fixture->loop, UV_RUN_NOWAIT);
        usleep(5000);
    }
    PQclear(PQexec(other, "COMMIT"));
    PQfinish(other);
    while (!fixture->done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_false(error_is_set(&op->error));
    assert_int_equal(op->claim.count, 0);
    store_op_free(op);
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
    if (!getenv("EXPORTD_TEST_DATABASE")) {
        fprintf(stderr, "test_store_postgres: run me with tests/tools/with-postgres\n");
        return 77;
    }
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
        TEST(a_lost_connection_is_made_anew),
        TEST(a_connection_that_is_lost_while_nothing_is_asked_costs_no_operation),
        TEST(jobs_that_another_host_leaves_are_hinted_at),
        TEST(a_step_of_the_schema_brings_the_old_one_up),
        TEST(a_newer_schema_is_refused),
        TEST(the_callers_own_tables_are_left_as_they_are),
        TEST(a_table_exports_of_another_shape_is_left_alone),
        TEST(two_hosts_migrate_one_database_at_once),
        TEST(a_host_that_could_not_renew_is_given_time_to),
        TEST(whenever_the_server_goes_each_operation_is_answered_once),
        TEST(jobs_that_come_again_among_new_ones_are_known),
        TEST(a_table_exports_that_goes_keeps_no_job_from_its_end),
        TEST(the_databases_own_settings_change_nothing),
        TEST(a_server_that_stood_still_costs_no_host_its_leases),
        TEST(a_store_that_is_closed_without_descriptors_left_answers_too),
        TEST(a_row_that_a_caller_locks_costs_no_other_job_its_lease),
        TEST(a_server_that_takes_the_connection_and_says_no_more_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
