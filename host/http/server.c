#include "http/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "upstream/client.h"

#include <errno.h>
#include <netdb.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define SWEEP_MS 250
#define RUNS_MAX 16      /* of the library in one turn of the loop */
#define DISCARD_FACTOR 4 /* a chunked body beyond the limit is read, and dropped, up to this many times the limit */

struct http_route {
    const char *method;
    const char *pattern; /* "*" stands for one segment */
    http_handler handler;
    bool open; /* needs no token */
};

static const struct http_route routes[] = {
    {"POST", "process", handle_process, false},
    {"GET", "jobs", handle_jobs, false},
    {"GET", "jobs/*", handle_job, false},
    {"DELETE", "jobs/*", handle_job_cancel, false},
    {"POST", "jobs/*/retry", handle_job_retry, false},
    {"GET", "jobs/*/events", handle_events, false},
    {"GET", "artifacts/*/*", handle_artifact, false},
    {"GET", "deliveries", handle_deliveries, false},
    {"POST", "deliveries/*/retry", handle_delivery_retry, false},
    {"GET", "plugins", handle_plugins, false},
    {"POST", "reload", handle_reload, false},
    {"GET", "openapi.json", handle_openapi, true},
    {"GET", "healthz", handle_health, true},
    {"GET", "readyz", handle_ready, true},
    {"GET", "metrics", handle_metrics, false},
};

#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

int percent_decode(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        if (*in != '%') {
            *out++ = *in;
            continue;
        }
        char digits[3] = {in[1], in[1] ? in[2] : '\0', '\0'};
        char *end;
        long value = strtol(digits, &end, 16);
        if (end != digits + 2 || value == 0)
            return -1;
        *out++ = (char)value;
        in += 2;
    }
    *out = '\0';
    return 0;
}

/* libmicrohttpd would decode the path before it is split, and %2F would be a slash. */
static size_t leave_encoded(void *client, struct MHD_Connection *connection, char *text)
{
    (void)client;
    (void)connection;
    return strlen(text);
}

static bool split_path(struct http_request *request, const char *path)
{
    request->path = memory_text(path[0] == '/' ? path + 1 : path);
    char *rest = request->path;
    while (rest) {
        if (request->segment_count == PATH_SEGMENTS_MAX)
            return false;
        char *segment = strsep(&rest, "/");
        if (percent_decode(segment) != 0)
            return false;
        request->segments[request->segment_count++] = segment;
    }
    return true;
}

static bool matches(const struct http_request *request, const char *pattern)
{
    for (int i = 0; i < request->segment_count; i++) {
        size_t length = strcspn(pattern, "/");
        bool any = length == 1 && pattern[0] == '*';
        if (!any && (strlen(request->segments[i]) != length || strncmp(request->segments[i], pattern, length) != 0))
            return false;
        if (any && request->segments[i][0] == '\0')
            return false;
        pattern += length;
        if (*pattern == '/')
            pattern++;
        else
            return i + 1 == request->segment_count;
    }
    return false;
}

static bool has_token(const struct http_request *request)
{
    const char *token = request->server->context.config->http.token;
    if (!token[0])
        return true;
    const char *header = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Authorization");
    if (!header || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    unsigned char given[crypto_generichash_BYTES], wanted[crypto_generichash_BYTES];
    crypto_generichash(given, sizeof given, (const unsigned char *)header + 7, strlen(header + 7), NULL, 0);
    crypto_generichash(wanted, sizeof wanted, (const unsigned char *)token, strlen(token), NULL, 0);
    return sodium_memcmp(given, wanted, sizeof given) == 0;
}

/* Without a token, a page in someone's browser could reach this port under a name of its own (DNS rebinding). */
static bool host_is_known(const struct http_request *request)
{
    const struct config_http *http = &request->server->context.config->http;
    const char *host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Host");
    if (http->token[0] || !host)
        return true;
    char name[256];
    snprintf(name, sizeof name, "%s", host);
    char *port = name[0] == '[' ? strchr(name, ']') : strchr(name, ':');
    if (port)
        port[name[0] == '[' ? 1 : 0] = '\0';
    if (strcasecmp(name, "localhost") == 0 || strncmp(name, "127.", 4) == 0 || strcmp(name, "[::1]") == 0)
        return true;
    for (size_t i = 0; i < http->hosts.count; i++)
        if (strcasecmp(http->hosts.items[i], name) == 0)
            return true;
    return false;
}

/* The path that conf.d gives for the upstream's callbacks. */
static bool is_upstreams(const struct http_request *request)
{
    const struct config *config = request->server->context.config;
    const char *path = config->upstream.callback_path + 1;
    return upstream_url(config)[0] && strcmp(request->method, "POST") == 0 && matches(request, path);
}

static void find_handler(struct http_request *request)
{
    char allowed[64] = "";
    bool is_head = strcmp(request->method, "HEAD") == 0;
    if (is_upstreams(request)) {
        request->handler = handle_upstream; /* whose signature stands for a token */
        upstream_check_headers(request);
        return;
    }
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (!matches(request, routes[i].pattern))
            continue;
        if (strcmp(routes[i].method, is_head ? "GET" : request->method) != 0) {
            snprintf(allowed + strlen(allowed), sizeof allowed - strlen(allowed), "%s%s", allowed[0] ? ", " : "",
                     routes[i].method);
            continue;
        }
        request->handler = routes[i].handler;
        if (!host_is_known(request))
            reply_problem(request, 421, "host_unknown",
                          "this host doesn't answer to that name; add it to [http] hosts, or set [http] token");
        else if (!routes[i].open && !has_token(request)) {
            reply_problem(request, 401, "token_missing",
                          "send the header Authorization: Bearer TOKEN, with the token of [http] token");
            reply_header(request, "WWW-Authenticate", "Bearer");
        }
        return;
    }
    if (allowed[0]) {
        reply_problem(request, 405, "method_not_allowed", "this path takes %s only", allowed);
        reply_header(request, "Allow", allowed);
    } else {
        reply_problem(
            request, 404, "path_unknown",
            "there is nothing here; the paths are /process, /jobs, /jobs/ID, /jobs/ID/retry, /jobs/ID/events, "
            "/artifacts/JOB/NAME, /deliveries, /plugins, /reload, /healthz, /readyz, /metrics and /openapi.json");
    }
}

static void check_length(struct http_request *request)
{
    const char *text = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Content-Length");
    int64_t most = request->server->context.config->http.max_body_bytes;
    if (!request->answered && text && strtoll(text, NULL, 10) > most)
        reply_problem(request, 413, "body_too_large",
                      "the body is %.30s bytes, and the limit is %lld; raise [http] max_body", text, (long long)most);
}

void request_drop_body(struct http_request *request)
{
    request->server->body_bytes -= (int64_t)request->body_size;
    free(request->body);
    request->body = NULL;
    request->body_size = 0;
}

/* Room for more, within what all bodies together may take. */
static bool grow_body(struct http_request *request, size_t needed)
{
    size_t size = request->body_size ? request->body_size : 2048;
    while (size < needed)
        size *= 2;
    int64_t more = (int64_t)(size - request->body_size);
    if (request->server->body_bytes + more > request->server->context.config->http.max_bodies_bytes)
        return false;
    request->server->body_bytes += more;
    request->body = memory_resized(request->body, size, 1);
    request->body_size = size;
    return true;
}

static bool take_body(struct http_request *request, const char *bytes, size_t length)
{
    size_t most = (size_t)request->server->context.config->http.max_body_bytes;
    size_t needed = request->body_length + length + 1;
    request->body_too_large = request->body_too_large || needed - 1 > most;
    if (!request->body_too_large && !request->no_room && needed > request->body_size)
        request->no_room = !grow_body(request, needed);
    if (request->body_too_large || request->no_room) {
        request_drop_body(request);
        request->body_length += length; /* counted, not kept */
        return request->body_length <= most * DISCARD_FACTOR;
    }
    memcpy(request->body + request->body_length, bytes, length);
    request->body_length += length;
    request->body[request->body_length] = '\0';
    return true;
}

static enum MHD_Result queue_answer(struct http_request *request)
{
    enum MHD_Result queued = MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return queued;
}

static enum MHD_Result on_request(void *client, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload, size_t *upload_length,
                                  void **request_client)
{
    struct http_server *server = client;
    struct http_request *request = *request_client;
    (void)version;
    if (!request) {
        request = memory_zeroed(1, sizeof *request);
        *request_client = request;
        request->server = server;
        request->connection = connection;
        request->method = method;
        server->requests++;
        if (!split_path(request, path))
            reply_problem(request, 400, "path_invalid", "the path is malformed");
        else
            find_handler(request);
        check_length(request);
        return request->answered ? queue_answer(request) : MHD_YES;
    }
    if (*upload_length > 0) {
        size_t length = *upload_length;
        *upload_length = 0;
        return take_body(request, upload, length) ? MHD_YES : MHD_NO;
    }
    if (!request->answered && request->body_too_large)
        reply_problem(request, 413, "body_too_large",
                      "the body is larger than the limit of %lld bytes; raise [http] max_body",
                      (long long)server->context.config->http.max_body_bytes);
    if (!request->answered && request->no_room) {
        reply_problem(request, 503, "bodies_full",
                      "the bodies that callers send just now take all of [http] max_bodies; try again");
        reply_header(request, "Retry-After", "1");
    }
    request->parked = false;
    if (!request->answered && dispatch_is_over(server->context.dispatch)) {
        reply_problem(request, 503, "stopping", "this host is stopping; try again, or another host");
        reply_header(request, "Connection", "close");
    }
    if (!request->answered)
        request->handler(request);
    if (request->answered && !request->parked)
        return queue_answer(request);
    return MHD_YES; /* suspended, or resumed already: the library calls again */
}

static void free_request(struct http_request *request)
{
    if (request->response)
        MHD_destroy_response(request->response);
    request_drop_body(request);
    free(request->path);
    free(request);
}

static void on_request_ended(void *client, struct MHD_Connection *connection, void **request_client,
                             enum MHD_RequestTerminationCode code)
{
    struct http_request *request = *request_client;
    (void)client;
    (void)connection;
    (void)code;
    if (!request)
        return;
    *request_client = NULL;
    request_unwait(request);
    if (request->pending)
        request->gone = true;
    else
        free_request(request);
}

bool request_is_gone(struct http_request *request)
{
    request->pending = false;
    if (!request->gone)
        return false;
    free_request(request);
    return true;
}

void request_suspend(struct http_request *request)
{
    if (request->suspended)
        return;
    request->suspended = request->parked = true;
    MHD_suspend_connection(request->connection);
}

void server_resume(struct http_server *server, struct MHD_Connection *connection)
{
    MHD_resume_connection(connection);
    server->run_again = true;
}

const char *request_query(struct http_request *request, const char *name, char *buffer, size_t size)
{
    const char *value = MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
    if (!value)
        return NULL;
    snprintf(buffer, size, "%s", value);
    return percent_decode(buffer) == 0 ? buffer : NULL;
}

void request_wait(struct http_request *request, int64_t wait_ms)
{
    request->deadline_ns = clock_monotonic_ns() + wait_ms * 1000000;
    request->next_waiting = request->server->waiting;
    request->server->waiting = request;
}

void request_unwait(struct http_request *request)
{
    if (request->listening)
        dispatch_unlisten(request->server->context.dispatch, &request->listener);
    request->listening = false;
    for (struct http_request **at = &request->server->waiting; *at; at = &(*at)->next_waiting) {
        if (*at == request) {
            *at = request->next_waiting;
            return;
        }
    }
}

static void run_daemon(struct http_server *server);

static void on_timer(uv_timer_t *timer)
{
    run_daemon(timer->data);
}

static void run_daemon(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    bool has_timeout;
    int turns = 0;
    do { /* a timeout of 0: it has more to do at once */
        server->run_again = false;
        MHD_run(server->daemon);
        has_timeout = MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES;
    } while (has_timeout && wait_ms == 0 && ++turns < RUNS_MAX);
    if (has_timeout)
        uv_timer_start(&server->timer, on_timer, wait_ms, 0);
    else
        uv_timer_stop(&server->timer);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_daemon(poll->data);
}

/* Connections that callbacks resumed in this turn of the loop are served before it sleeps. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct http_server *server = prepare->data;
    for (int turns = 0; server->run_again && turns < 4; turns++)
        run_daemon(server);
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    int64_t now_ns = clock_monotonic_ns();
    struct http_request *next;
    for (struct http_request *request = server->waiting; request; request = next) {
        next = request->next_waiting;
        if (now_ns >= request->deadline_ns || server->draining)
            jobs_wait_is_over(request);
    }
    events_sweep(server);
}

static void on_library_error(void *client, const char *format, va_list arguments)
{
    char text[512];
    (void)client;
    vsnprintf(text, sizeof text, format, arguments);
    log_write(LOG_LEVEL_DEBUG, "http", NULL, "%s", text);
}

int http_listen(const char *address, char **actual, struct error *error)
{
    char name[256];
    snprintf(name, sizeof name, "%s", address);
    char *colon = strrchr(name, ':');
    if (!colon)
        return error_set(error, "listen_failed", false, "[http] listen: \"%s\" is no address:port", address);
    *colon = '\0';
    char *start = name[0] == '[' ? name + 1 : name;
    start[strcspn(start, "]")] = '\0';
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(start, colon + 1, &hints, &found) != 0 || !found)
        return error_set(error, "listen_failed", false, "[http] listen: \"%s\" is no address:port", address);
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1024) != 0) {
        error_set(error, "listen_failed", false, "can't listen at %s: %s%s", address, strerror(errno),
                  errno == EADDRINUSE ? "; another program does (ss -ltnp), stop it or set [http] listen" : "");
        if (fd >= 0)
            close(fd);
        freeaddrinfo(found);
        return -1;
    }
    freeaddrinfo(found);
    struct sockaddr_storage bound = {0};
    socklen_t length = sizeof bound;
    getsockname(fd, (struct sockaddr *)&bound, &length);
    char host[64] = "", port[16] = "";
    getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    *actual = memory_format(bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return fd;
}

struct http_server *http_server_new(const struct http_context *context, int socket, struct error *error)
{
    const struct config_http *http = &context->config->http;
    struct http_server *server = memory_zeroed(1, sizeof *server);
    server->context = *context;
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
                         server, MHD_OPTION_EXTERNAL_LOGGER, on_library_error, NULL, MHD_OPTION_LISTEN_SOCKET, socket,
                         MHD_OPTION_NOTIFY_COMPLETED, on_request_ended, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
                         leave_encoded, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)http->max_connections,
                         MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((http->timeout_ms + 999) / 1000),
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32768, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon ? MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        error_set(error, "listen_failed", true, "libmicrohttpd can't be started");
        close(socket);
        free(server);
        return NULL;
    }
    uv_poll_init(context->loop, &server->poll, info->epoll_fd);
    uv_timer_init(context->loop, &server->timer);
    uv_timer_init(context->loop, &server->sweep);
    uv_prepare_init(context->loop, &server->prepare);
    server->poll.data = server->timer.data = server->sweep.data = server->prepare.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_readable);
    uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    uv_prepare_start(&server->prepare, on_prepare);
    return server;
}

void http_server_adopt(struct http_server *server, const struct config *config, const struct catalog *catalog)
{
    server->context.config = config;
    server->context.catalog = catalog;
}

void http_server_drain(struct http_server *server)
{
    server->draining = true;
    int socket = MHD_quiesce_daemon(server->daemon);
    if (socket >= 0)
        close(socket);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    free(server);
}

void http_server_close(struct http_server *server)
{
    /* libmicrohttpd asks that nothing is suspended when it stops. */
    while (server->waiting)
        jobs_wait_is_over(server->waiting);
    events_close(server);
    MHD_run(server->daemon);
    MHD_stop_daemon(server->daemon);
    uv_close((uv_handle_t *)&server->poll, NULL);
    uv_close((uv_handle_t *)&server->timer, NULL);
    uv_close((uv_handle_t *)&server->prepare, NULL);
    uv_close((uv_handle_t *)&server->sweep, on_closed);
}
