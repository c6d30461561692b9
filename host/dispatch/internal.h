/*
 * dispatch/internal.h: what the files of dispatch/ share. dispatch.c: submit and start; pools.c: what workers say;
 * stats.c: what is counted; finish.c: how attempts end; pipeline.c: jobs of several steps; forward.c: those that
 * another host does; collect.c: what they leave; change.c: cancel and retry; adopt.c: another generation; tick.c:
 * what falls due; drain.c: the end; listen.c: who hears of it.
 */
#ifndef EXPORTD_DISPATCH_INTERNAL_H
#define EXPORTD_DISPATCH_INTERNAL_H

#include "dispatch/dispatch.h"

#define HASH_NONFATAL_OOM 0
#include <uthash.h>

struct lane;

enum active_state { ACTIVE_READY, ACTIVE_LOADING, ACTIVE_RUNNING, ACTIVE_FINISHING };

/* A job that is leased to this host. */
struct active {
    struct job *job;
    struct generation *generation; /* that its route is of */
    const struct route *route;
    struct lane *lane;             /* of a pipeline: where its current step runs */
    struct pipeline_run *pipeline; /* or NULL */
    enum active_state state;
    bool cancelled;
    bool lost;                /* the lease ran out: the job is somebody else's */
    bool uploading;           /* its artifacts are on their way to the bucket, or soon will be */
    struct upload *upload;    /* or NULL: not yet */
    int64_t retry_after_ms;   /* that the plugin asked for; 0: none */
    int64_t forward_until_ns; /* when the other host's callback is no longer waited for */
    double fraction;
    char stage[WORKER_STAGE_MAX];
    int64_t started_ns;
    struct active *next; /* in the lane's queue */
    UT_hash_handle by_lease;
    UT_hash_handle by_id;
    uint64_t lease; /* the key: job->lease */
};

/* A plugin's workers and the jobs that wait for them in memory. */
struct lane {
    struct dispatch *dispatch;
    struct generation *generation; /* that the plugin is of */
    const struct plugin *plugin;
    bool retired;              /* a later generation has another one: nothing new starts here */
    int ops;                   /* claims and submits on their way to the store that speak of it */
    uint64_t started, crashed; /* workers of its predecessors */
    struct worker_spec spec;
    struct pool *pool;      /* NULL where it forwards */
    bool forwards;          /* to the host of [upstream] */
    int under_way;          /* jobs that are there */
    uint64_t done, refused; /* so far */
    struct active *first;   /* by priority, then in the order of acceptance */
    struct active *last;
    int queued;
    int submitting;      /* leased by submits that are not committed yet */
    const char **routes; /* names of its routes, for a limit over all hosts */
    int route_count;
    int recent_finishes; /* since the last watch */
    double rate_per_s;
    struct lane *next; /* among the retired */
};

/* A route's place in the store's queue. */
struct route_state {
    char *name;
    const struct route *route;
    struct lane *lane; /* NULL: gone, and nothing is on its way any more */
    bool gone;         /* no plugin of this generation offers it */
    bool waits;        /* jobs of it could run, by the last tick */
    bool told;         /* that jobs wait for it, and it is gone */
    int ops;           /* claims and submits of it on their way to the store */
    bool backlog;      /* jobs of it wait in the store */
    int waiting;       /* that this host has put there, and not seen since */
    int behind; /* more may wait there, of this priority and below: new ones of it go behind them; INT_MIN: none */
    bool claiming;
    struct dispatch_route_stats stats;
};

struct dispatch {
    struct dispatch_options options;
    struct generation *generation;
    struct lane **lanes; /* of this generation */
    size_t lane_count;
    struct lane *nobodys; /* for the ends of jobs that no plugin offers the route of */
    struct route_state nobodys_route;
    struct lane *retired;        /* of those before, while something runs in them */
    struct route_state **routes; /* all that there ever were */
    size_t route_count;
    struct active *by_lease;
    struct active *by_id;
    struct dispatch_listener *listeners;
    uv_timer_t tick_timer, watch_timer, drain_timer;
    bool ticking;
    int open_timers;
    bool draining, closing;
    int64_t drain_until_ns;
    bool was_busy; /* since the last tick */
    size_t open_pools;
    void (*on_drained)(void *client);
    void *drained_client;
    int pending_ops; /* store operations and thread work under way */
    int64_t waiting, oldest_waiting_ms;
    int64_t running;
    int64_t uploading;
    uint64_t stale, store_errors, pruned, dead_letters;
    struct dispatch_loss *losses; /* whose texts are its own */
    size_t loss_count;
};

/* Also where no plugin of this generation offers it any more; NULL: it was never heard of. */
struct route_state *dispatch_known_route(struct dispatch *dispatch, const char *route_name);
/* NULL where no plugin of this generation offers it. */
struct route_state *dispatch_route_state(struct dispatch *dispatch, const char *route_name);
struct active *dispatch_activate(struct dispatch *dispatch, struct job *job, struct route_state *route);
struct active *dispatch_find_lease(struct dispatch *dispatch, uint64_t lease);
struct active *dispatch_find_id(struct dispatch *dispatch, const char *id);
void dispatch_forget(struct active *active); /* frees it */
void dispatch_drop(struct active *active);   /* its lease is gone, and so is it */
void dispatch_pump(struct lane *lane);
void dispatch_wake_at(struct dispatch *dispatch, int64_t time_ms); /* a tick then, and not a whole second later */
void dispatch_check_drained(struct dispatch *dispatch);

/* tick.c has dispatch_wake_at(): with a time that is past, at once. */

/* Ends a job that must not begin. False: it may. */
bool dispatch_refuse_to_start(struct active *active);

/* window.c */
void dispatch_queue(struct active *active); /* among those in memory that can start */
void dispatch_unqueue(struct active *active);
int dispatch_slots(const struct lane *lane); /* how many could start now */
bool dispatch_is_open(const struct lane *lane);
/* So many jobs are to be uploaded that no more should be started; those that are still being collected count too. */
bool dispatch_bucket_is_behind(const struct dispatch *dispatch);
/* A new job may be leased by the commit that inserts it. */
bool dispatch_goes_into_memory(const struct lane *lane, const struct job *job);
/* Claims what waits, where there is room for enough. */
void dispatch_refill(struct lane *lane);
/* Jobs of any of the lane's routes may wait in the store. */
void dispatch_expect(struct lane *lane);
/* The job is in the store's queue, from where it can be claimed at once. */
void dispatch_note_unclaimed(struct route_state *route, const struct job *job);

/* adopt.c */
/* Jobs of this route wait in the store. */
void dispatch_note_waiting(struct dispatch *dispatch, const char *route_name);
/* Has the job go by today's generation. False: its route is gone, and it stays as it is. */
bool dispatch_renew(struct active *active);
void dispatch_sweep(struct dispatch *dispatch);        /* lanes that nothing runs in any more go */
int dispatch_retired_workers(const struct lane *lane); /* workers of its predecessors that are still there */
void dispatch_make_nobodys(struct dispatch *dispatch);
void dispatch_free_nobodys(struct dispatch *dispatch);
struct lane *dispatch_successor(struct lane *lane); /* of a retired one; NULL: its plugin is gone */
void dispatch_make_lanes(struct dispatch *dispatch);
void dispatch_free_lane(struct lane *lane);
extern const struct pool_events dispatch_pool_events; /* pools.c; the client is the lane */

/* finish.c */
void dispatch_deliver(struct dispatch *dispatch,
                      struct store_delivery *first); /* takes the list, once it is on disk */
void dispatch_finish_outcome(struct active *active, const struct worker_outcome *outcome);
void dispatch_finish_error(struct active *active,
                           const struct error *error); /* before it reached a worker, or around it */
void dispatch_finish_cancelled(struct active *active);
void dispatch_finish_completed(struct active *active, char *result); /* takes result */
void dispatch_release(struct active *active);                        /* back to the store as it was */

/* pipeline.c */
/* Finds the step to begin with, and the lane that it is for. */
void dispatch_pipeline_open(struct active *active);
void dispatch_pipeline_free(struct pipeline_run *run);
const char *dispatch_step_name(const struct active *active);                  /* the route that a worker is given */
double dispatch_whole_fraction(const struct active *active, double fraction); /* of a step's progress, the job's */
/* Fills the route, the data and the workspace of the current step (free *workspace after the call that starts it). */
int dispatch_pipeline_job(struct active *active, struct worker_job *job, char **workspace, struct error *error);
/* A step was done. Returns 1 where the next one is queued, 0 where it was the last, -1 with error set (retryable). */
int dispatch_pipeline_advance(struct active *active, const struct worker_outcome *outcome, struct error *error);
/* Its first step is not to begin yet: a later one has enough to do. */
bool dispatch_pipeline_must_wait(const struct active *active);
/* Keeps what there is for the next attempt. folder: the workspace, or NULL. Returns whether it was taken away. */
bool dispatch_pipeline_keep(struct active *active, const char *folder);
/* After the last step: the result (free it), and the artifacts of all steps (borrowed). */
char *dispatch_pipeline_result(const struct active *active, json_t **artifacts);
void dispatch_pipeline_explain(const struct active *active, struct error *error); /* which step it was */
void dispatch_pipeline_end(struct active *active);                                /* nothing is kept any more */

/* forward.c */
void dispatch_forward_start(struct active *active);
void dispatch_forward_stop(struct active *active, bool lost); /* else it is cancelled */
void dispatch_forward_watch(struct lane *lane);
void dispatch_forward_leave(struct dispatch *dispatch); /* what is at the other host goes back to the store */

/* Asks what runs to stop: as cancelled, or because its lease was lost. */
void dispatch_interrupt(struct active *active, bool lost);

/* Queues a job that is leased here, and starts it where a worker is free; gives it back where the host stops. */
void dispatch_enter(struct active *active);

/* collect.c: takes over the workspace in outcome->folder. active: its artifacts are taken, and then it is finished;
 * NULL: the workspace is only removed. */
void dispatch_collect(struct dispatch *dispatch, struct active *active, const struct worker_outcome *outcome);

/* Ends an upload that is under way: as cancelled, as lost, or back to the store where the host stops. */
void dispatch_stop_upload(struct active *active);

/* listen.c */
/* Jobs that somebody listens to may end at another host. */
void dispatch_ask_for_listeners(struct dispatch *dispatch);
bool dispatch_is_watched(const struct dispatch *dispatch);
void dispatch_tell(struct dispatch *dispatch, const struct job *job, const char *event, json_t *data,
                   bool last); /* takes data */

#endif
