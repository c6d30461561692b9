/*
 * What an operator is told of jobs and workers.
 */
#include "base/memory.h"
#include "dispatch/internal.h"

#include <string.h>

struct dispatch_stats dispatch_stats(struct dispatch *dispatch)
{
    struct dispatch_stats stats = {
        .waiting = dispatch->waiting,
        .oldest_waiting_ms = dispatch->oldest_waiting_ms,
        .running = dispatch->running,
        .in_memory = HASH_CNT(by_lease, dispatch->by_lease),
        .stale = dispatch->stale,
        .store_errors = dispatch->store_errors,
        .dead_letters = dispatch->dead_letters,
        .losses = dispatch->losses,
        .loss_count = dispatch->loss_count,
        .routes = memory_zeroed(dispatch->route_count, sizeof *stats.routes),
        .route_count = dispatch->route_count,
    };
    for (size_t i = 0; i < dispatch->route_count; i++) {
        stats.routes[i] = dispatch->routes[i]->stats;
        stats.routes[i].waits_for_plugin = dispatch->routes[i]->gone && dispatch->routes[i]->waits;
    }
    const struct lane *last = dispatch->lane_count > 0 ? dispatch->lanes[dispatch->lane_count - 1] : NULL;
    if (last && last->forwards) {
        stats.has_upstream = true;
        stats.upstream = last->under_way;
        stats.upstream_done = last->done;
        stats.upstream_refused = last->refused;
    }
    return stats;
}

static void add_pool(struct pool_stats *sum, const struct lane *lane)
{
    struct pool_stats stats = lane->pool ? pool_stats(lane->pool) : (struct pool_stats){0};
    sum->workers += stats.workers;
    sum->busy += stats.busy;
    sum->resident_bytes += stats.resident_bytes;
    sum->started += stats.started + lane->started;
    sum->crashed += stats.crashed + lane->crashed;
}

struct pool_stats dispatch_pool_stats(struct dispatch *dispatch, const struct plugin *plugin)
{
    struct pool_stats sum = {0};
    for (size_t i = 0; i < dispatch->lane_count; i++)
        if (strcmp(dispatch->lanes[i]->plugin->name, plugin->name) == 0)
            add_pool(&sum, dispatch->lanes[i]);
    for (const struct lane *lane = dispatch->retired; lane; lane = lane->next)
        if (strcmp(lane->plugin->name, plugin->name) == 0)
            add_pool(&sum, lane);
    return sum;
}
