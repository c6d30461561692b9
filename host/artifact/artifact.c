#include "artifact/artifact.h"

#include "base/memory.h"
#include "base/name.h"
#include "base/sha256.h"
#include "base/tree.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES 262144

char *artifact_folder(const char *root, const char *job_id)
{
    if (name_is_safe(job_id))
        return memory_format("%s/%s", root, job_id);
    unsigned char hash[16];
    char text[sizeof hash * 2 + 1];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)job_id, strlen(job_id), NULL, 0);
    sodium_bin2hex(text, sizeof text, hash, sizeof hash);
    return memory_format("%s/~%s", root, text);
}

char *artifact_url_segment(const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *encoded = memory_zeroed(strlen(text), 3 + 1);
    char *out = encoded;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (isascii(*c) && (isalnum(*c) || *c == '-' || *c == '.' || *c == '_' || *c == '~')) {
            *out++ = (char)*c;
        } else {
            *out++ = '%';
            *out++ = hex[*c >> 4];
            *out++ = hex[*c & 15];
        }
    }
    return encoded;
}

/* Walks down from the workspace, never through a link and never up. Returns a descriptor or -1 with errno. */
static int walk(int workspace, const char *path)
{
    char *copy = memory_text(path), *rest = copy;
    int at = workspace;
    while (rest) {
        const char *segment = strsep(&rest, "/");
        int next = -1;
        if (segment[0] == '\0' || strcmp(segment, ".") == 0 || strcmp(segment, "..") == 0)
            errno = EXDEV;
        else
            next =
                openat(at, segment, O_CLOEXEC | O_NOFOLLOW | (rest ? O_PATH | O_DIRECTORY : O_RDONLY | O_NONBLOCK));
        int cause = errno;
        if (at != workspace)
            close(at);
        errno = cause;
        at = next;
        if (at < 0)
            break;
    }
    free(copy);
    return at;
}

/* A regular file with no other name, in the workspace. */
static int open_beneath(int workspace, const char *path, struct stat *status, struct error *error)
{
    int fd = walk(workspace, path);
    if (fd < 0)
        return error_set(error, "artifact_invalid", false, "the artifact's file %.300s can't be taken: %s", path,
                         errno == ELOOP || errno == EXDEV || errno == ENOTDIR
                             ? "it is a link, or leads out of the workspace"
                             : strerror(errno));
    if (fstat(fd, status) != 0 || !S_ISREG(status->st_mode) || status->st_nlink != 1) {
        close(fd);
        return error_set(error, "artifact_invalid", false, "the artifact's file %.300s can't be taken: %s", path,
                         S_ISREG(status->st_mode) ? "it has a second name (a hard link)" : "it is no regular file");
    }
    return fd;
}

static int copy_file(int from, int folder, const char *name)
{
    int to = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (to < 0)
        return -1;
    char *buffer = memory_zeroed(1, COPY_BYTES);
    off_t offset = 0;
    ssize_t count;
    int failed = 0;
    while (!failed && (count = pread(from, buffer, COPY_BYTES, offset)) > 0) {
        for (ssize_t done = 0, wrote; done < count && !failed; done += wrote)
            if ((wrote = write(to, buffer + done, (size_t)(count - done))) <= 0) {
                failed = -1;
                break;
            }
        offset += count;
    }
    if (!failed && (count < 0 || fsync(to) != 0))
        failed = -1;
    free(buffer);
    close(to);
    return failed;
}

/* Gives the very file that was hashed a name among the artifacts, whatever happened to its name in the workspace. */
static int place_file(int fd, int folder, const char *name, struct error *error)
{
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    fchmod(fd, 0640);
    if (linkat(AT_FDCWD, self, folder, name, AT_SYMLINK_FOLLOW) == 0 && fsync(fd) == 0)
        return 0;
    if ((errno == EXDEV || errno == EPERM || errno == ENOENT || errno == EOPNOTSUPP) &&
        copy_file(fd, folder, name) == 0)
        return 0;
    return error_set(error, "artifact_failed", true, "the artifact %s can't be stored: %s%s", name, strerror(errno),
                     errno == ENOSPC ? "; free space on the disk that holds [host] state" : "");
}

static json_t *take_one(int workspace, const json_t *wanted, int folder, const char *base_url, int64_t *left,
                        struct error *error)
{
    const char *path = json_string_value(json_object_get(wanted, "path"));
    const char *name = json_string_value(json_object_get(wanted, "name"));
    const char *media_type = json_string_value(json_object_get(wanted, "media_type"));
    char hex[SHA256_HEX_MAX];
    struct stat status = {0};
    int64_t bytes = 0;
    int cause;
    if (!name_is_safe(name)) {
        error_set(error, "artifact_invalid", false, "the artifact's name may hold A-Z a-z 0-9 . _ - only");
        return NULL;
    }
    int fd = open_beneath(workspace, path, &status, error);
    if (fd < 0)
        return NULL;
    json_t *taken = NULL;
    if (status.st_size > *left)
        error_set(error, "artifact_too_large", false,
                  "the artifact %s (%lld bytes) is beyond what the job may leave; raise [jobs] max_artifact", name,
                  (long long)status.st_size);
    else if ((cause = sha256_of_file(fd, 0, INT64_MAX, NULL, hex, &bytes)) != 0)
        error_set(error, "artifact_failed", true, "the artifact %s can't be read: %s", name, strerror(cause));
    else if (place_file(fd, folder, name, error) == 0) {
        *left -= bytes;
        taken = json_pack("{s:s, s:s+, s:I, s:s, s:s}", "name", name, "url", base_url, name, "bytes",
                          (json_int_t)bytes, "sha256", hex, "media_type", media_type);
    }
    close(fd);
    return taken;
}

json_t *artifact_collect(const char *workspace, const json_t *wanted, const char *folder, const char *base_url,
                         const struct artifact_limits *limits, struct error *error)
{
    if ((int64_t)json_array_size(wanted) > limits->max_count) {
        error_set(error, "artifact_too_many", false,
                  "the job leaves %zu artifacts, more than the %lld allowed; raise [jobs] max_artifacts",
                  json_array_size(wanted), (long long)limits->max_count);
        return NULL;
    }
    tree_remove(folder);
    int from = open(workspace, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int to = mkdir(folder, 0750) == 0 || errno == EEXIST ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    json_t *taken = json_array();
    int64_t left = limits->max_bytes;
    if (from < 0 || to < 0)
        error_set(error, "artifact_failed", true, "%s: %s", from < 0 ? workspace : folder, strerror(errno));
    size_t index;
    json_t *entry;
    json_array_foreach(wanted, index, entry)
    {
        json_t *one = error_is_set(error) ? NULL : take_one(from, entry, to, base_url, &left, error);
        if (!one)
            break;
        json_array_append_new(taken, one);
    }
    if (!error_is_set(error) && fsync(to) != 0)
        error_set(error, "artifact_failed", true, "%s can't be flushed: %s", folder, strerror(errno));
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (error_is_set(error)) {
        tree_remove(folder);
        json_decref(taken);
        return NULL;
    }
    return taken;
}
