/*
 * command/serve.h: the host, for the two files that make it: serve.c, its life; serve_reload.c, its renewal.
 */
#ifndef EXPORTD_COMMAND_SERVE_H
#define EXPORTD_COMMAND_SERVE_H

#include "artifact/uploader.h"
#include "delivery/outbox.h"
#include "dispatch/dispatch.h"
#include "http/server.h"
#include "nats/door.h"
#include "plugin/generation.h"
#include "redis/board.h"
#include "store/store.h"
#include "upstream/client.h"

struct reload;

struct host {
    uv_loop_t loop;
    const char *conf_folder;       /* as it was given, or NULL */
    struct config *config;         /* that it was started with: what can't be changed while it runs; the first's */
    struct generation *first;      /* held for its configuration */
    struct generation *generation; /* today's */
    int generations;               /* so far; for the names of their folders */
    struct store *store;
    struct repros *repros;
    struct outbox *outbox;
    struct uploader *uploader; /* or NULL: artifacts stay here */
    struct dispatch *dispatch;
    struct http_server *http;
    struct board *board; /* NULL: no Redis */
    char name[UV_MAXHOSTNAMESIZE];
    struct nats_door *nats;    /* or NULL */
    struct upstream *upstream; /* or NULL */
    char *artifact_folder, *work_folder, *old_work_folder, *pipeline_folder, *address, *public_url, *address_file;
    uv_signal_t terminate, interrupt, hangup;
    uv_timer_t watchdog;
    uv_work_t cleaning;
    struct reload *reload;      /* that is under way, or NULL */
    struct reload *next_reload; /* that waits for it, or NULL */
    bool stopping;
};

/* Has the log speak as this configuration wants. */
void serve_set_log(const struct config *config);

/* A new folder for the copies of the next generation's plugins (new string). NULL with error set. */
char *serve_generation_folder(struct host *host, struct error *error);

/* Warns of what the sandbox lacks, or refuses where it is required. */
int serve_check_sandbox(const struct config *config, const struct catalog *catalog, struct error *error);

/* The host stops: whoever waits for a reload hears of it, and no further one begins. */
void serve_reload_stop(struct host *host);

/* Reads the configuration and the plugins again, on a thread; then, where there is no mistake, everything that comes
 * goes by them. done (or NULL) hears how it ended. Where a reload is under way already, another follows it. */
void serve_reload(struct host *host, http_reloaded done, void *client);

#endif
