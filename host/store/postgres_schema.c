/*
 * The schema in PostgreSQL, as a list of steps; exportd.version says how many a database has taken. A step that was
 * released is never changed: a change is a new step.
 *
 * exports and repros belong to the callers: they are made where they are missing, and else only read and, exports,
 * written row by row.
 */
#include "base/memory.h"
#include "store/postgres.h"

#include <stdlib.h>
#include <string.h>

#define LOCK "7310868735486750"

static const char *const steps[] = {
    /* 1 */
    "CREATE SEQUENCE exportd.jobs_sequence;"
    "CREATE SEQUENCE exportd.leases;"
    "CREATE SEQUENCE exportd.deliveries_sequence;"
    "CREATE TABLE exportd.jobs ("
    " sequence bigint PRIMARY KEY,"
    " id text COLLATE \"C\" NOT NULL UNIQUE,"
    " task text NOT NULL,"
    " route text COLLATE \"C\" NOT NULL,"
    " state smallint NOT NULL," /* 0 while it has a row in queue, else how it ended */
    " priority integer NOT NULL,"
    " attempts integer NOT NULL DEFAULT 0,"
    " losses integer NOT NULL DEFAULT 0,"
    " max_attempts integer NOT NULL,"
    " lease bigint NOT NULL DEFAULT 0," /* the one that ended it */
    " host text,"
    " created_at bigint NOT NULL,"
    " started_at bigint NOT NULL DEFAULT 0,"
    " finished_at bigint NOT NULL DEFAULT 0,"
    " body_hash bytea NOT NULL,"
    " callback_url text,"
    " data text NOT NULL,"
    " result text,"
    " error_code text,"
    " error_message text)"
    /* Room on each page for the end of its jobs: an update that touches no index. */
    " WITH (fillfactor = 60);"
    /* How and when jobs ended, in that order. */
    "CREATE TABLE exportd.finished ("
    " state smallint NOT NULL,"
    " finished_at bigint NOT NULL,"
    " sequence bigint NOT NULL,"
    " PRIMARY KEY (state, finished_at, sequence));"
    "CREATE TABLE exportd.queue ("
    " sequence bigint PRIMARY KEY,"
    " route text COLLATE \"C\" NOT NULL,"
    " priority integer NOT NULL,"
    " run_at bigint NOT NULL," /* 0: as soon as there is a worker */
    " lease bigint NOT NULL,"  /* 0: waits */
    " lease_until timestamptz,"
    " host text,"
    " attempts integer NOT NULL,"
    " losses integer NOT NULL DEFAULT 0,"
    " started_at bigint NOT NULL,"
    " created_at bigint NOT NULL,"
    " cancel_requested boolean NOT NULL DEFAULT false)"
    /* Room on each page for leases that are renewed; and cleaned up by the number of changes, not by the size. */
    " WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);"
    "CREATE INDEX queue_ready ON exportd.queue (route, priority DESC, sequence) WHERE lease = 0 AND run_at = 0;"
    "CREATE INDEX queue_scheduled ON exportd.queue (run_at) WHERE lease = 0 AND run_at > 0;"
    "CREATE INDEX queue_leased ON exportd.queue (lease) WHERE lease > 0;"
    /* What callers are told. One that has no row in outbox has arrived. */
    "CREATE TABLE exportd.deliveries ("
    " sequence bigint NOT NULL,"
    " id text COLLATE \"C\" PRIMARY KEY,"
    " job_sequence bigint NOT NULL,"
    " job_id text NOT NULL,"
    " target text NOT NULL,"
    " body text NOT NULL,"
    " created_at bigint NOT NULL,"
    " give_up_at bigint NOT NULL,"
    " attempts integer NOT NULL DEFAULT 1," /* that it took */
    " last_error text);"
    "CREATE INDEX deliveries_job ON exportd.deliveries (job_sequence);"
    /* Those that are to be sent, or were given up. */
    "CREATE TABLE exportd.outbox ("
    " sequence bigint PRIMARY KEY,"
    " id text NOT NULL,"
    " next_at bigint NOT NULL,"
    " attempts integer NOT NULL DEFAULT 0,"
    " dead boolean NOT NULL DEFAULT false,"
    " last_error text)"
    " WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);",
    /* 2: more doors than HTTP, and more ways out than callbacks. */
    "ALTER TABLE exportd.jobs ADD COLUMN door smallint NOT NULL DEFAULT 0, ADD COLUMN origin text;"
    "ALTER TABLE exportd.deliveries ADD COLUMN channel smallint NOT NULL DEFAULT 0;"
    "ALTER TABLE exportd.outbox ADD COLUMN channel smallint NOT NULL DEFAULT 0;"
    "CREATE INDEX outbox_due ON exportd.outbox (channel, next_at) WHERE NOT dead;"
    "CREATE INDEX outbox_dead ON exportd.outbox (sequence) WHERE dead;",
    /* 3: the caller's trace. */
    "ALTER TABLE exportd.jobs ADD COLUMN trace text;",
    /* 4: with what it has gained since, a job's end is larger than its beginning, and needs more room on the page. */
    "ALTER TABLE exportd.jobs SET (fillfactor = 45);",
};

#define STEP_COUNT ((int)(sizeof steps / sizeof steps[0]))

/* The members of a repro document, so that a row as JSON is one. */
static const char repros[] = "CREATE TABLE IF NOT EXISTS repros ("
                             " id uuid PRIMARY KEY,"
                             " title text NOT NULL,"
                             " description text,"
                             " bug jsonb,"
                             " steps jsonb,"
                             " test jsonb NOT NULL,"
                             " files jsonb,"
                             " dependencies jsonb,"
                             " environment jsonb,"
                             " stability jsonb,"
                             " validation jsonb,"
                             " runs jsonb,"
                             " screenshots jsonb,"
                             " created_at timestamptz NOT NULL DEFAULT now())";

static const char exports[] = "CREATE TABLE IF NOT EXISTS exports ("
                              " id uuid PRIMARY KEY,"
                              " repro_id uuid REFERENCES repros(id) ON DELETE CASCADE,"
                              " export_type varchar(20),"
                              " status varchar(20) DEFAULT 'pending',"
                              " result jsonb,"
                              " error_message text,"
                              " options jsonb,"
                              " created_at timestamptz NOT NULL DEFAULT now(),"
                              " updated_at timestamptz NOT NULL DEFAULT now())";

static int run(PGconn *connection, const char *sql, const char *what, struct error *error)
{
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    int failed =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : postgres_fail(connection, result, what, error);
    PQclear(result);
    return failed;
}

/* -1 with error set; else the number, or otherwise where there is no row. */
static int64_t number(PGconn *connection, const char *sql, int64_t otherwise, struct error *error)
{
    PGresult *result = PQexec(connection, sql);
    int64_t value = otherwise;
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        value = postgres_fail(connection, result, "read its schema", error);
    else if (PQntuples(result) > 0)
        value = postgres_number(result, 0, 0);
    PQclear(result);
    return value;
}

static int64_t read_version(PGconn *connection, struct error *error)
{
    int64_t there = number(connection, "SELECT 1 WHERE to_regclass('exportd.version') IS NOT NULL", 0, error);
    return there == 1 ? number(connection, "SELECT version FROM exportd.version", 0, error) : there;
}

static int check_version(int64_t version, struct error *error)
{
    if (version < 0)
        return -1;
    if (version > STEP_COUNT)
        return error_set(error, "store_too_new", false,
                         "the database was written by a newer exportd (schema %lld, and this one knows %d); install "
                         "that version again",
                         (long long)version, STEP_COUNT);
    return 0;
}

static int take_step(PGconn *connection, int version, struct error *error)
{
    char *sql =
        memory_format("BEGIN; %s UPDATE exportd.version SET version = %d; COMMIT", steps[version], version + 1);
    int failed = run(connection, sql, "migrate", error);
    free(sql);
    if (failed)
        PQclear(PQexec(connection, "ROLLBACK"));
    return failed;
}

static int take_steps(PGconn *connection, int wanted, struct error *error)
{
    if (number(connection, "SELECT 1 WHERE to_regclass('exportd.version') IS NOT NULL", 0, error) == 0 &&
        run(connection,
            "BEGIN; CREATE SCHEMA IF NOT EXISTS exportd; CREATE TABLE exportd.version (version integer NOT NULL);"
            " INSERT INTO exportd.version VALUES (0); COMMIT",
            "make the schema exportd (the user needs CREATE on the database; or run exportd migrate as one who has "
            "it)",
            error) != 0)
        PQclear(PQexec(connection, "ROLLBACK"));
    int64_t version = error_is_set(error) ? -1 : read_version(connection, error);
    if (check_version(version, error) != 0)
        return -1;
    for (; version < wanted && version < STEP_COUNT; version++)
        if (take_step(connection, (int)version, error) != 0)
            return -1;
    return 0;
}

/* The callers' tables. What can't be made is told, and the store goes without. */
static void make_tables(PGconn *connection, char **warning)
{
    struct error error = {0};
    if (number(connection, "SELECT 1 WHERE to_regclass('repros') IS NOT NULL AND to_regclass('exports') IS NOT NULL",
               0, &error) == 1)
        return;
    if (run(connection, repros, "make the table repros", &error) == 0)
        run(connection, exports, "make the table exports", &error);
    if (error_is_set(&error) && warning)
        *warning =
            memory_format("%s; without it exports aren't kept in step: make it by hand, or grant CREATE on the "
                          "schema",
                          error.message);
}

int postgres_migrate(PGconn *connection, int version, char **warning, struct error *error)
{
    int wanted = version > 0 ? version : STEP_COUNT;
    int64_t found = read_version(connection, error);
    if (check_version(found, error) != 0)
        return -1;
    /* One at a time; whoever comes second finds it done. */
    if (run(connection,
            "SELECT set_config('exportd.timeout', current_setting('statement_timeout'), false);"
            "SET statement_timeout = 0; SELECT pg_advisory_lock(" LOCK ")",
            "be locked", error) != 0)
        return -1;
    int failed = take_steps(connection, wanted, error);
    if (!failed)
        make_tables(connection, warning);
    struct error unlocking = {0};
    run(connection,
        "SELECT pg_advisory_unlock(" LOCK ");"
        "SELECT set_config('statement_timeout', current_setting('exportd.timeout'), false)",
        "be unlocked", &unlocking);
    return failed;
}

bool postgres_has_exports(PGconn *connection, int64_t timeout_ms)
{
    PGresult *result = postgres_ask(
        connection,
        "SELECT 1 WHERE (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('exports')"
        " AND attnum > 0 AND NOT attisdropped AND (attname, atttypid::regtype::text) IN (('id', 'uuid'),"
        " ('repro_id', 'uuid'), ('export_type', 'character varying'), ('export_type', 'text'),"
        " ('status', 'character varying'), ('status', 'text'), ('result', 'jsonb'),"
        " ('error_message', 'text'), ('options', 'jsonb'), ('created_at', 'timestamp with time zone'),"
        " ('updated_at', 'timestamp with time zone'))) = 9"
        " AND EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('repros') AND attname = 'id'"
        " AND atttypid = 'uuid'::regtype)"
        " AND EXISTS (SELECT 1 FROM pg_index WHERE indrelid = to_regclass('exports') AND indisunique"
        " AND indnatts = 1 AND indkey[0] = (SELECT attnum FROM pg_attribute"
        " WHERE attrelid = to_regclass('exports') AND attname = 'id'))",
        NULL, timeout_ms);
    bool has_exports = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0;
    PQclear(result);
    return has_exports;
}

int postgres_versions(PGconn *connection, int *version, int *wanted, struct error *error)
{
    int64_t found = read_version(connection, error);
    *version = (int)found;
    *wanted = STEP_COUNT;
    return check_version(found, error);
}
