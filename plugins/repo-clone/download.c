/* download.h: the body of one HTTP answer, piece by piece. */
#include "download.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REDIRECTS_MAX 3
#define POLL_MS 200
#define BUFFER_BYTES 262144L

struct download {
    struct download_options options;
    CURLM *multi;
    CURL *curl;
    struct curl_slist *headers;
    char *url;
    char host[300];
    char *bytes;
    size_t size, capacity;
    uint64_t received;
    int ended, too_large, given;
    CURLcode code;
    char detail[CURL_ERROR_SIZE];
};

static size_t take(char *bytes, size_t size, size_t count, void *context)
{
    struct download *download = context;
    size_t length = size * count;
    download->received += length;
    if (download->received > download->options.max_bytes) {
        download->too_large = 1;
        return 0;
    }
    if (download->size + length > download->capacity) {
        size_t capacity = 2 * (download->size + length);
        char *grown = realloc(download->bytes, capacity);
        if (!grown)
            return 0;
        download->bytes = grown;
        download->capacity = capacity;
    }
    memcpy(download->bytes + download->size, bytes, length);
    download->size += length;
    return length;
}

/* One part of a URL: a new string (curl_free() it), or NULL. */
static char *part_of(const char *url, CURLUPart part)
{
    CURLU *parsed = curl_url();
    char *text = NULL;
    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK)
        curl_url_get(parsed, part, &text, CURLU_DEFAULT_PORT);
    curl_url_cleanup(parsed);
    return text;
}

static int start(struct download *download, const char *header, struct exportd_kit_error *error)
{
    struct exportd_job *job = download->options.job;
    const char *ca_file = exportd_option(job, "ca_file"), *proxy = exportd_option(job, "proxy");
    CURL *curl = curl_easy_init();
    char *host = part_of(download->url, CURLUPART_HOST);
    if (!curl || !host) {
        curl_free(host);
        curl_easy_cleanup(curl);
        return exportd_kit_no_memory(error);
    }
    snprintf(download->host, sizeof download->host, "%s", host);
    curl_free(host);
    download->curl = curl;
    download->headers = header ? curl_slist_append(NULL, header) : NULL;
    curl_easy_setopt(curl, CURLOPT_URL, download->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, proxy ? proxy : "");
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)exportd_option_integer(job, "connect_timeout", 15000));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                     (long)((exportd_option_integer(job, "stall_timeout", 60000) + 999) / 1000));
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "exportd/" EXPORTD_VERSION);
    if (ca_file && *ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, download->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, download);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, download->detail);
    download->size = 0;
    download->received = 0;
    download->ended = 0;
    curl_multi_add_handle(download->multi, curl);
    return 0;
}

static void stop(struct download *download)
{
    if (download->curl) {
        curl_multi_remove_handle(download->multi, download->curl);
        curl_easy_cleanup(download->curl);
    }
    curl_slist_free_all(download->headers);
    download->curl = NULL;
    download->headers = NULL;
}

static int explain(const struct download *download, struct exportd_kit_error *error)
{
    const char *detail = download->detail[0] ? download->detail : curl_easy_strerror(download->code);
    const char *host = download->host;
    if (download->too_large)
        return exportd_kit_fail(
            error, "repository_too_large", 0,
            "the tarball has more than the limit of %llu MB; raise max_fetch in [plugin repo-clone]",
            (unsigned long long)(download->options.max_bytes >> 20));
    if (download->code == CURLE_OPERATION_TIMEDOUT)
        return exportd_kit_fail(error, "service_timeout", 1, "%s said nothing for too long (%s)", host, detail);
    if (download->code == CURLE_PEER_FAILED_VERIFICATION)
        return exportd_kit_fail(
            error, "service_unreachable", 1,
            "the certificate of %s doesn't hold: %s; where an authority of your own signed it, name that "
            "in ca_file",
            host, detail);
    return exportd_kit_fail(error, "service_unreachable", 1, "%s can't be reached: %s", host, detail);
}

/* Goes on until there is a piece, or the end. */
static int pump(struct download *download, struct exportd_kit_error *error)
{
    int running, left;
    while (!download->ended && download->size == 0) {
        CURLMsg *message;
        if (curl_multi_perform(download->multi, &running) != CURLM_OK)
            return exportd_kit_no_memory(error);
        while ((message = curl_multi_info_read(download->multi, &left)))
            if (message->msg == CURLMSG_DONE) {
                download->ended = 1;
                download->code = message->data.result;
            }
        if (download->ended && download->code != CURLE_OK)
            return explain(download, error);
        if (exportd_cancelled(download->options.job))
            return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
        if (!download->ended && download->size == 0)
            curl_multi_poll(download->multi, NULL, 0, POLL_MS, NULL);
    }
    return 0;
}

/* A header of the answer as a number, or -1. */
static int64_t number_in(const struct download *download, const char *name)
{
    struct curl_header *header = NULL;
    if (curl_easy_header(download->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
        return -1;
    size_t digits = strspn(header->value, "0123456789");
    return digits > 0 && digits <= 15 && !header->value[digits] ? strtoll(header->value, NULL, 10) : -1;
}

/* How long the forge asks to wait, in seconds, or 0: by Retry-After, or as GitHub says that the hour's requests are
 * used up. */
static int64_t wait_s(const struct download *download)
{
    curl_off_t after = 0;
    curl_easy_getinfo(download->curl, CURLINFO_RETRY_AFTER, &after);
    if (after <= 0 && number_in(download, "x-ratelimit-remaining") == 0) {
        after = number_in(download, "x-ratelimit-reset") - (int64_t)time(NULL);
        after = after > 0 ? after : 1; /* it is over just now */
    }
    return after > 0 ? after : 0;
}

static int explain_status(const struct download *download, long status, struct exportd_kit_error *error)
{
    const char *host = download->host;
    int64_t after = wait_s(download);
    if (after > 0)
        exportd_retry_after(download->options.job, after * 1000);
    if (status == 429 || status >= 500 || (status == 403 && after > 0))
        return exportd_kit_fail(error, "service_unreachable", 1,
                                "%s answers with the status %ld; it is asked again later", host, status);
    if (status == 401)
        return exportd_kit_fail(error, "git_unauthorized", 0,
                                "%s takes no request without a token that it knows (401)", host);
    if (status == 403)
        return exportd_kit_fail(error, "git_forbidden", 0, "%s refuses what the token asks for (403)", host);
    if (status == 404)
        return exportd_kit_fail(error, "repository_not_found", 0,
                                "%s has no such repository or ref, or not for this token (404)", host);
    return exportd_kit_fail(error, "git_failed", 0, "%s answers with the status %ld where a tarball was asked for",
                            host, status);
}

/* Where the answer redirects to, if it may. A new string (free it), or NULL with error filled. */
static char *follow(const struct download *download, struct exportd_kit_error *error)
{
    char *to = NULL, *result = NULL;
    curl_easy_getinfo(download->curl, CURLINFO_REDIRECT_URL, &to); /* borrowed */
    char *scheme = to ? part_of(to, CURLUPART_SCHEME) : NULL, *host = to ? part_of(to, CURLUPART_HOST) : NULL;
    char *user = to ? part_of(to, CURLUPART_USER) : NULL;
    int known = host && strcasecmp(host, download->host) == 0;
    for (const char *const *one = download->options.hosts; host && !known && *one; one++)
        known = strcasecmp(*one, host) == 0;
    int safe = scheme && (strcmp(scheme, "https") == 0 ||
                          (strcmp(scheme, "http") == 0 && strncmp(download->url, "http://", 7) == 0));
    if (known && safe && !user)
        result = strdup(to);
    else
        exportd_kit_fail(
            error, "redirect_refused", 0,
            "%s redirects to %s, which is not one of the forge's hosts, or not https; where it is right, name "
            "it in archive_hosts in [plugin repo-clone]",
            download->host, host ? host : "nowhere");
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    return result;
}

static int open_first(struct download *download, struct exportd_kit_error *error)
{
    const char *header = download->options.header;
    for (int redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
        long status = 0;
        if (start(download, header, error) != 0 || pump(download, error) != 0)
            return -1;
        curl_easy_getinfo(download->curl, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200)
            return 0;
        if (status < 301 || status > 308 || status == 304)
            return explain_status(download, status, error);
        char *next = follow(download, error);
        if (!next)
            return -1;
        stop(download);
        free(download->url);
        download->url = next;
        header = NULL;
    }
    return exportd_kit_fail(error, "redirect_refused", 0, "%s redirects more than %d times", download->host,
                            REDIRECTS_MAX);
}

struct download *download_open(const struct download_options *options, struct exportd_kit_error *error)
{
    struct download *download = calloc(1, sizeof *download);
    if (download) {
        download->options = *options;
        download->multi = curl_multi_init();
        download->url = strdup(options->url);
    }
    if (!download || !download->multi || !download->url) {
        exportd_kit_no_memory(error);
        return download_free(download);
    }
    return open_first(download, error) == 0 ? download : download_free(download);
}

ssize_t download_next(struct download *download, const void **bytes, struct exportd_kit_error *error)
{
    if (download->given)
        download->size = 0;
    download->given = 1; /* the first piece came with the status */
    if (pump(download, error) != 0)
        return -1;
    *bytes = download->bytes;
    return (ssize_t)download->size;
}

struct download *download_free(struct download *download)
{
    if (!download)
        return NULL;
    stop(download);
    curl_multi_cleanup(download->multi);
    free(download->url);
    free(download->bytes);
    free(download);
    return NULL;
}
