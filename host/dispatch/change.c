/*
 * Cancel and retry.
 */
#include "base/memory.h"
#include "dispatch/internal.h"
#include "job/message.h"

#include <stdlib.h>

struct change {
    struct dispatch *dispatch;
    dispatch_changed callback;
    void *client;
};

static struct change *change_new(struct dispatch *dispatch, dispatch_changed callback, void *client)
{
    struct change *change = memory_zeroed(1, sizeof *change);
    change->dispatch = dispatch;
    change->callback = callback;
    change->client = client;
    dispatch->pending_ops++;
    return change;
}

static void answer(struct change *change, const struct job *job, const struct error *error)
{
    change->dispatch->pending_ops--;
    change->callback(change->client, job, error_is_set(error) ? error : NULL);
    dispatch_check_drained(change->dispatch);
    free(change);
}

/* Where the wish came while a claim was on its way to memory, nobody has told the worker yet. */
static void stop_active(struct dispatch *dispatch, const struct job *job)
{
    struct active *active = dispatch_find_id(dispatch, job->id);
    if (!active || active->job->lease != job->lease || active->cancelled ||
        (active->state == ACTIVE_FINISHING && !active->uploading))
        return;
    active->cancelled = active->job->cancel_requested = true;
    if (active->state == ACTIVE_RUNNING) {
        dispatch_interrupt(active, false);
    } else if (active->state == ACTIVE_READY) {
        dispatch_unqueue(active);
        dispatch_finish_cancelled(active);
    } else if (active->uploading) {
        dispatch_stop_upload(active);
    }
}

/* The job waited in the store: it is this host's now, and ends here. */
static void finish_claimed(struct dispatch *dispatch, struct store_op *op)
{
    struct route_state *route = dispatch_route_state(dispatch, op->cancel.job->route);
    if (!route)
        route = &dispatch->nobodys_route; /* its plugin is gone */
    struct active *active = dispatch_activate(dispatch, op->cancel.job, route);
    op->cancel.job = NULL;
    if (route->gone)
        dispatch_pipeline_end(active); /* it may have been one */
    dispatch_finish_cancelled(active);
}

static void on_cancelled(struct store_op *op, void *client)
{
    struct change *change = client;
    struct dispatch *dispatch = change->dispatch;
    struct error error = op->error;
    struct job *job = op->cancel.job;
    if (!error_is_set(&error) && op->cancel.outcome == STORE_CANCEL_UNKNOWN)
        error_set(&error, "job_unknown", false, "there is no job of that id");
    if (!error_is_set(&error) && op->cancel.outcome == STORE_CANCEL_FINISHED)
        error_set(&error, "job_finished", false, "the job is over already: it is %s", job_state_name(job->state));
    if (!error_is_set(&error) && op->cancel.outcome == STORE_CANCEL_RUNNING)
        stop_active(dispatch, job);
    else if (!error_is_set(&error) && op->cancel.outcome == STORE_CANCEL_CLAIMED)
        finish_claimed(dispatch, op);
    answer(change, job, &error); /* last: it may be what the end of the host waits for */
    store_op_free(op);
}

static void refuse(dispatch_changed callback, void *client)
{
    struct error error = {0};
    error_set(&error, "stopping", true, "this host is stopping; try again, or another host");
    callback(client, NULL, &error);
}

void dispatch_cancel(struct dispatch *dispatch, const char *id, dispatch_changed callback, void *client)
{
    if (dispatch_is_over(dispatch)) {
        refuse(callback, client);
        return;
    }
    /* The store notes the wish first, so that it outlives this host; then, in the same commit where it waits in
     * memory, the job ends. */
    struct store_op *op = store_op_new(STORE_CANCEL, on_cancelled, change_new(dispatch, callback, client));
    op->cancel.id = memory_text(id);
    store_enqueue(dispatch->options.store, op);
    const struct active *active = dispatch_find_id(dispatch, id);
    if (active)
        stop_active(dispatch, active->job);
}

static void on_retried(struct store_op *op, void *client)
{
    struct change *change = client;
    struct dispatch *dispatch = change->dispatch;
    struct error error = op->error;
    const struct job *job = op->get.job;
    if (!error_is_set(&error) && !job)
        error_set(&error, "job_unknown", false, "there is no job of that id");
    else if (!error_is_set(&error) && !op->get.applied)
        error_set(&error, job->state == JOB_COMPLETED ? "job_finished" : "job_not_finished", false,
                  job->state == JOB_COMPLETED
                      ? "the job was completed; submit it anew under another jobId to run it again"
                      : "the job isn't over: it is %s",
                  job_state_name(job->state));
    struct route_state *route = job ? dispatch_route_state(dispatch, job->route) : NULL;
    if (!error_is_set(&error) && route)
        dispatch_note_unclaimed(route, job);
    answer(change, job, &error);
    if (route)
        dispatch_pump(route->lane);
    store_op_free(op);
}

/* A dead letter could not become a job when it came; perhaps it can today. */
static void on_found(struct store_op *op, void *client)
{
    struct change *change = client;
    struct error error = op->error;
    const struct job *job = op->get.job;
    struct job *revised = NULL;
    if (!error_is_set(&error) && !job)
        error_set(&error, "job_unknown", false, "there is no job of that id");
    if (!error_is_set(&error) && job && message_is_dead(job)) {
        struct error cause = {0};
        revised = message_revive(change->dispatch->generation->catalog, job, &cause);
        if (!revised)
            error_set(&error, "dead_letter", false, "the request still can't become a job: %s", cause.message);
    }
    if (error_is_set(&error) || !job) {
        answer(change, job, &error);
    } else {
        struct store_op *retry = store_op_new(STORE_RETRY, on_retried, change);
        retry->get.id = memory_text(job->id);
        retry->get.revised = revised;
        store_enqueue(change->dispatch->options.store, retry);
    }
    store_op_free(op);
}

void dispatch_retry(struct dispatch *dispatch, const char *id, dispatch_changed callback, void *client)
{
    if (dispatch_is_over(dispatch)) {
        refuse(callback, client);
        return;
    }
    struct store_op *op = store_op_new(STORE_GET, on_found, change_new(dispatch, callback, client));
    op->get.id = memory_text(id);
    store_enqueue(dispatch->options.store, op);
}
