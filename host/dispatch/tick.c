/*
 * Once a second, and when something falls due: what waits in the store, what is old there, and what the allocator
 * kept.
 */
#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/tree.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 1000

struct pruning {
    uv_work_t request;
    char **folders;
    int count;
};

static void prune(uv_work_t *request)
{
    struct pruning *pruning = request->data;
    for (int i = 0; i < pruning->count; i++)
        tree_remove(pruning->folders[i]);
}

static void on_pruned(uv_work_t *request, int status)
{
    (void)status;
    struct pruning *pruning = request->data;
    for (int i = 0; i < pruning->count; i++)
        free(pruning->folders[i]);
    free(pruning->folders);
    free(pruning);
}

/* The id is free from now on: a new job of that name may leave artifacts before these are gone. Where the host dies,
 * its next start empties the workers' folder. */
static char *put_aside(struct dispatch *dispatch, const char *job_id)
{
    char *folder = artifact_folder(dispatch->options.artifact_folder, job_id);
    char *aside =
        memory_format("%s/pruned-%llu", dispatch->options.work_folder, (unsigned long long)++dispatch->pruned);
    bool moved = rename(folder, aside) == 0 || errno == ENOENT;
    free(moved ? folder : aside);
    return moved ? aside : folder;
}

static void prune_artifacts(struct dispatch *dispatch, const struct store_op *op)
{
    if (op->tick.pruned_count == 0)
        return;
    struct pruning *pruning = memory_zeroed(1, sizeof *pruning);
    pruning->request.data = pruning;
    pruning->count = op->tick.pruned_count;
    pruning->folders = memory_zeroed((size_t)pruning->count, sizeof *pruning->folders);
    for (int i = 0; i < pruning->count; i++)
        pruning->folders[i] = put_aside(dispatch, op->tick.pruned[i]->id);
    if (uv_queue_work(dispatch->options.loop, &pruning->request, prune, on_pruned) != 0) {
        prune(&pruning->request);
        on_pruned(&pruning->request, 0);
    }
}

/* After a busy time the allocator keeps what it had; the first quiet tick gives it back to the system. */
static void give_memory_back(struct dispatch *dispatch)
{
    bool quiet = HASH_CNT(by_lease, dispatch->by_lease) == 0 && dispatch->pending_ops == 0;
    if (quiet && dispatch->was_busy)
        memory_give_back();
    dispatch->was_busy = !quiet;
}

/* What the store has heard of this host's jobs from elsewhere. */
static void heed(struct dispatch *dispatch, const struct store_op *op)
{
    for (int i = 0; i < op->tick.cancelled_count; i++) {
        struct active *active = dispatch_find_lease(dispatch, (uint64_t)op->tick.cancelled[i]);
        if (!active || active->cancelled || (active->state != ACTIVE_RUNNING && !active->uploading))
            continue;
        active->cancelled = true;
        if (active->uploading)
            dispatch_stop_upload(active);
        else
            dispatch_interrupt(active, false);
    }
    for (int i = 0; i < op->tick.lost_count; i++) {
        struct active *active = dispatch_find_lease(dispatch, (uint64_t)op->tick.lost[i]);
        if (!active || active->lost)
            continue;
        active->lost = true;
        if (active->state == ACTIVE_RUNNING) {
            dispatch_interrupt(active, true);
        } else if (active->state == ACTIVE_READY) {
            dispatch_unqueue(active);
            dispatch_drop(active);
        } else if (active->uploading) {
            dispatch_stop_upload(active);
        }
    }
}

static void on_ticked(struct store_op *op, void *client)
{
    struct dispatch *dispatch = client;
    dispatch->pending_ops--;
    dispatch->ticking = false;
    int64_t now_ms = clock_now_ms();
    if (error_is_set(&op->error)) {
        dispatch->store_errors++;
        log_write(LOG_LEVEL_ERROR, "store", NULL, "%s", op->error.message);
    } else {
        dispatch->waiting = op->tick.waiting;
        dispatch->oldest_waiting_ms = op->tick.oldest_waiting_ms;
        for (size_t i = 0; i < dispatch->route_count; i++)
            dispatch->routes[i]->waits = false;
        for (int i = 0; i < op->tick.route_count; i++)
            dispatch_note_waiting(dispatch, op->tick.routes[i]);
        for (size_t i = 0; i < dispatch->lane_count && !dispatch->draining; i++)
            dispatch_pump(dispatch->lanes[i]);
        if (op->tick.next_due_ms > 0 && op->tick.next_due_ms < now_ms + TICK_MS)
            dispatch_wake_at(dispatch, op->tick.next_due_ms);
        for (int channel = 0; channel < STORE_CHANNEL_COUNT; channel++)
            if (op->tick.next_delivery_ms[channel] > 0 && op->tick.next_delivery_ms[channel] <= now_ms)
                dispatch->options.delivery_ready(dispatch->options.client, (enum store_channel)channel);
        heed(dispatch, op);
        prune_artifacts(dispatch, op);
    }
    store_op_free(op);
    give_memory_back(dispatch);
    dispatch_check_drained(dispatch);
}

static void on_tick(uv_timer_t *timer)
{
    struct dispatch *dispatch = timer->data;
    uv_timer_start(timer, on_tick, TICK_MS, 0);
    if (dispatch->ticking) /* also while the host drains: what still runs must keep its lease */
        return;
    const struct config_jobs *jobs = &dispatch->generation->config->jobs;
    struct store_op *op = store_op_new(STORE_TICK, on_ticked, dispatch);
    op->tick.now_ms = clock_now_ms();
    op->tick.prune_completed_before_ms = jobs->retention_ms > 0 ? op->tick.now_ms - jobs->retention_ms : 0;
    op->tick.prune_failed_before_ms = jobs->retention_failed_ms > 0 ? op->tick.now_ms - jobs->retention_failed_ms : 0;
    op->tick.held = memory_zeroed(HASH_CNT(by_lease, dispatch->by_lease) + 1, sizeof *op->tick.held);
    struct active *active, *next;
    HASH_ITER(by_lease, dispatch->by_lease, active, next)
    op->tick.held[op->tick.held_count++] = (int64_t)active->lease;
    if (dispatch->generation->config->store.url[0] && !dispatch->closing)
        dispatch_ask_for_listeners(dispatch);
    dispatch->ticking = true;
    dispatch->pending_ops++;
    store_enqueue(dispatch->options.store, op);
}

void dispatch_wake_at(struct dispatch *dispatch, int64_t time_ms)
{
    int64_t wait_ms = time_ms - clock_now_ms();
    if (wait_ms < 1)
        wait_ms = 1;
    if (dispatch->closing || (uv_is_active((uv_handle_t *)&dispatch->tick_timer) &&
                              wait_ms >= (int64_t)uv_timer_get_due_in(&dispatch->tick_timer)))
        return;
    uv_timer_start(&dispatch->tick_timer, on_tick, (uint64_t)wait_ms, 0);
}

void dispatch_hint(struct dispatch *dispatch)
{
    dispatch_wake_at(dispatch, 0);
}
