/*
 * http/internal.h: what the files of http/ share: the request, and the ways to answer it.
 */
#ifndef EXPORTD_HTTP_INTERNAL_H
#define EXPORTD_HTTP_INTERNAL_H

#include "http/server.h"

#include <jansson.h>
#include <microhttpd.h>

#define PATH_SEGMENTS_MAX 6

struct http_request;

struct http_server {
    struct http_context context;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer, sweep;
    uv_prepare_t prepare;
    bool run_again;
    bool draining;
    struct http_request *waiting; /* those with a deadline */
    int event_streams;
    int64_t body_bytes; /* in memory, of all requests */
    struct event_stream *streams;
    uint64_t requests;
    uint64_t answers[6]; /* by the status' first digit */
    char *port_text;
};

typedef void (*http_handler)(struct http_request *request);

struct http_request {
    struct http_server *server;
    struct MHD_Connection *connection;
    const char *method;
    char *path; /* decoded segments lie in it */
    char *segments[PATH_SEGMENTS_MAX];
    int segment_count;
    http_handler handler;
    char *body;
    size_t body_length, body_size;
    bool body_too_large;
    bool no_room;  /* for its body, among those of all callers */
    bool answered; /* status and response are set */
    bool suspended;
    bool parked;  /* suspended in this call of the handler, even where the answer came at once */
    bool gone;    /* the connection ended while a callback was pending: it frees the request */
    bool pending; /* a callback will come */
    unsigned status;
    struct MHD_Response *response;
    /* Prefer: wait */
    struct dispatch_listener listener;
    bool listening;
    int64_t deadline_ns;
    struct http_request *next_waiting;
};

/* reply.c. Each sets the answer; a suspended request is resumed. */
void reply_json(struct http_request *request, unsigned status, json_t *value); /* takes value */
void reply_text(struct http_request *request, unsigned status, const char *media_type, const char *text);
void reply_problem(struct http_request *request, unsigned status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* problem: an object with "code" and "detail", which is taken and filled up. */
void reply_problem_json(struct http_request *request, unsigned status, json_t *problem);
void reply_error(struct http_request *request, const struct error *error); /* the status follows from the code */
void reply_response(struct http_request *request, unsigned status,
                    struct MHD_Response *response);                                   /* takes response */
void reply_header(struct http_request *request, const char *name, const char *value); /* after a reply_ */

/* server.c */
void request_drop_body(struct http_request *request); /* it was read: gives its memory back */
void request_suspend(struct http_request *request);   /* until a reply_: call before the callback can come */
bool request_is_gone(struct http_request *request); /* in a callback, first of all: true, and the request is freed */
const char *request_query(struct http_request *request, const char *name, char *buffer,
                          size_t size);                           /* decoded, or NULL */
void request_wait(struct http_request *request, int64_t wait_ms); /* puts it on the list of those with a deadline */
void request_unwait(struct http_request *request);
void server_resume(struct http_server *server, struct MHD_Connection *connection);
int percent_decode(char *text); /* in place; -1: malformed, or a NUL */

/* The handlers, by file. */
void handle_process(struct http_request *request);
void handle_jobs(struct http_request *request);
void handle_job(struct http_request *request);
void handle_job_cancel(struct http_request *request);
void handle_job_retry(struct http_request *request);
void handle_events(struct http_request *request);
void handle_artifact(struct http_request *request);
void handle_deliveries(struct http_request *request);
void handle_delivery_retry(struct http_request *request);
void handle_upstream(struct http_request *request);
void upstream_check_headers(struct http_request *request); /* refuses what can't be a callback, before its body */
void handle_plugins(struct http_request *request);
void handle_reload(struct http_request *request);
void handle_openapi(struct http_request *request);
void handle_health(struct http_request *request);
void handle_ready(struct http_request *request);
void handle_metrics(struct http_request *request);

void jobs_wait_is_over(struct http_request *request); /* jobs.c: the deadline of Prefer: wait has passed */
void events_sweep(struct http_server *server);
void events_close(struct http_server *server);

#endif
