/*
 * The connection. A thread makes it and asks JetStream; the loop reads and writes its socket, so that a message takes
 * no way over other threads: cnats' functions for foreign event loops, with subscriptions that are asked and don't
 * call back. A connection that is lost is thrown away, and the thread makes another.
 *
 * cnats calls attach and detach, and may call write from the thread; what comes from there is news to the loop.
 */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/memory.h"
#include "nats/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_WAIT_MS 100
#define MOST_WAIT_MS 2000
#define CLOSE_WAIT_MS 2000
#define PATIENCE_MS 2
#define FEW_BYTES 400 /* some five acknowledgements */

static bool is_loop_thread(const struct nats_link *link)
{
    return pthread_equal(pthread_self(), link->loop_thread) != 0;
}

/* cnats polls nothing itself; the descriptor is a copy, which stays good however cnats closes its own. */
static natsStatus on_attach(void **client, void *event_loop, natsConnection *connection, natsSock socket)
{
    struct nats_link *link = event_loop;
    int copy = fcntl((int)socket, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return NATS_SYS_ERROR;
    *client = link;
    pthread_mutex_lock(&link->mutex);
    link->attached = connection;
    link->attached_socket = copy;
    link->lost = false;
    link->released = false;
    pthread_mutex_unlock(&link->mutex);
    uv_async_send(&link->news);
    return NATS_OK;
}

static natsStatus on_read(void *client, bool add)
{
    (void)client;
    (void)add; /* it is always read; where it was closed, detach tells */
    return NATS_OK;
}

static natsStatus on_write(void *client, bool add)
{
    struct nats_link *link = client;
    if (is_loop_thread(link)) {
        link->write_wanted = add;
        if (add)
            nats_link_wake(link);
        return NATS_OK;
    }
    if (!add)
        return NATS_OK;
    pthread_mutex_lock(&link->mutex);
    link->wants_write = true;
    pthread_mutex_unlock(&link->mutex);
    uv_async_send(&link->news);
    return NATS_OK;
}

static natsStatus on_detach(void *client)
{
    struct nats_link *link = client;
    pthread_mutex_lock(&link->mutex);
    link->lost = true;
    pthread_cond_signal(&link->condition);
    pthread_mutex_unlock(&link->mutex);
    uv_async_send(&link->news);
    return NATS_OK;
}

static void on_error(natsConnection *connection, natsSubscription *subscription, natsStatus status, void *client)
{
    struct nats_link *link = client;
    const char *text = NULL;
    (void)subscription;
    natsConnection_GetLastError(connection, &text);
    if (!text || !*text)
        text = natsStatus_GetText(status);
    pthread_mutex_lock(&link->mutex);
    snprintf(link->error_text, sizeof link->error_text, "%s", text);
    pthread_mutex_unlock(&link->mutex);
    uv_async_send(&link->news);
}

/* The thread. */

static void forget_servers(char **servers, int count)
{
    for (int i = 0; i < count; i++)
        free(servers[i]);
    free(servers);
}

static natsConnection *try_to_connect(struct nats_link *link, struct error *error)
{
    natsConnection *connection = NULL;
    natsOptions *options = nats_options(link->config, link->servers, link->server_count, error);
    if (!options)
        return NULL;
    natsOptions_SetEventLoop(options, link, on_attach, on_read, on_write, on_detach);
    natsOptions_SetErrorHandler(options, on_error, link);
    natsStatus status = natsConnection_Connect(&connection, options);
    if (status != NATS_OK) {
        error_set(error, "nats_away", true, "%s", nats_reason(status));
        connection = NULL;
    }
    natsOptions_Destroy(options);
    return connection;
}

static void note_servers(struct nats_link *link, natsConnection *connection)
{
    char **servers = NULL;
    int count = 0;
    if (natsConnection_GetDiscoveredServers(connection, &servers, &count) != NATS_OK || count == 0) {
        free(servers);
        return;
    }
    forget_servers(link->servers, link->server_count);
    link->servers = servers;
    link->server_count = count;
}

/* Until there is something to do; the mutex is held. */
static void wait_ms(struct nats_link *link, int64_t duration_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += duration_ms / 1000;
    until.tv_nsec += duration_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!link->stopping && pthread_cond_timedwait(&link->condition, &link->mutex, &until) == 0)
        continue;
}

/* As long as the connection lives: the setup, once and whenever the loop wants it again. */
static void serve(struct nats_link *link, natsConnection *connection)
{
    pthread_mutex_lock(&link->mutex);
    link->setup_again = true;
    while (!link->lost && !link->stopping) {
        if (!link->setup_again) {
            pthread_cond_wait(&link->condition, &link->mutex);
            continue;
        }
        link->setup_again = false;
        pthread_mutex_unlock(&link->mutex);
        struct nats_setup *setup = memory_zeroed(1, sizeof *setup);
        nats_setup_run(connection, link->config, true, setup);
        note_servers(link, connection);
        pthread_mutex_lock(&link->mutex);
        free(link->setup);
        link->setup = setup;
        uv_async_send(&link->news);
    }
    while (!link->released)
        pthread_cond_wait(&link->condition, &link->mutex);
    pthread_mutex_unlock(&link->mutex);
}

static void *run(void *client)
{
    struct nats_link *link = client;
    int failures = 0;
    pthread_mutex_lock(&link->mutex);
    while (!link->stopping) {
        struct error error = {0};
        pthread_mutex_unlock(&link->mutex);
        natsConnection *connection = try_to_connect(link, &error);
        if (connection) {
            serve(link, connection);
            natsConnection_Destroy(connection);
            failures = 0;
            pthread_mutex_lock(&link->mutex);
        } else {
            pthread_mutex_lock(&link->mutex);
            snprintf(link->failure, sizeof link->failure, "%.511s", error.message);
            uv_async_send(&link->news);
            wait_ms(link, backoff_wait_ms(FIRST_WAIT_MS, MOST_WAIT_MS, ++failures));
        }
    }
    pthread_mutex_unlock(&link->mutex);
    nats_CloseAndWait(CLOSE_WAIT_MS); /* no callback comes any more */
    pthread_mutex_lock(&link->mutex);
    link->ended = true;
    uv_async_send(&link->news);
    pthread_mutex_unlock(&link->mutex);
    return NULL;
}

/* The loop. */

static void on_poll_closed(uv_handle_t *handle)
{
    close((int)(intptr_t)handle->data);
    free(handle);
}

static void stop_polling(struct nats_link *link)
{
    if (!link->poll)
        return;
    int fd = -1;
    uv_fileno((uv_handle_t *)link->poll, &fd);
    uv_poll_stop(link->poll);
    link->poll->data = (void *)(intptr_t)fd;
    uv_close((uv_handle_t *)link->poll, on_poll_closed);
    link->poll = NULL;
}

/* The loop uses the connection no more; the thread may destroy it. */
static void release(struct nats_link *link, const char *why)
{
    if (!link->connection)
        return;
    char text[256];
    snprintf(text, sizeof text, "%s", why);
    stop_polling(link);
    uv_prepare_stop(&link->before_poll);
    nats_door_down(link->door, text);
    if (link->write_wanted) /* acknowledgements of the last turn; cnats would wait for an answer to what is left */
        natsConnection_ProcessWriteEvent(link->connection);
    link->connection = NULL;
    link->write_wanted = false;
    link->later_bytes = 0;
    uv_timer_stop(&link->patience);
    pthread_mutex_lock(&link->mutex);
    link->released = true;
    link->lost = true;
    pthread_cond_signal(&link->condition);
    pthread_mutex_unlock(&link->mutex);
}

/* After each call that may have found the connection broken. */
static bool check_lost(struct nats_link *link)
{
    pthread_mutex_lock(&link->mutex);
    bool lost = link->lost;
    pthread_mutex_unlock(&link->mutex);
    if (!lost || !link->connection)
        return lost;
    const char *text = NULL;
    natsConnection_GetLastError(link->connection, &text);
    release(link, text && *text ? text : "the connection was lost");
    return true;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct nats_link *link = poll->data;
    if (events & UV_WRITABLE)
        nats_link_wake(link);
    if (status < 0 || (events & UV_READABLE)) {
        natsConnection_ProcessReadEvent(link->connection);
        nats_door_read(link->door);
        check_lost(link);
    }
}

static void on_before_poll(uv_prepare_t *handle);

/* What is published later goes along with whatever follows. A few alone go a turn later: by then the store, which
 * jobs wait for, has its batch. Many wait until on_patience(). */
static bool may_wait(struct nats_link *link)
{
    if (link->later_bytes == 0 || natsConnection_Buffered(link->connection) != link->later_bytes)
        return false;
    bool few = link->later_bytes <= FEW_BYTES;
    if (few && link->waited_a_turn)
        return false;
    link->waited_a_turn = few;
    if (few)
        uv_prepare_start(&link->before_poll, on_before_poll);
    return true;
}

/* What a turn of the loop left goes out in one piece. What the socket has no room for goes when it has. */
static void on_before_poll(uv_prepare_t *handle)
{
    struct nats_link *link = handle->data;
    uv_prepare_stop(handle);
    if (!link->connection)
        return;
    nats_door_before_poll(link->door);
    if (!link->write_wanted || may_wait(link))
        return;
    link->waited_a_turn = false;
    link->later_bytes = 0;
    uv_timer_stop(&link->patience);
    natsConnection_ProcessWriteEvent(link->connection);
    if (check_lost(link) || link->write_wanted == link->polls_writable)
        return;
    link->polls_writable = link->write_wanted;
    uv_poll_start(link->poll, link->write_wanted ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_socket);
}

static void on_patience(uv_timer_t *timer)
{
    struct nats_link *link = timer->data;
    link->later_bytes = 0;
    nats_link_wake(link);
}

void nats_link_publish_later(struct nats_link *link, const char *subject, const char *text)
{
    int before = natsConnection_Buffered(link->connection);
    if (natsConnection_PublishString(link->connection, subject, text) != NATS_OK)
        return;
    link->later_bytes += natsConnection_Buffered(link->connection) - before;
    if (!uv_is_active((uv_handle_t *)&link->patience))
        uv_timer_start(&link->patience, on_patience, PATIENCE_MS, 0);
}

static void start_polling(struct nats_link *link, natsConnection *connection, int fd)
{
    link->connection = connection;
    link->poll = memory_zeroed(1, sizeof *link->poll);
    uv_poll_init(link->loop, link->poll, fd);
    link->poll->data = link;
    link->polls_writable = false;
    uv_poll_start(link->poll, UV_READABLE, on_socket);
    nats_door_up(link->door);
}

static void on_news(uv_async_t *handle)
{
    struct nats_link *link = handle->data;
    char failure[sizeof link->failure], error_text[sizeof link->error_text];
    pthread_mutex_lock(&link->mutex);
    natsConnection *attached = link->attached;
    int fd = link->attached_socket;
    struct nats_setup *setup = link->setup;
    bool ended = link->ended, stopping = link->stopping;
    memcpy(failure, link->failure, sizeof failure);
    memcpy(error_text, link->error_text, sizeof error_text);
    bool wants_write = link->wants_write;
    link->attached = NULL;
    link->setup = NULL;
    link->wants_write = false;
    link->failure[0] = link->error_text[0] = '\0';
    pthread_mutex_unlock(&link->mutex);
    if (attached)
        start_polling(link, attached, fd);
    if (error_text[0])
        nats_door_complaint(link->door, error_text);
    if (wants_write && link->connection) {
        link->write_wanted = true;
        nats_link_wake(link);
    }
    if (setup && link->connection)
        nats_door_setup(link->door, setup);
    free(setup);
    check_lost(link);
    if (stopping)
        release(link, "the host stops");
    if (failure[0])
        nats_door_failed(link->door, failure);
    if (ended && link->thread_runs) {
        pthread_join(link->thread, NULL);
        link->thread_runs = false;
        nats_door_link_closed(link->door);
    }
}

void nats_link_wake(struct nats_link *link)
{
    if (link->connection)
        uv_prepare_start(&link->before_poll, on_before_poll);
}

void nats_link_setup_again(struct nats_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->setup_again = true;
    pthread_cond_signal(&link->condition);
    pthread_mutex_unlock(&link->mutex);
}

void nats_link_break(struct nats_link *link)
{
    release(link, "the server doesn't answer");
}

void nats_link_open(struct nats_link *link, struct nats_door *door)
{
    link->door = door;
    link->loop_thread = pthread_self();
    uv_async_init(link->loop, &link->news, on_news);
    uv_prepare_init(link->loop, &link->before_poll);
    uv_timer_init(link->loop, &link->patience);
    link->news.data = link->before_poll.data = link->patience.data = link;
    pthread_mutex_init(&link->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&link->condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
    link->thread_runs = pthread_create(&link->thread, NULL, run, link) == 0;
    if (!link->thread_runs)
        nats_door_failed(door, "its thread can't be started; raise the limit of processes (ulimit -u)");
}

void nats_link_close(struct nats_link *link)
{
    pthread_mutex_lock(&link->mutex);
    link->stopping = true;
    pthread_cond_signal(&link->condition);
    pthread_mutex_unlock(&link->mutex);
    release(link, "the host stops");
    if (!link->thread_runs)
        nats_door_link_closed(link->door);
}

void nats_link_free(struct nats_link *link)
{
    pthread_cond_destroy(&link->condition);
    pthread_mutex_destroy(&link->mutex);
    forget_servers(link->servers, link->server_count);
    free(link->setup);
}
