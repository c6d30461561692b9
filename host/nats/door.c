#include "nats/door.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "nats/internal.h"

#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL
#define TICK_MS 1000
#define CLOSING_TICK_MS 5
#define SMALL_BYTES 16384 /* a message that may lie about for a tick */
#define SETUP_AGAIN_NS (3 * SECOND_NS)
#define SILENCE_NS (10 * SECOND_NS) /* then the server is asked whether it lives */

static const char *url_of(const struct nats_door *door, char *text, size_t size)
{
    char url[512];
    if (natsConnection_GetConnectedUrl(door->link.connection, url, sizeof url) != NATS_OK)
        url[0] = '\0';
    char *masked = nats_mask(url);
    snprintf(text, size, "%s", masked);
    free(masked);
    return text;
}

void nats_door_up(struct nats_door *door)
{
    door->connected = true;
    door->connects++;
    door->heard_ns = clock_monotonic_ns();
    door->trouble[0] = '\0';
}

void nats_door_down(struct nats_door *door, const char *why)
{
    requests_close(door);
    publisher_close(door, why);
    door->connected = false;
    door->setup_at_ns = 0;
    memset(&door->setup, 0, sizeof door->setup);
    if (door->closing)
        return;
    snprintf(door->trouble, sizeof door->trouble, "not connected: %s", why);
    log_write(LOG_LEVEL_WARNING, "nats", NULL,
              "the connection was lost, and is made anew; answers wait in the outbox: %s", why);
}

void nats_door_failed(struct nats_door *door, const char *why)
{
    char text[sizeof door->trouble];
    snprintf(text, sizeof text, "not connected: %s", why);
    if (door->closing || strcmp(text, door->trouble) == 0)
        return;
    memcpy(door->trouble, text, sizeof text);
    char *masked = nats_mask(door->config->url);
    log_write(LOG_LEVEL_ERROR, "nats", NULL, "no connection to %s yet, it is tried again: %s", masked, why);
    free(masked);
}

void nats_door_complaint(struct nats_door *door, const char *text)
{
    if (!door->closing)
        log_write(LOG_LEVEL_WARNING, "nats", NULL, "the server complains: %s", text);
}

static void log_what_is_there(struct nats_door *door, const struct nats_setup *setup)
{
    char url[300];
    const char *text = setup->error.message;
    if (strcmp(text, door->logged) == 0 && door->setup.requests_known == setup->requests_known)
        return;
    snprintf(door->logged, sizeof door->logged, "%.599s", text);
    if (error_is_set(&setup->error)) {
        log_write(LOG_LEVEL_ERROR, "nats", NULL, "no requests are taken at %s: %s", url_of(door, url, sizeof url),
                  text);
    } else if (setup->jetstream) {
        log_write(LOG_LEVEL_INFO, "nats", NULL, "connected to %s: requests from the stream %s, consumer %s",
                  url_of(door, url, sizeof url), setup->sources[0].stream, setup->sources[0].consumer);
    } else {
        log_write(LOG_LEVEL_INFO, "nats", NULL, "connected to %s, without JetStream", url_of(door, url, sizeof url));
        if (door->config->jetstream == CONFIG_JETSTREAM_AUTO && !door->warned)
            log_write(LOG_LEVEL_WARNING, "nats", NULL,
                      "the server has no JetStream: a request that comes while no host is up is lost; start "
                      "nats-server with -js");
        door->warned = true;
    }
}

static bool same_sources(const struct nats_setup *a, const struct nats_setup *b)
{
    return a->source_count == b->source_count && memcmp(a->sources, b->sources, sizeof a->sources) == 0;
}

void nats_door_setup(struct nats_door *door, const struct nats_setup *setup)
{
    log_what_is_there(door, setup);
    bool open = door->requests.open && same_sources(&door->setup, setup);
    door->setup = *setup;
    door->setup_at_ns = error_is_set(&setup->error) ? clock_monotonic_ns() + SETUP_AGAIN_NS : 0;
    if (setup->answers_known)
        publisher_open(door, setup);
    if (setup->requests_known && !open && !door->requests.draining)
        requests_open(door, setup);
    if (setup->requests_known)
        requests_resume(door);
}

void nats_door_read(struct nats_door *door)
{
    door->heard_ns = clock_monotonic_ns();
    publisher_read(door);
    requests_read(door);
}

void nats_door_before_poll(struct nats_door *door)
{
    requests_before_poll(door);
    publisher_before_poll(door);
}

/* A server that has gone without a word is found by asking it for one. */
static void listen_for_life(struct nats_door *door, int64_t now_ns)
{
    struct nats_publisher *publisher = &door->publisher;
    int64_t patience_ns = SILENCE_NS + 2 * door->config->timeout_ms * 1000000;
    if (!door->connected || !publisher->subscription || now_ns - door->heard_ns < SILENCE_NS)
        return;
    if (now_ns - door->heard_ns > patience_ns && door->asked_ns > door->heard_ns) {
        nats_link_break(&door->link);
        return;
    }
    if (door->asked_ns > door->heard_ns)
        return;
    door->asked_ns = now_ns;
    publisher_ask(door, "alive");
}

static void destroy_discarded(struct nats_door *door)
{
    for (int i = 0; i < door->discarded_count; i++)
        natsMsg_Destroy(door->discarded[i]);
    door->discarded_count = 0;
}

/* cnats frees messages on a thread of its own. To wake it costs more than a small job, so they go there together. */
void nats_door_discard(struct nats_door *door, natsMsg *message)
{
    if (!message)
        return;
    door->discarded[door->discarded_count++] = message;
    if (door->discarded_count == NATS_DISCARDED_MAX || natsMsg_GetDataLength(message) > SMALL_BYTES)
        destroy_discarded(door);
}

static void on_tick(uv_timer_t *timer)
{
    struct nats_door *door = timer->data;
    int64_t now_ns = clock_monotonic_ns();
    destroy_discarded(door);
    requests_tick(door, now_ns);
    publisher_tick(door, now_ns);
    listen_for_life(door, now_ns);
    if (door->setup_at_ns && now_ns >= door->setup_at_ns && door->connected) {
        door->setup_at_ns = 0;
        nats_link_setup_again(&door->link);
    }
    nats_door_check_closed(door);
}

void nats_door_trouble(const struct nats_door *door, char *text, size_t size)
{
    const struct nats_setup *setup = &door->setup;
    if (!door->connected)
        snprintf(text, size, "%s", door->trouble[0] ? door->trouble : "not connected yet");
    else if (error_is_set(&setup->error))
        snprintf(text, size, "%s", setup->error.message);
    else if (!setup->requests_known)
        snprintf(text, size, "connected, and not set up yet");
    else if (!door->requests.confirmed)
        snprintf(text, size, "connected; the server has not confirmed the subscriptions to requests yet");
    else if (!setup->jetstream && door->config->jetstream == CONFIG_JETSTREAM_AUTO)
        snprintf(text, size, "the server has no JetStream: requests are taken at most once");
    else
        text[0] = '\0';
}

struct nats_stats nats_door_stats(const struct nats_door *door)
{
    return (struct nats_stats){
        .connected = door->connected,
        .jetstream = door->setup.jetstream,
        .connects = door->connects,
        .requests = door->requests.received,
        .dead_letters = door->requests.dead_letters,
        .pulls = door->requests.pulls,
        .answers = door->publisher.published,
        .failed_answers = door->publisher.failed,
        .dead_answers = door->publisher.dead,
        .progress = door->progress.published,
        .held = door->requests.held,
        .under_way = door->publisher.used + door->publisher.waiting_count,
    };
}

struct nats_door *nats_door_new(const struct nats_door_options *options)
{
    struct nats_door *door = memory_zeroed(1, sizeof *door);
    door->options = *options;
    door->config = &options->config->nats;
    door->link.loop = options->loop;
    door->link.config = door->config;
    publisher_init(door);
    progress_init(door);
    uv_timer_init(options->loop, &door->tick);
    door->tick.data = door;
    uv_timer_start(&door->tick, on_tick, TICK_MS, TICK_MS);
    nats_link_open(&door->link, door);
    return door;
}

void nats_door_adopt(struct nats_door *door, const struct config *config, const struct catalog *catalog)
{
    door->options.config = config;
    door->options.catalog = catalog;
}

void nats_door_drain(struct nats_door *door)
{
    requests_drain(door);
    nats_link_wake(&door->link);
}

static void on_handle_closed(uv_handle_t *handle)
{
    (void)handle;
    struct nats_door *door = handle->data;
    if (--door->open_handles > 0)
        return;
    void (*on_closed)(void *client) = door->on_closed;
    void *client = door->closed_client;
    requests_free(door);
    publisher_free(door);
    progress_free(door);
    nats_link_free(&door->link);
    free(door);
    on_closed(client);
}

void nats_door_link_closed(struct nats_door *door)
{
    door->link_closed = true;
    nats_door_check_closed(door);
}

/* First what is under way, then the connection, then what the store is still told, then the handles. */
void nats_door_check_closed(struct nats_door *door)
{
    if (!door->closing || door->open_handles > 0)
        return;
    bool over = clock_monotonic_ns() >= door->close_by_ns || !door->connected;
    if (!door->link_closing && (over || (publisher_is_idle(door) && requests_are_drained(door)))) {
        door->link_closing = true;
        destroy_discarded(door);
        nats_link_close(&door->link);
    }
    if (!door->link_closed || door->publisher.pending_ops > 0)
        return;
    uv_handle_t *handles[] = {(uv_handle_t *)&door->tick, (uv_handle_t *)&door->progress.timer,
                              (uv_handle_t *)&door->link.news, (uv_handle_t *)&door->link.before_poll,
                              (uv_handle_t *)&door->link.patience};
    door->open_handles = (int)(sizeof handles / sizeof handles[0]);
    for (int i = 0; i < door->open_handles; i++) {
        handles[i]->data = door;
        uv_close(handles[i], on_handle_closed);
    }
}

void nats_door_close(struct nats_door *door, void (*on_closed)(void *client), void *client)
{
    door->closing = true;
    door->on_closed = on_closed;
    door->closed_client = client;
    door->close_by_ns = clock_monotonic_ns() + door->config->timeout_ms * 1000000;
    uv_timer_start(&door->tick, on_tick, CLOSING_TICK_MS, CLOSING_TICK_MS);
    nats_link_wake(&door->link);
    nats_door_check_closed(door);
}
