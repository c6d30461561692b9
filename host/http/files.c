/*
 * GET /artifacts/JOB/NAME: the file, or where it lies in the bucket.
 */
#include "artifact/artifact.h"
#include "artifact/s3.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/name.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REDIRECT_S 900

static const char *media_type_of(const char *name)
{
    static const char *const types[][2] = {
        {".pdf", "application/pdf"},  {".json", "application/json"},         {".gz", "application/gzip"},
        {".zst", "application/zstd"}, {".html", "text/html; charset=utf-8"}, {".txt", "text/plain; charset=utf-8"},
        {".png", "image/png"},        {".log", "text/plain; charset=utf-8"}, {".md", "text/markdown; charset=utf-8"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static void reply_unknown(struct http_request *request)
{
    reply_problem(request, 404, "artifact_unknown",
                  "the job has no artifact of that name; GET /jobs/ID lists those that it has");
}

/* Whether the result says that the object of this key is the artifact. Another bucket's is not: it was set later. */
static bool result_names(const struct job *job, const char *name, const char *plain_url)
{
    json_t *result = job->result ? json_loads(job->result, 0, NULL) : NULL;
    bool named = false;
    size_t index, length = strlen(plain_url);
    json_t *artifact;
    json_array_foreach(json_object_get(result, "artifacts"), index, artifact)
    {
        const char *its_name = json_string_value(json_object_get(artifact, "name"));
        const char *its_url = json_string_value(json_object_get(artifact, "url"));
        named = named || (its_name && its_url && strcmp(its_name, name) == 0 &&
                          strncmp(its_url, plain_url, length) == 0 && (!its_url[length] || its_url[length] == '?'));
    }
    json_decref(result);
    return named;
}

/* Whoever may ask this host may read the object, for as long as the redirect is good. */
static void reply_redirect(struct http_request *request, const struct config_s3 *config, const char *key)
{
    int64_t expires_s = config->presign_ms > 0 ? config->presign_ms / 1000 : REDIRECT_S;
    char *url = s3_presign(config, key, (time_t)(clock_now_ms() / 1000), expires_s);
    struct MHD_Response *response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(response, "Location", url);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    reply_response(request, 307, response);
    free(url);
}

static void on_got(struct store_op *op, void *client)
{
    struct http_request *request = client;
    if (request_is_gone(request)) {
        store_op_free(op);
        return;
    }
    const struct config_s3 *config = &request->server->context.config->s3;
    char *key = s3_key(config, request->segments[1], request->segments[2]);
    char *plain_url = s3_url(config, key);
    if (error_is_set(&op->error))
        reply_error(request, &op->error);
    else if (op->get.job && result_names(op->get.job, request->segments[2], plain_url))
        reply_redirect(request, config, key);
    else
        reply_unknown(request);
    free(plain_url);
    free(key);
    store_op_free(op);
}

static void look_into_bucket(struct http_request *request)
{
    struct store_op *op = store_op_new(STORE_GET, on_got, request);
    op->get.id = memory_text(request->segments[1]);
    request->pending = true;
    request_suspend(request);
    store_enqueue(request->server->context.store, op);
}

void handle_artifact(struct http_request *request)
{
    const char *name = request->segments[2];
    struct stat status;
    int fd = -1;
    if (name_is_safe(name)) {
        char *folder = artifact_folder(request->server->context.artifact_folder, request->segments[1]);
        int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        free(folder);
        if (at >= 0) {
            fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
            close(at);
        }
    }
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        if (fd >= 0)
            close(fd);
        if (name_is_safe(name) && request->server->context.uploader)
            look_into_bucket(request);
        else
            reply_unknown(request);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)status.st_size, fd);
    MHD_add_response_header(response, "Content-Type", media_type_of(name));
    /* A page that a job made must not act in this host's name. */
    MHD_add_response_header(response, "Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups");
    reply_response(request, 200, response);
}
