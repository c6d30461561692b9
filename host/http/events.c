/*
 * GET /jobs/ID/events: server-sent events. First "state", the job as it is; then what happens, until it is over.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "http/internal.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX ((size_t)1 << 20) /* a reader that is this far behind is let go */
#define HEARTBEAT_NS 15000000000LL

struct event_stream {
    struct http_server *server;
    struct MHD_Connection *connection;
    struct dispatch_listener listener;
    bool listening;
    bool ended; /* after what is in the buffer, no more */
    bool suspended;
    char *buffer;
    size_t length, size;
    int64_t last_ns;
    unsigned number;
    struct event_stream *next;
};

static void wake(struct event_stream *stream)
{
    if (!stream->suspended)
        return;
    stream->suspended = false;
    server_resume(stream->server, stream->connection);
}

static void append(struct event_stream *stream, const char *text)
{
    size_t length = strlen(text);
    if (stream->length + length > BUFFER_MAX) {
        stream->ended = true;
        return;
    }
    if (stream->length + length > stream->size) {
        stream->size = (stream->length + length) * 2;
        stream->buffer = memory_resized(stream->buffer, stream->size, 1);
    }
    memcpy(stream->buffer + stream->length, text, length);
    stream->length += length;
    stream->last_ns = clock_monotonic_ns();
}

static void append_event(struct event_stream *stream, const char *event, const json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT);
    char *frame = memory_format("id: %u\nevent: %s\ndata: %s\n\n", ++stream->number, event, text ? text : "{}");
    append(stream, frame);
    free(frame);
    free(text);
}

static void stop_listening(struct event_stream *stream)
{
    if (stream->listening)
        dispatch_unlisten(stream->server->context.dispatch, &stream->listener);
    stream->listening = false;
}

static void on_event(struct dispatch_listener *listener, const char *event, const json_t *data, bool last)
{
    struct event_stream *stream = (struct event_stream *)((char *)listener - offsetof(struct event_stream, listener));
    append_event(stream, event, data);
    if (last) {
        stream->ended = true;
        stop_listening(stream);
    }
    wake(stream);
}

static ssize_t read_events(void *client, uint64_t position, char *bytes, size_t most)
{
    struct event_stream *stream = client;
    (void)position;
    if (stream->length > 0) {
        size_t count = stream->length < most ? stream->length : most;
        memcpy(bytes, stream->buffer, count);
        memmove(stream->buffer, stream->buffer + count, stream->length - count);
        stream->length -= count;
        return (ssize_t)count;
    }
    if (stream->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    stream->suspended = true;
    MHD_suspend_connection(stream->connection);
    return 0;
}

static void free_stream(void *client)
{
    struct event_stream *stream = client;
    struct http_server *server = stream->server;
    stop_listening(stream);
    for (struct event_stream **at = &server->streams; *at; at = &(*at)->next) {
        if (*at == stream) {
            *at = stream->next;
            server->event_streams--;
            break;
        }
    }
    free(stream->buffer);
    free(stream);
}

static void on_got(struct store_op *op, void *client)
{
    struct http_request *request = client;
    if (request_is_gone(request)) {
        store_op_free(op);
        return;
    }
    const struct job *job = op->get.job;
    if (error_is_set(&op->error) || !job) {
        if (error_is_set(&op->error))
            reply_error(request, &op->error);
        else
            reply_problem(request, 404, "job_unknown", "there is no job of that id");
        store_op_free(op);
        return;
    }
    struct http_server *server = request->server;
    struct event_stream *stream = memory_zeroed(1, sizeof *stream);
    stream->server = server;
    stream->connection = request->connection;
    stream->next = server->streams;
    server->streams = stream;
    server->event_streams++;
    json_t *state = job_to_json(job, false);
    dispatch_show(server->context.dispatch, job->id, state);
    append_event(stream, "state", state);
    if (job_is_finished(job->state)) {
        append_event(stream, job_state_name(job->state), state);
        stream->ended = true;
    } else {
        stream->listener.on_event = on_event;
        stream->listening = true;
        dispatch_listen(server->context.dispatch, job->id, &stream->listener);
    }
    json_decref(state);
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_events, stream, free_stream);
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    reply_response(request, 200, response);
    store_op_free(op);
}

void handle_events(struct http_request *request)
{
    struct http_server *server = request->server;
    if (server->event_streams >= server->context.config->http.max_event_streams || server->draining) {
        reply_problem(request, 503, "streams_full",
                      "there are %d event streams open already; poll GET /jobs/ID, or raise [http] max_event_streams",
                      server->event_streams);
        return;
    }
    struct store_op *op = store_op_new(STORE_GET, on_got, request);
    op->get.id = memory_text(request->segments[1]);
    request->pending = true;
    request_suspend(request);
    store_enqueue(server->context.store, op);
}

void events_sweep(struct http_server *server)
{
    int64_t now_ns = clock_monotonic_ns();
    for (struct event_stream *stream = server->streams; stream; stream = stream->next) {
        if (server->draining)
            stream->ended = true;
        else if (now_ns - stream->last_ns > HEARTBEAT_NS)
            append(stream, ": still here\n\n"); /* and a reader that is gone is noticed */
        else
            continue;
        wake(stream);
    }
}

void events_close(struct http_server *server)
{
    for (struct event_stream *stream = server->streams; stream; stream = stream->next) {
        stream->ended = true;
        stop_listening(stream);
        wake(stream);
    }
}
