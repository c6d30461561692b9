/*
 * The end of a dispatcher: nothing more starts, what runs may finish, then the workers go.
 */
#include "base/clock.h"
#include "base/log.h"
#include "dispatch/internal.h"

static void on_timer_closed(uv_handle_t *handle)
{
    struct dispatch *dispatch = handle->data;
    if (--dispatch->open_timers == 0)
        dispatch->on_drained(dispatch->drained_client);
}

static void on_pool_empty(void *client)
{
    struct lane *lane = client;
    lane->pool = NULL;
    lane->dispatch->open_pools--;
    dispatch_check_drained(lane->dispatch);
}

static void close_pools(struct dispatch *dispatch)
{
    if (dispatch->closing)
        return;
    dispatch->closing = true;
    uv_timer_stop(&dispatch->drain_timer);
    dispatch->open_pools++; /* one more, until all are told */
    for (size_t i = 0; i < dispatch->lane_count; i++)
        if (dispatch->lanes[i]->pool)
            pool_close(dispatch->lanes[i]->pool, on_pool_empty, dispatch->lanes[i]);
    for (struct lane *lane = dispatch->retired; lane; lane = lane->next)
        if (lane->pool)
            pool_close(lane->pool, on_pool_empty, lane);
    dispatch->open_pools--;
    dispatch_check_drained(dispatch);
}

bool dispatch_is_over(const struct dispatch *dispatch)
{
    return dispatch->closing;
}

void dispatch_check_drained(struct dispatch *dispatch)
{
    if (!dispatch->draining)
        return;
    if (!dispatch->closing && dispatch->running == 0 && dispatch->uploading == 0)
        close_pools(dispatch);
    if (dispatch->closing && dispatch->open_pools == 0 && dispatch->pending_ops == 0 && dispatch->open_timers == 3) {
        uv_timer_t *timers[] = {&dispatch->tick_timer, &dispatch->watch_timer, &dispatch->drain_timer};
        for (size_t i = 0; i < 3; i++)
            if (!uv_is_closing((uv_handle_t *)timers[i]))
                uv_close((uv_handle_t *)timers[i], on_timer_closed);
    }
}

static void on_drain_timeout(uv_timer_t *timer)
{
    struct dispatch *dispatch = timer->data;
    log_write(LOG_LEVEL_WARNING, "dispatch", NULL,
              "%lld jobs still run; they are stopped, and will run again at the next start",
              (long long)dispatch->running + (long long)dispatch->uploading);
    close_pools(dispatch);
    struct active *active, *next;
    HASH_ITER(by_lease, dispatch->by_lease, active, next)
    if (active->uploading)
        dispatch_stop_upload(active);
}

void dispatch_drain(struct dispatch *dispatch, int64_t timeout_ms, void (*on_drained)(void *client), void *client)
{
    if (dispatch->draining)
        return;
    dispatch->draining = true;
    dispatch->drain_until_ns = clock_monotonic_ns() + timeout_ms * 1000000;
    dispatch->on_drained = on_drained;
    dispatch->drained_client = client;
    uv_timer_start(&dispatch->drain_timer, on_drain_timeout, timeout_ms > 0 ? (uint64_t)timeout_ms : 1, 0);
    for (size_t i = 0; i < dispatch->lane_count; i++) {
        while (dispatch->lanes[i]->first) {
            struct active *active = dispatch->lanes[i]->first;
            dispatch_unqueue(active);
            dispatch_release(active);
        }
    }
    dispatch_forward_leave(dispatch); /* there it goes on; this host asks again when it is back */
    dispatch_check_drained(dispatch);
}
