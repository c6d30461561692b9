/*
 * How an attempt ends: one operation writes the job's new state and its deliveries together. collect.c has taken the
 * artifacts before.
 */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "delivery/answer.h"
#include "dispatch/internal.h"

#include <stdlib.h>
#include <string.h>

#define STORE_RETRY_MS 1000

static void finish(struct active *active, enum store_finish_kind kind, char *result, const struct error *error);

static struct answer_end end_of(const struct store_op *op, const struct error *error)
{
    return (struct answer_end){
        .completed = op->finish.finish == STORE_FINISH_COMPLETED,
        .result = op->finish.result,
        .error_code = op->finish.error_code,
        .error_message = op->finish.error_message,
        .retryable = error && error->retryable,
        .attempts = op->finish.attempts,
        .started_at_ms = op->finish.started_at_ms,
        .finished_at_ms = op->finish.finished_at_ms,
    };
}

/* What can be published at once is this host's to send from its commit on. */
static struct store_delivery *make_deliveries(const struct active *active, const struct store_op *op,
                                              const struct error *error)
{
    const struct dispatch_options *options = &active->lane->dispatch->options;
    struct answer_end end = end_of(op, error);
    struct store_delivery *first = answer_deliveries(active->job, &end, active->lane->dispatch->generation->config);
    for (struct store_delivery *delivery = first; delivery; delivery = delivery->next) {
        int64_t until_ms =
            delivery->channel == STORE_CHANNEL_NATS && options->reserve ? options->reserve(options->client) : 0;
        if (until_ms > 0)
            delivery->next_at_ms = until_ms;
    }
    return first;
}

/* Takes the list. */
void dispatch_deliver(struct dispatch *dispatch, struct store_delivery *first)
{
    const struct dispatch_options *options = &dispatch->options;
    struct store_delivery *next;
    for (struct store_delivery *delivery = first; delivery; delivery = next) {
        next = delivery->next;
        delivery->next = NULL;
        if (delivery->next_at_ms > delivery->created_at_ms) {
            options->deliver(options->client, delivery);
        } else {
            options->delivery_ready(options->client, delivery->channel);
            store_delivery_free(delivery);
        }
    }
}

static void count_end(struct active *active, enum store_finish_kind kind, int64_t finished_at_ms)
{
    int64_t took_ms = finished_at_ms - active->job->created_at_ms;
    struct route_state *route = dispatch_known_route(active->lane->dispatch, active->job->route);
    if (!route)
        return;
    if (kind == STORE_FINISH_COMPLETED)
        route->stats.completed++;
    else if (kind == STORE_FINISH_FAILED)
        route->stats.failed++;
    else if (kind == STORE_FINISH_CANCELLED)
        route->stats.cancelled++;
    else if (kind == STORE_FINISH_AGAIN)
        route->stats.retried++;
    if (kind == STORE_FINISH_AGAIN || kind == STORE_FINISH_RELEASE)
        dispatch_note_unclaimed(route, active->job);
    else
        histogram_add(&route->stats.durations, took_ms > 0 ? (double)took_ms / 1000 : 0);
}

static void tell_end(struct active *active, const struct store_op *op)
{
    struct dispatch *dispatch = active->lane->dispatch;
    if (!dispatch_is_watched(dispatch))
        return;
    static const char *const events[] = {
        [STORE_FINISH_COMPLETED] = "completed",
        [STORE_FINISH_FAILED] = "failed",
        [STORE_FINISH_CANCELLED] = "cancelled",
    };
    if (op->finish.finish == STORE_FINISH_RELEASE)
        return;
    if (op->finish.finish == STORE_FINISH_AGAIN) {
        char time[CLOCK_TEXT_MAX];
        dispatch_tell(dispatch, active->job, "retry",
                      json_pack("{s:i, s:s?, s:s?, s:s}", "attempt", op->finish.attempts, "error",
                                op->finish.error_message, "errorCode", op->finish.error_code, "runAt",
                                clock_format(op->finish.run_at_ms, time)),
                      false);
        return;
    }
    struct answer_end end = end_of(op, NULL);
    dispatch_tell(dispatch, active->job, events[op->finish.finish], answer_body(active->job, &end), true);
}

struct repeat {
    uv_timer_t timer;
    struct store_op *op;
    struct store *store;
};

static void on_repeat_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_repeat(uv_timer_t *timer)
{
    struct repeat *repeat = timer->data;
    store_enqueue(repeat->store, repeat->op);
    uv_close((uv_handle_t *)timer, on_repeat_closed);
}

/* The end of a job must reach the disk, however long that is full: it is kept, and tried again. */
static void try_again_later(struct dispatch *dispatch, struct store_op *op)
{
    struct repeat *repeat = memory_zeroed(1, sizeof *repeat);
    repeat->op = op;
    repeat->store = dispatch->options.store;
    uv_timer_init(dispatch->options.loop, &repeat->timer);
    repeat->timer.data = repeat;
    uv_timer_start(&repeat->timer, on_repeat, STORE_RETRY_MS, 0);
}

/* A host that must stop can't wait for space: in the store the job still runs, so the next start runs it again. */
static void give_end_up(struct active *active, struct store_op *op)
{
    struct dispatch *dispatch = active->lane->dispatch;
    log_attempt(LOG_LEVEL_ERROR, "store", active->job->id, active->job->attempts,
                "the job's end can't be written before this host stops; it runs again at the next start: %s",
                op->error.message);
    dispatch->pending_ops--;
    store_op_free(op);
    dispatch_forget(active);
    dispatch_check_drained(dispatch);
}

static void on_finished(struct store_op *op, void *client)
{
    struct active *active = client;
    struct lane *lane = active->lane;
    struct dispatch *dispatch = lane->dispatch;
    if (error_is_set(&op->error)) {
        dispatch->store_errors++;
        if (dispatch->draining && clock_monotonic_ns() >= dispatch->drain_until_ns) {
            give_end_up(active, op);
            return;
        }
        log_attempt(LOG_LEVEL_ERROR, "store", active->job->id, active->job->attempts,
                    "the job's end is not on disk yet, and is tried again: %s", op->error.message);
        error_clear(&op->error);
        try_again_later(dispatch, op);
        return;
    }
    dispatch->pending_ops--;
    if (op->finish.applied) {
        count_end(active, op->finish.finish, op->finish.finished_at_ms);
        tell_end(active, op);
        if (op->finish.finish == STORE_FINISH_AGAIN)
            dispatch_wake_at(dispatch, op->finish.run_at_ms);
    } else {
        dispatch->stale++;
        log_attempt(LOG_LEVEL_WARNING, "dispatch", active->job->id, active->job->attempts,
                    "its end came with an old lease and was dropped");
    }
    struct store_delivery *deliveries = op->finish.applied ? op->finish.delivery : NULL;
    if (deliveries)
        op->finish.delivery = NULL;
    store_op_free(op);
    dispatch_forget(active);
    dispatch_deliver(dispatch, deliveries);
    struct lane *today = lane->retired ? dispatch_successor(lane) : lane;
    if (today && today->plugin->settings->limit > 0)
        dispatch_expect(today); /* there is room below the limit now */
    if (today)
        dispatch_pump(today);
    dispatch_check_drained(dispatch);
}

/* The backoff, or what the plugin asked for where that is longer. */
static int64_t wait_before_retry_ms(const struct active *active)
{
    const struct config_jobs *jobs = &active->lane->dispatch->generation->config->jobs;
    int64_t wait_ms = backoff_wait_ms(jobs->backoff_ms, jobs->backoff_max_ms, active->job->attempts);
    return wait_ms > active->retry_after_ms ? wait_ms : active->retry_after_ms;
}

/* Takes result. */
static void finish(struct active *active, enum store_finish_kind kind, char *result, const struct error *error)
{
    struct dispatch *dispatch = active->lane->dispatch;
    struct store_op *op = store_op_new(STORE_FINISH, on_finished, active);
    op->finish.finish = kind;
    op->finish.sequence = active->job->sequence;
    op->finish.door = active->job->door;
    op->finish.lease = active->job->lease;
    op->finish.attempts = active->job->attempts;
    op->finish.started_at_ms = active->job->started_at_ms ? active->job->started_at_ms : clock_now_ms();
    op->finish.finished_at_ms = clock_now_ms();
    op->finish.result = result;
    if (error) {
        op->finish.error_code = memory_text(error->code);
        op->finish.error_message = memory_text(error->message);
    }
    if (kind == STORE_FINISH_AGAIN)
        op->finish.run_at_ms = op->finish.finished_at_ms + wait_before_retry_ms(active);
    else if (kind == STORE_FINISH_RELEASE)
        op->finish.attempts = active->job->attempts > 0 ? active->job->attempts - 1 : 0;
    else
        op->finish.delivery = make_deliveries(active, op, error);
    if (active->route->steps && kind != STORE_FINISH_AGAIN && kind != STORE_FINISH_RELEASE)
        dispatch_pipeline_end(active);
    active->state = ACTIVE_FINISHING;
    dispatch->pending_ops++;
    store_enqueue(dispatch->options.store, op);
}

void dispatch_finish_error(struct active *active, const struct error *error)
{
    if (active->cancelled) {
        dispatch_finish_cancelled(active);
        return;
    }
    bool again = error->retryable && active->job->attempts < active->job->max_attempts;
    log_attempt(again ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "dispatch", active->job->id, active->job->attempts,
                "attempt %d of %d failed%s: %s: %s", active->job->attempts, active->job->max_attempts,
                again ? ", to be tried again" : "", error->code, error->message);
    finish(active, again ? STORE_FINISH_AGAIN : STORE_FINISH_FAILED, NULL, error);
}

void dispatch_finish_cancelled(struct active *active)
{
    struct error error = {0};
    error_set(&error, "cancelled", false, "the job was cancelled");
    finish(active, STORE_FINISH_CANCELLED, NULL, &error);
}

void dispatch_release(struct active *active)
{
    finish(active, STORE_FINISH_RELEASE, NULL, NULL);
}

void dispatch_finish_completed(struct active *active, char *result)
{
    finish(active, STORE_FINISH_COMPLETED, result, NULL);
}

static void finish_with(struct active *active, const struct worker_outcome *outcome)
{
    bool has_artifacts = outcome->status == EXPORTD_OK && json_array_size(outcome->artifacts) > 0 && outcome->folder;
    if (outcome->folder)
        dispatch_collect(active->lane->dispatch, has_artifacts ? active : NULL, outcome);
    if (has_artifacts)
        return;
    active->retry_after_ms = outcome->retry_after_ms;
    if (outcome->status != EXPORTD_OK)
        dispatch_finish_error(active, &outcome->error);
    else
        dispatch_finish_completed(active, outcome->result ? memory_bytes(outcome->result, outcome->result_length)
                                                          : memory_text("{}"));
}

void dispatch_finish_outcome(struct active *active, const struct worker_outcome *outcome)
{
    struct worker_outcome whole = *outcome;
    char *result = NULL;
    if (active->pipeline && active->lost) {
        if (outcome->folder)
            dispatch_collect(active->lane->dispatch, NULL, outcome);
        dispatch_drop(active); /* no further step: another host runs the job */
        return;
    }
    int advanced = 0;
    if (active->pipeline && outcome->status == EXPORTD_OK &&
        (advanced = dispatch_pipeline_advance(active, outcome, &whole.error)) > 0)
        return;
    if (advanced < 0) {
        whole.status = EXPORTD_RETRY;
    } else if (active->pipeline && outcome->status == EXPORTD_OK) {
        whole.result = result = dispatch_pipeline_result(active, &whole.artifacts);
        whole.result_length = strlen(result);
    } else if (active->pipeline) {
        dispatch_pipeline_explain(active, &whole.error);
        if (dispatch_pipeline_keep(active, outcome->folder))
            whole.folder = NULL;
    }
    finish_with(active, &whole);
    free(result);
}
