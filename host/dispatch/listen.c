#include "base/memory.h"
#include "delivery/answer.h"
#include "dispatch/internal.h"

#include <stdlib.h>
#include <string.h>

void dispatch_listen(struct dispatch *dispatch, const char *job_id, struct dispatch_listener *listener)
{
    listener->job_id = memory_text(job_id);
    listener->next = dispatch->listeners;
    dispatch->listeners = listener;
}

void dispatch_unlisten(struct dispatch *dispatch, struct dispatch_listener *listener)
{
    for (struct dispatch_listener **at = &dispatch->listeners; *at; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            free(listener->job_id);
            listener->job_id = NULL;
            return;
        }
    }
}

bool dispatch_is_watched(const struct dispatch *dispatch)
{
    return dispatch->listeners || dispatch->options.observe;
}

static void tell_listeners(struct dispatch *dispatch, const struct job *job, const char *event, const json_t *data,
                           bool last)
{
    struct dispatch_listener *next;
    for (struct dispatch_listener *listener = dispatch->listeners; listener; listener = next) {
        next = listener->next;
        if (strcmp(listener->job_id, job->id) == 0)
            listener->on_event(listener, event, data, last);
    }
}

void dispatch_tell(struct dispatch *dispatch, const struct job *job, const char *event, json_t *data, bool last)
{
    if (dispatch->options.observe)
        dispatch->options.observe(dispatch->options.client, job, event, data);
    tell_listeners(dispatch, job, event, data, last);
    json_decref(data);
}

static void on_asked(struct store_op *op, void *client)
{
    struct dispatch *dispatch = client;
    const struct job *job = op->get.job;
    dispatch->pending_ops--;
    if (!error_is_set(&op->error) && job && job_is_finished(job->state)) {
        struct answer_end end = {
            .completed = job->state == JOB_COMPLETED,
            .result = job->result ? job->result : "{}",
            .error_code = job->error_code,
            .error_message = job->error_message,
            .attempts = job->attempts,
            .started_at_ms = job->started_at_ms,
            .finished_at_ms = job->finished_at_ms,
        };
        json_t *body = answer_body(job, &end);
        tell_listeners(dispatch, job, job_state_name(job->state), body, true);
        json_decref(body);
    }
    store_op_free(op);
    dispatch_check_drained(dispatch);
}

void dispatch_ask_for_listeners(struct dispatch *dispatch)
{
    for (const struct dispatch_listener *listener = dispatch->listeners; listener; listener = listener->next) {
        if (dispatch_find_id(dispatch, listener->job_id))
            continue;
        struct store_op *op = store_op_new(STORE_GET, on_asked, dispatch);
        op->get.id = memory_text(listener->job_id);
        op->lazy = true;
        dispatch->pending_ops++;
        store_enqueue(dispatch->options.store, op);
    }
}

void dispatch_show(struct dispatch *dispatch, const char *job_id, json_t *job)
{
    const char *status = json_string_value(json_object_get(job, "status"));
    const char *route = json_string_value(json_object_get(job, "route"));
    const struct route_state *known = route ? dispatch_route_state(dispatch, route) : NULL;
    bool pending = strcmp(status, job_state_name(JOB_PENDING)) == 0;
    if (pending && !known)
        json_object_set_new(job, "waitingFor", json_string("a plugin that offers its route: this host has none"));
    else if (pending && known && !known->lane->plugin->enabled)
        json_object_set_new(job, "waitingFor",
                            json_string("its plugin, which is switched off or has a mistake in "
                                        "its section of conf.d"));
    struct active *active = dispatch_find_id(dispatch, job_id);
    if (!active || strcmp(json_string_value(json_object_get(job, "status")), job_state_name(JOB_RUNNING)) != 0)
        return;
    if (active->state == ACTIVE_RUNNING) {
        json_object_set_new(job, "progress", json_real(active->fraction));
        json_object_set_new(job, "stage", json_string(active->stage));
    } else if (active->state == ACTIVE_READY || active->state == ACTIVE_LOADING) {
        /* Leased, so that it can start at once, but not begun. */
        json_object_set_new(job, "status", json_string(job_state_name(JOB_PENDING)));
        json_object_set_new(job, "attempts", json_integer(active->job->attempts - 1));
        json_object_del(job, "startedAt");
    }
}
