/*
 * POST /reload: takes new configuration and plugins in.
 */
#include "http/internal.h"

static void on_reloaded(void *client, unsigned status, json_t *answer)
{
    struct http_request *request = client;
    if (request_is_gone(request))
        json_decref(answer);
    else if (status == 200)
        reply_json(request, status, answer);
    else
        reply_problem_json(request, status, answer);
}

void handle_reload(struct http_request *request)
{
    const struct http_context *context = &request->server->context;
    request->pending = true;
    request_suspend(request);
    context->reload(context->host, on_reloaded, request);
}
