/*
 * The SQLite engine: the embedded default, for one host.
 *
 * WAL and synchronous=FULL: a commit that returned is on disk. One process holds the folder (a lock file says which),
 * so a lease needs no time limit here: whoever was running when the file was last open is dead. A lease number is the
 * count of starts, shifted, plus a counter, so that it grows even where the last one was never written.
 */
#include "store/sqlite.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEASE_SHIFT 40

#define JOB_COLUMNS                                                                                                  \
    "sequence, id, task, route, state, priority, run_at, attempts, losses, max_attempts, lease, cancel_requested,"   \
    " created_at, started_at, finished_at, callback_url, result, error_code, error_message, body_hash, door, "       \
    "origin,"                                                                                                        \
    " trace"

static const char *const sql[SQL_STATEMENT_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_INSERT_JOB] = "INSERT INTO jobs (id, task, route, state, priority, run_at, attempts, max_attempts, lease,"
                       " created_at, started_at, body_hash, callback_url, door, origin, finished_at, error_code,"
                       " error_message, trace) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
                       " ON CONFLICT (id) DO NOTHING",
    [SQL_INSERT_PAYLOAD] = "INSERT INTO payloads (sequence, data) VALUES (?,?)",
    [SQL_GET_BY_ID] =
        "SELECT " JOB_COLUMNS ", (SELECT data FROM payloads p WHERE p.sequence = jobs.sequence) FROM jobs"
        " WHERE id = ?",
    [SQL_READY] =
        "SELECT " JOB_COLUMNS ", (SELECT data FROM payloads p WHERE p.sequence = jobs.sequence) FROM jobs"
        " INDEXED BY jobs_ready WHERE state = 0 AND run_at = 0 AND route = ? ORDER BY priority DESC, sequence"
        " LIMIT ?",
    [SQL_CLAIM] = "UPDATE jobs SET state = 1, lease = ?, attempts = ?, started_at = ? WHERE sequence = ?",
    [SQL_FINISH] =
        "UPDATE jobs SET state = ?, attempts = ?, started_at = ?, finished_at = ?, result = ?, error_code = ?,"
        " error_message = ? WHERE sequence = ? AND lease = ? AND state = 1",
    [SQL_AGAIN] = "UPDATE jobs SET state = 0, attempts = ?, run_at = ?, error_code = ?, error_message = ?"
                  " WHERE sequence = ? AND lease = ? AND state = 1",
    [SQL_REQUEST_CANCEL] = "UPDATE jobs SET cancel_requested = 1 WHERE sequence = ?",
    [SQL_CLAIM_ONE] = "UPDATE jobs SET state = 1, lease = ?, cancel_requested = 1 WHERE sequence = ? AND state = 0",
    [SQL_RETRY] =
        "UPDATE jobs SET state = 0, run_at = 0, attempts = 0, losses = 0, cancel_requested = 0, started_at = 0,"
        " finished_at = 0, result = NULL, error_code = NULL, error_message = NULL, task = coalesce(?2, task),"
        " route = coalesce(?3, route), max_attempts = coalesce(?4, max_attempts) WHERE id = ?1 AND state IN (3, 4)"
        " RETURNING sequence",
    [SQL_UPDATE_PAYLOAD] = "UPDATE payloads SET data = ? WHERE sequence = ?",
    [SQL_RUNNING_OF_ROUTE] = "SELECT count(*) FROM jobs INDEXED BY jobs_running WHERE state = 1 AND route = ?",
    [SQL_PROMOTE] = "UPDATE jobs SET run_at = 0 WHERE state = 0 AND run_at > 0 AND run_at <= ?",
    [SQL_NEXT_DUE] = "SELECT min(run_at) FROM jobs WHERE state = 0 AND run_at > 0",
    [SQL_NEXT_ROUTE] = "SELECT route FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND run_at = 0 AND route > ?"
                       " ORDER BY route LIMIT 1",
    [SQL_OLDEST_READY] = "SELECT created_at FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND run_at = 0 LIMIT 1",
    [SQL_CANCELLED] = "SELECT lease FROM jobs INDEXED BY jobs_running WHERE state = 1 AND cancel_requested = 1",
    /* Not while its callback is still to arrive. */
    [SQL_PRUNABLE] =
        "SELECT sequence, id FROM jobs INDEXED BY jobs_finished WHERE state = ?1 AND state >= 2 AND finished_at < ?2"
        " AND NOT EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_job WHERE job_sequence = jobs.sequence"
        " AND deliveries.state = 0) LIMIT 500",
    [SQL_DELETE_JOB] = "DELETE FROM jobs WHERE sequence = ?",
    [SQL_DELETE_PAYLOAD] = "DELETE FROM payloads WHERE sequence = ?",
    [SQL_DELETE_DELIVERIES] = "DELETE FROM deliveries WHERE job_sequence = ?",
    [SQL_INSERT_DELIVERY] =
        "INSERT INTO deliveries (id, job_sequence, job_id, target, body, state, attempts, created_at,"
        " next_at, give_up_at, channel) VALUES (?,?,?,?,?,0,0,?,?,?,?)",
    [SQL_DUE_DELIVERIES] =
        "SELECT sequence, id, job_id, target, body, state, attempts, created_at, next_at, give_up_at,"
        " last_error, channel, job_sequence, (SELECT trace FROM jobs WHERE jobs.sequence = job_sequence)"
        " FROM deliveries INDEXED BY deliveries_due WHERE state = 0 AND channel = ?"
        " AND next_at <= ?"
        " ORDER BY next_at LIMIT ?",
    [SQL_TAKE_DELIVERY] = "UPDATE deliveries SET next_at = ? WHERE sequence = ?",
    [SQL_NEXT_DELIVERY] = "SELECT min(next_at) FROM deliveries WHERE state = 0 AND channel = ?",
    [SQL_DELIVERY_RESULT] =
        "UPDATE deliveries SET state = ?, attempts = ?, next_at = ?, last_error = ? WHERE sequence = ?",
    [SQL_DELIVERY_RETRY] = "UPDATE deliveries SET state = 0, next_at = ?, give_up_at = ? WHERE id = ?",
};

int sqlite_fail(struct sqlite_store *store, const char *what, struct error *error)
{
    int code = sqlite3_errcode(store->db);
    const char *mend = "";
    if (code == SQLITE_FULL)
        mend = "; free space on the disk that holds [host] state";
    else if (code == SQLITE_IOERR)
        mend = "; look at the disk (dmesg)";
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        mend = "; restore the store from a backup";
    return error_set(error, code == SQLITE_FULL ? "store_full" : "store_failed", true, "the store can't %s: %s%s",
                     what, sqlite3_errmsg(store->db), mend);
}

sqlite3_stmt *sqlite_statement(struct sqlite_store *store, enum sqlite_statement which, struct error *error)
{
    sqlite3_stmt **statement = &store->statements[which];
    if (!*statement &&
        sqlite3_prepare_v3(store->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) != SQLITE_OK) {
        sqlite_fail(store, "prepare a statement", error);
        return NULL;
    }
    sqlite3_reset(*statement);
    return *statement;
}

int sqlite_run(struct sqlite_store *store, sqlite3_stmt *statement, struct error *error)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : sqlite_fail(store, "write", error);
}

char *sqlite_text(sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);
    return text ? memory_bytes(text, (size_t)sqlite3_column_bytes(statement, column)) : NULL;
}

void sqlite_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, index);
}

static int run_plain(struct sqlite_store *store, enum sqlite_statement which, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, which, error);
    return statement ? sqlite_run(store, statement, error) : -1;
}

static int apply(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    switch (op->kind) {
    case STORE_SUBMIT:
        return sqlite_submit(store, op, error);
    case STORE_CLAIM:
        return sqlite_claim(store, op, error);
    case STORE_FINISH:
        return sqlite_finish(store, op, error);
    case STORE_CANCEL:
        return sqlite_cancel(store, op, error);
    case STORE_RETRY:
        return sqlite_retry(store, op, error);
    case STORE_GET:
        return sqlite_get(store, op, error);
    case STORE_LIST:
        return sqlite_list(store, op, error);
    case STORE_TICK:
        return sqlite_tick(store, op, error);
    case STORE_DELIVERY_TAKE:
        return sqlite_delivery_take(store, op, error);
    case STORE_DELIVERY_RESULT:
        return sqlite_delivery_result(store, op, error);
    case STORE_DELIVERY_LIST:
        return sqlite_delivery_list(store, op, error);
    case STORE_DELIVERY_RETRY:
        return sqlite_delivery_retry(store, op, error);
    }
    return error_set(error, "store_failed", false, "the store knows no operation %d", (int)op->kind);
}

static void roll_back(struct sqlite_store *store)
{
    for (int i = 0; i < SQL_STATEMENT_COUNT; i++)
        if (store->statements[i])
            sqlite3_reset(store->statements[i]);
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

static int engine_run(struct store_engine *engine, struct store_op *first, struct error *error)
{
    struct sqlite_store *store = (struct sqlite_store *)engine;
    int64_t waiting_before = store->waiting;
    int failed = run_plain(store, SQL_BEGIN, error);
    for (struct store_op *op = first; op && !failed; op = op->next)
        failed = apply(store, op, error);
    if (!failed)
        failed = run_plain(store, SQL_COMMIT, error);
    if (failed) {
        roll_back(store);
        store->waiting = waiting_before;
    }
    return failed;
}

static void engine_rest(struct store_engine *engine)
{
    sqlite3_db_release_memory(((struct sqlite_store *)engine)->db);
}

static void engine_close(struct store_engine *engine)
{
    struct sqlite_store *store = (struct sqlite_store *)engine;
    for (int i = 0; i < SQL_STATEMENT_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    sqlite3_close(store->db);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}

static const struct store_engine_type sqlite_type = {
    .run = engine_run,
    .rest = engine_rest,
    .close = engine_close,
};

static int query_number(sqlite3 *db, const char *text, int64_t *number)
{
    sqlite3_stmt *statement = NULL;
    int failed = -1;
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *number = sqlite3_column_int64(statement, 0);
        failed = 0;
    }
    sqlite3_finalize(statement);
    return failed;
}

/* A new start: leases beyond all earlier ones, and the jobs of the host that died wait again. */
static int take_over(struct sqlite_store *store, const char *path, struct error *error)
{
    int64_t starts = 0;
    if (sqlite3_exec(store->db,
                     "BEGIN IMMEDIATE;"
                     "UPDATE host SET value = value + 1 WHERE name = 'starts';"
                     "UPDATE jobs SET state = 0, losses = losses + 1, attempts = max(attempts - 1, 0), run_at = 0 "
                     "WHERE state = 1;"
                     "UPDATE deliveries SET next_at = created_at WHERE state = 0 AND attempts = 0;"
                     "COMMIT;",
                     NULL, NULL, NULL) != SQLITE_OK ||
        query_number(store->db, "SELECT value FROM host WHERE name = 'starts'", &starts) != 0 ||
        query_number(store->db,
                     "SELECT (SELECT count(*) FROM jobs INDEXED BY jobs_ready WHERE state = 0 AND run_at = 0)"
                     " + (SELECT count(*) FROM jobs INDEXED BY jobs_scheduled WHERE state = 0 AND run_at > 0)",
                     &store->waiting) != 0) {
        sqlite_fail(store, "be taken over", error);
        error_prefix(error, "%s: ", path);
        return -1;
    }
    store->next_lease = (starts << LEASE_SHIFT) + 1;
    return 0;
}

struct store_engine *store_sqlite_open(const struct store_options *options, struct error *error)
{
    int lock_fd = store_lock_folder(options->folder, options->create, error);
    if (lock_fd < 0)
        return NULL;
    struct sqlite_store *store = memory_zeroed(1, sizeof *store);
    store->engine.type = &sqlite_type;
    store->lock_fd = lock_fd;
    store->queue_limit = options->queue_limit;
    char *path = memory_format("%s/store.db", options->folder);
    if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        error_set(error, "store_unreadable", false, "%s: %s", path,
                  store->db ? sqlite3_errmsg(store->db) : "out of memory");
    if (!error_is_set(error)) {
        sqlite3_busy_timeout(store->db, 5000);
        if (sqlite3_exec(store->db,
                         "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;"
                         "PRAGMA wal_autocheckpoint = 4000; PRAGMA temp_store = MEMORY;",
                         NULL, NULL, NULL) != SQLITE_OK)
            error_set(error, "store_unreadable", false,
                      "%s: %s; if this isn't exportd's store, name another folder with [host] state, else restore it "
                      "from a "
                      "backup",
                      path, sqlite3_errmsg(store->db));
    }
    if (error_is_set(error) || sqlite_schema_migrate(store->db, path, error) != 0 ||
        take_over(store, path, error) != 0) {
        engine_close(&store->engine);
        store = NULL;
    }
    free(path);
    return store ? &store->engine : NULL;
}
