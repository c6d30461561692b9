#include "http/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct status_of_code {
    const char *code;
    unsigned status;
};

/* Codes that aren't here are the host's own fault: 500, or 503 where another try may help. */
static const struct status_of_code statuses[] = {
    {"json_invalid", 400},    {"json_too_deep", 400},   {"request_invalid", 400},  {"route_unknown", 404},
    {"route_ambiguous", 422}, {"options_invalid", 422}, {"repro_invalid", 422},    {"repro_too_large", 422},
    {"repro_not_found", 422}, {"job_unknown", 404},     {"job_finished", 409},     {"job_not_finished", 409},
    {"job_conflict", 409},    {"queue_full", 503},      {"delivery_unknown", 404}, {"store_full", 507},
    {"dead_letter", 409},
};

static const char *title_of(unsigned status)
{
    const char *phrase = MHD_get_reason_phrase_for(status);
    return phrase ? phrase : "Error";
}

void reply_response(struct http_request *request, unsigned status, struct MHD_Response *response)
{
    if (request->answered) {
        MHD_destroy_response(response);
        return;
    }
    request->answered = true;
    request->status = status;
    request->response = response;
    request->server->answers[status / 100 < 6 ? status / 100 : 5]++;
    reply_header(request, "X-Content-Type-Options", "nosniff");
    if (request->suspended) {
        request->suspended = false;
        server_resume(request->server, request->connection);
    }
}

void reply_header(struct http_request *request, const char *name, const char *value)
{
    if (request->response)
        MHD_add_response_header(request->response, name, value);
}

static void reply_owned_text(struct http_request *request, unsigned status, const char *media_type, char *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, "Content-Type", media_type);
    reply_response(request, status, response);
}

void reply_text(struct http_request *request, unsigned status, const char *media_type, const char *text)
{
    char *copy = strdup(text);
    if (copy)
        reply_owned_text(request, status, media_type, copy);
}

static void reply_as(struct http_request *request, unsigned status, const char *media_type, json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    reply_owned_text(request, status, media_type, text ? text : strdup("{}"));
}

void reply_json(struct http_request *request, unsigned status, json_t *value)
{
    reply_as(request, status, "application/json", value);
}

void reply_problem(struct http_request *request, unsigned status, const char *code, const char *format, ...)
{
    char detail[ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    json_t *text = json_string(detail);
    if (!text)
        text = json_string("(the detail is not UTF-8)");
    reply_as(request, status, "application/problem+json",
             json_pack("{s:s, s:s, s:i, s:s, s:o}", "type", "about:blank", "title", title_of(status), "status",
                       (int)status, "code", code, "detail", text));
}

void reply_problem_json(struct http_request *request, unsigned status, json_t *problem)
{
    json_object_set_new(problem, "type", json_string("about:blank"));
    json_object_set_new(problem, "title", json_string(title_of(status)));
    json_object_set_new(problem, "status", json_integer(status));
    reply_as(request, status, "application/problem+json", problem);
}

void reply_error(struct http_request *request, const struct error *error)
{
    unsigned status = error->retryable ? 503 : 500;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++)
        if (strcmp(statuses[i].code, error->code) == 0)
            status = statuses[i].status;
    reply_problem(request, status, error->code, "%s", error->message);
    if (status == 503)
        reply_header(request, "Retry-After", "1");
}
