/* made.h: which files a build made. */
#include "made.h"

#include <errno.h>
#include <fts.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTED_MAX ((size_t)2000000) /* of what lies there; what is output has limits of its own */

void made_list_clear(struct made_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->files[i].path);
        free(list->files[i].target);
    }
    free(list->files);
    *list = (struct made_list){0};
}

void made_clear(struct made *made)
{
    made_list_clear(&made->list);
    free(made->folder);
    free(made->name);
    *made = (struct made){0};
}

static struct made_file *add(struct made_list *list)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 256;
        struct made_file *files = realloc(list->files, room * sizeof *files);
        if (!files)
            return NULL;
        list->files = files;
        list->room = room;
    }
    list->files[list->count] = (struct made_file){0};
    return &list->files[list->count++];
}

static char *read_target(const char *path)
{
    char target[4096];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0)
        return NULL;
    target[length] = '\0';
    return strdup(target);
}

static int take(struct made_list *list, const FTSENT *entry, size_t top, struct exportd_kit_error *error)
{
    if (list->count >= LISTED_MAX)
        return exportd_kit_fail(error, "output_too_large", 0, "there are more than %zu files", LISTED_MAX);
    struct made_file *file = add(list);
    bool link = entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE;
    if (!file || !(file->path = strdup(entry->fts_path + top)) ||
        (link && !(file->target = read_target(entry->fts_accpath))))
        return exportd_kit_no_memory(error);
    file->size_bytes = link ? 0 : (uint64_t)entry->fts_statp->st_size;
    file->changed_ns = (int64_t)entry->fts_statp->st_ctim.tv_sec * 1000000000 + entry->fts_statp->st_ctim.tv_nsec;
    file->executable = (entry->fts_statp->st_mode & S_IXUSR) != 0;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    const struct made_file *one = a, *other = b;
    return strcmp(one->path, other->path);
}

static int unreadable(const char *path, int cause, struct exportd_kit_error *error)
{
    char quoted[220];
    return exportd_kit_fail(error, "output_unreadable", 0, "%s, which the build left, can't be read: %s",
                            exportd_bundle_quote(path, quoted, sizeof quoted), strerror(cause));
}

static int list_entry(struct made_list *list, FTS *tree, FTSENT *entry, size_t top, bool with_modules,
                      struct exportd_kit_error *error)
{
    bool is_top = entry->fts_level == 0;
    bool skipped = !is_top && (strcmp(entry->fts_name, ".git") == 0 ||
                               (!with_modules && strcmp(entry->fts_name, "node_modules") == 0));
    switch (entry->fts_info) {
    case FTS_D:
        if (skipped)
            fts_set(tree, entry, FTS_SKIP);
        return 0;
    case FTS_DP:
        return 0;
    case FTS_F:
    case FTS_SL:
    case FTS_SLNONE:
        if (is_top)
            return unreadable(entry->fts_name, ENOTDIR, error);
        return skipped ? 0 : take(list, entry, top, error);
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return skipped ? 0 : unreadable(is_top ? entry->fts_name : entry->fts_path + top, entry->fts_errno, error);
    default:
        return is_top ? unreadable(entry->fts_name, ENOTDIR, error) : 0; /* a FIFO, a socket */
    }
}

int made_list(const char *folder, bool with_modules, struct made_list *list, struct exportd_kit_error *error)
{
    char *const paths[] = {(char *)(uintptr_t)folder, NULL};
    int failed = 0;
    FTSENT *entry;
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!tree)
        return exportd_kit_no_memory(error);
    while (!failed && (errno = 0, entry = fts_read(tree)))
        failed = list_entry(list, tree, entry, strlen(folder) + 1, with_modules, error);
    if (!failed && errno)
        failed = unreadable("a folder", errno, error);
    fts_close(tree);
    if (!failed && list->count > 1)
        qsort(list->files, list->count, sizeof *list->files, by_path);
    return failed;
}

static bool is_new(const struct made_list *before, const struct made_file *file)
{
    if (before->count == 0)
        return true;
    const struct made_file *old = bsearch(file, before->files, before->count, sizeof *file, by_path);
    return !old || old->changed_ns != file->changed_ns || old->size_bytes != file->size_bytes;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length > end_length && strcmp(text + length - end_length, end) == 0;
}

/* Steps on the way that nobody wants: objects, and what cmake and make write for themselves. */
static bool is_intermediate(const char *path)
{
    static const char *const ends[] = {".o",    ".lo",  ".d",         ".obj",       ".gcda",
                                       ".gcno", ".tmp", ".ninja_log", ".ninja_deps"};
    static const char *const names[] = {
        "CMakeCache.txt",       "cmake_install.cmake", "Makefile",   "build.ninja",   "compile_commands.json",
        "install_manifest.txt", "CTestTestfile.cmake", "config.log", "config.status", "DartConfiguration.tcl"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, ends[i]))
            return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(path, "CMakeFiles/", 11) == 0 || strstr(path, "/CMakeFiles/") ||
           strncmp(path, ".cache/", 7) == 0 || strncmp(path, "Testing/", 8) == 0;
}

static void drop(struct made_list *list, size_t *kept, size_t index, bool keep)
{
    struct made_file file = list->files[index];
    if (keep) {
        list->files[(*kept)++] = file;
    } else {
        free(file.path);
        free(file.target);
    }
}

/* Keeps what is new since before (NULL: all of it), without what is only a step on the way where coarse is set. */
static void keep_new(struct made_list *list, const struct made_list *before, bool coarse)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++)
        drop(list, &kept, i,
             (!before || is_new(before, &list->files[i])) && !(coarse && is_intermediate(list->files[i].path)));
    list->count = kept;
}

/* Whether a target leads to a place below the folder: relative, up at its beginning alone, and not beyond the top. */
static bool is_inside(const char *path, const char *target)
{
    int depth = 0;
    for (const char *at = path; (at = strchr(at, '/')); at++)
        depth++;
    if (*target == '/' || !*target)
        return false;
    while (strncmp(target, "../", 3) == 0 || strcmp(target, "..") == 0) {
        depth--;
        target += target[2] ? 3 : 2;
    }
    return depth >= 0 && !strstr(target, "/../") && !ends_with(target, "/..");
}

static bool is_text(const char *text)
{
    json_t *string = json_string(text); /* jansson takes UTF-8 alone */
    json_decref(string);
    return string != NULL;
}

static void drop_odd(struct made_list *list, json_t *notes)
{
    size_t kept = 0, links = 0, names = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct made_file *file = &list->files[i];
        bool odd_link = file->target && (!is_inside(file->path, file->target) || !is_text(file->target));
        bool odd_name = !is_text(file->path);
        links += odd_link;
        names += odd_name && !odd_link;
        drop(list, &kept, i, !odd_link && !odd_name);
    }
    list->count = kept;
    if (links > 0)
        json_array_append_new(notes, json_sprintf("%zu links that lead out of the output were left out", links));
    if (names > 0)
        json_array_append_new(notes, json_sprintf("%zu files whose names are no UTF-8 were left out", names));
}

static int check_limits(const struct made *made, const struct made_limits *limits, struct exportd_kit_error *error)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < made->list.count; i++)
        bytes += made->list.files[i].size_bytes;
    if (made->list.count > limits->max_files || bytes > limits->max_bytes)
        return exportd_kit_fail(error, "output_too_large", 0,
                                "the build made %zu files with %llu MB, and the limits are %zu files and %llu MB; "
                                "name the folder that is wanted in output, or raise max_files and max_output in "
                                "[plugin repo-build]",
                                made->list.count, (unsigned long long)(bytes >> 20), limits->max_files,
                                (unsigned long long)(limits->max_bytes >> 20));
    return 0;
}

/* Makes made stand for a folder, and lists it. */
static int look_into(struct made *made, const char *top, const char *name, bool with_modules,
                     struct exportd_kit_error *error)
{
    made_clear(made);
    bool whole = strcmp(name, ".") == 0;
    made->name = strdup(name);
    if (asprintf(&made->folder, "%s%s%s", top, whole ? "" : "/", whole ? "" : name) < 0)
        made->folder = NULL;
    if (!made->name || !made->folder)
        return exportd_kit_no_memory(error);
    return made_list(made->folder, with_modules, &made->list, error);
}

static bool is_folder(const char *top, const char *name)
{
    char path[4096];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", top, name);
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The folder that the request names, by a path that a link can't bend. */
static int find_named(const struct exportd_checkout *checkout, const char *output, struct made *made,
                      struct exportd_kit_error *error)
{
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1], path[8192], quoted[220];
    if (strcmp(output, ".") != 0 && exportd_bundle_safe_path(output, safe, error) < 0) {
        error->code = "option_invalid";
        return -1;
    }
    if (strcmp(output, ".") == 0)
        snprintf(safe, sizeof safe, ".");
    snprintf(path, sizeof path, "%s/%s", checkout->folder, safe);
    char *real = realpath(path, NULL);
    size_t top = strlen(checkout->folder);
    bool inside = real && strncmp(real, checkout->folder, top) == 0 && (real[top] == '/' || !real[top]);
    free(real);
    if (!inside || !is_folder(checkout->folder, safe))
        return exportd_kit_fail(error, "output_missing", 0,
                                "the build left no folder %s in the repository; name the one that it makes in output",
                                exportd_bundle_quote(output, quoted, sizeof quoted));
    if (look_into(made, checkout->folder, safe, strcmp(safe, ".") != 0, error) != 0)
        return -1;
    return made->list.count > 0
               ? 0
               : exportd_kit_fail(error, "output_missing", 0, "the folder %s is empty after the build",
                                  exportd_bundle_quote(output, quoted, sizeof quoted));
}

/* The first usual folder in which there is something new: then all of it. */
static int find_usual(const struct exportd_checkout *checkout, const struct made_list *before, struct made *made,
                      struct exportd_kit_error *error)
{
    static const char *const usual[] = {
        "dist", "build", "out", "_site", ".output", "public", "www", "site", "storybook-static", ".next"};
    struct made_list now = {0};
    int failed = made_list(checkout->folder, false, &now, error);
    const char *found = NULL;
    for (size_t i = 0; !failed && !found && i < sizeof usual / sizeof *usual; i++) {
        size_t length = strlen(usual[i]);
        for (size_t j = 0; j < now.count && !found; j++)
            if (strncmp(now.files[j].path, usual[i], length) == 0 && now.files[j].path[length] == '/' &&
                is_new(before, &now.files[j]))
                found = usual[i];
    }
    made_list_clear(&now);
    if (failed || !found)
        return failed ? -1 : 1;
    return look_into(made, checkout->folder, found, true, error);
}

int made_find(const struct exportd_checkout *checkout, const struct plan *plan, const struct made_list *before,
              const char *output, const struct made_limits *limits, json_t *notes, struct made *made,
              struct exportd_kit_error *error)
{
    bool node = plan->system != PLAN_CMAKE && plan->system != PLAN_MAKE;
    int found = 1;
    *made = (struct made){0};
    if (output)
        found = find_named(checkout, output, made, error);
    if (found > 0 && plan->install_folder && access(plan->install_folder, F_OK) == 0 &&
        (found = look_into(made, plan->install_folder, ".", true, error)) == 0)
        found = made->list.count > 0 ? 0 : 1;
    if (found > 0 && node)
        found = find_usual(checkout, before, made, error);
    if (found > 0 && plan->build_folder) {
        found = look_into(made, plan->build_folder, ".", true, error);
        keep_new(&made->list, NULL, true);
    } else if (found > 0) {
        found = look_into(made, checkout->folder, ".", false, error);
        keep_new(&made->list, before, true);
    }
    if (found != 0)
        return -1;
    drop_odd(&made->list, notes);
    if (made->list.count == 0)
        return exportd_kit_fail(error, "output_missing", 0,
                                "the build ended well and made no file; name the folder of its output in output");
    return check_limits(made, limits, error);
}

static json_t *describe(const struct exportd_archive_entry *entry)
{
    char hex[2 * sizeof entry->sha256 + 1];
    if (entry->target)
        return json_pack("{s:s, s:s}", "path", entry->path, "target", entry->target);
    sodium_bin2hex(hex, sizeof hex, entry->sha256, sizeof entry->sha256);
    return json_pack("{s:s, s:I, s:s, s:b}", "path", entry->path, "bytes", (json_int_t)entry->size_bytes, "sha256",
                     hex, "executable", entry->executable);
}

int made_pack(const struct made *made, const struct exportd_archive_options *options, const char *path,
              json_t **manifest, struct exportd_kit_error *error)
{
    struct exportd_archive_entry *entries = calloc(made->list.count + 1, sizeof *entries);
    json_t *files = json_array();
    *manifest = NULL;
    if (!entries || !files) {
        free(entries);
        json_decref(files);
        return exportd_kit_no_memory(error);
    }
    for (size_t i = 0; i < made->list.count; i++)
        entries[i] = (struct exportd_archive_entry){.path = made->list.files[i].path,
                                                    .target = made->list.files[i].target,
                                                    .executable = made->list.files[i].executable};
    int failed = exportd_archive_write_folder(made->folder, entries, made->list.count, options, path, error);
    for (size_t i = 0; !failed && i < made->list.count; i++)
        json_array_append_new(files, describe(&entries[i]));
    if (!failed)
        *manifest = json_pack("{s:s, s:s, s:O}", "schema", "exportd.build/1", "output", made->name, "files", files);
    if (!failed && !*manifest)
        failed = exportd_kit_no_memory(error);
    json_decref(files);
    free(entries);
    return failed;
}
