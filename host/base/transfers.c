#include "base/transfers.h"

#include "base/memory.h"

#include <stdlib.h>

struct watched_socket {
    uv_poll_t poll;
    struct transfers *transfers;
    curl_socket_t socket;
};

struct transfers {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    void (*on_done)(void *client, CURL *curl, CURLcode code);
    void *client;
    void (*on_closed)(void *client);
    void *closed_client;
};

static void collect_finished(struct transfers *transfers)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(transfers->multi, &left)))
        if (message->msg == CURLMSG_DONE)
            transfers->on_done(transfers->client, message->easy_handle, message->data.result);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct watched_socket *watched = poll->data;
    struct transfers *transfers = watched->transfers;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    int running;
    curl_multi_socket_action(transfers->multi, watched->socket, flags, &running);
    collect_finished(transfers);
}

static void on_timeout(uv_timer_t *timer)
{
    struct transfers *transfers = timer->data;
    int running;
    curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_finished(transfers);
}

static int set_timer(CURLM *multi, long timeout_ms, void *client)
{
    struct transfers *transfers = client;
    (void)multi;
    if (timeout_ms < 0)
        uv_timer_stop(&transfers->timer);
    else
        uv_timer_start(&transfers->timer, on_timeout, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int watch_socket(CURL *curl, curl_socket_t socket, int what, void *client, void *socket_client)
{
    struct transfers *transfers = client;
    struct watched_socket *watched = socket_client;
    (void)curl;
    if (what == CURL_POLL_REMOVE) {
        if (watched) {
            curl_multi_assign(transfers->multi, socket, NULL);
            uv_poll_stop(&watched->poll);
            uv_close((uv_handle_t *)&watched->poll, on_poll_closed);
        }
        return 0;
    }
    if (!watched) {
        watched = memory_zeroed(1, sizeof *watched);
        watched->transfers = transfers;
        watched->socket = socket;
        uv_poll_init_socket(transfers->loop, &watched->poll, socket);
        watched->poll.data = watched;
        curl_multi_assign(transfers->multi, socket, watched);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&watched->poll, events, on_socket_ready);
    return 0;
}

struct transfers *transfers_new(uv_loop_t *loop, void (*on_done)(void *client, CURL *curl, CURLcode code),
                                void *client, struct error *error)
{
    CURLM *multi = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_multi_init() : NULL;
    if (!multi) {
        error_set(error, "transfers_failed", true, "libcurl can't be started");
        return NULL;
    }
    struct transfers *transfers = memory_zeroed(1, sizeof *transfers);
    transfers->loop = loop;
    transfers->multi = multi;
    transfers->on_done = on_done;
    transfers->client = client;
    uv_timer_init(loop, &transfers->timer);
    transfers->timer.data = transfers;
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, transfers);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, transfers);
    return transfers;
}

void transfers_add(struct transfers *transfers, CURL *curl)
{
    curl_multi_add_handle(transfers->multi, curl);
}

void transfers_remove(struct transfers *transfers, CURL *curl)
{
    curl_multi_remove_handle(transfers->multi, curl);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct transfers *transfers = handle->data;
    void (*on_closed)(void *client) = transfers->on_closed;
    void *client = transfers->closed_client;
    curl_multi_cleanup(transfers->multi);
    curl_global_cleanup();
    free(transfers);
    on_closed(client);
}

void transfers_close(struct transfers *transfers, void (*on_closed)(void *client), void *client)
{
    transfers->on_closed = on_closed;
    transfers->closed_client = client;
    uv_close((uv_handle_t *)&transfers->timer, on_timer_closed);
}
