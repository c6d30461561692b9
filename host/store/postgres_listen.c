/*
 * A connection of its own that listens, on the loop. It carries hints only: where it is away, the tick finds the same
 * within a second.
 */
#include "base/memory.h"
#include "store/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000

struct postgres_listener {
    uv_loop_t *loop;
    char *url;
    char host[ID_TEXT_SIZE]; /* whose own notices are no news */
    PGconn *connection;
    uv_poll_t *poll; /* of the connection's socket */
    uv_timer_t timer;
    void (*callback)(void *client);
    void *client;
    bool connected;
};

static void connect_anew(struct postgres_listener *listener);

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void on_retry(uv_timer_t *timer)
{
    connect_anew(timer->data);
}

static void drop(struct postgres_listener *listener)
{
    if (listener->poll) {
        uv_poll_stop(listener->poll);
        uv_close((uv_handle_t *)listener->poll, on_poll_closed);
    }
    listener->poll = NULL;
    PQfinish(listener->connection);
    listener->connection = NULL;
    listener->connected = false;
}

static void give_up(struct postgres_listener *listener)
{
    drop(listener);
    uv_timer_start(&listener->timer, on_retry, RETRY_MS, 0);
}

static void read_notices(struct postgres_listener *listener)
{
    PGnotify *notice;
    bool came = false;
    if (!PQconsumeInput(listener->connection)) {
        give_up(listener);
        return;
    }
    while (!PQisBusy(listener->connection)) {
        PGresult *result = PQgetResult(listener->connection);
        if (!result)
            break;
        PQclear(result);
    }
    while ((notice = PQnotifies(listener->connection))) {
        came = came || strcmp(notice->extra, listener->host) != 0;
        PQfreemem(notice);
    }
    if (came)
        listener->callback(listener->client);
}

static void watch(struct postgres_listener *listener, int events);

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct postgres_listener *listener = poll->data;
    (void)events;
    if (status < 0) {
        give_up(listener);
        return;
    }
    if (listener->connected) {
        read_notices(listener);
        return;
    }
    switch (PQconnectPoll(listener->connection)) {
    case PGRES_POLLING_READING:
        watch(listener, UV_READABLE);
        break;
    case PGRES_POLLING_WRITING:
        watch(listener, UV_WRITABLE);
        break;
    case PGRES_POLLING_OK:
        listener->connected = true;
        watch(listener, UV_READABLE);
        if (PQsetnonblocking(listener->connection, 1) != 0 || !PQsendQuery(listener->connection, "LISTEN exportd"))
            give_up(listener);
        break;
    default:
        give_up(listener);
    }
}

/* libpq may have gone on to another socket. */
static void watch(struct postgres_listener *listener, int events)
{
    int socket = PQsocket(listener->connection);
    uv_os_fd_t watched = -1;
    if (listener->poll)
        uv_fileno((uv_handle_t *)listener->poll, &watched);
    if (watched != socket && listener->poll) {
        uv_poll_stop(listener->poll);
        uv_close((uv_handle_t *)listener->poll, on_poll_closed);
        listener->poll = NULL;
    }
    if (!listener->poll) {
        listener->poll = memory_zeroed(1, sizeof *listener->poll);
        uv_poll_init(listener->loop, listener->poll, socket);
        listener->poll->data = listener;
    }
    uv_poll_start(listener->poll, events, on_ready);
}

static void connect_anew(struct postgres_listener *listener)
{
    const char *const keys[] = {"fallback_application_name", "dbname", NULL};
    const char *const values[] = {"exportd listen", listener->url, NULL};
    listener->connection = PQconnectStartParams(keys, values, 1);
    if (!listener->connection || PQstatus(listener->connection) == CONNECTION_BAD ||
        PQsocket(listener->connection) < 0)
        give_up(listener);
    else
        watch(listener, UV_WRITABLE);
}

struct postgres_listener *postgres_listen(uv_loop_t *loop, const struct store_engine *engine,
                                          void (*callback)(void *client), void *client)
{
    const struct postgres *store = (const struct postgres *)engine;
    struct postgres_listener *listener = memory_zeroed(1, sizeof *listener);
    listener->loop = loop;
    listener->url = memory_text(store->url);
    snprintf(listener->host, sizeof listener->host, "%s", store->host);
    listener->callback = callback;
    listener->client = client;
    uv_timer_init(loop, &listener->timer);
    uv_unref((uv_handle_t *)&listener->timer);
    listener->timer.data = listener;
    connect_anew(listener);
    return listener;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct postgres_listener *listener = handle->data;
    free(listener->url);
    free(listener);
}

void postgres_unlisten(struct postgres_listener *listener)
{
    if (!listener)
        return;
    drop(listener);
    uv_close((uv_handle_t *)&listener->timer, on_timer_closed);
}
