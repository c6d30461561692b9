/* PostgreSQL's plans for the statements of each batch, where the tables were empty when they were vacuumed: then the
 * planner takes them for empty for ever, and a plan that goes through the whole of one would be a standstill once it
 * has grown. Runs where EXPORTD_TEST_DATABASE names a database (tests/tools/with-postgres). */
#include "database_support.h"
#include "store_support.h"

#include "store/postgres.h"

static PGresult *query(PGconn *connection, const char *sql)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    return result;
}

static void apply(PGconn *connection, const char *sql)
{
    PQclear(query(connection, sql));
}

static int parameters_of(const char *sql)
{
    int most = 0;
    for (const char *dollar = strchr(sql, '$'); dollar; dollar = strchr(dollar + 1, '$')) {
        int number = (int)strtol(dollar + 1, NULL, 10);
        most = number > most ? number : most;
    }
    return most;
}

/* Each scan of an index looks for something. */
static void expect_no_full_scan(PGconn *connection, enum postgres_statement which)
{
    char *text = memory_format("PREPARE tested AS %s", postgres_sql[which]);
    apply(connection, text);
    free(text);
    char nulls[400] = "";
    for (int i = 0; i < parameters_of(postgres_sql[which]); i++)
        snprintf(nulls + strlen(nulls), sizeof nulls - strlen(nulls), "%sNULL", i ? ", " : "");
    text = memory_format("EXPLAIN EXECUTE tested(%s)", nulls);
    PGresult *plan = query(connection, text);
    free(text);
    int scans = 0;
    for (int row = 0; row < PQntuples(plan); row++) {
        const char *line = PQgetvalue(plan, row, 0);
        assert_null(strstr(line, "Seq Scan"));
        if (!strstr(line, "Index Scan using") && !strstr(line, "Index Only Scan using") &&
            !strstr(line, "Bitmap Index Scan on"))
            continue;
        scans++;
        const char *next = row + 1 < PQntuples(plan) ? PQgetvalue(plan, row + 1, 0) : "";
        if (!strstr(next, "Index Cond"))
            fail_msg("statement %d goes through all of it: %s", (int)which, line);
    }
    assert_true(scans > 0);
    PQclear(plan);
    apply(connection, "DEALLOCATE tested");
}

static void what_each_batch_does_goes_by_index(void **state)
{
    static const enum postgres_statement often[] = {
        PG_FINISH, PG_FINISH_ONE,    PG_FINISH_ANY,    PG_FINISH_EXPORTS,  PG_AGAIN,
        PG_RENEW,  PG_DELIVERY_DONE, PG_DELIVERY_TAKE, PG_DELIVERY_RESULT, PG_LOST};
    PGconn *connection = PQconnectdb(getenv("EXPORTD_TEST_DATABASE"));
    (void)state;
    /* As postgres_link.c sets its sessions up. */
    apply(connection, "SET enable_seqscan = off; SET enable_mergejoin = off; SET jit = off;"
                      " SET plan_cache_mode = force_generic_plan; SET search_path = public");
    apply(connection, "INSERT INTO exportd.queue (sequence, route, priority, run_at, lease, attempts, started_at,"
                      " created_at) SELECT n, 'noop', 0, 0, n, 1, 0, 0 FROM generate_series(1, 5000) AS n");
    apply(connection, "INSERT INTO exportd.outbox (sequence, id, next_at)"
                      " SELECT n, 'm' || n, 0 FROM generate_series(1, 5000) AS n");
    apply(connection, "DELETE FROM exportd.queue");
    apply(connection, "DELETE FROM exportd.outbox");
    static const char *const tables[] = {"queue", "outbox", "jobs", "deliveries", "finished"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char *text = memory_format("VACUUM (ANALYZE, TRUNCATE off) exportd.%s", tables[i]);
        apply(connection, text);
        free(text);
    }
    for (size_t i = 0; i < sizeof often / sizeof often[0]; i++)
        expect_no_full_scan(connection, often[i]);
    PQfinish(connection);
}

int main(void)
{
    if (!has_database("test_store_plans"))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_each_batch_does_goes_by_index, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
