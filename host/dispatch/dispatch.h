/*
 * dispatch/dispatch.h: brings jobs from the store to workers, and their ends back to the store.
 *
 * It owns all that is alive about jobs: which are in memory (leased to this host), which run, who listens to them.
 * The store stays the truth: what is in memory is a window on it, as wide as the workers of the last moments could
 * use up soon. Loop thread only.
 */
#ifndef EXPORTD_DISPATCH_DISPATCH_H
#define EXPORTD_DISPATCH_DISPATCH_H

#include "artifact/uploader.h"
#include "base/histogram.h"
#include "config/config.h"
#include "job/job.h"
#include "plugin/generation.h"
#include "store/repros.h"
#include "store/store.h"
#include "worker/pool.h"

#include <uv.h>

struct dispatch;

struct dispatch_options {
    uv_loop_t *loop;
    struct generation *generation; /* the first one; held by the dispatcher */
    struct store *store;
    struct repros *repros;       /* or NULL */
    const char *artifact_folder; /* of all jobs */
    struct upstream *upstream;   /* or NULL */
    const char *pipeline_folder; /* for what waits between the attempts of pipelines */
    const char *work_folder;     /* of all workers */
    struct uploader *uploader;   /* NULL: artifacts stay in their folder */
    const char *public_url;      /* "http://127.0.0.1:8080", for artifacts' URLs */
    /* A job's end has put something into the outbox. */
    void (*delivery_ready)(void *client, enum store_channel channel);
    /* An answer on STORE_CHANNEL_NATS can be published as soon as it is on disk: until when (ms since the epoch)
     * nobody else need look after it. 0, or no function: not now. */
    int64_t (*reserve)(void *client);
    /* Such an answer is on disk now. Takes it. */
    void (*deliver)(void *client, struct store_delivery *delivery);
    /* Hears what happens to every job: events as of struct dispatch_listener, and "pending" when it was accepted.
     * data is borrowed. Or no function. */
    void (*observe)(void *client, const struct job *job, const char *event, const json_t *data);
    /* Hears of progress alone, more cheaply. Or no function. */
    void (*progress)(void *client, const struct job *job, double fraction, const char *stage);
    void *client;
};

struct dispatch *dispatch_new(const struct dispatch_options *options);

/*
 * From now on jobs start by another configuration and other plugins. What runs finishes in the workers it runs in;
 * what waits in memory goes over, or back to the store where its route is gone. There it waits until a generation
 * offers the route again. Holds generation.
 */
void dispatch_adopt(struct dispatch *dispatch, struct generation *generation);

/* The answer to dispatch_submit(). job is borrowed; NULL where error is set, or the job runs already. */
typedef void (*dispatch_submitted)(void *client, enum store_submit_outcome outcome, const struct job *job,
                                   const struct error *error);

/* Takes job over, puts it on disk and, when its turn comes, runs it. The callback comes after the commit.
 * comes_again: where that has an error, or this host dies before, the same job is handed in again, here or elsewhere;
 * so it may run before it is on disk. */
void dispatch_submit(struct dispatch *dispatch, struct job *job, const struct route *route, bool comes_again,
                     dispatch_submitted callback, void *client);

/* Keeps a dead letter: a request that could not become a job. job: its state JOB_FAILED, its error and time of end
 * set; taken over, as is the answer. The callback comes after the commit. */
void dispatch_refuse(struct dispatch *dispatch, struct job *job, struct store_delivery *answer,
                     dispatch_submitted callback, void *client);

/* The answer to cancel and retry: applied, or why not (job_unknown, job_finished, job_not_finished, …). */
typedef void (*dispatch_changed)(void *client, const struct job *job, const struct error *error);

void dispatch_cancel(struct dispatch *dispatch, const char *id, dispatch_changed callback, void *client);
/* A dead letter is read again first (message_revive), and stays one where it still can't become a job. */
void dispatch_retry(struct dispatch *dispatch, const char *id, dispatch_changed callback, void *client);

/* Another host may have put jobs into the queue: look soon. */
void dispatch_hint(struct dispatch *dispatch);

/* The upstream says how a job ended: body, {"status", "result" or "error", "errorCode"}. answer comes once, at once
 * or later. */
enum dispatch_callback_outcome {
    DISPATCH_CALLBACK_TAKEN,
    DISPATCH_CALLBACK_UNKNOWN, /* there is no such job */
    DISPATCH_CALLBACK_LATER,   /* it can't be ended just now: nobody has its lease */
};
typedef void (*dispatch_called_back)(void *client, enum dispatch_callback_outcome outcome);
void dispatch_call_back(struct dispatch *dispatch, const char *job_id, json_t *body, dispatch_called_back answer,
                        void *client);

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
    const char *name; /* of the route: borrowed from the dispatcher */
    uint64_t completed, failed, cancelled, retried, submitted;
    struct histogram waits, attempts, durations; /* in seconds */
    bool waits_for_plugin;                       /* jobs wait for it, and no plugin of this host offers it */
};

struct dispatch_loss {
    const char *plugin, *cause; /* borrowed from the dispatcher; cause: a code such as worker_memory */
    uint64_t count;
};

struct dispatch_stats {
    int64_t waiting;           /* in the store, at the last tick */
    int64_t oldest_waiting_ms; /* 0, or when the oldest that could run was accepted */
    int64_t running;
    int64_t in_memory;
    bool has_upstream;
    int64_t upstream;                         /* of those that run, at the host of [upstream] */
    uint64_t upstream_done, upstream_refused; /* ended by it; that it did not take */
    uint64_t stale;                           /* ends that came with an old lease, and were dropped */
    uint64_t store_errors;
    uint64_t dead_letters;               /* requests that could not become jobs */
    struct dispatch_route_stats *routes; /* the caller frees it */
    size_t route_count;
    const struct dispatch_loss *losses; /* borrowed */
    size_t loss_count;
};

struct dispatch_stats dispatch_stats(struct dispatch *dispatch);

/* Of one plugin's workers, by its name; those that end after a reload count too. */
struct pool_stats dispatch_pool_stats(struct dispatch *dispatch, const struct plugin *plugin);

#endif
