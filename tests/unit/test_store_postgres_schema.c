/* The schema in PostgreSQL: made, brought up, and what callers made themselves left alone. Runs where
 * EXPORTD_TEST_DATABASE names a database (tests/tools/with-postgres). */
#include "hosts_support.h"

#include "store/postgres.h"

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

int main(void)
{
    if (!has_database("test_store_postgres_schema"))
        return 77;
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_step_of_the_schema_brings_the_old_one_up),  TEST(a_newer_schema_is_refused),
        TEST(the_callers_own_tables_are_left_as_they_are), TEST(a_table_exports_of_another_shape_is_left_alone),
        TEST(two_hosts_migrate_one_database_at_once),      TEST(a_table_exports_that_goes_keeps_no_job_from_its_end),
        TEST(the_databases_own_settings_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
