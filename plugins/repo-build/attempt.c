/* attempt.h: a clean start. */
#include "attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE "before.json"
#define OPEN_FOLDERS 32

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    remove(path);
    return 0;
}

static int open_up(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)place;
    if (kind == FTW_D || kind == FTW_DNR)
        chmod(path, 0700);
    return 0;
}

void attempt_remove(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0)
        return;
    if (!S_ISDIR(status.st_mode)) {
        unlink(path);
        return;
    }
    chmod(path, 0700);
    nftw(path, open_up, OPEN_FOLDERS, FTW_PHYS);
    nftw(path, remove_one, OPEN_FOLDERS, FTW_PHYS | FTW_DEPTH);
}

static void note_path(const char *workspace, char *out, size_t size)
{
    snprintf(out, size, "%s/" NOTE, workspace);
}

/* Not through json_dump_file(): what lies there may be a link or a FIFO. */
static int write_note(const char *workspace, const struct made_list *before, bool has_modules,
                      struct exportd_kit_error *error)
{
    char path[4096];
    json_t *files = json_array();
    note_path(workspace, path, sizeof path);
    for (size_t i = 0; i < before->count; i++) {
        const struct made_file *file = &before->files[i];
        json_t *entry =
            json_pack("[s, I, I]", file->path, (json_int_t)file->changed_ns, (json_int_t)file->size_bytes);
        if (entry) /* a name that is no UTF-8 is nothing that goes into the output either */
            json_array_append_new(files, entry);
    }
    json_t *note = json_pack("{s:b, s:o}", "modules", (int)has_modules, "files", files);
    attempt_remove(path);
    int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int failed = out < 0 || json_dumpfd(note, out, JSON_COMPACT) != 0
                     ? exportd_kit_fail(error, "workspace_failed", 1, "%s: %s", path, strerror(errno))
                     : 0;
    if (out >= 0)
        close(out);
    json_decref(note);
    return failed;
}

/* Nonzero where an attempt before left a note that can be read. */
static int read_note(const char *workspace, struct made_list *before, bool *has_modules)
{
    char path[4096];
    struct stat status;
    note_path(workspace, path, sizeof path);
    int in = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    json_t *note = in >= 0 && fstat(in, &status) == 0 && S_ISREG(status.st_mode) ? json_loadfd(in, 0, NULL) : NULL;
    json_t *files = json_object_get(note, "files");
    size_t count = json_array_size(files);
    before->files = count > 0 ? calloc(count, sizeof *before->files) : NULL;
    for (size_t i = 0; before->files && i < count; i++) {
        const json_t *entry = json_array_get(files, i);
        const char *name = json_string_value(json_array_get(entry, 0));
        struct made_file *file = &before->files[before->count];
        file->path = name ? strdup(name) : NULL;
        file->changed_ns = json_integer_value(json_array_get(entry, 1));
        file->size_bytes = (uint64_t)json_integer_value(json_array_get(entry, 2));
        before->count += file->path != NULL;
    }
    before->room = count;
    *has_modules = json_is_true(json_object_get(note, "modules"));
    json_decref(note);
    if (in >= 0)
        close(in);
    return before->count > 0;
}

static int by_path(const void *a, const void *b)
{
    const struct made_file *one = a, *other = b;
    return strcmp(one->path, other->path);
}

static int remove_new(const struct exportd_checkout *checkout, const struct made_list *before,
                      struct exportd_kit_error *error)
{
    struct made_list now = {0};
    nftw(checkout->folder, open_up, OPEN_FOLDERS, FTW_PHYS);
    int failed = made_list(checkout->folder, false, &now, error);
    for (size_t i = 0; !failed && i < now.count; i++) {
        char *path = NULL;
        if (bsearch(&now.files[i], before->files, before->count, sizeof *before->files, by_path) ||
            asprintf(&path, "%s/%s", checkout->folder, now.files[i].path) < 0)
            continue;
        unlink(path);
        free(path);
    }
    made_list_clear(&now);
    return failed;
}

int attempt_begin(const char *workspace, const struct exportd_checkout *checkout, struct made_list *before,
                  bool *has_modules, struct exportd_kit_error *error)
{
    static const char *const own[] = {"build.log", "manifest.json", "build", "install", "home", "tmp"};
    char path[4096];
    struct stat status;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(path, sizeof path, "%s/%s", workspace, own[i]);
        attempt_remove(path);
    }
    snprintf(path, sizeof path, "%s/node_modules", checkout->folder);
    if (read_note(workspace, before, has_modules)) {
        if (!*has_modules)
            attempt_remove(path);
        return remove_new(checkout, before, error);
    }
    made_list_clear(before);
    *has_modules = lstat(path, &status) == 0;
    return made_list(checkout->folder, false, before, error) || write_note(workspace, before, *has_modules, error)
               ? -1
               : 0;
}

void attempt_end(const char *workspace)
{
    char path[4096];
    note_path(workspace, path, sizeof path);
    attempt_remove(path);
}
