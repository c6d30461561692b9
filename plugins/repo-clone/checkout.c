/* checkout.h: writes the files of a repository below one folder. */
#include "checkout.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LFS_MAX 1000
#define POINTER_BYTES 1024 /* a pointer of Git LFS is shorter, by its specification */

struct entry {
    char *path;
    char *target;
    bool executable;
    bool made;
};

struct checkout {
    struct rules *rules;
    int top_fd;
    int folder_fd;         /* of the folder that was used last, or -1 */
    char folder[PATH_MAX]; /* its path */
    int file_fd;           /* of the file that is written, or -1 */
    struct entry *entries;
    size_t count, capacity;
    char head[POINTER_BYTES]; /* of the file that is written */
    uint64_t size;            /* of it, so far */
    json_t *lfs;
};

static int fail_at(struct exportd_kit_error *error, const char *path)
{
    char quoted[220];
    return exportd_kit_fail(error, "workspace_failed", errno == ENOSPC || errno == EDQUOT || errno == EMFILE,
                            "%s can't be written to the workspace: %s",
                            exportd_bundle_quote(path, quoted, sizeof quoted), strerror(errno));
}

/* What an earlier attempt left in a workspace that is kept. Follows no link. */
static void remove_tree(const char *path)
{
    char *paths[] = {(char *)(uintptr_t)path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    while (tree && (entry = fts_read(tree)))
        if (entry->fts_info == FTS_DP)
            rmdir(entry->fts_accpath);
        else if (entry->fts_info != FTS_D)
            unlink(entry->fts_accpath);
    if (tree)
        fts_close(tree);
}

struct checkout *checkout_new(const char *top, struct rules *rules, struct exportd_kit_error *error)
{
    struct checkout *checkout = calloc(1, sizeof *checkout);
    if (!checkout) {
        exportd_kit_no_memory(error);
        return NULL;
    }
    checkout->rules = rules;
    checkout->folder_fd = checkout->file_fd = checkout->top_fd = -1;
    checkout->lfs = json_array();
    remove_tree(top);
    if (mkdir(top, 0755) != 0 ||
        (checkout->top_fd = open(top, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
        fail_at(error, top);
        return checkout_free(checkout);
    }
    return checkout;
}

struct checkout *checkout_free(struct checkout *checkout)
{
    if (!checkout)
        return NULL;
    for (int *fds[] = {&checkout->file_fd, &checkout->folder_fd, &checkout->top_fd, NULL}, **fd = fds; *fd; fd++)
        if (**fd >= 0)
            close(**fd);
    for (size_t i = 0; i < checkout->count; i++) {
        free(checkout->entries[i].path);
        free(checkout->entries[i].target);
    }
    free(checkout->entries);
    json_decref(checkout->lfs);
    free(checkout);
    return NULL;
}

static struct entry *add_entry(struct checkout *checkout, const char *path)
{
    if (checkout->count == checkout->capacity) {
        size_t capacity = 2 * checkout->capacity + 64;
        struct entry *grown = realloc(checkout->entries, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        checkout->entries = grown;
        checkout->capacity = capacity;
    }
    struct entry *entry = &checkout->entries[checkout->count];
    *entry = (struct entry){.path = strdup(path)};
    if (entry->path)
        checkout->count++;
    return entry->path ? entry : NULL;
}

/* Opens the folder of that path, making what isn't there. Sets folder_fd; the top is "". */
static int enter(struct checkout *checkout, const char *path, size_t length, struct exportd_kit_error *error)
{
    if (checkout->folder_fd >= 0 && strlen(checkout->folder) == length && memcmp(checkout->folder, path, length) == 0)
        return 0;
    if (checkout->folder_fd >= 0)
        close(checkout->folder_fd);
    checkout->folder_fd = -1;
    int fd = fcntl(checkout->top_fd, F_DUPFD_CLOEXEC, 0);
    for (size_t at = 0; fd >= 0 && at < length;) {
        char name[NAME_MAX + 1];
        size_t name_length = strcspn(path + at, "/");
        snprintf(name, sizeof name, "%.*s", (int)name_length, path + at);
        int next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && mkdirat(fd, name, 0755) == 0)
            next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int cause = errno;
        close(fd);
        errno = cause;
        fd = next;
        at += name_length + 1;
    }
    if (fd < 0)
        return fail_at(error, path);
    checkout->folder_fd = fd;
    snprintf(checkout->folder, sizeof checkout->folder, "%.*s", (int)length, path);
    return 0;
}

/* Opens the folder that path lies in, and returns path's name in it; NULL with error filled. */
static const char *enter_above(struct checkout *checkout, const char *path, struct exportd_kit_error *error)
{
    const char *slash = strrchr(path, '/');
    if (enter(checkout, path, slash ? (size_t)(slash - path) : 0, error) != 0)
        return NULL;
    return slash ? slash + 1 : path;
}

int checkout_folder(struct checkout *checkout, const char *path, struct exportd_kit_error *error)
{
    return enter(checkout, path, strlen(path), error);
}

int checkout_begin(struct checkout *checkout, const char *path, bool executable, struct exportd_kit_error *error)
{
    const char *name = enter_above(checkout, path, error);
    if (!name)
        return -1;
    struct entry *entry = add_entry(checkout, path);
    if (!entry)
        return exportd_kit_no_memory(error);
    entry->executable = executable;
    entry->made = true;
    checkout->size = 0;
    checkout->file_fd = openat(checkout->folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               executable ? 0755 : 0644);
    return checkout->file_fd < 0 ? fail_at(error, path) : 0;
}

int checkout_write(struct checkout *checkout, const void *bytes, size_t size, struct exportd_kit_error *error)
{
    const char *at = bytes;
    if (checkout->size < POINTER_BYTES) {
        size_t room = POINTER_BYTES - (size_t)checkout->size;
        memcpy(checkout->head + checkout->size, bytes, size < room ? size : room);
    }
    checkout->size += size;
    while (size > 0) {
        ssize_t written = write(checkout->file_fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return fail_at(error, checkout->entries[checkout->count - 1].path);
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

/* See Git LFS' specification: lines "key value", the version first. A tarball may have other line ends. */
static void look_for_pointer(struct checkout *checkout)
{
    static const char version[] = "version https://git-lfs.github.com/spec/v1\n";
    char text[POINTER_BYTES + 1];
    char oid[65];
    unsigned long long bytes;
    size_t length = 0;
    if (checkout->size >= POINTER_BYTES || checkout->size < sizeof version)
        return;
    for (size_t i = 0; i < checkout->size; i++)
        if (checkout->head[i] != '\r')
            text[length++] = checkout->head[i];
    text[length] = '\0';
    const char *id = strstr(text, "\noid sha256:"), *size = strstr(text, "\nsize ");
    if (strncmp(text, version, sizeof version - 1) != 0 || !id || !size ||
        sscanf(id, "\noid sha256:%64[0-9a-f]", oid) != 1 || strlen(oid) != 64 ||
        sscanf(size, "\nsize %18llu", &bytes) != 1 || json_array_size(checkout->lfs) >= LFS_MAX)
        return;
    json_array_append_new(checkout->lfs,
                          json_pack("{s:s, s:s, s:I}", "path", checkout->entries[checkout->count - 1].path, "oid",
                                    oid, "bytes", (json_int_t)bytes));
}

int checkout_end(struct checkout *checkout, struct exportd_kit_error *error)
{
    int fd = checkout->file_fd;
    checkout->file_fd = -1;
    if (close(fd) != 0)
        return fail_at(error, checkout->entries[checkout->count - 1].path);
    look_for_pointer(checkout);
    return 0;
}

int checkout_link(struct checkout *checkout, const char *path, const char *target, size_t length,
                  struct exportd_kit_error *error)
{
    char quoted[220];
    if (!rules_link_is_safe(path, target, length)) {
        rules_note(checkout->rules,
                   "%s is a link that leads out of the repository, or nobody knows where: it is a file with the "
                   "link's target in it",
                   exportd_bundle_quote(path, quoted, sizeof quoted));
        if (checkout_begin(checkout, path, false, error) != 0 || checkout_write(checkout, target, length, error) != 0)
            return -1;
        return checkout_end(checkout, error);
    }
    struct entry *entry = add_entry(checkout, path);
    if (entry)
        entry->target = strndup(target, length);
    return entry && entry->target ? 0 : exportd_kit_no_memory(error);
}

int checkout_finish(struct checkout *checkout, struct exportd_kit_error *error)
{
    for (size_t i = 0; i < checkout->count; i++) {
        struct entry *entry = &checkout->entries[i];
        if (entry->made || !entry->target)
            continue;
        const char *name = enter_above(checkout, entry->path, error);
        if (!name)
            return -1;
        if (symlinkat(entry->target, checkout->folder_fd, name) != 0)
            return fail_at(error, entry->path);
        entry->made = true;
    }
    return 0;
}

size_t checkout_count(const struct checkout *checkout)
{
    return checkout->count;
}

struct checkout_entry checkout_get(const struct checkout *checkout, size_t index)
{
    const struct entry *entry = &checkout->entries[index];
    return (struct checkout_entry){.path = entry->path, .target = entry->target, .executable = entry->executable};
}

json_t *checkout_lfs(const struct checkout *checkout)
{
    return json_incref(checkout->lfs);
}
