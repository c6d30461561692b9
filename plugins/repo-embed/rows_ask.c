/* rows_parts.h: libpq without blocking. */
#include "rows_parts.h"

#include <poll.h>
#include <string.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The first line of what libpq says, without an end. */
static int failed(PGconn *pg, const PGresult *result, struct exportd_kit_error *error)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *said = result ? PQresultErrorMessage(result) : PQerrorMessage(pg);
    int length = (int)strcspn(said, "\n");
    bool lost = PQstatus(pg) != CONNECTION_OK;
    /* 40: deadlock, serialization; 53: no room; 57: shut down; 08: connection */
    bool passing = lost || (state && (!strncmp(state, "40", 2) || !strncmp(state, "53", 2) ||
                                      !strncmp(state, "57", 2) || !strncmp(state, "08", 2)));
    return exportd_kit_fail(error, lost ? "database_unreachable" : "database_failed", passing,
                            "the embeddings' database: %.*s; see EMBEDDINGS_DATABASE_URL, and table in [plugin "
                            "repo-embed]",
                            length < 400 ? length : 400, said);
}

/* Waits for the socket. Returns 0, or -1 with error filled. */
static int wait_for(struct rows_connection *connection, short events, int64_t until_ms,
                    struct exportd_kit_error *error)
{
    for (;;) {
        struct pollfd poller = {.fd = PQsocket(connection->pg), .events = events};
        if (exportd_cancelled(connection->job))
            return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
        if (poll(&poller, 1, 200) > 0)
            return 0;
        if (now_ms() > until_ms)
            return exportd_kit_fail(error, "database_timeout", 1,
                                    "the embeddings' database did not answer within %lld s; see database_timeout in "
                                    "[plugin repo-embed]",
                                    (long long)connection->timeout_ms / 1000);
    }
}

int rows_connect(struct rows_connection *connection, const char *url, struct exportd_kit_error *error)
{
    int64_t until_ms = now_ms() + connection->timeout_ms;
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    if (!options)
        return exportd_kit_fail(error, "option_invalid", 0,
                                "EMBEDDINGS_DATABASE_URL is no PostgreSQL address; set it to something like "
                                "postgresql://user:password@host/database");
    PQconninfoFree(options);
    /* Of a setting that is there twice the last counts: what the address says stays. */
    const char *const names[] = {"application_name", "dbname", "client_encoding", NULL};
    const char *const values[] = {"exportd repo-embed", url, "UTF8", NULL};
    connection->pg = PQconnectStartParams(names, values, 1);
    if (!connection->pg)
        return exportd_kit_no_memory(error);
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (PQstatus(connection->pg) != CONNECTION_BAD && state != PGRES_POLLING_OK) {
        if (wait_for(connection, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms, error) != 0)
            return -1;
        state = PQconnectPoll(connection->pg);
        if (state == PGRES_POLLING_FAILED)
            break;
    }
    if (PQstatus(connection->pg) == CONNECTION_OK && PQsetnonblocking(connection->pg, 1) == 0)
        return 0;
    failed(connection->pg, NULL, error);
    error->code = "database_unreachable";
    error->retryable = 1;
    return -1;
}

void rows_close(struct rows_connection *connection)
{
    PQfinish(connection->pg);
    connection->pg = NULL;
}

/* Waits until the socket takes or gives something, and takes what it gives. */
static int wait_and_read(struct rows_connection *connection, short events, int64_t until_ms,
                         struct exportd_kit_error *error)
{
    if (wait_for(connection, events, until_ms, error) != 0)
        return -1;
    return PQconsumeInput(connection->pg) == 1 ? 0 : failed(connection->pg, NULL, error);
}

/* Sends all that libpq holds back. What the server says meanwhile is read, else both could wait for each other. */
static int send_all(struct rows_connection *connection, struct exportd_kit_error *error)
{
    int64_t until_ms = now_ms() + connection->timeout_ms;
    int left;
    while ((left = PQflush(connection->pg)) > 0)
        if (wait_and_read(connection, POLLIN | POLLOUT, until_ms, error) != 0)
            return -1;
    return left == 0 ? 0 : failed(connection->pg, NULL, error);
}

/* Sends what libpq holds back, and waits until there is a result. */
static int wait_for_result(struct rows_connection *connection, struct exportd_kit_error *error)
{
    if (send_all(connection, error) != 0)
        return -1;
    int64_t until_ms = now_ms() + connection->timeout_ms;
    while (PQisBusy(connection->pg))
        if (wait_and_read(connection, POLLIN, until_ms, error) != 0)
            return -1;
    return 0;
}

static PGresult *last_result(struct rows_connection *connection, struct exportd_kit_error *error)
{
    PGresult *result = NULL;
    for (;;) {
        if (wait_for_result(connection, error) != 0) {
            PQclear(result);
            return NULL;
        }
        PGresult *next = PQgetResult(connection->pg);
        if (!next)
            break;
        PQclear(result);
        result = next;
        if (PQresultStatus(result) == PGRES_COPY_IN)
            break;
    }
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN)
        return result;
    failed(connection->pg, result, error);
    PQclear(result);
    return NULL;
}

PGresult *rows_ask(struct rows_connection *connection, const char *sql, const char *const *values, int count,
                   struct exportd_kit_error *error)
{
    if ((count > 0 ? PQsendQueryParams(connection->pg, sql, count, NULL, values, NULL, NULL, 0)
                   : PQsendQuery(connection->pg, sql)) == 1)
        return last_result(connection, error);
    failed(connection->pg, NULL, error);
    return NULL;
}

int rows_do(struct rows_connection *connection, const char *sql, struct exportd_kit_error *error)
{
    PGresult *result = rows_ask(connection, sql, NULL, 0, error);
    PQclear(result);
    return result ? 0 : -1;
}

int rows_copy(struct rows_connection *connection, const char *bytes, size_t size, struct exportd_kit_error *error)
{
    if (exportd_cancelled(connection->job))
        return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
    int taken;
    while ((taken = PQputCopyData(connection->pg, bytes, (int)size)) == 0) /* libpq has no room */
        if (send_all(connection, error) != 0)
            return -1;
    return taken == 1 ? send_all(connection, error) : failed(connection->pg, NULL, error);
}

int rows_copy_end(struct rows_connection *connection, struct exportd_kit_error *error)
{
    int taken;
    while ((taken = PQputCopyEnd(connection->pg, NULL)) == 0)
        if (send_all(connection, error) != 0)
            return -1;
    if (taken != 1)
        return failed(connection->pg, NULL, error);
    PGresult *result = last_result(connection, error);
    PQclear(result);
    return result ? 0 : -1;
}
