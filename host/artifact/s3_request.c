/*
 * One request: libcurl sends and signs it, the answer is kept up to a limit.
 */
#include "artifact/s3_internal.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CURL_BUFFER_BYTES 262144L
#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct transfer {
    const struct s3_request *request;
    struct s3_answer *answer;
    int64_t sent;
    int read_cause; /* errno of the file, or 0 */
};

struct s3_connection *s3_connection_new(const struct config_s3 *config)
{
    struct s3_connection *connection = memory_zeroed(1, sizeof *connection);
    connection->config = config;
    connection->curl = curl_easy_init();
    return connection;
}

void s3_connection_free(struct s3_connection *connection)
{
    if (!connection)
        return;
    curl_easy_cleanup(connection->curl);
    free(connection);
}

static size_t read_file(char *buffer, size_t size, size_t count, void *client)
{
    struct transfer *transfer = client;
    const struct s3_request *request = transfer->request;
    int64_t left = request->bytes - transfer->sent;
    size_t most = size * count;
    if (left <= 0)
        return 0;
    if ((int64_t)most > left)
        most = (size_t)left;
    ssize_t got = pread(request->fd, buffer, most, (off_t)(request->offset + transfer->sent));
    if (got <= 0) {
        transfer->read_cause = got < 0 ? errno : EIO;
        return CURL_READFUNC_ABORT;
    }
    transfer->sent += got;
    if (request->counter)
        atomic_fetch_add_explicit(request->counter, (unsigned long long)got, memory_order_relaxed);
    return (size_t)got;
}

/* libcurl sends the body anew, after a kept connection turned out to be closed. */
static int rewind_file(void *client, curl_off_t offset, int origin)
{
    struct transfer *transfer = client;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    transfer->sent = offset;
    return CURL_SEEKFUNC_OK;
}

static size_t keep_answer(char *bytes, size_t size, size_t count, void *client)
{
    struct s3_answer *answer = ((struct transfer *)client)->answer;
    size_t length = size * count, room = S3_ANSWER_MAX - answer->length;
    size_t kept = length < room ? length : room;
    memcpy(answer->text + answer->length, bytes, kept);
    answer->length += kept;
    return length;
}

static void keep_value(char *value, size_t size, const char *bytes, size_t length)
{
    while (length > 0 && (*bytes == ' ' || *bytes == '\t')) {
        bytes++;
        length--;
    }
    while (length > 0 && (bytes[length - 1] == '\r' || bytes[length - 1] == '\n' || bytes[length - 1] == ' '))
        length--;
    if (length >= size)
        length = 0;
    memcpy(value, bytes, length);
    value[length] = '\0';
}

static size_t keep_header(char *bytes, size_t size, size_t count, void *client)
{
    static const char etag[] = "etag:", sha256[] = "x-amz-meta-sha256:";
    struct s3_answer *answer = ((struct transfer *)client)->answer;
    size_t length = size * count;
    if (length > sizeof etag - 1 && strncasecmp(bytes, etag, sizeof etag - 1) == 0)
        keep_value(answer->etag, sizeof answer->etag, bytes + sizeof etag - 1, length - (sizeof etag - 1));
    if (length > sizeof sha256 - 1 && strncasecmp(bytes, sha256, sizeof sha256 - 1) == 0)
        keep_value(answer->sha256, sizeof answer->sha256, bytes + sizeof sha256 - 1, length - (sizeof sha256 - 1));
    return length;
}

static int on_progress(void *client, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct transfer *transfer = client;
    (void)a, (void)b, (void)c, (void)d;
    return transfer->request->stop && atomic_load(transfer->request->stop);
}

static struct curl_slist *make_headers(const struct s3_request *request)
{
    char *hash = memory_format("x-amz-content-sha256: %s", request->sha256 ? request->sha256 : EMPTY_SHA256);
    struct curl_slist *headers = curl_slist_append(NULL, hash);
    free(hash);
    char *copy = memory_text(request->headers), *rest = copy;
    while (rest) {
        const char *line = strsep(&rest, "\n");
        if (line[0])
            headers = curl_slist_append(headers, line);
    }
    free(copy);
    return headers;
}

static void set_body(CURL *curl, struct transfer *transfer)
{
    const struct s3_request *request = transfer->request;
    if (strcmp(request->method, "PUT") == 0) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->bytes);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER_BYTES);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_file);
        curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, rewind_file);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, transfer);
    } else if (strcmp(request->method, "POST") == 0) {
        const char *text = request->text ? request->text : "";
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
    } else if (strcmp(request->method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (strcmp(request->method, "GET") != 0) {
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    }
}

static void set_up(struct s3_connection *connection, struct transfer *transfer, const char *url, const char *provider,
                   const struct curl_slist *headers)
{
    const struct config_s3 *config = connection->config;
    CURL *curl = connection->curl;
    curl_easy_reset(curl); /* keeps the connections */
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L); /* what is signed is what is sent */
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_AWS_SIGV4, provider);
    curl_easy_setopt(curl, CURLOPT_USERNAME, config->access_key); /* apart: a key may hold a ':' */
    curl_easy_setopt(curl, CURLOPT_PASSWORD, config->secret_key);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "exportd/" EXPORTD_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)config->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((config->timeout_ms + 999) / 1000));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)transfer->request->give_up_ms);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, keep_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
    set_body(curl, transfer);
}

/* No whole answer came. */
static int fail(const struct s3_connection *connection, const struct transfer *transfer, CURLcode code,
                const char *detail, struct error *error)
{
    const struct config_s3 *config = connection->config;
    const char *server = config->endpoint[0] ? config->endpoint : "Amazon S3";
    if (transfer->read_cause)
        return error_set(error, "artifact_failed", true, "the artifact can't be read for its upload: %s",
                         strerror(transfer->read_cause));
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return error_set(error, "stopped", true, "the upload was stopped");
    if (code == CURLE_OPERATION_TIMEDOUT)
        return error_set(error, "s3_timeout", true, "%s: nothing moved for %g s", server,
                         (double)config->timeout_ms / 1000);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return error_set(error, "s3_unavailable", true,
                         "%s: %s; add its authority to the certificates that this system trusts", server, detail);
    bool wrong = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_NOT_BUILT_IN;
    return error_set(error, wrong ? "s3_refused" : "s3_unavailable", !wrong, "%s: %s%s", server, detail,
                     code == CURLE_COULDNT_RESOLVE_HOST || wrong ? "; mend [s3] endpoint (S3_ENDPOINT)" : "");
}

int s3_request(struct s3_connection *connection, const struct s3_request *request, struct s3_answer *answer,
               char server_code[ERROR_CODE_MAX], struct error *error)
{
    const struct config_s3 *config = connection->config;
    struct transfer transfer = {.request = request, .answer = answer};
    char detail[CURL_ERROR_SIZE] = "";
    *answer = (struct s3_answer){.bytes = -1};
    server_code[0] = '\0';
    if (!connection->curl)
        return error_set(error, "s3_unavailable", true, "libcurl can't be started");
    char *plain = s3_url(config, request->key ? request->key : "");
    char *url = memory_format("%s%s%s", plain, request->query ? "?" : "", request->query ? request->query : "");
    char *provider = memory_format("aws:amz:%s:s3", config->region);
    struct curl_slist *headers = make_headers(request);
    set_up(connection, &transfer, url, provider, headers);
    curl_easy_setopt(connection->curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(connection->curl);
    curl_off_t bytes = -1;
    curl_easy_getinfo(connection->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(connection->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &bytes);
    curl_easy_reset(connection->curl); /* it points into what is freed here */
    answer->bytes = bytes;
    answer->text[answer->length] = '\0';
    curl_slist_free_all(headers);
    free(provider);
    free(url);
    free(plain);
    /* A server that refuses may close before it has read everything: its answer counts. */
    bool answered = code == CURLE_OK || (code != CURLE_ABORTED_BY_CALLBACK && answer->status >= 400);
    if (!answered)
        return fail(connection, &transfer, code, detail[0] ? detail : curl_easy_strerror(code), error);
    if (answer->status >= 200 && answer->status < 300 && !strstr(answer->text, "<Error>"))
        return 0;
    s3_answer_error(config, answer, server_code, error);
    return -1;
}
