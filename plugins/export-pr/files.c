/* files.h: the files of a pull request. */
#include "files.h"

#include "body.h"

#include <exportd/kit/repro.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE_MAX 160
#define MAX_FILES 1000
#define MAX_BYTES (20u << 20)

/* What a forge, or a machine that builds the repository, would run or obey without being asked. A repro has no
 * business there: its pull request would run with the repository's own secrets. */
static const char *const steering_files[] = {
    ".gitlab-ci.yml", ".travis.yml",     "azure-pipelines.yml", "bitbucket-pipelines.yml",
    "jenkinsfile",    ".drone.yml",      "appveyor.yml",        ".gitmodules",
    "codeowners",     "docs/codeowners", ".cirrus.yml",         ".woodpecker.yml",
    "buildspec.yml",  "cloudbuild.yaml",
};
static const char *const steering_folders[] = {
    ".github/", ".gitlab/", ".gitea/", ".forgejo/", ".circleci/", ".buildkite/", ".woodpecker/", ".semaphore/",
};

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    error->retryable = 0;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

static int out_of_memory(struct exportd_kit_error *error)
{
    refuse(error, "out_of_memory", "not enough memory for the files of the pull request");
    error->retryable = 1;
    return -1;
}

static const char *given(const json_t *data, const char *name)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : NULL;
}

/* A folder's path without slashes at its end. */
static void trim_folder(char *folder)
{
    for (size_t length = strlen(folder); length && folder[length - 1] == '/'; length--)
        folder[length - 1] = '\0';
}

int files_place_find(struct files_place *place, struct exportd_job *job, const json_t *data, const json_t *values,
                     struct exportd_kit_error *error)
{
    const char *path = given(data, "path");
    const char *template_ = exportd_option(job, "path");
    const char *folder = exportd_option(job, "files_folder");
    bool files = json_is_true(json_object_get(data, "files"));
    const char *own = files ? json_string_value(json_object_get(json_object_get(values, "test"), "path")) : NULL;
    place->folder = files && folder && *folder ? body_name(folder, "files_folder", values, error) : strdup("");
    if (!place->folder)
        return folder && *folder ? -1 : out_of_memory(error);
    trim_folder(place->folder);
    if (path)
        place->path = strdup(path);
    else if (own) /* beside its files the test stays where they expect it */
        place->path =
            asprintf(&place->path, "%s%s%s", place->folder, *place->folder ? "/" : "", own) < 0 ? NULL : place->path;
    else
        place->path =
            body_name(template_ && *template_ ? template_ : "tests/regressions/{{bug.id}}.spec.{{test.extension}}",
                      "path", values, error);
    if (place->path)
        return 0;
    return path || own ? out_of_memory(error) : -1;
}

void files_place_clear(struct files_place *place)
{
    free(place->folder);
    free(place->path);
    *place = (struct files_place){0};
}

/* Refuses paths that steer what the repository's machines do. */
static int check_steering(const char *safe, struct exportd_kit_error *error)
{
    char quoted[QUOTE_MAX];
    int steers = 0;
    for (size_t i = 0; i < sizeof steering_files / sizeof *steering_files; i++)
        steers |= strcasecmp(safe, steering_files[i]) == 0;
    for (size_t i = 0; i < sizeof steering_folders / sizeof *steering_folders; i++)
        steers |= strncasecmp(safe, steering_folders[i], strlen(steering_folders[i])) == 0;
    if (!steers)
        return 0;
    return refuse(error, "repro_unsafe",
                  "the path %s steers what runs on the repository's own machines, with its secrets; leave it out, or "
                  "commit it by hand",
                  exportd_bundle_quote(safe, quoted, sizeof quoted));
}

/* The bits of a plain file that an entry asks for: 0 where it says nothing. Returns 0, or -1 with error filled. */
static int read_mode(const json_t *entry, const char *quoted, unsigned int *mode, struct exportd_kit_error *error)
{
    static const char *const plain[] = {"644", "0644", "100644", "33188", "420"};
    static const char *const executable[] = {"755", "0755", "100755", "33261", "493"};
    const json_t *value = json_object_get(entry, "mode");
    const char *type = json_string_value(json_object_get(entry, "type"));
    char text[32] = "";
    *mode = 0;
    if (type && strcmp(type, "file") != 0 && strcmp(type, "blob") != 0)
        return refuse(error, "repro_unsafe",
                      "the entry %s is no plain file by its type; a repro holds plain files alone", quoted);
    if (!value || json_is_null(value))
        return 0;
    if (json_is_string(value))
        snprintf(text, sizeof text, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (strcmp(text, plain[i]) == 0)
            *mode = 0644;
        if (strcmp(text, executable[i]) == 0)
            *mode = 0755;
    }
    if (*mode)
        return 0;
    return refuse(error, "repro_unsafe",
                  "the entry %s is no plain file by its mode; expected \"100644\" or \"100755\"", quoted);
}

/* Where an entry of the repro goes: into the folder, made safe. */
static int place_entry(const struct files_place *place, const char *path, char safe[EXPORTD_BUNDLE_PATH_MAX + 1],
                       struct exportd_kit_error *error)
{
    char own[EXPORTD_BUNDLE_PATH_MAX + 1];
    char whole[2 * EXPORTD_BUNDLE_PATH_MAX + 4];
    if (exportd_bundle_safe_path(path, own, error) < 0)
        return -1;
    snprintf(whole, sizeof whole, "%.1024s%s%s", place->folder, *place->folder ? "/" : "", own);
    if (exportd_bundle_safe_path(whole, safe, error) < 0)
        return -1;
    return check_steering(safe, error);
}

static int add_file(struct pull *pull, const struct files_place *place, const json_t *entry,
                    struct exportd_kit_error *error)
{
    const json_t *path = json_object_get(entry, "path");
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1];
    char quoted[QUOTE_MAX];
    char why[256];
    unsigned int mode;
    size_t size_bytes;
    exportd_bundle_quote(json_string_value(path), quoted, sizeof quoted);
    if (strlen(json_string_value(path)) != json_string_length(path))
        return refuse(error, "repro_unsafe", "the path %s has a NUL in it; rename the file", quoted);
    if (place_entry(place, json_string_value(path), safe, error) < 0 || read_mode(entry, quoted, &mode, error) < 0)
        return -1;
    if (strcmp(safe, pull->test_path) == 0) /* /test/code counts */
        return 0;
    char *content = exportd_repro_content(entry, &size_bytes, why, sizeof why);
    if (!content)
        return refuse(error, "repro_invalid", "the file %s can't be read: %s; mend it", quoted, why);
    return exportd_bundle_add(pull->bundle, safe, content, size_bytes, mode, error);
}

static int add_test(struct pull *pull, const json_t *repro, struct exportd_kit_error *error)
{
    const json_t *code = json_object_get(json_object_get(repro, "test"), "code");
    size_t size_bytes = json_string_length(code);
    char *content = malloc(size_bytes + 1);
    if (!content)
        return out_of_memory(error);
    memcpy(content, json_string_value(code), size_bytes + 1);
    return exportd_bundle_add(pull->bundle, pull->test_path, content, size_bytes, 0644, error);
}

static int set_test_path(struct pull *pull, const struct files_place *place, struct exportd_kit_error *error)
{
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1];
    if (exportd_bundle_safe_path(place->path, safe, error) < 0 || check_steering(safe, error) < 0)
        return -1;
    pull->test_path = strdup(safe);
    return pull->test_path ? 0 : out_of_memory(error);
}

int files_collect(struct pull *pull, const struct files_place *place, const json_t *data, const json_t *repro,
                  struct exportd_kit_error *error)
{
    const json_t *files = exportd_repro_array(repro, "files");
    size_t index;
    json_t *entry;
    pull->bundle = exportd_bundle_new((size_t)exportd_option_integer(pull->job, "max_files", MAX_FILES),
                                      (uint64_t)exportd_option_integer(pull->job, "max_bytes", MAX_BYTES));
    if (!pull->bundle)
        return out_of_memory(error);
    if (set_test_path(pull, place, error) < 0 || add_test(pull, repro, error) < 0)
        return -1;
    if (json_is_true(json_object_get(data, "files"))) {
        json_array_foreach((json_t *)(uintptr_t)files, index, entry)
        {
            if (add_file(pull, place, entry, error) < 0)
                return -1;
        }
    }
    return exportd_bundle_finish(pull->bundle, error);
}
