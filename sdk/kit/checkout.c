/* exportd/kit/checkout.h: the repository in the workspace. */
#include <exportd/kit/checkout.h>

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "repo"

/* What acquire-user-repo said, or what a step after it handed on. */
static const json_t *find_repository(const json_t *data)
{
    const json_t *previous = json_object_get(data, "previous");
    const json_t *handed_on = json_object_get(previous, "repository");
    return json_is_object(handed_on) ? handed_on : previous;
}

static json_t *copy_known(const json_t *repository)
{
    static const char *const keys[] = {"url", "commit", "branch", "ref", "folder"};
    json_t *copy = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(repository, keys[i]);
        if (value)
            json_object_set(copy, keys[i], value);
    }
    return copy;
}

/* A folder in the workspace, by what a step before wrote: no "..", no link on the way. A new string, or NULL. */
static char *resolve(const char *workspace, const char *folder)
{
    char *path = NULL, *real = NULL, *top = realpath(workspace, NULL);
    struct stat status;
    if (top && *folder != '/' && asprintf(&path, "%s/%s", top, folder) >= 0) {
        real = realpath(path, NULL);
        if (real && (strcmp(real, path) != 0 || stat(real, &status) != 0 || !S_ISDIR(status.st_mode))) {
            free(real);
            real = NULL;
        }
    }
    free(path);
    free(top);
    return real;
}

int exportd_checkout_open(struct exportd_job *job, const json_t *data, struct exportd_checkout *checkout,
                          struct exportd_kit_error *error)
{
    const json_t *repository = find_repository(data);
    const char *folder = json_string_value(json_object_get(repository, "folder"));
    *checkout = (struct exportd_checkout){.repository = copy_known(repository)};
    if (!checkout->repository)
        return exportd_kit_no_memory(error);
    if (!folder)
        return exportd_kit_fail(error, "repository_missing", 0,
                                "there is no repository in the workspace: this task comes behind acquire-user-repo; "
                                "set repo_url, and see that the plugin repo-clone is there and enabled");
    checkout->folder = resolve(exportd_workspace(job), folder);
    if (!checkout->folder) {
        char quoted[220];
        return exportd_kit_fail(error, "repository_missing", 0,
                                "there is no folder %s in the workspace, where the step before left the repository",
                                exportd_bundle_quote(folder, quoted, sizeof quoted));
    }
    checkout->git_folder = resolve(exportd_workspace(job), FOLDER "/.git");
    checkout->url = json_string_value(json_object_get(checkout->repository, "url"));
    checkout->commit = json_string_value(json_object_get(checkout->repository, "commit"));
    return 0;
}

void exportd_checkout_clear(struct exportd_checkout *checkout)
{
    free(checkout->folder);
    free(checkout->git_folder);
    json_decref(checkout->repository);
    *checkout = (struct exportd_checkout){0};
}

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

int exportd_checkout_walk(const struct exportd_checkout *checkout,
                          int (*visit)(void *context, const struct exportd_checkout_file *file), void *context,
                          struct exportd_kit_error *error)
{
    char *const paths[] = {checkout->folder, NULL};
    size_t top = strlen(checkout->folder) + 1;
    int stopped = 0;
    FTSENT *entry;
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    if (!tree)
        return exportd_kit_no_memory(error);
    while (!stopped && (errno = 0, entry = fts_read(tree))) {
        if (entry->fts_info == FTS_D && strcmp(entry->fts_name, ".git") == 0) {
            fts_set(tree, entry, FTS_SKIP);
        } else if (entry->fts_info == FTS_F && entry->fts_level > 0 && strcmp(entry->fts_name, ".git") != 0) {
            const struct exportd_checkout_file file = {
                .path = entry->fts_path + top,
                .name = entry->fts_name,
                .size_bytes = (uint64_t)entry->fts_statp->st_size,
                .executable = (entry->fts_statp->st_mode & S_IXUSR) != 0,
            };
            stopped = visit(context, &file);
        } else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
            stopped = exportd_kit_fail(error, "workspace_failed", 1, "%s: %s",
                                       entry->fts_level > 0 ? entry->fts_path + top : "the repository's folder",
                                       strerror(entry->fts_errno));
        }
    }
    if (!stopped && errno)
        stopped = exportd_kit_fail(error, "workspace_failed", 1, "the repository's files can't be listed: %s",
                                   strerror(errno));
    fts_close(tree);
    return stopped;
}

static int read_all(int file, char *buffer, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t part = read(file, buffer + *got, size - *got);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return (int)part;
        *got += (size_t)part;
    }
    return 0;
}

char *exportd_checkout_read(const struct exportd_checkout *checkout, const char *path, size_t max_bytes,
                            size_t *size_bytes, struct exportd_kit_error *error)
{
    char *buffer = NULL, *absolute = NULL;
    struct stat status;
    if (asprintf(&absolute, "%s/%s", checkout->folder, path) < 0) {
        exportd_kit_no_memory(error);
        return NULL;
    }
    int file = open(absolute, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int failed = file < 0 || fstat(file, &status) != 0 ? -1 : 0;
    if (!failed && !S_ISREG(status.st_mode)) {
        errno = ENOENT;
        failed = -1;
    }
    if (!failed) {
        size_t size = (uint64_t)status.st_size < max_bytes ? (size_t)status.st_size : max_bytes;
        buffer = malloc(size + 1);
        if (buffer && (failed = read_all(file, buffer, size, size_bytes)) == 0)
            buffer[*size_bytes] = '\0';
    }
    if (failed) {
        char quoted[220];
        exportd_kit_fail(error, "workspace_failed", 1, "%s can't be read: %s",
                         exportd_bundle_quote(path, quoted, sizeof quoted), strerror(errno));
        free(buffer);
        buffer = NULL;
    } else if (!buffer) {
        exportd_kit_no_memory(error);
    }
    if (file >= 0)
        close(file);
    free(absolute);
    return buffer;
}
