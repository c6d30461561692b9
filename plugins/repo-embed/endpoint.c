/*
 * embedder.h: an OpenAI-compatible endpoint, POST <url>/embeddings.
 *
 * Short waits are waited here; for a long one the job comes again later. A batch that is too long is sent in halves,
 * and a text that is too long by itself too: its vector is then the mean of those of its halves, by their lengths.
 */
#include "embedder.h"
#include "endpoint_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES 5
#define WAIT_FIRST_MS 500
#define WAIT_MAX_MS 8000   /* that a worker waits at once; for more the job comes again */
#define SPLIT_MIN_BYTES 64 /* of a text that is still taken apart */
#define LATER_MS 20000     /* where the service says nothing of when */

struct endpoint {
    struct endpoint_options options;
    struct exportd_http_client *client;
    char *url;
    char *authorization; /* or NULL */
    int64_t tokens, requests, waits, splits;
    int64_t next_ms; /* no request before this */
    bool lists;      /* it takes no encoding_format: lists of numbers then */
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int cancelled(struct exportd_kit_error *error)
{
    return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
}

static int wait_until(const struct endpoint *endpoint, int64_t until_ms, struct exportd_kit_error *error)
{
    for (int64_t left; (left = until_ms - now_ms()) > 0;) {
        int64_t slice = left < 200 ? left : 200;
        if (exportd_cancelled(endpoint->options.job))
            return cancelled(error);
        nanosleep(&(struct timespec){.tv_nsec = (long)slice * 1000000}, NULL);
    }
    return 0;
}

static char *write_body(const struct endpoint *endpoint, const struct embed_text *texts, size_t count)
{
    json_t *input = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(input, json_stringn(texts[i].text, texts[i].size_bytes));
    json_t *body = json_pack("{s:s, s:o}", "model", endpoint->options.model, "input", input);
    if (!endpoint->lists)
        json_object_set_new(body, "encoding_format", json_string("base64"));
    if (endpoint->options.dimensions)
        json_object_set_new(body, "dimensions", json_integer((json_int_t)endpoint->options.dimensions));
    char *text = json_array_size(input) == count ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return text;
}

static int send_once(struct endpoint *endpoint, const char *body, struct exportd_http_answer *answer,
                     struct exportd_kit_error *error)
{
    const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
                                   endpoint->authorization, NULL};
    const struct exportd_http_request request = {
        .method = "POST", .url = endpoint->url, .headers = headers, .body = body, .body_bytes = strlen(body)};
    if (wait_until(endpoint, endpoint->next_ms, error) != 0)
        return -1;
    if (endpoint->options.requests_per_minute > 0)
        endpoint->next_ms = now_ms() + 60000 / endpoint->options.requests_per_minute;
    endpoint->requests++;
    return exportd_http_send(endpoint->client, &request, answer, error);
}

/* Sends until there is an answer that waiting doesn't better. Returns 0, or -1 with error filled, and the job told
 * when to come again where that is worth it. */
static int send_patiently(struct endpoint *endpoint, const char *body, struct exportd_http_answer *answer,
                          struct exportd_kit_error *error)
{
    int64_t wait_ms = WAIT_FIRST_MS;
    for (int tries = 1;; tries++, wait_ms *= 2) {
        int64_t asked_ms = -1;
        int failed = send_once(endpoint, body, answer, error);
        if (failed && (!error->retryable || strcmp(error->code, "cancelled") == 0))
            return -1;
        if (!failed && (!endpoint_is_passing(answer->status) || endpoint_is_too_long(answer)))
            return 0;
        if (!failed) {
            asked_ms = exportd_http_retry_after_ms(answer, (int64_t)time(NULL));
            endpoint_refuse(answer, endpoint->options.model, endpoint->options.key, error);
            exportd_http_answer_clear(answer);
        }
        if (!error->retryable)
            return -1;
        int64_t wait = asked_ms >= 0 ? asked_ms + 50 : wait_ms;
        if (tries == TRIES || wait > WAIT_MAX_MS) {
            exportd_retry_after(endpoint->options.job, asked_ms >= 0 ? wait : LATER_MS);
            return -1;
        }
        endpoint->waits++;
        if (wait_until(endpoint, now_ms() + wait, error) != 0)
            return -1;
    }
}

static int embed_some(struct embedder *embedder, const struct embed_text *texts, size_t count, float **vectors,
                      struct exportd_kit_error *error);

/* A batch in halves. */
static int embed_halves(struct embedder *embedder, const struct embed_text *texts, size_t count, float **vectors,
                        struct exportd_kit_error *error)
{
    size_t half = count / 2;
    float *second = NULL;
    if (embed_some(embedder, texts, half, vectors, error) != 0)
        return -1;
    size_t row = embedder->dimensions * sizeof(float);
    float *both =
        embed_some(embedder, texts + half, count - half, &second, error) == 0 ? realloc(*vectors, count * row) : NULL;
    if (!both) {
        if (second)
            exportd_kit_no_memory(error);
        free(*vectors);
        free(second);
        *vectors = NULL;
        return -1;
    }
    memcpy((char *)both + half * row, second, (count - half) * row);
    free(second);
    *vectors = both;
    return 0;
}

/* One text in halves, between two of its characters. */
static int embed_split(struct embedder *embedder, const struct embed_text *text, float **vectors,
                       struct exportd_kit_error *error)
{
    struct endpoint *endpoint = embedder->self;
    size_t middle = text->size_bytes / 2;
    while (middle > 0 && ((unsigned char)text->text[middle] & 0xC0) == 0x80)
        middle--;
    if (text->size_bytes < SPLIT_MIN_BYTES || middle == 0)
        return exportd_kit_fail(error, "input_too_long", 0,
                                "the embeddings endpoint finds even %zu bytes of text too long for the model %s; see "
                                "model in [plugin repo-embed]",
                                text->size_bytes, endpoint->options.model);
    const struct embed_text halves[] = {{text->text, middle}, {text->text + middle, text->size_bytes - middle}};
    endpoint->splits++;
    if (embed_halves(embedder, halves, 2, vectors, error) != 0)
        return -1;
    float *first = *vectors, *second = first + embedder->dimensions;
    float part = (float)middle / (float)text->size_bytes;
    for (size_t i = 0; i < embedder->dimensions; i++)
        first[i] = first[i] * part + second[i] * (1 - part);
    embedder_normalise(first, embedder->dimensions);
    return 0;
}

static int embed_some(struct embedder *embedder, const struct embed_text *texts, size_t count, float **vectors,
                      struct exportd_kit_error *error)
{
    struct endpoint *endpoint = embedder->self;
    struct exportd_http_answer answer = {0};
    char *body = write_body(endpoint, texts, count);
    *vectors = NULL;
    if (!body)
        return exportd_kit_no_memory(error);
    int failed = send_patiently(endpoint, body, &answer, error);
    free(body);
    if (failed)
        return -1;
    if (answer.status == 200)
        failed = endpoint_read_vectors(&answer, count, &embedder->dimensions, vectors, &endpoint->tokens, error);
    bool too_long = answer.status != 200 && endpoint_is_too_long(&answer);
    bool no_format = (answer.status == 400 || answer.status == 422) && !too_long && !endpoint->lists &&
                     memmem(answer.body, answer.body_bytes, "encoding_format", 15);
    if (answer.status != 200 && !too_long && !no_format)
        failed = endpoint_refuse(&answer, endpoint->options.model, endpoint->options.key, error);
    exportd_http_answer_clear(&answer);
    if (too_long)
        return count > 1 ? embed_halves(embedder, texts, count, vectors, error)
                         : embed_split(embedder, texts, vectors, error);
    if (no_format) {
        endpoint->lists = true;
        return embed_some(embedder, texts, count, vectors, error);
    }
    return failed;
}

static void describe(const struct embedder *embedder, json_t *into)
{
    const struct endpoint *endpoint = embedder->self;
    json_object_set_new(into, "requests", json_integer(endpoint->requests));
    json_object_set_new(into, "tokens", json_integer(endpoint->tokens));
    json_object_set_new(into, "waits", json_integer(endpoint->waits));
    json_object_set_new(into, "splits", json_integer(endpoint->splits));
}

static void free_self(void *self)
{
    struct endpoint *endpoint = self;
    if (endpoint) {
        exportd_http_free(endpoint->client);
        free(endpoint->url);
        free(endpoint->authorization);
    }
    free(endpoint);
}

static int is_cancelled(void *context)
{
    return exportd_cancelled(context);
}

int endpoint_open(struct embedder *embedder, const struct endpoint_options *options, struct exportd_kit_error *error)
{
    const struct exportd_http_options http = {.timeout_ms = options->timeout_ms,
                                              .max_answer_bytes = 128u << 20,
                                              .ca_file = options->ca_file,
                                              .proxy = options->proxy,
                                              .cancelled = is_cancelled,
                                              .context = options->job};
    char dimensions[24];
    size_t length = strlen(options->url);
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    *embedder = (struct embedder){
        .kind = "endpoint",
        .note = "made by the model of an OpenAI-compatible endpoint",
        .dimensions = options->dimensions,
        .batch_count = options->batch_count,
        .batch_bytes = options->batch_bytes,
        .self = endpoint,
        .embed = embed_some,
        .describe = describe,
        .free_self = free_self,
    };
    if (strncasecmp(options->url, "https://", 8) != 0 && strncasecmp(options->url, "http://", 7) != 0)
        return exportd_kit_fail(error, "option_invalid", 0,
                                "endpoint in [plugin repo-embed] is no https address; set it as far as /v1, such as "
                                "https://api.openai.com/v1");
    while (length > 0 && options->url[length - 1] == '/')
        length--;
    if (!endpoint || asprintf(&endpoint->url, "%.*s/embeddings", (int)length, options->url) < 0 ||
        (options->key && asprintf(&endpoint->authorization, "Authorization: Bearer %s", options->key) < 0))
        return exportd_kit_no_memory(error);
    endpoint->options = *options;
    endpoint->client = exportd_http_new(&http, error);
    if (!endpoint->client)
        return -1;
    snprintf(embedder->model, sizeof embedder->model, "%s", options->model);
    snprintf(dimensions, sizeof dimensions, "%zu", options->dimensions);
    embedder_identify(embedder, (const char *const[]){"endpoint/1", endpoint->url, options->model, dimensions, NULL});
    return 0;
}
