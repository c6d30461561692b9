/* exportd/kit/project.h: a repro as a Node project. */
#include "project_parts.h"

#include <ctype.h>
#include <exportd/kit/repro.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_EVERY 64
#define QUOTE_MAX 160

struct builder {
    struct exportd_project *project;
    const json_t *repro;
    const struct exportd_project_options *options;
    struct exportd_kit_error *error;
    char *package; /* the repro's package.json */
};

int project_refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

int project_out_of_memory(struct exportd_kit_error *error)
{
    project_refuse(error, "out_of_memory", "not enough memory for the project");
    error->retryable = 1;
    return -1;
}

void exportd_project_name(const json_t *repro, const char *prefix, char *out, size_t out_size)
{
    const char *id = exportd_repro_string(repro, "bug.id", "");
    size_t length = (size_t)snprintf(out, out_size, "%s", prefix);
    size_t start = length;
    if (!*id)
        id = exportd_repro_string(repro, "id", "");
    for (; *id && length + 1 < out_size && length - start < 40; id++) {
        if (isalnum((unsigned char)*id))
            out[length++] = (char)tolower((unsigned char)*id);
        else if (length > start && out[length - 1] != '-')
            out[length++] = '-';
    }
    while (length && out[length - 1] == '-')
        length--;
    out[length] = '\0';
}

/* Puts "/files/3: " before a message, so that the entry is found. Returns -1. */
static int at_entry(struct exportd_kit_error *error, const char *pointer, size_t index)
{
    char message[sizeof error->message];
    memcpy(message, error->message, sizeof message);
    snprintf(error->message, sizeof error->message, "%s/%zu: %.*s", pointer, index, (int)sizeof message - 48,
             message);
    return -1;
}

/* Refuses an entry that says it is a link, a folder or a device. */
static int check_type(const json_t *entry, const char *quoted, struct exportd_kit_error *error)
{
    static const char *const others[] = {"directory", "dir",   "folder", "fifo",      "pipe",    "socket",
                                         "device",    "block", "char",   "character", "gitlink", "submodule"};
    const char *type = json_string_value(json_object_get(entry, "type"));
    if (!type)
        return 0;
    int odd = strcasestr(type, "link") != NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others && !odd; i++)
        odd = strcasecmp(type, others[i]) == 0;
    char quoted_type[80];
    if (odd)
        return project_refuse(error, "repro_unsafe", "the entry %s has the type %s; a repro holds plain files alone",
                              quoted, exportd_bundle_quote(type, quoted_type, sizeof quoted_type));
    return 0;
}

/* The mode that an entry asks for: "100755", "0644", 33188 …; *mode is 0 where it says nothing. */
static int read_mode(const json_t *entry, const char *quoted, unsigned int *mode, struct exportd_kit_error *error)
{
    static const json_int_t plain[] = {644, 420, 33188, 100644};
    static const json_int_t executable[] = {755, 493, 33261, 100755};
    const json_t *value = json_object_get(entry, "mode");
    *mode = 0;
    if (!value || json_is_null(value))
        return 0;
    if (json_is_string(value)) {
        char *end;
        unsigned long bits = strtoul(json_string_value(value), &end, 8);
        unsigned long type = bits & ~0777ul;
        if (*json_string_value(value) && !*end && (type == 0 || type == 0100000)) {
            *mode = bits & 0111 ? 0755 : 0644;
            return 0;
        }
    }
    for (size_t i = 0; i < sizeof plain / sizeof *plain && json_is_integer(value); i++) {
        if (json_integer_value(value) == plain[i])
            *mode = 0644;
        if (json_integer_value(value) == executable[i])
            *mode = 0755;
    }
    if (*mode)
        return 0;
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    project_refuse(error, "repro_unsafe",
                   "the entry %s has the mode %.40s, which is no plain file's; expected \"100644\" or \"100755\"",
                   quoted, text ? text : "?");
    free(text);
    return -1;
}

/* What became of a file that has the path of one which the builder makes. */
static int take_package(struct builder *builder, char *content, size_t size_bytes)
{
    if (strlen(content) != size_bytes) {
        free(content);
        return project_refuse(builder->error, "repro_invalid",
                              "the repro's package.json has a NUL byte in it; mend it");
    }
    if (!builder->package) {
        builder->package = content;
        return 0;
    }
    int same = strcmp(builder->package, content) == 0;
    free(content);
    if (!same)
        return project_refuse(builder->error, "repro_unsafe",
                              "the path \"package.json\" is there twice with different content; keep one of them");
    exportd_bundle_add_note(builder->project->bundle, "the file \"package.json\" was there twice, and is kept once");
    return 0;
}

static int take_test(struct builder *builder, char *content, size_t size_bytes)
{
    const json_t *code = json_object_get(json_object_get(builder->repro, "test"), "code");
    char quoted[QUOTE_MAX];
    if (size_bytes != json_string_length(code) || memcmp(content, json_string_value(code), size_bytes) != 0)
        exportd_bundle_add_note(builder->project->bundle, "the file %s differs from /test/code, which counts",
                                exportd_bundle_quote(builder->project->test_path, quoted, sizeof quoted));
    free(content);
    return 0;
}

static int add_file(struct builder *builder, const json_t *entry)
{
    struct exportd_project *project = builder->project;
    const json_t *path_value = json_object_get(entry, "path");
    const char *path = json_string_value(path_value);
    char safe[EXPORTD_BUNDLE_PATH_MAX + 1];
    char kept[EXPORTD_BUNDLE_PATH_MAX + 1];
    char quoted[QUOTE_MAX];
    char why[256];
    unsigned int mode;
    size_t size_bytes;

    exportd_bundle_quote(path, quoted, sizeof quoted);
    if (strlen(path) != json_string_length(path_value))
        return project_refuse(builder->error, "repro_unsafe", "the path %s has a NUL in it; rename the file", quoted);
    if (exportd_bundle_safe_path(path, safe, builder->error) < 0 || check_type(entry, quoted, builder->error) < 0 ||
        read_mode(entry, quoted, &mode, builder->error) < 0)
        return -1;
    char *content = exportd_repro_content(entry, &size_bytes, why, sizeof why);
    if (!content)
        return project_refuse(builder->error, "repro_invalid", "the file %s can't be read: %s; mend it", quoted, why);
    if (strcmp(safe, "package.json") == 0)
        return take_package(builder, content, size_bytes);
    if (strcmp(safe, project->test_path) == 0)
        return take_test(builder, content, size_bytes);
    if (!exportd_bundle_is_reserved(project->bundle, safe))
        return exportd_bundle_add(project->bundle, path, content, size_bytes, mode, builder->error);
    if ((size_t)snprintf(kept, sizeof kept, EXPORTD_PROJECT_KEPT "/%s", safe) >= sizeof kept) {
        free(content);
        return project_refuse(builder->error, "repro_unsafe", "the path %s is too long; shorten it", quoted);
    }
    project->kept++;
    exportd_bundle_add_note(project->bundle, "the file %s is kept as \"%s\", since the export makes one of that name",
                            quoted, kept);
    return exportd_bundle_add(project->bundle, kept, content, size_bytes, mode, builder->error);
}

static int step(struct builder *builder, size_t done, size_t all)
{
    if (done % STEP_EVERY == 0 && builder->options->step &&
        builder->options->step(builder->options->context, done, all))
        return project_refuse(builder->error, "cancelled", "the job was cancelled");
    return 0;
}

static int add_files(struct builder *builder)
{
    const json_t *files = json_object_get(builder->repro, "files");
    size_t index;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)files, index, entry)
    {
        if (step(builder, index, json_array_size(files)) < 0)
            return -1;
        if (add_file(builder, entry) < 0)
            return at_entry(builder->error, "/files", index);
    }
    return 0;
}

static int set_test_path(struct builder *builder)
{
    struct exportd_project *project = builder->project;
    const char *path = exportd_repro_string(builder->repro, "test.path", "");
    const char *framework = exportd_repro_string(builder->repro, "test.framework", "playwright");
    const char *language = exportd_repro_string(builder->repro, "test.language", "javascript");
    char quoted[QUOTE_MAX];
    if (!strcasestr(framework, "playwright"))
        return project_refuse(builder->error, "unsupported_framework",
                              "/test/framework is %s; this export runs Playwright tests alone",
                              exportd_bundle_quote(framework, quoted, sizeof quoted));
    if (!*path) {
        snprintf(project->test_path, sizeof project->test_path, "tests/%s.spec.%s", project->name,
                 strcasecmp(language, "typescript") == 0 || strcasecmp(language, "ts") == 0 ? "ts" : "js");
        return 0;
    }
    if (exportd_bundle_safe_path(path, project->test_path, builder->error) < 0) {
        char message[sizeof builder->error->message];
        memcpy(message, builder->error->message, sizeof message);
        return project_refuse(builder->error, builder->error->code, "/test/path: %.700s", message);
    }
    return 0;
}

static int add_test(struct builder *builder)
{
    const json_t *code = json_object_get(json_object_get(builder->repro, "test"), "code");
    size_t size_bytes = json_string_length(code);
    char *content = malloc(size_bytes + 1);
    if (!content)
        return project_out_of_memory(builder->error);
    memcpy(content, json_string_value(code), size_bytes + 1);
    return exportd_bundle_add(builder->project->bundle, builder->project->test_path, content, size_bytes, 0644,
                              builder->error);
}

/* The last segment of a screenshot's name, in characters that every file system has, numbered where there is none. */
static void name_screenshot(const json_t *entry, size_t index, char *out, size_t out_size)
{
    const char *name = exportd_repro_string(entry, "name", "");
    const char *media_type = exportd_repro_string(entry, "media_type", "image/png");
    size_t length = (size_t)snprintf(out, out_size, EXPORTD_PROJECT_SCREENSHOTS "/%zu-", index + 1);
    size_t start = length;
    for (const char *at = name; *at; at++)
        if (*at == '/' || *at == '\\')
            name = at + 1;
    for (; *name && length + 1 < out_size; name++)
        if (isalnum((unsigned char)*name) || (strchr("-_.", *name) && (length > start || *name != '.')))
            out[length++] = *name;
    out[length] = '\0';
    if (length == start)
        snprintf(out + length, out_size - length, "screenshot.%s", strstr(media_type, "jpeg") ? "jpg" : "png");
}

static int add_screenshots(struct builder *builder)
{
    const json_t *screenshots = json_object_get(builder->repro, "screenshots");
    size_t index;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)screenshots, index, entry)
    {
        char path[128];
        char why[256];
        size_t size_bytes;
        if (step(builder, index, json_array_size(screenshots)) < 0)
            return -1;
        if (!json_object_get(entry, "content"))
            continue;
        char *content = exportd_repro_content(entry, &size_bytes, why, sizeof why);
        if (!content) {
            project_refuse(builder->error, "repro_invalid", "the screenshot can't be read: %s; mend it", why);
            return at_entry(builder->error, "/screenshots", index);
        }
        name_screenshot(entry, index, path, sizeof path);
        if (exportd_bundle_add_own(builder->project->bundle, path, content, size_bytes, 0644, builder->error) < 0)
            return at_entry(builder->error, "/screenshots", index);
        builder->project->screenshots++;
    }
    return 0;
}

static int reserve(struct builder *builder)
{
    struct exportd_bundle *bundle = builder->project->bundle;
    const char *const *path = builder->options->reserved;
    if (exportd_bundle_reserve(bundle, "README.md") < 0)
        return project_out_of_memory(builder->error);
    for (; path && *path; path++)
        if (exportd_bundle_reserve(bundle, *path) < 0)
            return project_out_of_memory(builder->error);
    return 0;
}

static int build(struct builder *builder)
{
    struct exportd_bundle_file lock;
    struct exportd_project *project = builder->project;
    char why[512];
    if (exportd_repro_check(builder->repro, why, sizeof why) < 0)
        return project_refuse(builder->error, "repro_invalid", "%s", why);
    exportd_project_name(builder->repro, "repro-", project->name, sizeof project->name);
    if (reserve(builder) < 0 || set_test_path(builder) < 0 || add_files(builder) < 0 || add_test(builder) < 0 ||
        (builder->options->screenshots && add_screenshots(builder) < 0))
        return -1;
    int has_lock = exportd_bundle_find(project->bundle, "package-lock.json", &lock) == 0 ||
                   exportd_bundle_find(project->bundle, "npm-shrinkwrap.json", &lock) == 0;
    return project_package(project, builder->repro, builder->package, has_lock ? lock.content : NULL,
                           builder->options->playwright_version, builder->error);
}

struct exportd_project *exportd_project_new(const json_t *repro, const struct exportd_project_options *options,
                                            struct exportd_kit_error *error)
{
    struct builder builder = {.repro = repro, .options = options, .error = error};
    struct exportd_project *project = calloc(1, sizeof *project);
    if (project)
        project->bundle = exportd_bundle_new(options->max_files, options->max_bytes);
    builder.project = project;
    if (!project || !project->bundle)
        project_out_of_memory(error);
    else if (build(&builder) == 0)
        goto out;
    project = exportd_project_free(project);
out:
    free(builder.package);
    return project;
}

struct exportd_project *exportd_project_free(struct exportd_project *project)
{
    if (project)
        exportd_bundle_free(project->bundle);
    free(project);
    return NULL;
}
