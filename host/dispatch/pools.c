/*
 * What the workers say and how they end: from the pools to the jobs.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "dispatch/internal.h"

#include <stdio.h>
#include <string.h>

static void on_pool_log(void *client, uint64_t lease, enum exportd_log_level level, const char *text)
{
    struct lane *lane = client;
    struct active *active = dispatch_find_lease(lane->dispatch, lease);
    log_attempt((enum log_level)level, lane->plugin->name, active ? active->job->id : NULL,
                active ? active->job->attempts : 0, "%s", text);
    if (active && lane->dispatch->listeners && level >= EXPORTD_INFO)
        dispatch_tell(lane->dispatch, active->job, "log",
                      json_pack("{s:i, s:s}", "level", (int)level, "message", text), false);
}

static void on_pool_progress(void *client, uint64_t lease, double fraction, const char *stage)
{
    struct lane *lane = client;
    struct active *active = dispatch_find_lease(lane->dispatch, lease);
    if (!active)
        return;
    fraction = dispatch_whole_fraction(active, fraction);
    active->fraction = fraction;
    snprintf(active->stage, sizeof active->stage, "%s", stage);
    const struct dispatch_options *options = &lane->dispatch->options;
    if (options->progress)
        options->progress(options->client, active->job, fraction, active->stage);
    if (dispatch_is_watched(lane->dispatch))
        dispatch_tell(lane->dispatch, active->job, "progress",
                      json_pack("{s:f, s:s}", "progress", fraction, "stage", stage), false);
}

static void count_loss(struct dispatch *dispatch, const char *plugin, const char *cause)
{
    for (size_t i = 0; i < dispatch->loss_count; i++) {
        struct dispatch_loss *loss = &dispatch->losses[i];
        if (strcmp(loss->plugin, plugin) == 0 && strcmp(loss->cause, cause) == 0) {
            loss->count++;
            return;
        }
    }
    dispatch->losses = memory_resized(dispatch->losses, dispatch->loss_count + 1, sizeof *dispatch->losses);
    dispatch->losses[dispatch->loss_count++] =
        (struct dispatch_loss){.plugin = memory_text(plugin), .cause = memory_text(cause), .count = 1};
}

static void on_pool_finished(void *client, const struct worker_outcome *outcome)
{
    struct lane *lane = client;
    struct dispatch *dispatch = lane->dispatch;
    struct active *active = dispatch_find_lease(dispatch, outcome->lease);
    dispatch->running--;
    lane->recent_finishes++;
    bool told = strcmp(outcome->error.code, "cancelled") == 0 || strcmp(outcome->error.code, "lease_lost") == 0;
    if (outcome->crashed && !told)
        count_loss(dispatch, lane->plugin->name, outcome->error.code);
    if (!active) {
        dispatch->stale++;
        return;
    }
    struct route_state *route = dispatch_route_state(dispatch, active->job->route);
    if (route)
        histogram_add(&route->stats.attempts, (double)(clock_monotonic_ns() - active->started_ns) / 1e9);
    if (dispatch->closing && outcome->status != EXPORTD_OK && !active->cancelled) {
        if (active->pipeline)
            dispatch_pipeline_keep(active, outcome->folder);
        dispatch_release(active); /* it was stopped because the host stops */
    } else {
        dispatch_finish_outcome(active, outcome);
    }
}

/* It goes on as if it had not been started. */
static void on_pool_returned(void *client, uint64_t lease)
{
    struct lane *lane = client;
    struct dispatch *dispatch = lane->dispatch;
    struct active *active = dispatch_find_lease(dispatch, lease);
    dispatch->running--;
    if (!active)
        dispatch->stale++;
    else if (active->lost)
        dispatch_drop(active);
    else if (active->cancelled)
        dispatch_finish_cancelled(active);
    else if (dispatch->closing)
        dispatch_release(active);
    else
        dispatch_enter(active);
}

static void on_pool_free_slot(void *client)
{
    struct lane *lane = client;
    if (lane->retired)
        lane = dispatch_successor(lane);
    if (lane)
        dispatch_pump(lane);
}

static void on_pool_sandbox(void *client, json_t *sandbox)
{
    (void)client;
    (void)sandbox; /* the probes have told already */
}

const struct pool_events dispatch_pool_events = {
    .log = on_pool_log,
    .progress = on_pool_progress,
    .finished = on_pool_finished,
    .returned = on_pool_returned,
    .free_slot = on_pool_free_slot,
    .sandbox = on_pool_sandbox,
};
