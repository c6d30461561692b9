/*
 * dispatch/dispatch.h: brings jobs from the store to workers, and their ends back to the store.
 *
 * It owns all that is alive about jobs: which are in memory (leased to this host), which run, who listens to them.
 * The store stays the truth: what is in memory is a window on it, as wide as the workers of the last moments could
 * use up soon. Loop thread only.
 */
#ifndef EXPORTD_DISPATCH_DISPATCH_H
#define EXPORTD_DISPATCH_DISPATCH_H

#include "config/config.h"
#include "job/job.h"
#include "plugin/catalog.h"
#include "store/store.h"
#include "worker/pool.h"

#include <uv.h>

struct dispatch;

struct dispatch_options {
    uv_loop_t *loop;
    const struct config *config;
    const struct catalog *catalog;
    struct store *store;
    const char *artifact_folder;          /* of all jobs */
    const char *work_folder;              /* of all workers */
    const char *public_url;               /* "http://127.0.0.1:8080", for artifacts' URLs */
    void (*delivery_ready)(void *client); /* a job's end has put something into the outbox */
    void *client;
};

struct dispatch *dispatch_new(const struct dispatch_options *options);

/* The answer to dispatch_submit(). job is borrowed; NULL where error is set. */
typedef void (*dispatch_submitted)(void *client, enum store_submit_outcome outcome, const struct job *job,
                                   const struct error *error);

/* Takes job over, puts it on disk and, when its turn comes, runs it. The callback comes after the commit. */
void dispatch_submit(struct dispatch *dispatch, struct job *job, const struct route *route,
                     dispatch_submitted callback, void *client);

/* The answer to cancel and retry: applied, or why not (job_unknown, job_finished, job_not_finished, …). */
typedef void (*dispatch_changed)(void *client, const struct job *job, const struct error *error);

void dispatch_cancel(struct dispatch *dispatch, const char *id, dispatch_changed callback, void *client);
void dispatch_retry(struct dispatch *dispatch, const char *id, dispatch_changed callback, void *client);

/* Hears what happens to one job. event: "started", "progress", "retry", "log", or, last, "completed", "failed",
 * "cancelled". data is borrowed. */
struct dispatch_listener {
    void (*on_event)(struct dispatch_listener *listener, const char *event, const json_t *data, bool last);
    /* the dispatcher's */
    char *job_id;
    struct dispatch_listener *next;
};

void dispatch_listen(struct dispatch *dispatch, const char *job_id, struct dispatch_listener *listener);
void dispatch_unlisten(struct dispatch *dispatch, struct dispatch_listener *listener);

/* Brings a job as job_to_json() made it up to what is known in memory: "progress" and "stage" of one that runs; one
 * that is leased but waits for a worker is pending. */
void dispatch_show(struct dispatch *dispatch, const char *job_id, json_t *job);

/* Starts no more jobs; calls on_drained once none runs, at the latest after timeout_ms, when those that still run are
 * stopped and put back. Then all workers are gone. */
void dispatch_drain(struct dispatch *dispatch, int64_t timeout_ms, void (*on_drained)(void *client), void *client);

/* No job runs any more and none is changed: cancel and retry answer "stopping", and what the doors ask of the store
 * may come too late. */
bool dispatch_is_over(const struct dispatch *dispatch);

/* After on_drained. */
void dispatch_free(struct dispatch *dispatch);

struct dispatch_route_stats {
    const struct route *route;
    uint64_t completed, failed, cancelled, retried, submitted;
    double seconds; /* in workers, of finished attempts */
};

struct dispatch_stats {
    int64_t waiting;           /* in the store, at the last tick */
    int64_t oldest_waiting_ms; /* 0, or when the oldest that could run was accepted */
    int64_t running;
    int64_t in_memory;
    uint64_t stale; /* ends that came with an old lease, and were dropped */
    uint64_t store_errors;
    struct dispatch_route_stats *routes; /* the caller frees it */
    size_t route_count;
};

struct dispatch_stats dispatch_stats(struct dispatch *dispatch);

/* Of one plugin's workers; zeroes where it has none. */
struct pool_stats dispatch_pool_stats(struct dispatch *dispatch, const struct plugin *plugin);

#endif
