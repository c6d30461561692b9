/*
 * From one generation of configuration and plugins to the next, while jobs run.
 *
 * Every plugin gets a new lane, with workers of its own; the old ones are retired: their idle workers end at once,
 * the others after their job. Routes are known by their names, and what was counted about them goes on.
 */
#include "base/log.h"
#include "base/memory.h"
#include "dispatch/internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static struct lane *new_lane(struct dispatch *dispatch, const struct plugin *plugin)
{
    struct lane *lane = memory_zeroed(1, sizeof *lane);
    lane->dispatch = dispatch;
    lane->generation = generation_hold(dispatch->generation);
    lane->plugin = plugin;
    lane->spec = plugin->spec;
    lane->spec.work_folder = dispatch->options.work_folder;
    return lane;
}

void dispatch_free_lane(struct lane *lane)
{
    generation_release(lane->generation);
    free(lane->routes);
    free(lane);
}

static struct lane *lane_of_plugin(const struct dispatch *dispatch, const struct plugin *plugin)
{
    for (size_t i = 0; i < dispatch->lane_count; i++)
        if (dispatch->lanes[i]->plugin == plugin)
            return dispatch->lanes[i];
    return NULL;
}

static struct route_state *add_state(struct dispatch *dispatch, const char *name)
{
    struct route_state *state = memory_zeroed(1, sizeof *state);
    state->name = memory_text(name);
    state->stats.name = state->name;
    dispatch->routes = memory_resized(dispatch->routes, dispatch->route_count + 1, sizeof *dispatch->routes);
    dispatch->routes[dispatch->route_count++] = state;
    return state;
}

/* The routes of dispatch->generation, each with its lane. Those that it hasn't are gone. */
static void make_routes(struct dispatch *dispatch)
{
    const struct catalog *catalog = dispatch->generation->catalog;
    for (size_t i = 0; i < dispatch->route_count; i++)
        dispatch->routes[i]->gone = true;
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        struct route_state *state = dispatch_known_route(dispatch, route->name);
        if (!state)
            state = add_state(dispatch, route->name);
        struct lane *lane = lane_of_plugin(dispatch, route->forward ? catalog->upstream : route->plugin);
        state->route = route;
        state->lane = lane;
        state->gone = state->told = false;
        state->backlog = true;
        state->behind = INT_MAX;
        lane->routes = memory_resized(lane->routes, (size_t)lane->route_count + 1, sizeof *lane->routes);
        lane->routes[lane->route_count++] = state->name;
    }
}

void dispatch_note_waiting(struct dispatch *dispatch, const char *route_name)
{
    struct route_state *state = dispatch_known_route(dispatch, route_name);
    if (!state) {
        state = add_state(dispatch, route_name);
        state->gone = true;
    }
    state->backlog = state->waits = true;
    state->behind = INT_MAX;
    if (!state->gone || state->told)
        return;
    state->told = true;
    /* Of a store that hosts share, another may have the plugin. */
    bool shared = dispatch->generation->config->store.url[0];
    log_write(shared ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "dispatch", NULL,
              "jobs wait for %s, which no plugin of this host offers; install one, and run: exportd reload",
              route_name);
}

/* One lane for a plugin each, and one for the other host. */
void dispatch_make_lanes(struct dispatch *dispatch)
{
    const struct catalog *catalog = dispatch->generation->catalog;
    dispatch->lane_count = catalog->plugin_count + (catalog->upstream ? 1 : 0);
    dispatch->lanes = memory_zeroed(dispatch->lane_count, sizeof *dispatch->lanes);
    for (size_t i = 0; i < catalog->plugin_count; i++) {
        struct lane *lane = dispatch->lanes[i] = new_lane(dispatch, catalog->plugins[i]);
        lane->pool =
            pool_new(dispatch->options.loop, &lane->spec, lane->plugin->settings, &dispatch_pool_events, lane);
        dispatch->open_pools++;
    }
    if (catalog->upstream) {
        struct lane *lane = dispatch->lanes[catalog->plugin_count] = new_lane(dispatch, catalog->upstream);
        lane->forwards = true;
    }
    make_routes(dispatch);
}

/* Once; it holds the first generation, which the host keeps. */
void dispatch_make_nobodys(struct dispatch *dispatch)
{
    static struct plugin nobody = {.name = (char *)"none", .enabled = false};
    static const struct route no_route = {.name = (char *)"", .task = (char *)"", .plugin = &nobody};
    struct lane *lane = dispatch->nobodys = new_lane(dispatch, &nobody);
    nobody.settings = &lane->generation->config->worker;
    lane->retired = true;
    dispatch->nobodys_route =
        (struct route_state){.name = no_route.name, .route = &no_route, .lane = lane, .gone = true};
}

void dispatch_free_nobodys(struct dispatch *dispatch)
{
    dispatch_free_lane(dispatch->nobodys);
}

bool dispatch_renew(struct active *active)
{
    struct dispatch *dispatch = active->lane->dispatch;
    if (active->generation == dispatch->generation)
        return true;
    struct route_state *state = dispatch_route_state(dispatch, active->job->route);
    if (!state)
        return false;
    generation_release(active->generation);
    active->generation = generation_hold(dispatch->generation);
    active->route = state->route;
    return true;
}

/* What waits in memory: a pipeline finds its step again from what it wrote down; others go to the new lane. */
static void hand_over(struct active *active)
{
    struct route_state *state = dispatch_route_state(active->lane->dispatch, active->job->route);
    dispatch_unqueue(active);
    bool limited = state && state->lane->plugin->settings->limit > 0; /* which the store counts */
    if (!state || active->pipeline || limited || !dispatch_renew(active) || active->route->steps) {
        dispatch_release(active);
        return;
    }
    active->lane = state->lane;
    dispatch_enter(active);
}

/* Jobs that the other host does are known to it by their ids, and go on there. */
static void move_forwarded(struct lane *from, struct lane *to)
{
    struct active *active, *next;
    HASH_ITER(by_lease, from->dispatch->by_lease, active, next)
    {
        if (active->lane != from || active->state != ACTIVE_RUNNING)
            continue;
        dispatch_renew(active);
        active->lane = to;
        from->under_way--;
        to->under_way++;
    }
    to->done += from->done;
    to->refused += from->refused;
}

struct lane *dispatch_successor(struct lane *lane)
{
    struct dispatch *dispatch = lane->dispatch;
    for (size_t i = 0; i < dispatch->lane_count; i++)
        if (dispatch->lanes[i]->forwards == lane->forwards &&
            strcmp(dispatch->lanes[i]->plugin->name, lane->plugin->name) == 0)
            return dispatch->lanes[i];
    return NULL;
}

int dispatch_retired_workers(const struct lane *lane)
{
    int workers = 0;
    for (const struct lane *old = lane->dispatch->retired; old; old = old->next)
        if (old->pool && strcmp(old->plugin->name, lane->plugin->name) == 0)
            workers += pool_stats(old->pool).workers;
    return workers;
}

void dispatch_adopt(struct dispatch *dispatch, struct generation *generation)
{
    struct lane **old = dispatch->lanes;
    size_t count = dispatch->lane_count;
    struct generation *before = dispatch->generation;
    dispatch->generation = generation_hold(generation);
    dispatch_make_lanes(dispatch);
    for (size_t i = 0; i < count; i++) {
        struct lane *lane = old[i];
        lane->retired = true;
        lane->next = dispatch->retired;
        dispatch->retired = lane;
        if (lane->pool)
            pool_retire(lane->pool);
    }
    for (size_t i = 0; i < count; i++) {
        struct lane *successor = dispatch_successor(old[i]);
        while (old[i]->first)
            hand_over(old[i]->first);
        if (successor && old[i]->forwards)
            move_forwarded(old[i], successor);
        if (successor)
            successor->rate_per_s = old[i]->rate_per_s;
    }
    free(old);
    generation_release(before);
    for (size_t i = 0; i < dispatch->lane_count; i++)
        dispatch_pump(dispatch->lanes[i]);
    dispatch_wake_at(dispatch, 0);
}

static bool is_used(const struct lane *lane)
{
    const struct active *active, *next;
    if (lane->ops > 0 || (lane->pool && pool_stats(lane->pool).workers > 0))
        return true;
    for (size_t i = 0; i < lane->dispatch->route_count; i++)
        if (lane->dispatch->routes[i]->lane == lane && lane->dispatch->routes[i]->ops > 0)
            return true;
    HASH_ITER(by_lease, lane->dispatch->by_lease, active, next)
    if (active->lane == lane)
        return true;
    return false;
}

static void leave_counts(struct lane *lane)
{
    struct lane *heir = dispatch_successor(lane);
    for (struct lane *old = lane->dispatch->retired; old && !heir; old = old->next)
        if (old != lane && strcmp(old->plugin->name, lane->plugin->name) == 0)
            heir = old;
    struct pool_stats stats = lane->pool ? pool_stats(lane->pool) : (struct pool_stats){0};
    if (heir) {
        heir->started += lane->started + stats.started;
        heir->crashed += lane->crashed + stats.crashed;
    }
}

static void on_pool_empty(void *client)
{
    ((struct lane *)client)->dispatch->open_pools--;
}

void dispatch_sweep(struct dispatch *dispatch)
{
    for (struct lane **at = &dispatch->retired; *at;) {
        struct lane *lane = *at;
        if (lane->pool)
            pool_watch(lane->pool);
        if (dispatch->closing || is_used(lane)) {
            at = &lane->next;
            continue;
        }
        leave_counts(lane);
        *at = lane->next;
        if (lane->pool)
            pool_close(lane->pool, on_pool_empty, lane); /* it has no worker, so it is gone at once */
        for (size_t i = 0; i < dispatch->route_count; i++)
            if (dispatch->routes[i]->lane == lane)
                dispatch->routes[i]->lane = NULL;
        dispatch_free_lane(lane);
    }
}
