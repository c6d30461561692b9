#include "dispatch/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "job/request.h"
#include "plugin/pipeline.h"

#include <stdlib.h>
#include <string.h>

#define WATCH_MS 200
#define AHEAD_DATA_MAX 16384 /* bytes; what is larger would not find room in the worker's socket */

struct route_state *dispatch_known_route(struct dispatch *dispatch, const char *route_name)
{
    for (size_t i = 0; i < dispatch->route_count; i++)
        if (strcmp(dispatch->routes[i]->name, route_name) == 0)
            return dispatch->routes[i];
    return NULL;
}

struct route_state *dispatch_route_state(struct dispatch *dispatch, const char *route_name)
{
    struct route_state *route = dispatch_known_route(dispatch, route_name);
    return route && !route->gone ? route : NULL;
}

struct active *dispatch_find_id(struct dispatch *dispatch, const char *id)
{
    struct active *active = NULL;
    HASH_FIND(by_id, dispatch->by_id, id, strlen(id), active);
    return active;
}

struct active *dispatch_find_lease(struct dispatch *dispatch, uint64_t lease)
{
    struct active *active = NULL;
    HASH_FIND(by_lease, dispatch->by_lease, &lease, sizeof lease, active);
    return active;
}

struct active *dispatch_activate(struct dispatch *dispatch, struct job *job, struct route_state *route)
{
    struct active *active = memory_zeroed(1, sizeof *active);
    active->job = job;
    active->generation = generation_hold(route->lane->generation);
    active->route = route->route;
    active->lane = route->lane;
    active->lease = (uint64_t)job->lease;
    active->cancelled = job->cancel_requested;
    if (active->route->steps && !active->lane->forwards && !route->gone)
        dispatch_pipeline_open(active);
    HASH_ADD(by_lease, dispatch->by_lease, lease, sizeof active->lease, active);
    HASH_ADD_KEYPTR(by_id, dispatch->by_id, job->id, strlen(job->id), active);
    return active;
}

void dispatch_forget(struct active *active)
{
    struct dispatch *dispatch = active->lane->dispatch;
    HASH_DELETE(by_lease, dispatch->by_lease, active);
    HASH_DELETE(by_id, dispatch->by_id, active);
    dispatch_pipeline_free(active->pipeline);
    job_free(active->job);
    generation_release(active->generation);
    free(active);
}

void dispatch_drop(struct active *active)
{
    active->lane->dispatch->stale++;
    log_attempt(LOG_LEVEL_WARNING, "dispatch", active->job->id, active->job->attempts,
                "its lease ran out: the job is another host's now");
    dispatch_forget(active);
}

static void note_start(struct active *active)
{
    struct job *job = active->job;
    int64_t now_ms = clock_now_ms();
    int64_t since_ms = job->run_at_ms > job->created_at_ms ? job->run_at_ms : job->created_at_ms;
    struct route_state *route = dispatch_route_state(active->lane->dispatch, job->route);
    if (route && job->attempts == 1 && active->started_ns == 0)
        histogram_add(&route->stats.waits, now_ms > since_ms ? (double)(now_ms - since_ms) / 1000 : 0);
    if (!active->pipeline || job->started_at_ms == 0)
        job->started_at_ms = now_ms;
}

static void start_in_worker(struct active *active)
{
    struct lane *lane = active->lane;
    struct worker_job job = {
        .lease = active->lease,
        .id = active->job->id,
        .route = active->job->route,
        .trace = active->job->trace,
        .attempt = active->job->attempts,
        .data = active->job->data,
        .data_length = active->job->data_length,
    };
    struct error error = {0};
    char *workspace = NULL;
    note_start(active);
    active->started_ns = clock_monotonic_ns();
    active->state = ACTIVE_RUNNING;
    if (lane->forwards) {
        dispatch_forward_start(active);
        return;
    }
    int failed = active->pipeline ? dispatch_pipeline_job(active, &job, &workspace, &error) : 0;
    if (!active->pipeline && pipeline_made(job.data, job.data_length))
        failed = error_set(&error, "pipeline_changed", false,
                           "%s was a pipeline when this job was accepted, and is none now; hand it in again",
                           active->job->route);
    failed = failed ? failed : pool_start(lane->pool, &job, &error);
    free(workspace);
    if (failed) {
        dispatch_finish_error(active, &error);
        return;
    }
    lane->dispatch->running++;
    if (dispatch_is_watched(lane->dispatch))
        dispatch_tell(lane->dispatch, active->job, "started", json_pack("{s:i}", "attempt", active->job->attempts),
                      false);
}

/* A repro that is named by its id is read on a thread of the loop's own, just before the job starts. */
struct loading {
    uv_work_t request;
    struct active *active; /* holds the generation that config is of */
    const struct config *config;
    struct repros *repros;
    char *repro_id;
    struct error error;
};

static void load(uv_work_t *request)
{
    struct loading *loading = request->data;
    request_load_repro(loading->config, loading->repros, loading->repro_id, loading->active->job, &loading->error);
}

static void on_loaded(uv_work_t *request, int status)
{
    (void)status;
    struct loading *loading = request->data;
    struct active *active = loading->active;
    struct lane *lane = active->lane;
    lane->dispatch->pending_ops--;
    if (active->lost)
        dispatch_drop(active);
    else if (active->cancelled)
        dispatch_finish_cancelled(active);
    else if (error_is_set(&loading->error))
        dispatch_finish_error(active, &loading->error);
    else
        dispatch_enter(active);
    free(loading->repro_id);
    free(loading);
    dispatch_pump(lane);
    dispatch_check_drained(lane->dispatch);
}

static bool load_repro_first(struct active *active)
{
    char *repro_id = active->route->needs_repro ? request_missing_repro(active->job) : NULL;
    if (!repro_id)
        return false;
    struct loading *loading = memory_zeroed(1, sizeof *loading);
    loading->active = active;
    loading->config = active->generation->config;
    loading->repros = active->lane->dispatch->options.repros;
    loading->repro_id = repro_id;
    loading->request.data = loading;
    active->state = ACTIVE_LOADING;
    active->lane->dispatch->pending_ops++;
    if (uv_queue_work(active->lane->dispatch->options.loop, &loading->request, load, on_loaded) != 0) {
        load(&loading->request);
        on_loaded(&loading->request, 0);
    }
    return true;
}

bool dispatch_refuse_to_start(struct active *active)
{
    const struct config_jobs *jobs = &active->lane->dispatch->generation->config->jobs;
    if (active->cancelled) {
        dispatch_finish_cancelled(active);
        return true;
    }
    if (active->job->losses < jobs->max_host_losses)
        return false;
    struct error error = {0};
    error_set(&error, "host_lost", false, "the host died %d times while this job ran; it isn't tried again",
              active->job->losses);
    dispatch_finish_error(active, &error);
    return true;
}

/* The first that need not wait for room at a later step. */
static struct active *next_to_start(const struct lane *lane)
{
    struct active *active = lane->first;
    while (active && dispatch_pipeline_must_wait(active))
        active = active->next;
    return active;
}

static bool can_start(const struct lane *lane, const struct active *active)
{
    if (dispatch_slots(lane) > 0)
        return true;
    return !lane->forwards && !active->pipeline && active->job->data_length <= AHEAD_DATA_MAX &&
           pool_has_room_ahead(lane->pool);
}

void dispatch_pump(struct lane *lane)
{
    struct active *active;
    while ((active = next_to_start(lane)) && dispatch_is_open(lane) && can_start(lane, active) &&
           !dispatch_bucket_is_behind(lane->dispatch)) {
        dispatch_unqueue(active);
        if (!dispatch_refuse_to_start(active) && !load_repro_first(active))
            start_in_worker(active);
    }
    dispatch_refill(lane);
}

void dispatch_interrupt(struct active *active, bool lost)
{
    struct lane *lane = active->lane;
    if (lane->forwards)
        dispatch_forward_stop(active, lost);
    else if (lost)
        pool_interrupt(lane->pool, active->lease, "lease_lost", true, "the job runs at another host now");
    else
        pool_interrupt(lane->pool, active->lease, "cancelled", false, "the job was cancelled");
}

void dispatch_enter(struct active *active)
{
    struct lane *lane = active->lane;
    if (!dispatch_is_open(lane)) {
        dispatch_release(active);
        return;
    }
    dispatch_queue(active);
    dispatch_pump(lane);
}

struct submission {
    struct dispatch *dispatch;
    struct route_state *route;
    struct lane *lane; /* that it was made for */
    bool leased;
    bool begun; /* the job runs, and may not be on disk yet */
    dispatch_submitted callback;
    void *client;
};

/* The job of the op, which is new. */
static void take_over(const struct submission *submission, struct store_op *op)
{
    struct dispatch *dispatch = submission->dispatch;
    struct route_state *route = submission->route;
    route->stats.submitted++;
    if (dispatch->options.observe)
        dispatch_tell(dispatch, op->submit.job, "pending", json_object(), false);
    if (op->submit.claim) {
        struct active *active = dispatch_activate(dispatch, op->submit.job, route);
        op->submit.job = NULL;
        if (!route->gone && dispatch_is_open(route->lane) && route->lane->plugin->settings->limit == 0)
            dispatch_queue(active);
        else
            dispatch_release(active);
    } else if (op->submit.job->run_at_ms > 0) {
        dispatch_wake_at(dispatch, op->submit.job->run_at_ms);
    } else {
        dispatch_note_unclaimed(route, op->submit.job);
    }
}

static void end_leasing(struct submission *submission)
{
    if (submission->leased)
        submission->lane->submitting--;
    submission->leased = false;
}

static void on_begun(struct store_op *op, void *client)
{
    struct submission *submission = client;
    end_leasing(submission);
    submission->begun = true;
    take_over(submission, op);
    dispatch_pump(submission->route->lane);
}

static void on_submitted(struct store_op *op, void *client)
{
    struct submission *submission = client;
    struct dispatch *dispatch = submission->dispatch;
    struct route_state *route = submission->route;
    dispatch->pending_ops--;
    submission->lane->ops--;
    route->ops--;
    end_leasing(submission);
    if (error_is_set(&op->error)) {
        dispatch->store_errors++;
        submission->callback(submission->client, op->submit.outcome, NULL, &op->error);
    } else {
        submission->callback(submission->client, op->submit.outcome, op->submit.job, NULL);
        if (op->submit.outcome == STORE_CREATED) {
            if (!submission->begun)
                take_over(submission, op);
        }
        dispatch_pump(route->lane);
    }
    store_op_free(op);
    free(submission);
    dispatch_check_drained(dispatch);
}

void dispatch_submit(struct dispatch *dispatch, struct job *job, const struct route *route, bool comes_again,
                     dispatch_submitted callback, void *client)
{
    struct route_state *state = dispatch_route_state(dispatch, route->name);
    struct lane *lane = state->lane;
    struct submission *submission = memory_zeroed(1, sizeof *submission);
    submission->dispatch = dispatch;
    submission->route = state;
    submission->lane = lane;
    lane->ops++;
    state->ops++;
    submission->callback = callback;
    submission->client = client;
    struct store_op *op = store_op_new(STORE_SUBMIT, on_submitted, submission);
    op->submit.job = job;
    /* What a job of several steps keeps, and another host's callback, go by its id, which a run that is in doubt must
     * not share with the next. */
    op->submit.on_begun = comes_again && !route->steps && !lane->forwards ? on_begun : NULL;
    submission->leased = op->submit.claim = dispatch_goes_into_memory(lane, job);
    if (submission->leased)
        lane->submitting++;
    dispatch->pending_ops++;
    store_enqueue(dispatch->options.store, op);
}

struct refusal {
    struct dispatch *dispatch;
    dispatch_submitted callback;
    void *client;
};

static void on_refused(struct store_op *op, void *client)
{
    struct refusal *refusal = client;
    struct dispatch *dispatch = refusal->dispatch;
    dispatch->pending_ops--;
    bool failed = error_is_set(&op->error);
    dispatch->store_errors += failed ? 1 : 0;
    refusal->callback(refusal->client, op->submit.outcome, failed ? NULL : op->submit.job,
                      failed ? &op->error : NULL);
    if (!failed && op->submit.outcome == STORE_CREATED) {
        dispatch->dead_letters++;
        struct store_delivery *answer = op->submit.delivery;
        op->submit.delivery = NULL;
        dispatch_deliver(dispatch, answer);
    }
    store_op_free(op);
    free(refusal);
    dispatch_check_drained(dispatch);
}

void dispatch_refuse(struct dispatch *dispatch, struct job *job, struct store_delivery *answer,
                     dispatch_submitted callback, void *client)
{
    struct refusal *refusal = memory_zeroed(1, sizeof *refusal);
    *refusal = (struct refusal){.dispatch = dispatch, .callback = callback, .client = client};
    struct store_op *op = store_op_new(STORE_SUBMIT, on_refused, refusal);
    op->submit.job = job;
    op->submit.delivery = answer;
    dispatch->pending_ops++;
    store_enqueue(dispatch->options.store, op);
}

static void on_watch(uv_timer_t *timer)
{
    struct dispatch *dispatch = timer->data;
    for (size_t i = 0; i < dispatch->lane_count; i++) {
        struct lane *lane = dispatch->lanes[i];
        double rate = lane->recent_finishes * (1000.0 / WATCH_MS);
        lane->rate_per_s = rate > lane->rate_per_s ? rate : lane->rate_per_s * 0.7 + rate * 0.3;
        lane->recent_finishes = 0;
        if (lane->forwards)
            dispatch_forward_watch(lane);
        else if (lane->pool)
            pool_watch(lane->pool);
    }
    dispatch_sweep(dispatch);
}

struct dispatch *dispatch_new(const struct dispatch_options *options)
{
    struct dispatch *dispatch = memory_zeroed(1, sizeof *dispatch);
    dispatch->options = *options;
    dispatch->generation = generation_hold(options->generation);
    dispatch_make_nobodys(dispatch);
    dispatch_make_lanes(dispatch);
    uv_timer_t *timers[] = {&dispatch->tick_timer, &dispatch->watch_timer, &dispatch->drain_timer};
    for (size_t i = 0; i < 3; i++) {
        uv_timer_init(options->loop, timers[i]);
        timers[i]->data = dispatch;
        dispatch->open_timers++;
    }
    dispatch_wake_at(dispatch, 0);
    uv_timer_start(&dispatch->watch_timer, on_watch, WATCH_MS, WATCH_MS);
    return dispatch;
}

void dispatch_free(struct dispatch *dispatch)
{
    if (!dispatch)
        return;
    struct active *active, *next;
    HASH_ITER(by_lease, dispatch->by_lease, active, next)
    dispatch_forget(active);
    for (size_t i = 0; i < dispatch->lane_count; i++)
        dispatch_free_lane(dispatch->lanes[i]);
    dispatch_free_nobodys(dispatch);
    for (struct lane *lane = dispatch->retired, *after; lane; lane = after) {
        after = lane->next;
        dispatch_free_lane(lane);
    }
    for (size_t i = 0; i < dispatch->route_count; i++) {
        free(dispatch->routes[i]->name);
        free(dispatch->routes[i]);
    }
    for (size_t i = 0; i < dispatch->loss_count; i++) {
        free((char *)(uintptr_t)dispatch->losses[i].plugin);
        free((char *)(uintptr_t)dispatch->losses[i].cause);
    }
    free(dispatch->losses);
    free(dispatch->lanes);
    free(dispatch->routes);
    generation_release(dispatch->generation);
    free(dispatch);
}
