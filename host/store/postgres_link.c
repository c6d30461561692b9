/*
 * The connection: a pipeline of prepared statements, sent and read in one go, so that a batch costs one round trip
 * and one commit however much is in it.
 */
#include "base/log.h"
#include "base/memory.h"
#include "store/postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 0: there is more to read, or room to write. */
static int wait_for(PGconn *connection, bool wants_write, int64_t timeout_ms)
{
    struct pollfd descriptor = {.fd = PQsocket(connection),
                                .events = (short)(wants_write ? POLLIN | POLLOUT : POLLIN)};
    int count;
    do
        count = poll(&descriptor, 1, (int)timeout_ms);
    while (count < 0 && errno == EINTR);
    return count > 0 ? 0 : -1;
}

PGresult *postgres_ask(PGconn *connection, const char *sql, const char *value, int64_t timeout_ms)
{
    int sent =
        value ? PQsendQueryParams(connection, sql, 1, NULL, &value, NULL, NULL, 0) : PQsendQuery(connection, sql);
    int flushing = sent ? PQflush(connection) : -1;
    PGresult *last = NULL;
    while (flushing >= 0) {
        while (flushing == 0 && !PQisBusy(connection)) {
            PGresult *result = PQgetResult(connection);
            if (!result)
                return last;
            PQclear(last);
            last = result;
        }
        if (wait_for(connection, flushing > 0, timeout_ms) != 0 || !PQconsumeInput(connection))
            break;
        flushing = PQflush(connection);
    }
    PQclear(last);
    return NULL;
}

static void copy_line(char *text, size_t size, const char *from)
{
    snprintf(text, size, "%s", from ? from : "");
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    for (size_t length = strlen(text); length > 0 && text[length - 1] == ' '; length--)
        text[length - 1] = '\0';
}

int postgres_fail(PGconn *connection, const PGresult *result, const char *what, struct error *error)
{
    char text[700];
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = result ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    copy_line(text, sizeof text, primary ? primary : PQerrorMessage(connection));
    if (!state && !*text)
        snprintf(text, sizeof text, "the connection was lost");
    if (!state || strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0 || strcmp(state, "25006") == 0)
        return error_set(error, "store_unreachable", true, "the database can't be reached to %s: %s", what, text);
    if (strncmp(state, "53", 2) == 0)
        return error_set(error, "store_full", true, "the database can't %s: %s; free space, or raise its limits",
                         what, text);
    bool data = strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0;
    return error_set(error, "store_failed", !data, "the database can't %s: %s (SQLSTATE %s)", what, text, state);
}

/* What each session needs, whatever the server's own settings are. The callers' tables aren't looked for in the
 * schema exportd, which a user of that name has in its search path. Plans by index only: tables that are new or grew
 * fast have no statistics yet, and one bad plan over a long queue would be a standstill. */
static int set_up(PGconn *connection, int64_t timeout_ms, struct error *error)
{
    char *sql = memory_format(
        "SELECT set_config('search_path', coalesce(nullif(array_to_string(ARRAY(SELECT quote_ident(s) FROM"
        " unnest(current_schemas(false)) AS s WHERE s <> 'exportd'), ', '), ''), 'public'), false);"
        "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
        "SET enable_seqscan = off; SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = "
        "force_generic_plan;"
        "SET default_transaction_isolation = 'read committed'; SET bytea_output = 'hex';"
        "SET client_min_messages = warning; SET TimeZone = 'UTC'; SET statement_timeout = %lld;"
        "SET idle_in_transaction_session_timeout = %lld; SET client_connection_check_interval = 1000;"
        /* A host that is gone without a word must not hold its rows for hours. */
        "SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
        "SELECT current_setting('server_encoding'), pg_is_in_recovery() OR "
        "current_setting('default_transaction_read_only') = 'on'",
        (long long)timeout_ms, (long long)timeout_ms);
    PGresult *result = postgres_ask(connection, sql, NULL, timeout_ms);
    free(sql);
    int failed = 0;
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        failed = postgres_fail(connection, result, "be set up", error);
    else if (strcmp(PQgetvalue(result, 0, 0), "UTF8") != 0)
        failed = error_set(error, "store_encoding", false,
                           "the database keeps text as %s; make one with ENCODING 'UTF8' and name it in [store] url",
                           PQgetvalue(result, 0, 0));
    else if (PQgetvalue(result, 0, 1)[0] == 't')
        failed =
            error_set(error, "store_unreachable", true,
                      "the database is read-only (a standby?); name the primary in [store] url, or several hosts "
                      "and target_session_attrs=read-write");
    PQclear(result);
    return failed;
}

static void ignore_notice(void *client, const PGresult *result)
{
    (void)client;
    (void)result;
}

PGconn *postgres_connect(const char *url, int64_t timeout_ms, struct error *error)
{
    char seconds[24], milliseconds[24], text[700];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(timeout_ms / 1000 > 2 ? timeout_ms / 1000 : 2));
    snprintf(milliseconds, sizeof milliseconds, "%lld", (long long)timeout_ms);
    /* What the URL says itself comes after, and wins. */
    const char *const keys[] = {"connect_timeout",
                                "tcp_user_timeout",
                                "keepalives_idle",
                                "client_encoding",
                                "fallback_application_name",
                                "dbname",
                                NULL};
    const char *const values[] = {seconds, milliseconds, "10", "UTF8", "exportd", url, NULL};
    PGconn *connection = PQconnectdbParams(keys, values, 1);
    if (PQstatus(connection) != CONNECTION_OK) {
        copy_line(text, sizeof text, PQerrorMessage(connection));
        error_set(error, "store_unreachable", true, "the database can't be reached: %s; look at [store] url", text);
    } else if (PQserverVersion(connection) < 140000) {
        error_set(error, "store_too_old", false, "the database is PostgreSQL %d; exportd needs 14 or newer",
                  PQserverVersion(connection) / 10000);
    } else {
        PQsetNoticeReceiver(connection, ignore_notice, NULL);
        set_up(connection, timeout_ms, error);
    }
    if (!error_is_set(error))
        return connection;
    PQfinish(connection);
    return NULL;
}

void postgres_disconnect(struct postgres *store)
{
    if (store->connection)
        PQfinish(store->connection);
    store->connection = NULL;
    store->unclean = false;
    memset(store->prepared, 0, sizeof store->prepared);
}

static void name_of(enum postgres_statement which, char name[16])
{
    snprintf(name, 16, "s%d", (int)which);
}

static struct postgres_request *add_request(struct postgres_pipeline *pipeline, enum postgres_statement which)
{
    if (pipeline->request_count == pipeline->request_size) {
        pipeline->request_size = pipeline->request_size * 2 + 32;
        pipeline->requests = memory_resized(pipeline->requests, pipeline->request_size, sizeof *pipeline->requests);
    }
    struct postgres_request *request = &pipeline->requests[pipeline->request_count++];
    *request = (struct postgres_request){.which = which};
    return request;
}

void postgres_send(struct postgres *store, enum postgres_statement which, struct postgres_parameters *parameters,
                   postgres_reader reader, void *client)
{
    struct postgres_pipeline *pipeline = &store->now->pipeline;
    char name[16];
    name_of(which, name);
    if (!store->prepared[which]) {
        add_request(pipeline, which);
        if (!PQsendPrepare(store->connection, name, postgres_sql[which], 0, NULL))
            pipeline->send_failed = true;
        store->prepared[which] = true;
    }
    struct postgres_request *request = add_request(pipeline, which);
    request->reader = reader;
    request->client = client;
    int count = parameters ? parameters->count : 0;
    if (!PQsendQueryPrepared(store->connection, name, count,
                             parameters ? (const char *const *)parameters->values : NULL,
                             parameters ? parameters->lengths : NULL, parameters ? parameters->formats : NULL, 0))
        pipeline->send_failed = true;
    for (int i = 0; i < count; i++)
        free(parameters->values[i]);
}

void postgres_keep(struct postgres *store, void *block)
{
    struct postgres_pipeline *pipeline = &store->now->pipeline;
    pipeline->requests[pipeline->request_count - 1].kept = block;
}

static int no_answer(struct postgres *store, struct postgres_pipeline *pipeline)
{
    pipeline->sqlstate[0] = '\0';
    return postgres_fail(store->connection, NULL, "carry on", &pipeline->failure);
}

static void note_failure(struct postgres *store, struct postgres_pipeline *pipeline,
                         const struct postgres_request *request)
{
    static const char *const doing[PG_STATEMENT_COUNT] = {[PG_SUBMIT] = "take jobs",
                                                          [PG_SUBMIT_CAREFULLY] = "take jobs",
                                                          [PG_SUBMIT_ONE] = "take jobs",
                                                          [PG_SUBMIT_AND_BEGIN] = "take jobs",
                                                          [PG_SETTLE] = "flush its log",
                                                          [PG_SUBMIT_ANY] = "take jobs",
                                                          [PG_FINISH_ONE] = "finish jobs",
                                                          [PG_FINISH_ANY] = "finish jobs",
                                                          [PG_SUBMIT_EXPORTS] = "take exports",
                                                          [PG_FINISH] = "finish jobs",
                                                          [PG_FINISH_EXPORTS] = "finish exports",
                                                          [PG_CLAIM] = "hand out jobs",
                                                          [PG_COMMIT] = "commit"};
    const char *state = PQresultErrorField(request->result, PG_DIAG_SQLSTATE);
    snprintf(pipeline->sqlstate, sizeof pipeline->sqlstate, "%s", state ? state : "");
    postgres_fail(store->connection, request->result, doing[request->which] ? doing[request->which] : "work",
                  &pipeline->failure);
}

/* Takes one result. Returns 1 to go on, or as postgres_read(). */
static int take_result(struct postgres *store, struct postgres_pipeline *pipeline, PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_PIPELINE_SYNC) {
        PQclear(result);
        return error_is_set(&pipeline->failure) ? -1 : 0;
    }
    if (pipeline->read_count >= pipeline->request_count) {
        PQclear(result);
        return no_answer(store, pipeline);
    }
    struct postgres_request *request = &pipeline->requests[pipeline->read_count++];
    request->result = result;
    if (status == PGRES_FATAL_ERROR && !error_is_set(&pipeline->failure))
        note_failure(store, pipeline, request);
    return PQstatus(store->connection) == CONNECTION_OK ? 1 : no_answer(store, pipeline);
}

/* One result of each request, then the mark of the pipeline's end. */
int postgres_read(struct postgres *store, bool *wants_write)
{
    struct postgres_pipeline *pipeline = &store->now->pipeline;
    PGconn *connection = store->connection;
    *wants_write = false;
    if (pipeline->send_failed)
        return no_answer(store, pipeline);
    int flushing = PQflush(connection);
    if (flushing < 0 || !PQconsumeInput(connection))
        return no_answer(store, pipeline);
    *wants_write = flushing > 0;
    while (!PQisBusy(connection)) {
        PGresult *result = PQgetResult(connection);
        int more = result ? take_result(store, pipeline, result) : 1; /* NULL: the end of one statement */
        if (more <= 0)
            return more;
    }
    return 1;
}

bool postgres_flush(struct postgres *store)
{
    struct postgres_pipeline *pipeline = &store->now->pipeline;
    pipeline->sqlstate[0] = '\0';
    pipeline->read_count = 0;
    error_clear(&pipeline->failure);
    int left = pipeline->send_failed || !PQpipelineSync(store->connection) ? -1 : PQflush(store->connection);
    pipeline->send_failed = left < 0;
    return left != 0; /* after a failure too: then the next read tells */
}

/* Waits for the socket. -1 with error set: no sign for too long. */
static int wait_for_answer(struct postgres *store, bool wants_write)
{
    if (wait_for(store->connection, wants_write, store->timeout_ms) == 0)
        return 0;
    postgres_give_up(store);
    return -1;
}

void postgres_give_up(struct postgres *store)
{
    struct postgres_pipeline *pipeline = &store->now->pipeline;
    pipeline->sqlstate[0] = '\0';
    error_set(&pipeline->failure, "store_unreachable", true,
              "the database gave no answer for %g s ([store] timeout); the connection is made anew",
              (double)store->timeout_ms / 1000);
}

static bool is_committed(const struct postgres_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->request_count; i++)
        if (pipeline->requests[i].which == PG_COMMIT &&
            PQresultStatus(pipeline->requests[i].result) == PGRES_COMMAND_OK &&
            strcmp(PQcmdStatus(pipeline->requests[i].result), "ROLLBACK") == 0)
            return false;
    return true;
}

/* A connection that broke, or a pipeline that was not read to its end, is of no more use; else postgres_clean() makes
 * it good again, which waits for the server. */
static void drop_or_mark(struct postgres *store, const char *sqlstate)
{
    bool lost = !sqlstate[0] || strncmp(sqlstate, "57P", 3) == 0 || strcmp(sqlstate, "25006") == 0 ||
                PQstatus(store->connection) != CONNECTION_OK;
    if (lost || !store->unclean) /* of two that fail together, the first has the cause */
        snprintf(store->sqlstate, sizeof store->sqlstate, "%s", lost ? "" : sqlstate);
    store->unclean = true;
    if (lost)
        postgres_disconnect(store);
}

/* It belongs to the callers, who may have changed it or taken it away. */
static void look_for_exports(struct postgres *store)
{
    bool had_exports = store->has_exports;
    store->has_exports = postgres_has_exports(store->connection, store->timeout_ms);
    if (had_exports && !store->has_exports)
        log_write(
            LOG_LEVEL_WARNING, "store", NULL,
            "the table exports is gone, or no more as callers know it: it is left alone until this host connects "
            "anew");
}

void postgres_clean(struct postgres *store)
{
    if (!store->connection || !store->unclean)
        return;
    PQexitPipelineMode(store->connection);
    PGresult *result = postgres_ask(store->connection, "ROLLBACK; DEALLOCATE ALL", NULL, store->timeout_ms);
    bool is_clean = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    if (is_clean && strncmp(store->sqlstate, "42", 2) == 0)
        look_for_exports(store);
    memset(store->prepared, 0, sizeof store->prepared);
    store->unclean = false;
    if (!is_clean || PQstatus(store->connection) != CONNECTION_OK || !PQenterPipelineMode(store->connection))
        postgres_disconnect(store);
}

int postgres_complete(struct postgres *store, int failed, struct error *error)
{
    struct postgres_pipeline *pipeline = &store->now->pipeline;
    if (!failed && !is_committed(pipeline))
        failed = error_set(&pipeline->failure, "store_failed", true, "the database rolled a transaction back");
    for (size_t i = 0; i < pipeline->request_count; i++) {
        struct postgres_request *request = &pipeline->requests[i];
        if (!failed && request->reader)
            request->reader(store, request->result, request->client);
        PQclear(request->result);
        free(request->kept);
    }
    pipeline->request_count = 0;
    pipeline->send_failed = false;
    if (!failed)
        return 0;
    *error = pipeline->failure;
    drop_or_mark(store, pipeline->sqlstate);
    return -1;
}

int postgres_finish(struct postgres *store, struct error *error)
{
    bool wants_write = false;
    int more;
    postgres_flush(store);
    while ((more = postgres_read(store, &wants_write)) > 0) {
        if (wait_for_answer(store, wants_write) != 0) {
            more = -1;
            break;
        }
    }
    return postgres_complete(store, more, error);
}
