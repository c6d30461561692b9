/* folder.h: a folder of this machine. */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_EVERY 64

static int is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

int folder_is_plain(const struct source *source)
{
    char git[4096], objects[4096];
    if (source->url[0] != '/' || !is_folder(source->url))
        return 0;
    snprintf(git, sizeof git, "%s/.git", source->url);
    snprintf(objects, sizeof objects, "%s/objects", source->url);
    return access(git, F_OK) != 0 && !is_folder(objects);
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

static int copy_link(struct request *request, const FTSENT *entry, const char *path, struct exportd_kit_error *error)
{
    char target[4097];
    ssize_t length = readlink(entry->fts_accpath, target, sizeof target - 1);
    if (length < 0)
        return exportd_kit_fail(error, "folder_unreadable", 0, "%s: %s", entry->fts_path, strerror(errno));
    return rules_take(request->rules, path, RULES_LINK, (uint64_t)length, error) ||
                   checkout_link(request->checkout, path, target, (size_t)length, error)
               ? -1
               : 0;
}

static int copy_file(struct request *request, const FTSENT *entry, const char *path, struct exportd_kit_error *error)
{
    char bytes[65536];
    ssize_t got = 0;
    const struct stat *status = entry->fts_statp;
    if (rules_take(request->rules, path, RULES_FILE, (uint64_t)status->st_size, error) != 0)
        return -1;
    int file = open(entry->fts_accpath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return exportd_kit_fail(error, "folder_unreadable", 0, "%s: %s", entry->fts_path, strerror(errno));
    int failed = checkout_begin(request->checkout, path, (status->st_mode & S_IXUSR) != 0, error);
    off_t left = status->st_size; /* it may grow meanwhile */
    while (!failed && left > 0 && (got = read(file, bytes, sizeof bytes)) > 0) {
        size_t part = (off_t)got < left ? (size_t)got : (size_t)left;
        failed = checkout_write(request->checkout, bytes, part, error);
        left -= (off_t)part;
    }
    if (!failed && got < 0)
        failed = exportd_kit_fail(error, "folder_unreadable", 0, "%s: %s", entry->fts_path, strerror(errno));
    failed = failed ? failed : checkout_end(request->checkout, error);
    close(file);
    return failed;
}

/* The folders that lead to the subfolder. */
static int take_above(struct request *request, struct exportd_kit_error *error)
{
    char path[4096];
    const char *subfolder = request->subfolder;
    for (const char *at = subfolder; (at = strchr(at, '/')); at++) {
        snprintf(path, sizeof path, "%.*s", (int)(at - subfolder), subfolder);
        if (rules_take(request->rules, path, RULES_FOLDER, 0, error) != 0)
            return -1;
    }
    return rules_take(request->rules, subfolder, RULES_FOLDER, 0, error) ||
                   checkout_folder(request->checkout, subfolder, error)
               ? -1
               : 0;
}

/* own: of the workspace. */
static int copy_entry(struct request *request, FTS *tree, FTSENT *entry, const char *path, const struct stat *own,
                      struct exportd_kit_error *error)
{
    switch (entry->fts_info) {
    case FTS_D:
        if (entry->fts_dev == own->st_dev && entry->fts_ino == own->st_ino) {
            rules_note(request->rules, "%s is where this copy is made, and was left out", path);
            return fts_set(tree, entry, FTS_SKIP);
        }
        return rules_take(request->rules, path, RULES_FOLDER, 0, error) ||
                       checkout_folder(request->checkout, path, error)
                   ? -1
                   : 0;
    case FTS_F:
        return copy_file(request, entry, path, error);
    case FTS_SL:
    case FTS_SLNONE:
        return copy_link(request, entry, path, error);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return exportd_kit_fail(error, "folder_unreadable", 0, "%s: %s", entry->fts_path, strerror(entry->fts_errno));
    case FTS_DEFAULT:
        rules_note(request->rules, "%s is neither a file nor a folder nor a link, and was left out", path);
        return 0;
    default:
        return 0;
    }
}

static int copy_tree(struct request *request, const char *from, struct exportd_kit_error *error)
{
    char *const paths[] = {(char *)(uintptr_t)from, NULL};
    size_t top = strlen(request->source.url) + 1, count = 0;
    int failed = 0;
    struct stat own;
    FTSENT *entry;
    if (stat(exportd_workspace(request->job), &own) != 0)
        return exportd_kit_fail(error, "workspace_failed", 1, "the workspace: %s", strerror(errno));
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!tree)
        return exportd_kit_no_memory(error);
    while (!failed && (entry = fts_read(tree))) {
        if (count++ % STEP_EVERY == 0 && exportd_cancelled(request->job))
            failed = exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
        else if (entry->fts_level > 0)
            failed = copy_entry(request, tree, entry, entry->fts_path + top, &own, error);
        else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
            failed = exportd_kit_fail(error, "folder_unreadable", 0, "%s: %s", from,
                                      strerror(entry->fts_errno ? entry->fts_errno : ENOTDIR));
    }
    fts_close(tree);
    return failed;
}

int folder_run(struct request *request, struct exportd_kit_error *error)
{
    char *from = NULL;
    char quoted[220];
    char *itself = realpath(request->source.url, NULL);
    if (!itself)
        return exportd_kit_fail(error, "folder_unreadable", 0, "%s: %s", request->source.url, strerror(errno));
    free(request->source.url);
    request->source.url = itself;
    if (request->ref || request->history)
        return exportd_kit_fail(error, "option_invalid", 0,
                                "%s is a folder, and no repository: it has no ref and no history; leave them out",
                                request->source.url);
    if (!request->subfolder)
        return copy_tree(request, request->source.url, error);
    if (asprintf(&from, "%s/%s", request->source.url, request->subfolder) < 0)
        return exportd_kit_no_memory(error);
    /* By no link: the folder is what conf.d allows, not what it leads to. */
    char *real = realpath(from, NULL), *base = realpath(request->source.url, NULL);
    size_t base_length = base ? strlen(base) : 0;
    int failed = 0;
    if (!real || !base || !is_folder(from) || strncmp(real, base, base_length) != 0 || real[base_length] != '/')
        failed = exportd_kit_fail(error, "subfolder_not_found", 0, "the folder has no subfolder %s",
                                  exportd_bundle_quote(request->subfolder, quoted, sizeof quoted));
    failed = failed ? failed : take_above(request, error);
    failed = failed ? failed : copy_tree(request, from, error);
    free(real);
    free(base);
    free(from);
    return failed;
}
