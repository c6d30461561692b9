/*
 * The schema of the SQLite store, as a list of steps. A file's PRAGMA user_version says how many it has taken. A step
 * that was released is never changed: a change is a new step.
 *
 * Every index but the unique ones is partial, so that a job costs an entry only where it can be looked for, and the
 * queue's index is as small as the queue.
 */
#include "base/memory.h"
#include "store/sqlite.h"

#include <stdlib.h>

static const char *const steps[] = {
    "CREATE TABLE jobs ("
    " sequence INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE,"
    " task TEXT NOT NULL,"
    " route TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " priority INTEGER NOT NULL,"
    " run_at INTEGER NOT NULL," /* 0: as soon as there is a worker */
    " attempts INTEGER NOT NULL,"
    " losses INTEGER NOT NULL DEFAULT 0,"
    " max_attempts INTEGER NOT NULL,"
    " lease INTEGER NOT NULL,"
    " cancel_requested INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL,"
    " started_at INTEGER NOT NULL DEFAULT 0,"
    " finished_at INTEGER NOT NULL DEFAULT 0,"
    " body_hash BLOB NOT NULL,"
    " callback_url TEXT,"
    " result TEXT,"
    " error_code TEXT,"
    " error_message TEXT);"
    "CREATE INDEX jobs_ready ON jobs (route, priority DESC, sequence) WHERE state = 0 AND run_at = 0;"
    "CREATE INDEX jobs_scheduled ON jobs (run_at) WHERE state = 0 AND run_at > 0;"
    "CREATE INDEX jobs_running ON jobs (sequence) WHERE state = 1;"
    "CREATE INDEX jobs_finished ON jobs (state, finished_at) WHERE state >= 2;"
    /* Beside the job, so that a change of state doesn't rewrite it. */
    "CREATE TABLE payloads (sequence INTEGER PRIMARY KEY, data TEXT NOT NULL);"
    "CREATE TABLE deliveries ("
    " sequence INTEGER PRIMARY KEY,"
    " id TEXT NOT NULL UNIQUE,"
    " job_sequence INTEGER NOT NULL,"
    " job_id TEXT NOT NULL,"
    " target TEXT NOT NULL,"
    " body TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL,"
    " created_at INTEGER NOT NULL,"
    " next_at INTEGER NOT NULL,"
    " give_up_at INTEGER NOT NULL,"
    " last_error TEXT);"
    "CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 0;"
    "CREATE INDEX deliveries_dead ON deliveries (sequence) WHERE state = 2;"
    "CREATE INDEX deliveries_job ON deliveries (job_sequence);"
    "CREATE TABLE host (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO host VALUES ('starts', 0);",
    /* 2: more doors than HTTP, and more ways out than callbacks. */
    "ALTER TABLE jobs ADD COLUMN door INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE jobs ADD COLUMN origin TEXT;"
    "ALTER TABLE deliveries ADD COLUMN channel INTEGER NOT NULL DEFAULT 0;"
    "DROP INDEX deliveries_due;"
    "CREATE INDEX deliveries_due ON deliveries (channel, next_at) WHERE state = 0;",
    /* 3: the caller's trace. */
    "ALTER TABLE jobs ADD COLUMN trace TEXT;",
};

#define STEP_COUNT ((int)(sizeof steps / sizeof steps[0]))

static int read_version(sqlite3 *db, int *version)
{
    sqlite3_stmt *statement = NULL;
    int failed = -1;
    if (sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        *version = sqlite3_column_int(statement, 0);
        failed = 0;
    }
    sqlite3_finalize(statement);
    return failed;
}

int sqlite_schema_migrate(sqlite3 *db, const char *path, struct error *error)
{
    int version = 0;
    if (read_version(db, &version) != 0)
        return error_set(error, "store_unreadable", false,
                         "%s: %s; if this isn't exportd's store, name another folder with [host] state, else restore "
                         "it from a backup",
                         path, sqlite3_errmsg(db));
    if (version > STEP_COUNT)
        return error_set(
            error, "store_too_new", false,
            "%s: written by a newer exportd (schema %d, and this one knows %d); install that version again", path,
            version, STEP_COUNT);
    for (; version < STEP_COUNT; version++) {
        char *sql = memory_format("BEGIN; %s PRAGMA user_version = %d; COMMIT;", steps[version], version + 1);
        char *message = NULL;
        int failed = sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK;
        free(sql);
        if (failed) {
            error_set(error, "store_migration", false, "%s: the schema can't be brought from version %d to %d: %s",
                      path, version, version + 1, message ? message : "unknown cause");
            sqlite3_free(message);
            sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
            return -1;
        }
    }
    return 0;
}
