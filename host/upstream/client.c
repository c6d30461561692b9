#include "upstream/client.h"

#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/transfers.h"
#include "delivery/signature.h"
#include "job/trace.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)16 << 20)
#define TOLERANCE_S 300 /* between the clocks of two hosts, and for the road */
#define CHECK_MS 5000L

struct call {
    struct upstream *upstream;
    CURL *curl;
    struct curl_slist *headers;
    char *body, *answer;
    size_t answer_length;
    char error_text[CURL_ERROR_SIZE];
    upstream_answered callback;
    void *client;
    struct call *next;
};

struct upstream {
    const struct config *config;
    struct transfers *transfers;
    struct call *first;
    void (*on_closed)(void *client);
    void *closed_client;
};

const char *upstream_url(const struct config *config)
{
    const struct config_upstream *upstream = &config->upstream;
    return upstream->use_dev && upstream->url_dev[0] ? upstream->url_dev : upstream->url;
}

static void free_call(struct call *call)
{
    for (struct call **at = &call->upstream->first; *at; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            break;
        }
    }
    transfers_remove(call->upstream->transfers, call->curl);
    curl_easy_cleanup(call->curl);
    curl_slist_free_all(call->headers);
    free(call->body);
    free(call->answer);
    free(call);
}

static void on_done(void *client, CURL *curl, CURLcode code)
{
    struct call *call = NULL;
    long status = 0;
    (void)client;
    curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&call);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (call->callback) {
        const char *problem = code == CURLE_OK      ? NULL
                              : call->error_text[0] ? call->error_text
                                                    : curl_easy_strerror(code);
        json_t *body =
            code == CURLE_OK ? json_loadb(call->answer ? call->answer : "", call->answer_length, 0, NULL) : NULL;
        call->callback(call->client, code == CURLE_OK ? (int)status : 0, json_is_object(body) ? body : NULL, problem);
        json_decref(body);
    }
    free_call(call);
}

static size_t keep_answer(char *bytes, size_t size, size_t count, void *client)
{
    struct call *call = client;
    size_t length = size * count;
    if (call->answer_length + length > ANSWER_MAX)
        return 0;
    call->answer = memory_resized(call->answer, call->answer_length + length, 1);
    memcpy(call->answer + call->answer_length, bytes, length);
    call->answer_length += length;
    return length;
}

static void set_up(const struct config *config, CURL *curl, struct curl_slist **headers, const char *path)
{
    char *url = memory_format("%s%s", upstream_url(config), path);
    if (config->upstream.token[0]) {
        char *line = memory_format("Authorization: Bearer %s", config->upstream.token);
        *headers = curl_slist_append(*headers, line);
        free(line);
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "exportd/" EXPORTD_VERSION);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)config->upstream.timeout_ms);
    free(url);
}

/* Takes body. */
static struct call *make_call(struct upstream *upstream, const char *path, char *body)
{
    struct call *call = memory_zeroed(1, sizeof *call);
    call->upstream = upstream;
    call->curl = curl_easy_init();
    call->body = body;
    call->headers = curl_slist_append(NULL, "Content-Type: application/json");
    set_up(upstream->config, call->curl, &call->headers, path);
    curl_easy_setopt(call->curl, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->curl, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(call->curl, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(call->curl, CURLOPT_ERRORBUFFER, call->error_text);
    if (body) {
        curl_easy_setopt(call->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(call->curl, CURLOPT_POSTFIELDS, body);
    }
    call->next = upstream->first;
    upstream->first = call;
    return call;
}

static void add_trace(struct call *call, const char *trace)
{
    char *line = memory_format(TRACE_HEADER ": %s", trace);
    call->headers = curl_slist_append(call->headers, line);
    curl_easy_setopt(call->curl, CURLOPT_HTTPHEADER, call->headers);
    free(line);
}

void upstream_post(struct upstream *upstream, json_t *body, const char *trace, upstream_answered callback,
                   void *client)
{
    struct call *call = make_call(upstream, "/process", json_dumps(body, JSON_COMPACT));
    json_decref(body);
    if (trace)
        add_trace(call, trace);
    call->callback = callback;
    call->client = client;
    transfers_add(upstream->transfers, call->curl);
}

static struct call *make_job_call(struct upstream *upstream, const char *job_id, const char *below, char *body)
{
    char *segment = artifact_url_segment(job_id);
    char *path = memory_format("/jobs/%s%s", segment, below);
    struct call *call = make_call(upstream, path, body);
    free(segment);
    free(path);
    return call;
}

void upstream_retry(struct upstream *upstream, const char *job_id, upstream_answered callback, void *client)
{
    struct call *call = make_job_call(upstream, job_id, "/retry", memory_text("{}"));
    call->callback = callback;
    call->client = client;
    transfers_add(upstream->transfers, call->curl);
}

void upstream_delete(struct upstream *upstream, const char *job_id)
{
    struct call *call = make_job_call(upstream, job_id, "", NULL);
    curl_easy_setopt(call->curl, CURLOPT_CUSTOMREQUEST, "DELETE");
    transfers_add(upstream->transfers, call->curl);
}

struct upstream *upstream_new(uv_loop_t *loop, const struct config *config, struct error *error)
{
    if (!upstream_url(config)[0])
        return NULL;
    struct upstream *upstream = memory_zeroed(1, sizeof *upstream);
    upstream->config = config;
    upstream->transfers = transfers_new(loop, on_done, upstream, error);
    if (upstream->transfers)
        return upstream;
    free(upstream);
    return NULL;
}

void upstream_give_up(struct upstream *upstream)
{
    struct call *next;
    for (struct call *call = upstream->first; call; call = next) {
        next = call->next;
        if (!call->callback)
            continue;
        call->callback(call->client, 0, NULL, "this host stops");
        free_call(call);
    }
}

static void on_transfers_closed(void *client)
{
    struct upstream *upstream = client;
    void (*told)(void *client) = upstream->on_closed;
    void *closed_client = upstream->closed_client;
    free(upstream);
    told(closed_client);
}

void upstream_close(struct upstream *upstream, void (*on_closed)(void *client), void *client)
{
    upstream->on_closed = on_closed;
    upstream->closed_client = client;
    struct call *next;
    for (struct call *call = upstream->first; call; call = next) {
        next = call->next;
        free_call(call);
    }
    transfers_close(upstream->transfers, on_transfers_closed, upstream);
}

const char *upstream_warning(const struct config *config)
{
    if (!upstream_url(config)[0] || config->upstream.secret[0] || config->webhook.secret[0])
        return NULL;
    return "there is no secret to know the callbacks of [upstream] by: they are refused, and a job ends only when it "
           "is "
           "asked for again; set [upstream] secret to the other host's [webhook] secret";
}

bool upstream_is_timely(const char *timestamp)
{
    char *end = NULL;
    int64_t age_s = timestamp ? clock_now_ms() / 1000 - strtoll(timestamp, &end, 10) : 0;
    return end && !*end && end != timestamp && age_s <= TOLERANCE_S && age_s >= -TOLERANCE_S;
}

bool upstream_signed(const struct config *config, const char *id, const char *timestamp, const char *signatures,
                     const char *body, size_t length)
{
    const char *secret = config->upstream.secret[0] ? config->upstream.secret : config->webhook.secret;
    char wanted[SIGNATURE_TEXT_MAX];
    if (!id || !signatures || !upstream_is_timely(timestamp) || !secret[0] ||
        signature_make(secret, id, strtoll(timestamp, NULL, 10), body, length, wanted) != 0)
        return false;
    size_t wanted_length = strlen(wanted);
    for (const char *at = signatures; *at;) {
        at += strspn(at, " ");
        size_t part = strcspn(at, " ");
        if (part == wanted_length && sodium_memcmp(at, wanted, part) == 0)
            return true;
        at += part;
    }
    return false;
}

static size_t discard(char *bytes, size_t size, size_t count, void *client)
{
    (void)bytes;
    (void)client;
    return size * count;
}

int upstream_check(const struct config *config, struct error *error)
{
    char text[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    long status = 0;
    CURL *curl = curl_easy_init();
    set_up(config, curl, &headers, "/healthz");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, CHECK_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, text);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    if (code != CURLE_OK)
        return error_set(error, "upstream_unreachable", true, "%s: %s", upstream_url(config),
                         text[0] ? text : curl_easy_strerror(code));
    if (status != 200)
        return error_set(error, "upstream_unreachable", true, "%s/healthz answered %ld; is it an exportd?",
                         upstream_url(config), status);
    return 0;
}
