/*
 * Memory as a window on the store: which jobs are in it, in their order, and which wait until they are claimed.
 */
#include "base/log.h"
#include "base/memory.h"
#include "dispatch/internal.h"

#include <limits.h>
#include <stdlib.h>

#define WINDOW_S 0.5 /* as many jobs in memory as were finished in this time */
#define WINDOW_MAX 8192
#define UPLOADS_MAX 1000

static bool goes_before(const struct active *a, const struct active *b)
{
    if (a->job->priority != b->job->priority)
        return a->job->priority > b->job->priority;
    return a->job->sequence < b->job->sequence;
}

/* Most jobs come in their order, and go to the end. */
void dispatch_queue(struct active *active)
{
    struct lane *lane = active->lane;
    struct active **at = lane->last && goes_before(lane->last, active) ? &lane->last->next : &lane->first;
    while (*at && goes_before(*at, active))
        at = &(*at)->next;
    active->next = *at;
    *at = active;
    if (!active->next)
        lane->last = active;
    active->state = ACTIVE_READY;
    lane->queued++;
}

void dispatch_unqueue(struct active *active)
{
    struct lane *lane = active->lane;
    struct active *before = NULL;
    for (struct active **at = &lane->first; *at; before = *at, at = &(*at)->next) {
        if (*at != active)
            continue;
        *at = active->next;
        if (lane->last == active)
            lane->last = before;
        lane->queued--;
        return;
    }
}

int dispatch_slots(const struct lane *lane)
{
    if (lane->forwards)
        return (int)lane->plugin->settings->workers - lane->under_way;
    return pool_slots(lane->pool) - dispatch_retired_workers(lane);
}

static int window(const struct lane *lane)
{
    if (lane->plugin->settings->limit > 0)
        return lane->queued + dispatch_slots(lane); /* what waits in memory counts as running, for all hosts */
    int wanted = (int)(lane->rate_per_s * WINDOW_S);
    int least = (int)lane->plugin->settings->workers;
    if (wanted < least)
        wanted = least;
    return wanted < WINDOW_MAX ? wanted : WINDOW_MAX;
}

bool dispatch_is_open(const struct lane *lane)
{
    return lane->plugin->enabled && !lane->retired && !lane->dispatch->draining;
}

/* A claim on its way to the store. The lane that it was made for may be retired when it is back. */
struct claiming {
    struct route_state *route;
    struct lane *lane;
    int asked;
};

/* Fewer than were asked for: nothing is left of what waited then. Where the plugin has a limit, that may be why. */
static void note_claimed(struct route_state *route, const struct store_op *op, int asked)
{
    int came = op->claim.count;
    bool all = route->lane->plugin->settings->limit > 0 ? came == 0 : came < asked;
    route->waiting = all || came > route->waiting ? 0 : route->waiting - came;
    route->backlog = !all;
    if (all)
        route->behind = INT_MIN;
    else if (came > 0)
        route->behind = op->claim.jobs[came - 1]->priority; /* they come by priority */
}

void dispatch_note_unclaimed(struct route_state *route, const struct job *job)
{
    route->backlog = true;
    route->waiting++;
    if (route->behind > INT_MIN && route->behind < job->priority)
        route->behind = job->priority;
}

static void on_claimed(struct store_op *op, void *client)
{
    struct claiming *claiming = client;
    struct route_state *route = claiming->route;
    struct lane *lane = route->lane; /* today's */
    struct dispatch *dispatch = lane->dispatch;
    int asked = claiming->asked;
    claiming->lane->ops--;
    route->ops--;
    free(claiming);
    dispatch->pending_ops--;
    route->claiming = false;
    if (error_is_set(&op->error)) {
        dispatch->store_errors++;
        log_write(LOG_LEVEL_ERROR, "store", NULL, "%s", op->error.message);
    } else {
        int came = op->claim.count;
        note_claimed(route, op, asked);
        for (int i = 0; i < came; i++) {
            struct active *active = dispatch_activate(dispatch, op->claim.jobs[i], route);
            op->claim.jobs[i] = NULL;
            if (route->gone || !dispatch_is_open(lane))
                dispatch_release(active);
            else if (dispatch_refuse_to_start(active))
                continue;
            else if (active->lane == lane)
                dispatch_queue(active);
            else
                dispatch_enter(active); /* a pipeline that goes on where it stopped */
        }
        dispatch_pump(lane);
    }
    store_op_free(op);
    dispatch_check_drained(dispatch);
}

static bool is_claiming(const struct lane *lane)
{
    for (size_t i = 0; i < lane->dispatch->route_count; i++)
        if (lane->dispatch->routes[i]->lane == lane && lane->dispatch->routes[i]->claiming)
            return true;
    return false;
}

static void claim(struct route_state *route, int count)
{
    struct lane *lane = route->lane;
    struct claiming *claiming = memory_zeroed(1, sizeof *claiming);
    *claiming = (struct claiming){.route = route, .lane = lane};
    lane->ops++;
    route->ops++;
    struct store_op *op = store_op_claim(route->name, count, on_claimed, claiming);
    claiming->asked = op->claim.count;
    op->claim.limit = (int)lane->plugin->settings->limit;
    op->claim.limit_routes = lane->routes;
    op->claim.limit_route_count = lane->route_count;
    route->claiming = true;
    lane->dispatch->pending_ops++;
    store_enqueue(lane->dispatch->options.store, op);
}

void dispatch_expect(struct lane *lane)
{
    for (size_t i = 0; i < lane->dispatch->route_count; i++)
        if (lane->dispatch->routes[i]->lane == lane)
            lane->dispatch->routes[i]->backlog = true;
}

bool dispatch_bucket_is_behind(const struct dispatch *dispatch)
{
    return dispatch->uploading >= UPLOADS_MAX;
}

/* What waits in the store for a lane, whose routes are one queue in memory. */
struct waiting {
    int counted;
    int behind; /* more may, of this priority and below; INT_MIN: no more */
};

static struct waiting waiting_for(const struct lane *lane)
{
    struct waiting waiting = {.behind = INT_MIN};
    for (size_t i = 0; i < lane->dispatch->route_count; i++) {
        const struct route_state *route = lane->dispatch->routes[i];
        if (route->lane != lane || route->gone)
            continue;
        waiting.counted += route->waiting;
        waiting.behind = route->behind > waiting.behind ? route->behind : waiting.behind;
    }
    return waiting;
}

void dispatch_refill(struct lane *lane)
{
    struct dispatch *dispatch = lane->dispatch;
    bool limited = lane->plugin->settings->limit > 0;
    int room = window(lane) - lane->queued - lane->submitting;
    if (room <= 0 || !dispatch_is_open(lane) || dispatch_bucket_is_behind(dispatch))
        return;
    struct waiting waiting = waiting_for(lane);
    if (room * 2 < window(lane) && (waiting.behind > INT_MIN || waiting.counted > room))
        return; /* not one by one, where many wait */
    for (size_t i = 0; i < dispatch->route_count; i++) {
        struct route_state *route = dispatch->routes[i];
        if (route->lane == lane && !route->gone && route->backlog && !route->claiming &&
            !(limited && is_claiming(lane)))
            claim(route, room);
    }
}

/* Straight into memory while there is room for it and for all who wait before it: one commit, and it can start. What
 * goes before all that waits finds room beside a window of that. */
bool dispatch_goes_into_memory(const struct lane *lane, const struct job *job)
{
    if (!dispatch_is_open(lane) || job->run_at_ms != 0 || lane->plugin->settings->limit > 0)
        return false;
    int here = lane->queued + lane->submitting, most = window(lane);
    struct waiting waiting = waiting_for(lane);
    if (waiting.behind > INT_MIN)
        return job->priority > waiting.behind && here < 2 * most + dispatch_slots(lane);
    return here + waiting.counted < most + dispatch_slots(lane);
}
