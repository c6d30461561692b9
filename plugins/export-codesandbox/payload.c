/* payload.h: what is sent, and what is too much. */
#include "payload.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

static int out_of_memory(struct exportd_kit_error *error)
{
    refuse(error, "out_of_memory", "not enough memory for the project");
    error->retryable = 1;
    return -1;
}

/* How many folders a path has that the path before it has not; the paths are sorted. */
static size_t new_folders(const char *before, const char *path)
{
    size_t common = 0;
    size_t folders = 0;
    while (before[common] && before[common] == path[common])
        common++;
    for (const char *at = path + common; (at = strchr(at, '/')); at++)
        folders++;
    return folders;
}

static int check_limits(const struct exportd_project *project, int binary, const struct payload_limits *limits,
                        struct exportd_kit_error *error)
{
    static const char mend[] = "take out those that the test does not need";
    const char *before = "";
    size_t files = 0;
    size_t folders = 0;
    uint64_t bytes = 0;
    char quoted[160];
    for (size_t i = 0; i < exportd_bundle_count(project->bundle); i++) {
        struct exportd_bundle_file file = exportd_bundle_get(project->bundle, i);
        if (!binary && !exportd_project_is_text(file.content, file.size_bytes))
            continue;
        if (limits->max_file_bytes && file.size_bytes > limits->max_file_bytes)
            return refuse(error, "repro_too_large",
                          "the file %s is %zu bytes, and max_file_bytes in [plugin export-codesandbox] is %llu; make "
                          "it smaller, or leave it out",
                          exportd_bundle_quote(file.path, quoted, sizeof quoted), file.size_bytes,
                          (unsigned long long)limits->max_file_bytes);
        folders += new_folders(before, file.path);
        before = file.path;
        bytes += file.size_bytes;
        files++;
    }
    if (limits->max_files && (files > limits->max_files || folders > limits->max_files))
        return refuse(error, "repro_too_large",
                      "the project has %zu %s, and max_files in [plugin export-codesandbox] is %zu; %s",
                      files > limits->max_files ? files : folders, files > limits->max_files ? "files" : "folders",
                      limits->max_files, mend);
    if (limits->max_bytes && bytes > limits->max_bytes)
        return refuse(error, "repro_too_large",
                      "the project's files are %llu bytes, and max_bytes in [plugin export-codesandbox] is %llu; %s",
                      (unsigned long long)bytes, (unsigned long long)limits->max_bytes, mend);
    return 0;
}

static json_t *encode_binary(const struct exportd_bundle_file *file)
{
    size_t size = sodium_base64_ENCODED_LEN(file->size_bytes, sodium_base64_VARIANT_ORIGINAL);
    char *base64 = malloc(size);
    json_t *entry = NULL;
    if (base64) {
        sodium_bin2base64(base64, size, (const unsigned char *)file->content, file->size_bytes,
                          sodium_base64_VARIANT_ORIGINAL);
        entry = json_pack("{s:b, s:s}", "is_binary", 1, "binary_content", base64);
    }
    free(base64);
    return entry;
}

/* A text file; jansson need not look again whether it is UTF-8. */
static json_t *encode_text(const struct exportd_bundle_file *file, int with_key)
{
    json_t *entry = json_object();
    json_t *content = json_stringn_nocheck(file->content, file->size_bytes);
    if (json_object_set_new(entry, with_key ? "code" : "content", content) < 0 ||
        json_object_set_new(entry, with_key ? "is_binary" : "isBinary", json_false()) < 0) {
        json_decref(entry);
        return NULL;
    }
    return entry;
}

static int add_files(struct payload *payload, const struct exportd_project *project, int with_key, json_t *files,
                     struct exportd_kit_error *error)
{
    for (size_t i = 0; i < exportd_bundle_count(project->bundle); i++) {
        struct exportd_bundle_file file = exportd_bundle_get(project->bundle, i);
        json_t *entry;
        if (exportd_project_is_text(file.content, file.size_bytes)) {
            entry = encode_text(&file, with_key);
        } else if (with_key) {
            entry = encode_binary(&file);
        } else {
            if (json_array_append_new(payload->left_out,
                                      json_pack("{s:s, s:s}", "path", file.path, "reason", "not text")) < 0)
                return out_of_memory(error);
            continue;
        }
        if (json_object_set_new(files, file.path, entry) < 0)
            return out_of_memory(error);
        payload->files++;
        payload->bytes += file.size_bytes;
    }
    return 0;
}

int payload_make(struct payload *payload, const struct exportd_project *project, const struct payload_about *about,
                 const struct payload_limits *limits, struct exportd_kit_error *error)
{
    if (check_limits(project, about != NULL, limits, error) < 0)
        return -1;
    json_t *root = json_object();
    json_t *files = json_object();
    payload->left_out = json_array();
    if (about)
        json_object_update_new(root, json_pack("{s:s, s:s*, s:s*, s:i, s:s, s:[s, s]}", "title", about->title,
                                               "description", about->description, "path", about->folder, "privacy",
                                               (int)about->privacy, "runtime", "vm", "tags", "exportd", about->tag));
    int status = payload->left_out ? add_files(payload, project, about != NULL, files, error) : -1;
    if (json_object_set_new(root, "files", files) < 0 || !payload->left_out)
        status = out_of_memory(error);
    if (status == 0 && !(payload->text = json_dumps(root, JSON_COMPACT)))
        status = out_of_memory(error);
    json_decref(root);
    return status;
}

void payload_clear(struct payload *payload)
{
    free(payload->text);
    json_decref(payload->left_out);
    *payload = (struct payload){0};
}
