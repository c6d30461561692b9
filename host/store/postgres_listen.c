/*
 * A connection of its own that listens, and tidies up. It is made on a thread of the loop's, for a name server may be
 * slow, and read on the loop. Nothing depends on it: where it is away, the tick finds within a second what it would
 * have hinted at, and the server's autovacuum tidies up, once a minute.
 */
#include "base/memory.h"
#include "store/postgres.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 2000
#define CONNECT_MS 3000
#define TIDY_AFTER 30000 /* operations: some megabytes of rows that are gone */

struct postgres_listener {
    uv_loop_t *loop;
    char *url;
    char host[ID_TEXT_SIZE]; /* whose own notices are no news */
    PGconn *connection;
    uv_poll_t *poll; /* of the connection's socket */
    uv_timer_t timer;
    uv_work_t work;
    bool working, closing;
    bool tidying;     /* the connection is busy with it */
    int64_t untidied; /* operations since then */
    void (*callback)(void *client);
    void *client;
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
    listener->tidying = false;
}

static void give_up(struct postgres_listener *listener)
{
    drop(listener);
    uv_timer_start(&listener->timer, on_retry, RETRY_MS, 0);
}

/* The hot tables are as small as the queue only where the room of rows that are gone is used again. */
static void tidy(struct postgres_listener *listener)
{
    listener->untidied = 0;
    listener->tidying =
        PQsendQuery(listener->connection, "VACUUM (SKIP_LOCKED, TRUNCATE off) exportd.queue, exportd.outbox") == 1 &&
        PQflush(listener->connection) == 0;
}

static void read_tidied(struct postgres_listener *listener)
{
    while (listener->tidying && !PQisBusy(listener->connection)) {
        PGresult *result = PQgetResult(listener->connection);
        listener->tidying = result != NULL;
        PQclear(result);
    }
}

void postgres_note_work(struct postgres_listener *listener, int64_t operations, int64_t waiting)
{
    listener->untidied += operations;
    /* It reads the whole index of those that wait. */
    if (listener->poll && !listener->tidying && listener->untidied >= TIDY_AFTER + waiting)
        tidy(listener);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct postgres_listener *listener = poll->data;
    bool came = false;
    (void)events;
    if (status < 0 || !PQconsumeInput(listener->connection)) {
        give_up(listener);
        return;
    }
    read_tidied(listener);
    PGnotify *notice;
    while ((notice = PQnotifies(listener->connection))) {
        came = came || strcmp(notice->extra, listener->host) != 0;
        PQfreemem(notice);
    }
    if (came)
        listener->callback(listener->client);
}

static void connect_and_listen(uv_work_t *work)
{
    struct postgres_listener *listener = work->data;
    struct error error = {0};
    PGconn *connection = postgres_connect(listener->url, CONNECT_MS, &error);
    PGresult *result =
        connection
            ? postgres_ask(connection, "SET application_name = 'exportd listen'; LISTEN exportd", NULL, CONNECT_MS)
            : NULL;
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        PQfinish(connection);
        connection = NULL;
    }
    PQclear(result);
    listener->connection = connection;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct postgres_listener *listener = handle->data;
    free(listener->url);
    free(listener);
}

static void on_connected(uv_work_t *work, int status)
{
    struct postgres_listener *listener = work->data;
    (void)status;
    listener->working = false;
    if (listener->closing) {
        drop(listener);
        uv_close((uv_handle_t *)&listener->timer, on_timer_closed);
        return;
    }
    if (!listener->connection) {
        give_up(listener);
        return;
    }
    PQsetnonblocking(listener->connection, 1);
    listener->poll = memory_zeroed(1, sizeof *listener->poll);
    uv_poll_init(listener->loop, listener->poll, PQsocket(listener->connection));
    listener->poll->data = listener;
    uv_poll_start(listener->poll, UV_READABLE, on_ready);
}

static void connect_anew(struct postgres_listener *listener)
{
    listener->work.data = listener;
    listener->working = uv_queue_work(listener->loop, &listener->work, connect_and_listen, on_connected) == 0;
    if (!listener->working)
        give_up(listener);
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

void postgres_unlisten(struct postgres_listener *listener)
{
    if (!listener)
        return;
    listener->closing = true;
    if (listener->working) {
        uv_cancel((uv_req_t *)&listener->work);
        return; /* on_connected() comes */
    }
    drop(listener);
    uv_close((uv_handle_t *)&listener->timer, on_timer_closed);
}
