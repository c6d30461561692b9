/* exportd/kit/http.h: requests to a service's API, by libcurl. */
#include <exportd/kit/http.h>

#include <ctype.h>
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 30000
#define ANSWER_MAX_BYTES (16u << 20)
#define HEADERS_MAX_BYTES (256u << 10) /* of one answer, all together */
#define WAIT_MAX_S (24 * 60 * 60)
#define HOST_MAX 280

struct exportd_http_client {
    CURL *curl;
    char *user_agent;
    char *ca_file;
    char *proxy;
    int64_t timeout_ms;
    size_t max_answer_bytes;
    int (*cancelled)(void *context);
    void *context;
    struct exportd_http_counts counts;
};

/* One request under way. */
struct exchange {
    struct exportd_http_client *client;
    struct exportd_http_answer *answer;
    CURLU *url;
    char host[HOST_MAX]; /* with its port where the URL has one */
    struct curl_slist *headers;
    size_t capacity;
    size_t header_bytes;
    int too_large;
    int no_memory;
    char detail[CURL_ERROR_SIZE];
};

static int refuse(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = retryable;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

static int out_of_memory(struct exportd_kit_error *error)
{
    return refuse(error, "out_of_memory", 1, "not enough memory for a request over HTTP");
}

static char *copy_given(const char *text)
{
    return text && *text ? strdup(text) : NULL;
}

struct exportd_http_client *exportd_http_new(const struct exportd_http_options *options,
                                             struct exportd_kit_error *error)
{
    struct exportd_http_client *client = calloc(1, sizeof *client);
    if (client) {
        client->curl = curl_easy_init();
        client->user_agent = strdup(options->user_agent ? options->user_agent : "exportd/" EXPORTD_VERSION);
        client->ca_file = copy_given(options->ca_file);
        client->proxy = strdup(options->proxy ? options->proxy : "");
        client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS;
        client->max_answer_bytes = options->max_answer_bytes ? options->max_answer_bytes : ANSWER_MAX_BYTES;
        client->cancelled = options->cancelled;
        client->context = options->context;
    }
    if (!client || !client->curl || !client->user_agent || !client->proxy ||
        (options->ca_file && *options->ca_file && !client->ca_file)) {
        out_of_memory(error);
        return exportd_http_free(client);
    }
    return client;
}

struct exportd_http_client *exportd_http_free(struct exportd_http_client *client)
{
    if (client) {
        curl_easy_cleanup(client->curl);
        free(client->user_agent);
        free(client->ca_file);
        free(client->proxy);
    }
    free(client);
    return NULL;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    struct exportd_http_answer *answer = exchange->answer;
    size_t length = size * count;
    if (length > exchange->client->max_answer_bytes - answer->body_bytes) {
        exchange->too_large = 1;
        return 0;
    }
    if (answer->body_bytes + length >= exchange->capacity) {
        size_t capacity = 2 * (answer->body_bytes + length) + 1024;
        char *grown = realloc(answer->body, capacity);
        if (!grown) {
            exchange->no_memory = 1;
            return 0;
        }
        answer->body = grown;
        exchange->capacity = capacity;
    }
    memcpy(answer->body + answer->body_bytes, bytes, length);
    answer->body_bytes += length;
    answer->body[answer->body_bytes] = '\0';
    return length;
}

static int is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n';
}

/* A header's line, or the status line, which begins an answer: those of interim answers (100, 103) come first. */
static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
    struct exchange *exchange = context;
    size_t length = size * count;
    const char *colon = memchr(bytes, ':', length);
    char name[128];
    exchange->header_bytes += length;
    if (exchange->header_bytes > HEADERS_MAX_BYTES) {
        exchange->too_large = 1;
        return 0;
    }
    if (length > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        json_object_clear(exchange->answer->headers);
        return length;
    }
    if (!colon || colon == bytes || (size_t)(colon - bytes) >= sizeof name)
        return length;
    size_t name_length = (size_t)(colon - bytes);
    for (size_t i = 0; i < name_length; i++)
        name[i] = (char)tolower((unsigned char)bytes[i]);
    name[name_length] = '\0';
    const char *value = colon + 1;
    const char *end = bytes + length;
    while (value < end && is_blank(*value))
        value++;
    while (end > value && is_blank(end[-1]))
        end--;
    json_object_set_new(exchange->answer->headers, name, json_stringn(value, (size_t)(end - value)));
    return length;
}

static int take_progress(void *context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send,
                         curl_off_t sent)
{
    const struct exportd_http_client *client = context;
    (void)to_receive;
    (void)received;
    (void)to_send;
    (void)sent;
    return client->cancelled && client->cancelled(client->context);
}

/* Takes the URL apart: its host for messages, and no user information, which would end up in logs. */
static int read_url(struct exchange *exchange, const char *text, struct exportd_kit_error *error)
{
    char *scheme = NULL;
    char *host = NULL;
    char *port = NULL;
    char *user = NULL;
    char *password = NULL;
    int status = -1;
    exchange->url = curl_url();
    if (!exchange->url)
        return out_of_memory(error);
    CURLUcode code = curl_url_set(exchange->url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    if (code == CURLUE_OUT_OF_MEMORY)
        return out_of_memory(error);
    curl_url_get(exchange->url, CURLUPART_SCHEME, &scheme, 0);
    curl_url_get(exchange->url, CURLUPART_HOST, &host, 0);
    curl_url_get(exchange->url, CURLUPART_PORT, &port, 0);
    curl_url_get(exchange->url, CURLUPART_USER, &user, 0);
    curl_url_get(exchange->url, CURLUPART_PASSWORD, &password, 0);
    if (code != CURLUE_OK || !scheme || !host || !*host)
        refuse(error, "url_invalid", 0, "an address to ask is no URL: %s; write one such as https://api.example.org",
               code != CURLUE_OK ? curl_url_strerror(code) : "it has no host");
    else if (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)
        refuse(error, "url_invalid", 0, "the address of %.200s has the scheme %.20s; write https", host, scheme);
    else if (user || password)
        refuse(error, "url_invalid", 0,
               "the address of %.200s has a user or a password in it; take it out, and give it as a secret", host);
    else
        status = 0;
    if (status == 0)
        snprintf(exchange->host, sizeof exchange->host, "%.255s%s%.8s", host, port ? ":" : "", port ? port : "");
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_free(password);
    return status;
}

static int add_header(struct exchange *exchange, const char *line, struct exportd_kit_error *error)
{
    for (const char *at = line; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return refuse(error, "header_invalid", 0,
                          "the header %.*s for %s has a control character in its value; mend the secret or the "
                          "option that it is made of",
                          (int)strcspn(line, ":\r\n"), line, exchange->host);
    struct curl_slist *longer = curl_slist_append(exchange->headers, line);
    if (!longer)
        return out_of_memory(error);
    exchange->headers = longer;
    return 0;
}

static int add_headers(struct exchange *exchange, const struct exportd_http_request *request,
                       struct exportd_kit_error *error)
{
    const char *const *line = request->headers;
    int typed = 0;
    for (; line && *line; line++) {
        typed = typed || strncasecmp(*line, "content-type:", 13) == 0;
        if (add_header(exchange, *line, error) < 0)
            return -1;
    }
    if (!typed && add_header(exchange, request->body ? "Content-Type: application/json" : "Content-Type:", error) < 0)
        return -1;
    /* A large body is sent at once, for few services answer "100 Continue" and each of the others costs a second. */
    return add_header(exchange, "Expect:", error);
}

static void set_method(CURL *curl, const struct exportd_http_request *request)
{
    int takes_body = strcmp(request->method, "POST") == 0 || strcmp(request->method, "PUT") == 0 ||
                     strcmp(request->method, "PATCH") == 0;
    if (request->body || takes_body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body ? request->body : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_bytes : 0));
    }
    if (strcmp(request->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_up(struct exchange *exchange, const struct exportd_http_request *request)
{
    const struct exportd_http_client *client = exchange->client;
    CURL *curl = client->curl;
    curl_easy_reset(curl); /* keeps the connections */
    curl_easy_setopt(curl, CURLOPT_CURLU, exchange->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, client->proxy);
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    /* Else whoever stops while a name is looked up waits for the resolver. */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)client->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)client->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
    if (client->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, take_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->detail);
    set_method(curl, request);
}

/* What libcurl says of it, as it can stand in a sentence. */
static const char *cause_of(struct exchange *exchange, CURLcode code)
{
    char *cause = exchange->detail;
    if (!*cause)
        snprintf(cause, sizeof exchange->detail, "%s", curl_easy_strerror(code));
    for (char *at = cause; *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            *at = ' ';
    for (size_t length = strlen(cause); length && cause[length - 1] == ' '; length--)
        cause[length - 1] = '\0';
    return cause;
}

static int explain(struct exchange *exchange, CURLcode code, struct exportd_kit_error *error)
{
    const struct exportd_http_client *client = exchange->client;
    const char *host = exchange->host;
    if (exchange->no_memory || code == CURLE_OUT_OF_MEMORY)
        return out_of_memory(error);
    if (exchange->too_large)
        return refuse(error, "answer_too_large", 0, "%s answers with more than %zu bytes of %s, so it was not read",
                      host, exchange->header_bytes > HEADERS_MAX_BYTES ? HEADERS_MAX_BYTES : client->max_answer_bytes,
                      exchange->header_bytes > HEADERS_MAX_BYTES ? "headers" : "text");
    switch (code) {
    case CURLE_ABORTED_BY_CALLBACK:
        return refuse(error, "cancelled", 0, "the job was cancelled while %s was asked", host);
    case CURLE_OPERATION_TIMEDOUT:
        return refuse(error, "service_timeout", 1, "%s did not answer within %lld ms", host,
                      (long long)client->timeout_ms);
    case CURLE_URL_MALFORMAT:
        return refuse(error, "url_invalid", 0, "the address of %s can't be asked: %s", host,
                      cause_of(exchange, code));
    case CURLE_SSL_CACERT_BADFILE:
        return refuse(
            error, "ca_file_invalid", 0,
            "the authorities for %s can't be read from %.400s: %s; name a file of PEM certificates in ca_file", host,
            client->ca_file ? client->ca_file : "the system's file", cause_of(exchange, code));
    case CURLE_PEER_FAILED_VERIFICATION:
        return refuse(error, "service_unreachable", 1,
                      "the certificate of %s does not hold: %s; where an authority of your own signed it, name that "
                      "in ca_file",
                      host, cause_of(exchange, code));
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
        return refuse(error, "service_unreachable", 1,
                      "%s can't be reached: %s; check the address, and that conf.d grants this plugin network = yes",
                      host, cause_of(exchange, code));
    default:
        return refuse(error, "service_unreachable", 1, "%s gave no answer: %s", host, cause_of(exchange, code));
    }
}

static int perform(struct exchange *exchange, const struct exportd_http_request *request,
                   struct exportd_kit_error *error)
{
    struct exportd_http_client *client = exchange->client;
    struct exportd_http_answer *answer = exchange->answer;
    long http_status = 0;
    answer->headers = json_object();
    answer->body = calloc(1, 1);
    exchange->capacity = 1;
    if (!answer->headers || !answer->body)
        return out_of_memory(error);
    set_up(exchange, request);
    CURLcode code = curl_easy_perform(client->curl);
    if (code != CURLE_OK)
        return explain(exchange, code, error);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &http_status);
    answer->status = (int)http_status;
    client->counts.requests++;
    client->counts.bytes_sent += request->body ? request->body_bytes : 0;
    client->counts.bytes_received += answer->body_bytes;
    return 0;
}

int exportd_http_send(struct exportd_http_client *client, const struct exportd_http_request *request,
                      struct exportd_http_answer *answer, struct exportd_kit_error *error)
{
    struct exchange exchange = {.client = client, .answer = answer};
    *answer = (struct exportd_http_answer){0};
    int status = read_url(&exchange, request->url, error);
    if (status == 0)
        status = add_headers(&exchange, request, error);
    if (status == 0)
        status = perform(&exchange, request, error);
    curl_easy_reset(client->curl); /* it points to this frame, and to headers with a token */
    curl_slist_free_all(exchange.headers);
    curl_url_cleanup(exchange.url);
    if (status < 0)
        exportd_http_answer_clear(answer);
    return status;
}

void exportd_http_answer_clear(struct exportd_http_answer *answer)
{
    free(answer->body);
    json_decref(answer->headers);
    *answer = (struct exportd_http_answer){0};
}

const char *exportd_http_header(const struct exportd_http_answer *answer, const char *name)
{
    return json_string_value(json_object_get(answer->headers, name));
}

json_t *exportd_http_json(const struct exportd_http_answer *answer)
{
    return answer->body ? json_loadb(answer->body, answer->body_bytes, 0, NULL) : NULL;
}

/* A whole number of at most 15 digits, or -1. */
static int64_t read_number(const char *text)
{
    size_t length = text ? strspn(text, "0123456789") : 0;
    if (length == 0 || length > 15 || text[length])
        return -1;
    return strtoll(text, NULL, 10);
}

static int64_t wait_ms(int64_t seconds)
{
    return (seconds < 0 ? 0 : seconds > WAIT_MAX_S ? WAIT_MAX_S : seconds) * 1000;
}

int64_t exportd_http_retry_after_ms(const struct exportd_http_answer *answer, int64_t now_s)
{
    const char *after = exportd_http_header(answer, "retry-after");
    int64_t seconds = read_number(after);
    if (seconds >= 0)
        return wait_ms(seconds);
    time_t date = after ? curl_getdate(after, NULL) : -1;
    if (date >= 0)
        return wait_ms((int64_t)date - now_s);
    int64_t reset = read_number(exportd_http_header(answer, "x-ratelimit-reset"));
    if (reset >= 0 && read_number(exportd_http_header(answer, "x-ratelimit-remaining")) == 0)
        return wait_ms(reset - now_s);
    return -1;
}

struct exportd_http_counts exportd_http_counts(const struct exportd_http_client *client)
{
    return client->counts;
}

char *exportd_http_escape(const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *escaped = malloc(3 * strlen(text) + 1);
    char *out = escaped;
    if (!escaped)
        return NULL;
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x80 && (isalnum(byte) || strchr("-._~", byte))) {
            *out++ = (char)byte;
        } else {
            *out++ = '%';
            *out++ = digits[byte >> 4];
            *out++ = digits[byte & 15];
        }
    }
    *out = '\0';
    return escaped;
}
