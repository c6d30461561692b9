/*
 * nats/door.h: NATS, as a door for requests and as the way back for answers.
 *
 * Requests come from a JetStream work queue (or, without JetStream, from a queue subscription), become jobs, and are
 * acknowledged once they are on disk. Answers of jobs that came in here go out from the store's outbox: straight
 * after their commit while the connection stands, and again until the server has confirmed them. The connection is
 * made in the background, and made anew for ever: without a server the host works on, and answers wait.
 *
 * One thread beside the loop's connects and asks JetStream, which blocks. All else, reading and writing of the socket
 * included, happens on the loop thread, and so do all calls here.
 */
#ifndef EXPORTD_NATS_DOOR_H
#define EXPORTD_NATS_DOOR_H

#include "base/error.h"
#include "config/config.h"
#include "dispatch/dispatch.h"
#include "plugin/catalog.h"
#include "store/store.h"

#include <uv.h>

struct nats_door;

/* All borrowed. */
struct nats_door_options {
    uv_loop_t *loop;
    const struct config *config;
    const struct catalog *catalog;
    struct store *store;
    struct dispatch *dispatch;
};

/* Whether the settings can be used at all: a key file that isn't there can't. Returns 0 or -1. */
int nats_check_settings(const struct config *config, struct error *error);

/* Starts to connect. Never NULL. */
struct nats_door *nats_door_new(const struct nats_door_options *options);

/* From now on requests are read by these. [nats] itself stays what the door was made with. */
void nats_door_adopt(struct nats_door *door, const struct config *config, const struct catalog *catalog);

/* Takes no more requests; what isn't on disk yet is handed back to the server. Answers go on. */
void nats_door_drain(struct nats_door *door);

/* Waits for what is published and not confirmed, [nats] timeout at the most; then disconnects and calls
 * on_closed(client); the door is freed by then. After dispatch_drain() is over, before store_close(). */
void nats_door_close(struct nats_door *door, void (*on_closed)(void *client), void *client);

/* What dispatch_options asks for: reserve(), deliver(), delivery_ready() and progress(). */
int64_t nats_door_reserve(struct nats_door *door);
void nats_door_deliver(struct nats_door *door, struct store_delivery *delivery);
void nats_door_kick(struct nats_door *door);
void nats_door_progress(struct nats_door *door, const struct job *job, double fraction, const char *stage);

/* What the door lacks at the moment, for /readyz. Empty: nothing. Copied into text. */
void nats_door_trouble(const struct nats_door *door, char *text, size_t size);

struct nats_stats {
    bool connected, jetstream;
    uint64_t connects; /* connections made; the first one too */
    uint64_t requests, dead_letters, pulls;
    uint64_t answers, failed_answers, dead_answers, progress;
    int64_t held;      /* requests that are not on disk yet */
    int64_t under_way; /* answers that are published and not confirmed */
};

struct nats_stats nats_door_stats(const struct nats_door *door);

/* For `exportd check`: connects, says who refuses what, and looks for JetStream and what its streams and consumer are
 * like, without making any. Blocking, a few times [nats] timeout at the most. report: what was found, a line or more
 * for people; freed by the caller; NULL on error. Returns 0 or -1. */
int nats_check(const struct config *config, char **report, struct error *error);

#endif
