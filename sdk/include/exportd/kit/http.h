/*
 * exportd/kit/http.h: requests to a service's API, for plugins with the network grant.
 *
 * A client keeps its connections between requests, checks certificates, follows no redirects, caps answers, keeps to
 * a time limit and stops when the job is cancelled. What the network does wrong comes back as an error with a
 * sentence; an HTTP answer of any status is no error here, for what a status means the caller knows. A sentence names
 * the host alone: never a header, a path or a query, so that a token stays out of logs. No environment variable, no
 * .netrc and no cookie changes a request.
 *
 * A request on a kept connection that the service closed meanwhile is sent once more on a new one.
 *
 * A client is used by one thread. Link libexportd-kit-http beside the kit: it brings libcurl along.
 */
#ifndef EXPORTD_KIT_HTTP_H
#define EXPORTD_KIT_HTTP_H

#include <exportd/kit/bundle.h>
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exportd_http_options {
    const char *user_agent;  /* NULL: exportd and its version */
    int64_t timeout_ms;      /* of one request, connection included; 0: 30 s */
    size_t max_answer_bytes; /* of one answer's body; 0: 16 MiB */
    const char *ca_file;     /* PEM, instead of the system's authorities; NULL or "": the system's */
    const char *proxy;       /* "http://proxy.example.org:3128"; NULL or "": none */
    /* Called once a second or more often while a request is under way; nonzero stops it (code "cancelled"). May be
     * NULL. */
    int (*cancelled)(void *context);
    void *context;
};

struct exportd_http_request {
    const char *method;         /* "GET" */
    const char *url;            /* http or https, without user information */
    const char *const *headers; /* "Name: value", ended by NULL; may be NULL */
    const char *body; /* or NULL; borrowed. Content-Type: application/json, unless the headers have another */
    size_t body_bytes;
};

struct exportd_http_answer {
    int status;
    char *body; /* with a NUL behind body_bytes; never NULL where the request was answered */
    size_t body_bytes;
    json_t *headers; /* an object, names in lower case; of a header that came twice, the last; ill-formed UTF-8 is
                        left out */
};

struct exportd_http_client;

/* A new client. Copies the options' strings. NULL with error filled when out of memory. */
struct exportd_http_client *exportd_http_new(const struct exportd_http_options *options,
                                             struct exportd_kit_error *error);

/* Frees the client and its connections. NULL is fine. Returns NULL. */
struct exportd_http_client *exportd_http_free(struct exportd_http_client *client);

/* Sends a request and waits for the whole answer. Returns 0 with answer filled (free it with
 * exportd_http_answer_clear()) whatever the status is; or -1 with error filled and answer empty:
 * "service_unreachable" (retryable; no connection, no certificate that holds, a broken answer), "service_timeout"
 * (retryable), "answer_too_large", "url_invalid", "header_invalid" (a control character in it), "ca_file_invalid",
 * "cancelled", "out_of_memory" (retryable). */
int exportd_http_send(struct exportd_http_client *client, const struct exportd_http_request *request,
                      struct exportd_http_answer *answer, struct exportd_kit_error *error);

/* Empties an answer, filled or zeroed. */
void exportd_http_answer_clear(struct exportd_http_answer *answer);

/* A header of the answer by its name in lower case, or NULL. Borrowed. */
const char *exportd_http_header(const struct exportd_http_answer *answer, const char *name);

/* The body as JSON (a new reference), or NULL where it is none. */
json_t *exportd_http_json(const struct exportd_http_answer *answer);

/* How long the service asks to wait, in milliseconds: by Retry-After (seconds or a date, RFC 9110, section 10.2.3),
 * else by x-ratelimit-reset (seconds since the epoch) where x-ratelimit-remaining is 0. -1 where it says nothing that
 * can be read; 0 where the time is over. now_s: seconds since the epoch. Never more than 24 hours. */
int64_t exportd_http_retry_after_ms(const struct exportd_http_answer *answer, int64_t now_s);

/* How many requests were answered, and how many bytes of bodies went out and came in, since the client was made. */
struct exportd_http_counts {
    uint64_t requests, bytes_sent, bytes_received;
};
struct exportd_http_counts exportd_http_counts(const struct exportd_http_client *client);

/* Text as one segment of a URL's path or as a value of its query: all but RFC 3986's unreserved characters as %XX. A
 * new string (free it), or NULL when out of memory. */
char *exportd_http_escape(const char *text);

#ifdef __cplusplus
}
#endif
#endif
