/*
 * GET /artifacts/JOB/NAME.
 */
#include "artifact/artifact.h"
#include "base/name.h"
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        reply_problem(request, 404, "artifact_unknown",
                      "the job has no artifact of that name; GET /jobs/ID lists those that it has");
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd64((uint64_t)status.st_size, fd);
    MHD_add_response_header(response, "Content-Type", media_type_of(name));
    /* A page that a job made must not act in this host's name. */
    MHD_add_response_header(response, "Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups");
    reply_response(request, 200, response);
}
