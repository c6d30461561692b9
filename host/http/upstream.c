/*
 * The upstream's callbacks: how jobs that it did have ended.
 */
#include "http/internal.h"
#include "job/request.h"
#include "upstream/client.h"

static const char *header(const struct http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static void on_taken(void *client, enum dispatch_callback_outcome outcome)
{
    struct http_request *request = client;
    if (request_is_gone(request))
        return;
    if (outcome == DISPATCH_CALLBACK_UNKNOWN) {
        reply_problem(request, 410, "job_unknown", "there is no job of that id here");
    } else if (outcome == DISPATCH_CALLBACK_LATER) {
        reply_problem(request, 503, "job_waits", "the job waits for another attempt; send this again");
        reply_header(request, "Retry-After", "5");
    } else {
        reply_json(request, 200, json_pack("{s:b}", "received", 1));
    }
}

static void refuse(struct http_request *request)
{
    reply_problem(
        request, 401, "signature_invalid",
        "the callback isn't signed with the secret of [upstream] secret, or its time is off by more than five "
        "minutes");
}

void upstream_check_headers(struct http_request *request)
{
    if (!upstream_is_timely(header(request, "webhook-timestamp")) || !header(request, "webhook-id") ||
        !header(request, "webhook-signature"))
        refuse(request);
}

void handle_upstream(struct http_request *request)
{
    const struct http_context *context = &request->server->context;
    const char *body = request->body ? request->body : "";
    struct error error = {0};
    if (!upstream_signed(context->config, header(request, "webhook-id"), header(request, "webhook-timestamp"),
                         header(request, "webhook-signature"), body, request->body_length)) {
        reply_problem(
            request, 401, "signature_invalid",
            "the callback isn't signed with the secret of [upstream] secret, or its time is off by more than "
            "five minutes");
        return;
    }
    json_t *callback = request_parse(body, request->body_length, context->config->http.max_json_depth, &error);
    const char *id = json_string_value(json_object_get(callback, "jobId"));
    if (!callback) {
        reply_error(request, &error);
    } else if (!id || !json_is_string(json_object_get(callback, "status"))) {
        reply_problem(request, 400, "request_invalid", "a callback has a \"jobId\" and a \"status\"");
    } else {
        request->pending = true;
        request_suspend(request);
        dispatch_call_back(context->dispatch, id, callback, on_taken, request);
    }
    json_decref(callback);
}
