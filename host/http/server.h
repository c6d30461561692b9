/*
 * http/server.h: the HTTP door.
 *
 * libmicrohttpd on the host's own loop: its epoll descriptor is watched, and all handlers run on the loop thread. A
 * handler that waits for the store suspends its connection. Bodies are read up to [http] max_body, and no further.
 */
#ifndef EXPORTD_HTTP_SERVER_H
#define EXPORTD_HTTP_SERVER_H

#include "config/config.h"
#include "delivery/outbox.h"
#include "dispatch/dispatch.h"
#include "nats/door.h"
#include "plugin/catalog.h"
#include "store/store.h"

#include <uv.h>

struct http_server;

/* How a reload ended: status 200, or that of the problem; answer is new, {"reloaded": true or false, ...}. */
typedef void (*http_reloaded)(void *client, unsigned status, json_t *answer);

/* What the handlers speak to. All borrowed. */
struct http_context {
    uv_loop_t *loop;
    const struct config *config;
    const struct catalog *catalog;
    struct store *store;
    struct dispatch *dispatch;
    struct outbox *outbox;
    struct board *board;    /* or NULL: no Redis */
    struct nats_door *nats; /* or NULL */
    const char *artifact_folder;
    const struct uploader *uploader; /* or NULL: artifacts stay in their folder */
    int64_t started_ns;
    void (*reload)(void *host, http_reloaded done, void *client); /* done comes once, at once or later */
    void *host;                                                   /* for reload */
};

/* A socket that listens at "address:port" or "[v6]:port", and where it really is ("127.0.0.1:41234" for port 0; new
 * string). Returns the descriptor, or -1 with error set (listen_failed). */
int http_listen(const char *address, char **actual, struct error *error);

/* Starts to answer on a listening socket, which it takes over. */
struct http_server *http_server_new(const struct http_context *context, int socket, struct error *error);

/* From now on requests are read by these; both as in the context. */
void http_server_adopt(struct http_server *server, const struct config *config, const struct catalog *catalog);

/* Takes no more connections and answers 503 to new jobs; those under way are finished. */
void http_server_drain(struct http_server *server);

/* Ends all connections. */
void http_server_close(struct http_server *server);

#endif
