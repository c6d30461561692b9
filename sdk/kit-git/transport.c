/*
 * exportd/kit/git.h: git's smart protocol over HTTP, by libcurl.
 *
 * libgit2's own way to a server waits for ever where nothing comes, can't be stopped there, and looks at no address
 * before it connects to it.
 */
#include "parts.h"

#include <curl/curl.h>
#include <exportd/kit/address.h>
#include <git2/sys/transport.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 15000
#define STALL_MS 60000
#define POLL_MS 200
#define LISTING_BYTES ((size_t)64 << 20)    /* of all references */
#define OVERHEAD_BYTES ((uint64_t)64 << 20) /* what a server may say besides the pack */
#define REQUEST_BYTES ((size_t)1 << 30)     /* of a push */
#define BUFFER_BYTES 262144L
#define USER_WITH_TOKEN "x-access-token" /* whatever it is, GitHub, GitLab and Gitea look at the token */

struct wire {
    git_smart_subtransport parent;
    struct exportd_git_mirror *mirror;
    CURLM *multi; /* keeps the connection between requests */
};

/* One request and its answer. */
struct stream {
    git_smart_subtransport_stream parent;
    struct wire *wire;
    CURL *curl;
    struct curl_slist *headers;
    int is_post, is_listing, began, ended;
    const char *content_type; /* that the answer must have */
    char *sent;               /* the request's body */
    size_t sent_size, sent_capacity;
    char *got; /* of the answer, not yet read */
    size_t got_at, got_size, got_capacity;
    uint64_t received;
    char detail[CURL_ERROR_SIZE];
};

static int grow(char **bytes, size_t *capacity, size_t wanted)
{
    if (wanted <= *capacity)
        return 0;
    size_t larger = 2 * wanted;
    char *grown = realloc(*bytes, larger);
    if (!grown)
        return -1;
    *bytes = grown;
    *capacity = larger;
    return 0;
}

static size_t take_answer(char *bytes, size_t size, size_t count, void *context)
{
    struct stream *stream = context;
    struct exportd_git_mirror *mirror = stream->wire->mirror;
    size_t length = size * count;
    uint64_t most = stream->is_listing ? LISTING_BYTES : git_kit_max_bytes(mirror) + OVERHEAD_BYTES;
    long status = 0;
    curl_easy_getinfo(stream->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return length; /* a page for people */
    stream->received += length;
    if (stream->received > most) {
        mirror->too_large = 1;
        return 0;
    }
    if (stream->got_at > 0 && stream->got_at == stream->got_size)
        stream->got_at = stream->got_size = 0;
    if (grow(&stream->got, &stream->got_capacity, stream->got_size + length) != 0)
        return 0;
    memcpy(stream->got + stream->got_size, bytes, length);
    stream->got_size += length;
    return length;
}

static int is_stopped(void *context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent)
{
    struct exportd_git_mirror *mirror = context;
    const struct exportd_git_options *options = &mirror->options;
    (void)to_receive;
    (void)received;
    (void)to_send;
    (void)sent;
    if (options->step && options->step(options->context, 0, 0, 0))
        mirror->stopped = 1;
    return mirror->stopped;
}

/* The address that the name led to, at the moment of the connection. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exportd_git_mirror *mirror = context;
    if (purpose == CURLSOCKTYPE_IPCXN && mirror->options.guarded &&
        !exportd_address_is_allowed(&address->addr, mirror->options.allow)) {
        exportd_address_text(&address->addr, mirror->forbidden_address, sizeof mirror->forbidden_address);
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void set_up(struct stream *stream, const char *url)
{
    struct exportd_git_mirror *mirror = stream->wire->mirror;
    const struct exportd_git_options *options = &mirror->options;
    int64_t stall_ms = options->stall_ms > 0 ? options->stall_ms : STALL_MS;
    CURL *curl = stream->curl;
    int proxied = options->proxy && *options->proxy;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, proxied ? options->proxy : "");
    curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* else whoever stops waits for the resolver */
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, BUFFER_BYTES);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(options->connect_ms > 0 ? options->connect_ms : CONNECT_MS));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000));
    /* Servers tell git by its name; so does libgit2. */
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "git/2.0 (exportd " EXPORTD_VERSION ")");
    if (options->ca_file && *options->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, options->ca_file);
    if (options->token && *options->token) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, options->user && *options->user ? options->user : USER_WITH_TOKEN);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, options->token);
    }
    if (!proxied) { /* there the proxy decides */
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, mirror);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, stream->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, stream);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, is_stopped);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, mirror);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, stream->detail);
}

static void begin(struct stream *stream)
{
    stream->began = 1;
    if (stream->is_post) {
        curl_easy_setopt(stream->curl, CURLOPT_POSTFIELDS, stream->sent ? stream->sent : "");
        curl_easy_setopt(stream->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)stream->sent_size);
    }
    curl_multi_add_handle(stream->wire->multi, stream->curl);
}

/* What the connection came to, for explain() in remote.c. Returns -1. */
static int fail_request(struct stream *stream, CURLcode code)
{
    struct exportd_git_mirror *mirror = stream->wire->mirror;
    const char *detail = stream->detail[0] ? stream->detail : curl_easy_strerror(code);
    mirror->network_failed = 1;
    mirror->timed_out = code == CURLE_OPERATION_TIMEDOUT;
    mirror->certificate_failed = code == CURLE_PEER_FAILED_VERIFICATION;
    git_error_set_str(GIT_ERROR_NET, detail);
    return -1;
}

/* The status and the kind of the answer, once its headers are there. */
static int check_answer(struct stream *stream)
{
    struct exportd_git_mirror *mirror = stream->wire->mirror;
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(stream->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(stream->curl, CURLINFO_CONTENT_TYPE, &type);
    if (status != 200) {
        mirror->http_status = (int)status;
        git_error_set_str(GIT_ERROR_HTTP, "the server refused the request");
        return -1;
    }
    if (type && strncasecmp(type, stream->content_type, strlen(stream->content_type)) == 0)
        return 0;
    mirror->not_git = 1;
    git_error_set_str(GIT_ERROR_HTTP, "the server's answer is none of git's");
    return -1;
}

/* Goes on until there is something to read, or the answer is over. */
static int pump(struct stream *stream)
{
    CURLM *multi = stream->wire->multi;
    int running = 1;
    while (!stream->ended && stream->got_at == stream->got_size) {
        CURLMsg *message;
        int left;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return fail_request(stream, CURLE_OUT_OF_MEMORY);
        while ((message = curl_multi_info_read(multi, &left))) {
            if (message->msg != CURLMSG_DONE || message->easy_handle != stream->curl)
                continue;
            stream->ended = 1;
            if (message->data.result != CURLE_OK)
                return fail_request(stream, message->data.result);
        }
        if (is_stopped(stream->wire->mirror, 0, 0, 0, 0))
            return fail_request(stream, CURLE_ABORTED_BY_CALLBACK);
        if (!stream->ended && stream->got_at == stream->got_size)
            curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
    }
    return 0;
}

static int read_stream(git_smart_subtransport_stream *parent, char *buffer, size_t size, size_t *read)
{
    struct stream *stream = (struct stream *)(void *)parent;
    int first = stream->received == 0;
    *read = 0;
    if (!stream->began)
        begin(stream);
    if (pump(stream) != 0 || (first && check_answer(stream) != 0))
        return -1;
    size_t length = stream->got_size - stream->got_at;
    length = length < size ? length : size;
    if (length > 0)
        memcpy(buffer, stream->got + stream->got_at, length);
    stream->got_at += length;
    *read = length;
    return 0;
}

static int write_stream(git_smart_subtransport_stream *parent, const char *bytes, size_t size)
{
    struct stream *stream = (struct stream *)(void *)parent;
    if (stream->began || size > REQUEST_BYTES - stream->sent_size ||
        grow(&stream->sent, &stream->sent_capacity, stream->sent_size + size) != 0) {
        git_error_set_str(GIT_ERROR_NOMEMORY, "the request to the server is too large");
        return -1;
    }
    memcpy(stream->sent + stream->sent_size, bytes, size);
    stream->sent_size += size;
    return 0;
}

static void free_stream(git_smart_subtransport_stream *parent)
{
    struct stream *stream = (struct stream *)(void *)parent;
    if (stream->began)
        curl_multi_remove_handle(stream->wire->multi, stream->curl);
    curl_easy_cleanup(stream->curl);
    curl_slist_free_all(stream->headers);
    free(stream->sent);
    free(stream->got);
    free(stream);
}

struct service {
    const char *path, *request_type, *answer_type;
};
static const struct service services[] = {
    [GIT_SERVICE_UPLOADPACK_LS] = {"/info/refs?service=git-upload-pack", NULL,
                                   "application/x-git-upload-pack-advertisement"},
    [GIT_SERVICE_UPLOADPACK] = {"/git-upload-pack", "Content-Type: application/x-git-upload-pack-request",
                                "application/x-git-upload-pack-result"},
    [GIT_SERVICE_RECEIVEPACK_LS] = {"/info/refs?service=git-receive-pack", NULL,
                                    "application/x-git-receive-pack-advertisement"},
    [GIT_SERVICE_RECEIVEPACK] = {"/git-receive-pack", "Content-Type: application/x-git-receive-pack-request",
                                 "application/x-git-receive-pack-result"},
};

static int act(git_smart_subtransport_stream **out, git_smart_subtransport *parent, const char *url,
               git_smart_service_t action)
{
    struct wire *wire = (struct wire *)(void *)parent;
    const struct service *service = &services[action];
    struct stream *stream = calloc(1, sizeof *stream);
    char *address = NULL;
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/')
        length--;
    if (stream)
        stream->curl = curl_easy_init();
    if (!stream || !stream->curl || asprintf(&address, "%.*s%s", (int)length, url, service->path) < 0) {
        free(stream);
        git_error_set_oom();
        return -1;
    }
    stream->parent = (git_smart_subtransport_stream){
        .subtransport = parent, .read = read_stream, .write = write_stream, .free = free_stream};
    stream->wire = wire;
    stream->is_post = service->request_type != NULL;
    stream->is_listing = !stream->is_post;
    stream->content_type = service->answer_type;
    stream->headers = curl_slist_append(NULL, "Expect:");
    if (stream->is_post)
        stream->headers = curl_slist_append(stream->headers, service->request_type);
    set_up(stream, address);
    free(address);
    *out = &stream->parent;
    return 0;
}

static int close_wire(git_smart_subtransport *parent)
{
    (void)parent;
    return 0;
}

static void free_wire(git_smart_subtransport *parent)
{
    struct wire *wire = (struct wire *)(void *)parent;
    curl_multi_cleanup(wire->multi);
    free(wire);
}

static int new_wire(git_smart_subtransport **out, git_transport *owner, void *context)
{
    struct wire *wire = calloc(1, sizeof *wire);
    (void)owner;
    if (wire)
        wire->multi = curl_multi_init();
    if (!wire || !wire->multi) {
        free(wire);
        git_error_set_oom();
        return -1;
    }
    wire->parent = (git_smart_subtransport){.action = act, .close = close_wire, .free = free_wire};
    wire->mirror = context;
    *out = &wire->parent;
    return 0;
}

int git_kit_transport(git_transport **out, git_remote *owner, void *context)
{
    git_smart_subtransport_definition definition = {.callback = new_wire, .rpc = 1, .param = context};
    return git_transport_smart(out, owner, &definition);
}
