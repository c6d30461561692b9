/* The kit's HTTP client, against a small real server on a socket. */
#include "support.h"

#include <arpa/inet.h>
#include <exportd/kit/http.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX 65536

/* Answers each request on each connection with the next of its answers; "" hangs, NULL closes without a word. */
struct server {
    int fd;
    int port;
    pthread_t thread;
    const char *const *answers;
    size_t answer_count;
    size_t served;
    size_t connections;
    char request[REQUEST_MAX]; /* the last one */
    size_t filler_bytes;       /* sent behind each answer */
};

/* Reads one request; 0 at the end of the connection. */
static size_t read_request(struct server *server, int fd)
{
    size_t length = 0;
    for (;;) {
        ssize_t got = recv(fd, server->request + length, sizeof server->request - 1 - length, 0);
        if (got <= 0)
            return 0;
        length += (size_t)got;
        server->request[length] = '\0';
        const char *end = strstr(server->request, "\r\n\r\n");
        const char *size = strcasestr(server->request, "\r\nContent-Length: ");
        size_t body = size && end && size < end ? strtoul(size + 18, NULL, 10) : 0;
        if (end && length >= (size_t)(end + 4 - server->request) + body)
            return length;
    }
}

static void wait_for_end(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0)
        ;
}

static void send_filler(int fd, size_t bytes)
{
    static const char filler[4096] = {'x'};
    while (bytes > 0) {
        size_t size = bytes < sizeof filler ? bytes : sizeof filler;
        if (send(fd, filler, size, MSG_NOSIGNAL) <= 0)
            return;
        bytes -= size;
    }
}

static void *serve(void *context)
{
    struct server *server = context;
    for (;;) {
        int fd = accept(server->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        server->connections++;
        while (server->served < server->answer_count && read_request(server, fd) > 0) {
            const char *answer = server->answers[server->served++];
            if (!answer)
                break;
            if (!*answer)
                wait_for_end(fd);
            else
                send(fd, answer, strlen(answer), MSG_NOSIGNAL);
            send_filler(fd, server->filler_bytes);
        }
        close(fd);
    }
}

static void server_start(struct server *server, const char *const *answers, size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    server->answers = answers;
    server->answer_count = count;
    server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->fd, 8), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->fd);
}

static struct exportd_http_client *client_of(struct exportd_http_options options)
{
    struct exportd_kit_error error = {0};
    struct exportd_http_client *client = exportd_http_new(&options, &error);
    assert_non_null(client);
    return client;
}

static int ask(struct exportd_http_client *client, struct server *server, struct exportd_http_request request,
               struct exportd_http_answer *answer, struct exportd_kit_error *error)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", server->port, request.url);
    request.url = url;
    *error = (struct exportd_kit_error){0};
    return exportd_http_send(client, &request, answer, error);
}

static void expect_refused(int status, const struct exportd_http_answer *answer,
                           const struct exportd_kit_error *error, const char *code, int retryable, const char *words)
{
    assert_int_equal(status, -1);
    assert_string_equal(error->code, code);
    assert_int_equal(error->retryable, retryable);
    if (!strstr(error->message, words))
        fail_msg("\"%s\" is not in: %s", words, error->message);
    assert_null(answer->body);
    assert_null(answer->headers);
}

static void an_answer_comes_with_its_status_headers_and_body(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 100 Continue\r\nX-Early: yes\r\n\r\n"
        "HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\nX-Twice: 1\r\nX-TWICE:   2  \r\nX-Odd: \377\r\n\r\n"
        "{\"a\": [1, 2]}",
    };
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    const char *const headers[] = {"Authorization: Bearer secret", "Accept: application/vnd.github+json", NULL};
    server_start(&server, answers, 1);
    struct exportd_http_client *client = client_of((struct exportd_http_options){.user_agent = "tester/1"});
    assert_int_equal(ask(client, &server,
                         (struct exportd_http_request){.method = "GET", .url = "/a?b", .headers = headers}, &answer,
                         &error),
                     0);
    assert_int_equal(answer.status, 404);
    assert_int_equal(answer.body_bytes, 13);
    assert_string_equal(exportd_http_header(&answer, "x-twice"), "2");
    assert_null(exportd_http_header(&answer, "x-early"));
    assert_null(exportd_http_header(&answer, "x-odd"));
    json_t *json = exportd_http_json(&answer);
    assert_int_equal(json_array_size(json_object_get(json, "a")), 2);
    json_decref(json);
    assert_non_null(strstr(server.request, "GET /a?b HTTP/1.1\r\n"));
    assert_non_null(strstr(server.request, "\r\nAuthorization: Bearer secret\r\n"));
    assert_non_null(strstr(server.request, "\r\nUser-Agent: tester/1\r\n"));
    assert_null(strcasestr(server.request, "\r\nContent-Type:"));
    exportd_http_answer_clear(&answer);
    exportd_http_free(client);
    server_stop(&server);
}

static void one_connection_carries_all_methods(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    };
    static const struct {
        const char *method, *body, *type, *line;
    } cases[] = {
        {"POST", "{\"x\":1}", NULL, "\r\nContent-Type: application/json\r\n"},
        {"PATCH", "text", "Content-Type: text/plain", "\r\nContent-Type: text/plain\r\n"},
        {"DELETE", NULL, NULL, "DELETE / HTTP/1.1\r\n"},
        {"PUT", NULL, NULL, "\r\nContent-Length: 0\r\n"},
        {"HEAD", NULL, NULL, "HEAD / HTTP/1.1\r\n"},
    };
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    server_start(&server, answers, 5);
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const headers[] = {cases[i].type, NULL};
        struct exportd_http_request request = {.method = cases[i].method,
                                               .url = "/",
                                               .headers = headers,
                                               .body = cases[i].body,
                                               .body_bytes = cases[i].body ? strlen(cases[i].body) : 0};
        assert_int_equal(ask(client, &server, request, &answer, &error), 0);
        if (!strstr(server.request, cases[i].line))
            fail_msg("%s", server.request);
        assert_null(strstr(server.request, "Expect:"));
        if (cases[i].body)
            assert_string_equal(strstr(server.request, "\r\n\r\n") + 4, cases[i].body);
        exportd_http_answer_clear(&answer);
    }
    assert_int_equal(server.connections, 1);
    struct exportd_http_counts counts = exportd_http_counts(client);
    assert_int_equal(counts.requests, 5);
    assert_int_equal(counts.bytes_sent, 11);
    assert_int_equal(counts.bytes_received, 6);
    exportd_http_free(client);
    server_stop(&server);
}

static void a_connection_that_was_closed_meanwhile_is_made_anew(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        NULL,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    };
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    struct exportd_http_request request = {.method = "POST", .url = "/", .body = "{}", .body_bytes = 2};
    server_start(&server, answers, 3);
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(client, &server, request, &answer, &error), 0);
        exportd_http_answer_clear(&answer);
    }
    assert_int_equal(server.connections, 2);
    exportd_http_free(client);
    server_stop(&server);
}

static void a_redirect_is_an_answer_and_is_not_followed(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"};
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    server_start(&server, answers, 1);
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    assert_int_equal(
        ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/"}, &answer, &error), 0);
    assert_int_equal(answer.status, 301);
    exportd_http_answer_clear(&answer);
    exportd_http_free(client);
    server_stop(&server);
}

static void an_answer_over_the_limit_is_not_read(void **state)
{
    (void)state;
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
                                          "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX-Long: "};
    struct server server = {.filler_bytes = 1000000};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    server_start(&server, answers, 3);
    struct exportd_http_client *client = client_of((struct exportd_http_options){.max_answer_bytes = 1000});
    for (int i = 0; i < 2; i++) {
        int status =
            ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/"}, &answer, &error);
        expect_refused(status, &answer, &error, "answer_too_large", 0, "more than 1000 bytes of text");
    }
    /* A header without an end. */
    assert_int_equal(
        ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/"}, &answer, &error), -1);
    exportd_http_free(client);
    server_stop(&server);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void a_service_that_does_not_answer_times_out(void **state)
{
    (void)state;
    static const char *const answers[] = {""};
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    server_start(&server, answers, 1);
    struct exportd_http_client *client = client_of((struct exportd_http_options){.timeout_ms = 200});
    int64_t began = now_ms();
    int status = ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/"}, &answer, &error);
    expect_refused(status, &answer, &error, "service_timeout", 1, "did not answer within 200 ms");
    assert_true(now_ms() - began < 5000);
    exportd_http_free(client);
    server_stop(&server);
}

static int cancel(void *context)
{
    return ++*(int *)context > 3;
}

static void a_cancelled_job_stops_the_request(void **state)
{
    (void)state;
    static const char *const answers[] = {""};
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    int calls = 0;
    server_start(&server, answers, 1);
    struct exportd_http_client *client =
        client_of((struct exportd_http_options){.cancelled = cancel, .context = &calls});
    int64_t began = now_ms();
    int status = ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/"}, &answer, &error);
    expect_refused(status, &answer, &error, "cancelled", 0, "was cancelled");
    assert_true(now_ms() - began < 10000);
    exportd_http_free(client);
    server_stop(&server);
}

static void a_broken_answer_is_the_services_fault(void **state)
{
    (void)state;
    static const char *const answers[] = {NULL, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
                                          "\001\002\003"};
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error;
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    for (size_t i = 0; i < 3; i++) {
        server = (struct server){0};
        server_start(&server, answers + i, 1);
        /* Ends once served: what it said was all. */
        int status = ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/?token=tea"},
                         &answer, &error);
        expect_refused(status, &answer, &error, "service_unreachable", 1, "gave no answer: ");
        assert_null(strstr(error.message, "tea"));
        server_stop(&server);
    }
    exportd_http_free(client);
}

static void a_service_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error = {0};
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    server_start(&server, NULL, 0);
    server_stop(&server);
    int status =
        ask(client, &server, (struct exportd_http_request){.method = "GET", .url = "/path?query"}, &answer, &error);
    expect_refused(status, &answer, &error, "service_unreachable", 1, "127.0.0.1:");
    assert_non_null(strstr(error.message, "network = yes"));
    assert_null(strstr(error.message, "query"));
    struct exportd_http_request request = {.method = "GET", .url = "http://no-such-host.invalid/path?query"};
    status = exportd_http_send(client, &request, &answer, &error);
    expect_refused(status, &answer, &error, "service_unreachable", 1, "no-such-host.invalid can't be reached");
    exportd_http_free(client);
}

static void what_is_no_url_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url, *words;
    } cases[] = {
        {"", "is no URL"},
        {"http://", "is no URL"},
        {"http://a b/", "is no URL"},
        {"file:///etc/passwd", "no URL: it has no host"},
        {"ftp://example.org/", "has the scheme ftp"},
        {"https://me@example.org/", "has a user or a password"},
        {"https://me:hidden@example.org/", "has a user or a password"},
    };
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exportd_http_answer answer;
        struct exportd_kit_error error = {0};
        struct exportd_http_request request = {.method = "GET", .url = cases[i].url};
        int status = exportd_http_send(client, &request, &answer, &error);
        expect_refused(status, &answer, &error, "url_invalid", 0, cases[i].words);
        assert_null(strstr(error.message, "hidden"));
    }
    exportd_http_free(client);
}

static void a_header_with_a_line_break_is_refused_without_its_value(void **state)
{
    (void)state;
    struct exportd_http_answer answer;
    struct exportd_kit_error error = {0};
    const char *const headers[] = {"Authorization: Bearer hidden\r\nX-More: 1", NULL};
    struct exportd_http_request request = {.method = "GET", .url = "http://127.0.0.1:1/", .headers = headers};
    struct exportd_http_client *client = client_of((struct exportd_http_options){0});
    int status = exportd_http_send(client, &request, &answer, &error);
    expect_refused(status, &answer, &error, "header_invalid", 0, "the header Authorization for 127.0.0.1:1");
    assert_null(strstr(error.message, "hidden"));
    exportd_http_free(client);
}

static void a_file_of_authorities_that_is_none_is_named(void **state)
{
    (void)state;
    static const char *const answers[] = {NULL};
    struct server server = {0};
    struct exportd_http_answer answer;
    struct exportd_kit_error error = {0};
    char url[64];
    server_start(&server, answers, 1);
    snprintf(url, sizeof url, "https://127.0.0.1:%d/", server.port);
    struct exportd_http_request request = {.method = "GET", .url = url};
    struct exportd_http_client *client = client_of((struct exportd_http_options){.ca_file = "/nowhere/ca.pem"});
    int status = exportd_http_send(client, &request, &answer, &error);
    expect_refused(status, &answer, &error, "ca_file_invalid", 0, "/nowhere/ca.pem");
    exportd_http_free(client);
    server_stop(&server);
}

static int64_t wait_of(const char *headers)
{
    struct exportd_http_answer answer = {.headers = json_loads(headers, 0, NULL)};
    assert_non_null(answer.headers);
    int64_t ms = exportd_http_retry_after_ms(&answer, 1000000000); /* Sun, 09 Sep 2001 01:46:40 GMT */
    exportd_http_answer_clear(&answer);
    return ms;
}

static void a_wait_is_read_in_all_its_forms(void **state)
{
    (void)state;
    assert_int_equal(wait_of("{}"), -1);
    assert_int_equal(wait_of("{\"retry-after\": \"7\"}"), 7000);
    assert_int_equal(wait_of("{\"retry-after\": \"0\"}"), 0);
    assert_int_equal(wait_of("{\"retry-after\": \"-5\"}"), -1);
    assert_int_equal(wait_of("{\"retry-after\": \"soon\"}"), -1);
    assert_int_equal(wait_of("{\"retry-after\": \"99999999999\"}"), 86400000);
    assert_int_equal(wait_of("{\"retry-after\": \"99999999999999999999\"}"), -1);
    assert_int_equal(wait_of("{\"retry-after\": \"Sun, 09 Sep 2001 01:47:40 GMT\"}"), 60000);
    assert_int_equal(wait_of("{\"retry-after\": \"Sun, 09 Sep 2001 01:45:00 GMT\"}"), 0);
    assert_int_equal(wait_of("{\"x-ratelimit-remaining\": \"0\", \"x-ratelimit-reset\": \"1000000090\"}"), 90000);
    assert_int_equal(wait_of("{\"x-ratelimit-remaining\": \"0\", \"x-ratelimit-reset\": \"999999999\"}"), 0);
    assert_int_equal(wait_of("{\"x-ratelimit-remaining\": \"9\", \"x-ratelimit-reset\": \"1000000090\"}"), -1);
    assert_int_equal(wait_of("{\"retry-after\": \"x\", \"x-ratelimit-remaining\": \"0\", \"x-ratelimit-reset\": "
                             "\"1000000001\"}"),
                     1000);
}

static void text_is_escaped_for_a_url(void **state)
{
    (void)state;
    char *escaped = exportd_http_escape("a/b c?ä~.-_&=%");
    assert_string_equal(escaped, "a%2Fb%20c%3F%C3%A4~.-_%26%3D%25");
    free(escaped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_comes_with_its_status_headers_and_body),
        cmocka_unit_test(one_connection_carries_all_methods),
        cmocka_unit_test(a_connection_that_was_closed_meanwhile_is_made_anew),
        cmocka_unit_test(a_redirect_is_an_answer_and_is_not_followed),
        cmocka_unit_test(an_answer_over_the_limit_is_not_read),
        cmocka_unit_test(a_service_that_does_not_answer_times_out),
        cmocka_unit_test(a_cancelled_job_stops_the_request),
        cmocka_unit_test(a_broken_answer_is_the_services_fault),
        cmocka_unit_test(a_service_that_is_not_there_is_named),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(a_header_with_a_line_break_is_refused_without_its_value),
        cmocka_unit_test(a_file_of_authorities_that_is_none_is_named),
        cmocka_unit_test(a_wait_is_read_in_all_its_forms),
        cmocka_unit_test(text_is_escaped_for_a_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
