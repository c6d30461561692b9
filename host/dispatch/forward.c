/*
 * Jobs that another host does: handed over by one request, ended by its callback. The lease is kept meanwhile, so
 * that a callback which never comes ends in another attempt; the other host knows the job by its id, and is asked
 * about the same job then. Where it can't be reached, the job runs here.
 */
#include "plugin/forward.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "dispatch/internal.h"
#include "upstream/client.h"

#include <stdlib.h>
#include <string.h>

static bool is_there(const struct active *active)
{
    return active && active->lane->forwards && active->state == ACTIVE_RUNNING;
}

/* It is no more the other host's to end. */
static void take_back(struct active *active)
{
    active->lane->dispatch->running--;
    active->lane->under_way--;
    active->forward_until_ns = 0;
}

static struct lane *local_lane(struct active *active)
{
    struct dispatch *dispatch = active->lane->dispatch;
    const struct plugin *plugin = active->route->plugin;
    for (size_t i = 0; i < dispatch->lane_count; i++)
        if (dispatch->lanes[i]->plugin == plugin && !dispatch->lanes[i]->forwards && plugin->enabled)
            return dispatch->lanes[i];
    return NULL;
}

static void fall_back(struct active *active, const char *why)
{
    struct lane *lane = dispatch_renew(active) ? local_lane(active) : NULL;
    const struct config_upstream *upstream = &active->lane->dispatch->generation->config->upstream;
    struct error error = {0};
    take_back(active);
    active->lane->refused++;
    if (active->cancelled) {
        dispatch_finish_cancelled(active);
    } else if (lane) {
        log_attempt(LOG_LEVEL_WARNING, "upstream", active->job->id, active->job->attempts, "the job runs here: %s",
                    why);
        active->lane = lane;
        if (active->route->steps)
            dispatch_pipeline_open(active);
        dispatch_enter(active);
    } else if (upstream->simulate) {
        json_t *result = json_pack("{s:b, s:s}", "simulated", 1, "task", active->job->task);
        log_attempt(LOG_LEVEL_WARNING, "upstream", active->job->id, active->job->attempts, "the job is simulated: %s",
                    why);
        dispatch_finish_completed(active, json_dumps(result, JSON_COMPACT));
        json_decref(result);
    } else {
        error_set(&error, "upstream_unreachable", true, "%s; and no plugin here offers %s", why, active->job->route);
        dispatch_finish_error(active, &error);
    }
}

/* body: what a callback or GET /jobs/ID says of a job that is over. */
static void end(struct active *active, const json_t *body)
{
    const char *status = json_string_value(json_object_get(body, "status"));
    const char *code = json_string_value(json_object_get(body, "errorCode"));
    const char *message = json_string_value(json_object_get(body, "error"));
    json_t *result = json_object_get(body, "result");
    active->lane->done++;
    if (active->cancelled) {
        dispatch_finish_cancelled(active);
    } else if (strcmp(status, "completed") == 0) {
        char *text = json_is_object(result) ? json_dumps(result, JSON_COMPACT) : memory_text("{}");
        dispatch_finish_completed(active, text);
    } else {
        struct error error = {0};
        error_set(&error, code ? code : "upstream_failed", false, "%s", message ? message : "it gave no reason");
        dispatch_finish_error(active, &error);
    }
}

static bool is_over(const json_t *body)
{
    const char *status = json_string_value(json_object_get(body, "status"));
    int state = status ? job_state_parse(status) : -1;
    return state >= 0 && job_is_finished((enum job_state)state);
}

struct handover {
    struct dispatch *dispatch;
    uint64_t lease;
    bool again; /* it was asked to do the job once more */
};

/* It failed there, and was over before this round of attempts began: somebody wants it tried again. */
static bool ask_again(struct handover *handover, const struct active *active, const json_t *body);

static void on_answered(void *client, int status, const json_t *body, const char *problem)
{
    struct handover *handover = client;
    struct dispatch *dispatch = handover->dispatch;
    struct active *active = dispatch_find_lease(dispatch, handover->lease);
    const char *detail = json_string_value(json_object_get(body, "detail"));
    bool good = status >= 200 && status < 300 && json_is_string(json_object_get(body, "status"));
    char why[600];
    if (is_there(active) && !dispatch->closing && good && is_over(body) && ask_again(handover, active, body))
        return;
    dispatch->pending_ops--;
    if (is_there(active) && !dispatch->closing && (!good || is_over(body))) {
        struct lane *lane = active->lane;
        snprintf(why, sizeof why, "the upstream answered %d%s%s", status, detail ? ": " : "", detail ? detail : "");
        if (problem)
            snprintf(why, sizeof why, "the upstream can't be reached: %s", problem);
        if (good) {
            take_back(active);
            end(active, body);
        } else {
            fall_back(active, why);
        }
        dispatch_pump(lane);
    }
    free(handover);
    dispatch_check_drained(dispatch);
}

static bool ask_again(struct handover *handover, const struct active *active, const json_t *body)
{
    const char *status = json_string_value(json_object_get(body, "status"));
    if (handover->again || active->job->attempts > 1 || strcmp(status, "completed") == 0)
        return false;
    handover->again = true;
    upstream_retry(handover->dispatch->options.upstream, active->job->id, on_answered, handover);
    return true;
}

void dispatch_forward_start(struct active *active)
{
    struct dispatch *dispatch = active->lane->dispatch;
    const struct dispatch_options *options = &dispatch->options;
    dispatch->running++;
    active->lane->under_way++;
    if (!options->upstream) {
        fall_back(active, "there is no upstream");
        return;
    }
    json_t *data = json_loadb(active->job->data, active->job->data_length, 0, NULL);
    char *url = memory_format("%s%s", options->public_url, dispatch->generation->config->upstream.callback_path);
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "jobId", active->job->id, "task", active->job->task,
                             "callbackUrl", url, "data", forward_data(active->route, data));
    struct handover *handover = memory_zeroed(1, sizeof *handover);
    *handover = (struct handover){.dispatch = dispatch, .lease = active->lease};
    active->forward_until_ns = clock_monotonic_ns() + dispatch->generation->config->upstream.wait_ms * 1000000;
    dispatch->pending_ops++;
    upstream_post(options->upstream, body, active->job->trace, on_answered, handover);
    json_decref(data);
    free(url);
}

void dispatch_forward_stop(struct active *active, bool lost)
{
    struct lane *lane = active->lane;
    take_back(active);
    if (lost) {
        dispatch_drop(active);
    } else {
        if (lane->dispatch->options.upstream)
            upstream_delete(lane->dispatch->options.upstream, active->job->id);
        dispatch_finish_cancelled(active);
    }
    dispatch_pump(lane);
}

void dispatch_forward_watch(struct lane *lane)
{
    struct dispatch *dispatch = lane->dispatch;
    int64_t now_ns = clock_monotonic_ns();
    struct active *active, *next;
    if (lane->under_way == 0)
        return;
    HASH_ITER(by_lease, dispatch->by_lease, active, next)
    {
        if (!is_there(active) || now_ns < active->forward_until_ns)
            continue;
        struct error error = {0};
        error_set(&error, "upstream_silent", true,
                  "no callback came from the upstream within [upstream] wait, %.3g s",
                  (double)dispatch->generation->config->upstream.wait_ms / 1000);
        take_back(active);
        dispatch_finish_error(active, &error);
    }
}

void dispatch_forward_leave(struct dispatch *dispatch)
{
    struct active *active, *next;
    HASH_ITER(by_lease, dispatch->by_lease, active, next)
    {
        if (!is_there(active))
            continue;
        take_back(active);
        dispatch_release(active);
    }
    if (dispatch->options.upstream)
        upstream_give_up(dispatch->options.upstream);
}

struct callback {
    struct dispatch *dispatch;
    json_t *body;
    dispatch_called_back answer;
    void *client;
};

/* This host has not got the job: it was another's that shares the store, or this one's before it was started anew.
 * Whoever has its lease may end it. */
static void on_looked_up(struct store_op *op, void *client)
{
    struct callback *callback = client;
    struct dispatch *dispatch = callback->dispatch;
    enum dispatch_callback_outcome outcome = DISPATCH_CALLBACK_LATER;
    dispatch->pending_ops--;
    struct job *job = op->get.job;
    struct route_state *route = job ? dispatch_route_state(dispatch, job->route) : NULL;
    if (!error_is_set(&op->error) && !job)
        outcome = DISPATCH_CALLBACK_UNKNOWN;
    else if (job && job_is_finished(job->state))
        outcome = DISPATCH_CALLBACK_TAKEN;
    else if (job && job->state == JOB_RUNNING && route && route->lane->forwards && !dispatch->closing &&
             !dispatch_find_id(dispatch, job->id)) {
        struct active *active = dispatch_activate(dispatch, job, route);
        op->get.job = NULL;
        end(active, callback->body);
        outcome = DISPATCH_CALLBACK_TAKEN;
    }
    callback->answer(callback->client, outcome);
    json_decref(callback->body);
    free(callback);
    store_op_free(op);
    dispatch_check_drained(dispatch);
}

void dispatch_call_back(struct dispatch *dispatch, const char *job_id, json_t *body, dispatch_called_back answer,
                        void *client)
{
    struct active *active = dispatch_find_id(dispatch, job_id);
    if (is_over(body) && active && active->lane->forwards && active->state == ACTIVE_FINISHING) {
        answer(client, DISPATCH_CALLBACK_LATER); /* what is being written may be that it goes back to the store */
        return;
    }
    if (!is_over(body) || (active && !is_there(active))) {
        answer(client, DISPATCH_CALLBACK_TAKEN); /* it runs here by now, or is just about to end */
        return;
    }
    if (active) {
        struct lane *lane = active->lane;
        take_back(active);
        end(active, body);
        answer(client, DISPATCH_CALLBACK_TAKEN);
        dispatch_pump(lane);
        return;
    }
    struct callback *callback = memory_zeroed(1, sizeof *callback);
    *callback =
        (struct callback){.dispatch = dispatch, .body = json_incref(body), .answer = answer, .client = client};
    struct store_op *op = store_op_new(STORE_GET, on_looked_up, callback);
    op->get.id = memory_text(job_id);
    dispatch->pending_ops++;
    store_enqueue(dispatch->options.store, op);
}
