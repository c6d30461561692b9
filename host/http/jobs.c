/*
 * Jobs over HTTP: hand one in, look, cancel, retry.
 */
#include "base/memory.h"
#include "http/internal.h"
#include "job/request.h"
#include "job/trace.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Prefer: wait=SECONDS (RFC 7240): 0 where it isn't asked for. */
static int64_t wanted_wait_ms(const struct http_request *request)
{
    const char *prefer = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Prefer");
    const char *wait = prefer ? strstr(prefer, "wait=") : NULL;
    if (!wait)
        return 0;
    double seconds = strtod(wait + 5, NULL);
    double most = (double)request->server->context.config->http.max_wait_ms;
    return seconds > 0 ? (int64_t)(seconds * 1000 < most ? seconds * 1000 : most) : 0;
}

static void reply_accepted(struct http_request *request, const struct job *job, unsigned status)
{
    reply_json(request, status,
               json_pack("{s:s, s:s}", "jobId", job->id, "status",
                         job_state_name(job->state == JOB_RUNNING ? JOB_PENDING : job->state)));
}

static void on_event(struct dispatch_listener *listener, const char *event, const json_t *data, bool last)
{
    struct http_request *request =
        (struct http_request *)((char *)listener - offsetof(struct http_request, listener));
    (void)event;
    if (!last)
        return;
    request_unwait(request);
    reply_json(request, 200, json_incref((json_t *)(uintptr_t)data));
    reply_header(request, "Preference-Applied", "wait");
}

void jobs_wait_is_over(struct http_request *request)
{
    char *id = memory_text(request->listener.job_id);
    request_unwait(request);
    reply_json(request, 202, json_pack("{s:s, s:s}", "jobId", id, "status", "pending"));
    free(id);
}

static void on_submitted(void *client, enum store_submit_outcome outcome, const struct job *job,
                         const struct error *error)
{
    struct http_request *request = client;
    if (request_is_gone(request))
        return;
    if (error) {
        reply_error(request, error);
    } else if (outcome == STORE_CONFLICT) {
        reply_problem(request, 409, "job_conflict",
                      "a job with this jobId was handed in before, with another body; use a new jobId");
    } else if (outcome == STORE_QUEUE_FULL) {
        reply_problem(request, 503, "queue_full",
                      "the queue is full (%lld jobs); try again later, or raise [jobs] queue_limit",
                      (long long)request->server->context.config->jobs.queue_limit);
        reply_header(request, "Retry-After", "5");
    } else if (!job_is_finished(job->state) && wanted_wait_ms(request) > 0 && !request->server->draining) {
        request->listener.on_event = on_event;
        request->listening = true;
        dispatch_listen(request->server->context.dispatch, job->id, &request->listener);
        request_wait(request, wanted_wait_ms(request));
    } else if (outcome == STORE_SAME) {
        reply_json(request, 200, job_to_json(job, false));
    } else {
        reply_accepted(request, job, 202);
    }
}

static bool content_is_json(struct http_request *request)
{
    const char *type = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Content-Type");
    /* Asked for strictly: a browser can send other types to this port without asking first. */
    return type && strncasecmp(type, "application/json", 16) == 0 &&
           (type[16] == '\0' || type[16] == ';' || type[16] == ' ');
}

void handle_process(struct http_request *request)
{
    const struct http_context *context = &request->server->context;
    struct error error = {0};
    const struct route *route = NULL;
    if (request->server->draining) {
        reply_problem(request, 503, "stopping",
                      "this host is stopping and takes no more jobs; try again, or another host");
        reply_header(request, "Retry-After", "5");
        return;
    }
    if (!content_is_json(request)) {
        reply_problem(request, 415, "media_type", "send the body with Content-Type: application/json");
        return;
    }
    json_t *body = request_parse(request->body ? request->body : "", request->body_length,
                                 context->config->http.max_json_depth, &error);
    request_drop_body(request);
    struct job *job = body ? request_read(context->catalog, body, &route, &error) : NULL;
    json_decref(body);
    if (!job) {
        reply_error(request, &error);
        return;
    }
    const char *parent = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, TRACE_HEADER);
    if (parent && trace_is_parent(parent))
        job->trace = memory_text(parent);
    request->pending = true;
    request_suspend(request);
    dispatch_submit(context->dispatch, job, route, false, on_submitted, request);
}

static void on_got(struct store_op *op, void *client)
{
    struct http_request *request = client;
    if (request_is_gone(request)) {
        store_op_free(op);
        return;
    }
    if (error_is_set(&op->error)) {
        reply_error(request, &op->error);
    } else if (!op->get.job) {
        reply_problem(request, 404, "job_unknown",
                      "there is no job of that id; finished jobs are kept for [jobs] retention");
    } else {
        char buffer[16];
        const char *with_data = request_query(request, "data", buffer, sizeof buffer);
        json_t *object = job_to_json(op->get.job, with_data && strcmp(with_data, "yes") == 0);
        dispatch_show(request->server->context.dispatch, op->get.job->id, object);
        reply_json(request, 200, object);
    }
    store_op_free(op);
}

void handle_job(struct http_request *request)
{
    struct store_op *op = store_op_new(STORE_GET, on_got, request);
    op->get.id = memory_text(request->segments[1]);
    request->pending = true;
    request_suspend(request);
    store_enqueue(request->server->context.store, op);
}

static void on_listed(struct store_op *op, void *client)
{
    struct http_request *request = client;
    if (request_is_gone(request)) {
        store_op_free(op);
        return;
    }
    if (error_is_set(&op->error)) {
        reply_error(request, &op->error);
        store_op_free(op);
        return;
    }
    json_t *jobs = json_array();
    for (int i = 0; i < op->list.count; i++) {
        json_t *object = job_to_json(op->list.jobs[i], false);
        json_object_del(object, "result"); /* a page of them would be large: GET /jobs/ID has it */
        dispatch_show(request->server->context.dispatch, op->list.jobs[i]->id, object);
        json_array_append_new(jobs, object);
    }
    json_t *page = json_pack("{s:o}", "jobs", jobs);
    if (op->list.count == op->list.limit && op->list.count > 0)
        json_object_set_new(page, "next", json_integer(op->list.jobs[op->list.count - 1]->sequence));
    reply_json(request, 200, page);
    store_op_free(op);
}

static int read_number(struct http_request *request, const char *name, int64_t otherwise, int64_t least, int64_t most,
                       int64_t *number)
{
    char buffer[32];
    const char *text = request_query(request, name, buffer, sizeof buffer);
    *number = otherwise;
    if (!text)
        return 0;
    char *end;
    *number = strtoll(text, &end, 10);
    if (*end == '\0' && end != text && *number >= least && *number <= most)
        return 0;
    reply_problem(request, 400, "query_invalid", "%s must be a whole number from %lld to %lld", name,
                  (long long)least, (long long)most);
    return -1;
}

void handle_jobs(struct http_request *request)
{
    char state_text[32], route_text[160];
    const char *state = request_query(request, "state", state_text, sizeof state_text);
    const char *route = request_query(request, "route", route_text, sizeof route_text);
    int64_t limit, before;
    if (state && job_state_parse(state) < 0) {
        reply_problem(request, 400, "query_invalid",
                      "state must be pending, running, completed, failed or cancelled");
        return;
    }
    if (read_number(request, "limit", 50, 1, STORE_LIST_MAX, &limit) != 0 ||
        read_number(request, "before", 0, 0, INT64_MAX, &before) != 0)
        return;
    struct store_op *op = store_op_new(STORE_LIST, on_listed, request);
    op->list.state = state ? job_state_parse(state) : -1;
    op->list.route = memory_text(route);
    op->list.limit = (int)limit;
    op->list.before = before;
    request->pending = true;
    request_suspend(request);
    store_enqueue(request->server->context.store, op);
}

static void on_changed(void *client, const struct job *job, const struct error *error)
{
    struct http_request *request = client;
    if (request_is_gone(request))
        return;
    if (error)
        reply_error(request, error);
    else
        reply_json(request, 202, job_to_json(job, false));
}

void handle_job_cancel(struct http_request *request)
{
    request->pending = true;
    request_suspend(request);
    dispatch_cancel(request->server->context.dispatch, request->segments[1], on_changed, request);
}

void handle_job_retry(struct http_request *request)
{
    request->pending = true;
    request_suspend(request);
    dispatch_retry(request->server->context.dispatch, request->segments[1], on_changed, request);
}
