/* export-json: all of a repro, and what follows from it, as one JSON document of the form exportd.report/1. */
#include "derive.h"
#include "order.h"
#include "writer.h"

#include <errno.h>
#include <exportd/kit/project.h>
#include <exportd/kit/repro.h>
#include <exportd/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum screenshots { SCREENSHOTS_EMBED, SCREENSHOTS_ARTIFACT, SCREENSHOTS_OMIT };

/* Parts of the repro that a request can leave out; "other" stands for the fields that exportd.repro/1 does not name.
 */
static const char *const section_names[] = {"description", "bug",          "steps",       "test",
                                            "files",       "dependencies", "environment", "stability",
                                            "validation",  "runs",         "screenshots", "other"};
enum { SECTION_COUNT = sizeof section_names / sizeof *section_names };

struct report {
    struct exportd_job *job;
    const json_t *data;
    const json_t *repro;
    enum screenshots screenshots;
    int included[SECTION_COUNT];
    char name[64];    /* of the files, without extension */
    json_t *pictures; /* names of the screenshots' artifacts, by index, or null */
};

static int fail(struct exportd_kit_error *error, const char *code, int retryable, const char *what, const char *why)
{
    error->code = code;
    error->retryable = retryable;
    snprintf(error->message, sizeof error->message, "%s: %s", what, why);
    return -1;
}

static int out_of_memory(struct exportd_kit_error *error)
{
    return fail(error, "out_of_memory", 1, "the report", "not enough memory");
}

static int section_index(const char *name)
{
    for (int i = 0; i < SECTION_COUNT; i++)
        if (strcmp(section_names[i], name) == 0)
            return i;
    return -1;
}

/* Whether a field of the repro is in the report. */
static int is_included(const struct report *report, const char *key)
{
    static const char *const always[] = {"schema", "id", "title", "created_at"};
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(always[i], key) == 0)
            return 1;
    int index = section_index(key);
    return report->included[index < 0 ? SECTION_COUNT - 1 : index];
}

static int read_options(struct report *report, struct exportd_kit_error *error)
{
    static const char *const ways[] = {"embed", "artifact", "omit"};
    const json_t *include = json_object_get(report->data, "include");
    const char *screenshots = json_string_value(json_object_get(report->data, "screenshots"));
    size_t index;
    json_t *section;
    for (int i = 0; i < SECTION_COUNT; i++)
        report->included[i] = !json_is_array(include);
    json_array_foreach((json_t *)(uintptr_t)include, index, section)
    {
        int found = section_index(json_is_string(section) ? json_string_value(section) : "");
        if (found < 0)
            return fail(error, "option_invalid", 0, "the option include", "names a section that is none");
        report->included[found] = 1;
    }
    if (!screenshots || !*screenshots)
        screenshots = exportd_option(report->job, "screenshots");
    if (!screenshots || !*screenshots)
        screenshots = ways[0];
    for (int i = 0; i < 3; i++) {
        if (strcmp(screenshots, ways[i]) == 0) {
            report->screenshots = (enum screenshots)i;
            return 0;
        }
    }
    return fail(error, "option_invalid", 0, "screenshots", "is none of embed, artifact, omit");
}

static int keep_going(void *context, size_t index, const json_t *entry, json_t *line, const char *content,
                      size_t size_bytes, struct exportd_kit_error *error)
{
    const struct report *report = context;
    (void)entry;
    (void)line;
    (void)content;
    (void)size_bytes;
    if (index % 256 == 0 && exportd_cancelled(report->job))
        return fail(error, "cancelled", 0, "the report was not finished", "the job was cancelled");
    return 0;
}

static FILE *create(const struct report *report, const char *name, char *path, size_t path_size,
                    struct exportd_kit_error *error)
{
    FILE *out = NULL;
    int length = snprintf(path, path_size, "%s/%s", exportd_workspace(report->job), name);
    if (length < 0 || (size_t)length >= path_size)
        errno = ENAMETOOLONG;
    else
        out = fopen(path, "wbxe");
    if (!out)
        fail(error, "write_failed", 1, name, strerror(errno));
    return out;
}

/* Closes a file and hands it over. Returns 0, or -1 with error filled. */
static int hand_over(const struct report *report, FILE *out, const char *path, const char *name,
                     const char *media_type, struct exportd_kit_error *error)
{
    int failed = ferror(out);
    if (fclose(out) != 0 || failed)
        return fail(error, "write_failed", 1, name, strerror(errno));
    if (exportd_artifact(report->job, path, name, media_type) < 0)
        return fail(error, "artifact_refused", 0, name, "the host did not take it (the reason is in its log)");
    return 0;
}

/* Writes a screenshot as an artifact. Only pictures keep their media type: a browser must not run what it fetches. */
static int take_screenshot(void *context, size_t index, const json_t *entry, json_t *line, const char *content,
                           size_t size_bytes, struct exportd_kit_error *error)
{
    static const char *const kinds[][2] = {
        {"image/png", "png"}, {"image/jpeg", "jpg"}, {"image/webp", "webp"}, {"image/gif", "gif"}};
    const struct report *report = context;
    const char *media_type = exportd_repro_string(entry, "media_type", "image/png");
    const char *extension = NULL;
    char path[4096];
    char name[128];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i][0], media_type) == 0)
            extension = kinds[i][1];
    if (keep_going(context, index, entry, line, content, size_bytes, error) < 0)
        return -1;
    json_object_set_new(line, "media_type", json_string(media_type));
    json_object_set_new(line, "artifact", json_null());
    if (!content || report->screenshots != SCREENSHOTS_ARTIFACT || !report->included[section_index("screenshots")])
        return json_array_append_new(report->pictures, json_null());
    snprintf(name, sizeof name, "%s-screenshot-%zu.%s", report->name, index + 1, extension ? extension : "bin");
    FILE *out = create(report, name, path, sizeof path, error);
    if (!out)
        return -1;
    fwrite(content, 1, size_bytes, out);
    if (hand_over(report, out, path, name, extension ? media_type : "application/octet-stream", error) < 0)
        return -1;
    json_object_set_new(line, "artifact", json_string(name));
    return json_array_append_new(report->pictures, json_string(name));
}

/* The repro as the report carries it: its sections, the screenshots as asked for, errors plain where asked for. */
static json_t *carry_repro(const struct report *report)
{
    int plain = json_is_true(json_object_get(report->data, "plain_errors"));
    json_t *repro = order_apply(report->repro, order_of_repro);
    const char *key;
    json_t *value;
    void *next;
    size_t index;
    if (!repro)
        return NULL;
    json_object_foreach_safe(repro, next, key, value)
    {
        if (!is_included(report, key))
            json_object_del(repro, key);
    }
    json_array_foreach(json_object_get(repro, "runs"), index, value)
    {
        json_t *error = json_object_get(value, "error");
        if (plain && json_is_string(error))
            json_object_set_new(value, "error", derive_plain(json_string_value(error)));
    }
    json_array_foreach(json_object_get(repro, "screenshots"), index, value)
    {
        json_t *name = json_array_get(report->pictures, index);
        if (report->screenshots == SCREENSHOTS_EMBED)
            continue;
        json_object_del(value, "content");
        json_object_del(value, "encoding");
        if (json_is_string(name))
            json_object_set(value, "artifact", name);
    }
    return repro;
}

static json_t *time_of(const json_t *repro)
{
    char text[40];
    struct tm parts;
    time_t seconds = (time_t)exportd_repro_time(repro);
    if (seconds == 0 || !gmtime_r(&seconds, &parts) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts))
        return json_null();
    return json_string(text);
}

static json_t *sections_of(const struct report *report)
{
    json_t *sections = json_array();
    for (int i = 0; i < SECTION_COUNT; i++)
        if (report->included[i])
            json_array_append_new(sections, json_string(section_names[i]));
    return sections;
}

/* The document, in its order of keys. Returns NULL with error filled. */
static json_t *make_document(struct report *report, struct exportd_kit_error *error)
{
    uint64_t file_bytes;
    uint64_t screenshot_bytes;
    json_t *document = NULL;
    json_t *files = derive_index(report->repro, "files", keep_going, report, &file_bytes, error);
    exportd_progress(report->job, 0.4, "taking the screenshots");
    json_t *screenshots =
        files ? derive_index(report->repro, "screenshots", take_screenshot, report, &screenshot_bytes, error) : NULL;
    json_t *summary = screenshots ? derive_summary(report->repro) : NULL;
    if (!summary)
        goto out;
    exportd_progress(report->job, 0.7, "putting it in order");
    json_object_set_new(summary, "test", derive_test(report->repro));
    json_object_set_new(
        summary, "files",
        json_pack("{s:I, s:I}", "count", (json_int_t)json_array_size(files), "bytes", (json_int_t)file_bytes));
    json_object_set_new(summary, "screenshots",
                        json_pack("{s:I, s:I}", "count", (json_int_t)json_array_size(screenshots), "bytes",
                                  (json_int_t)screenshot_bytes));
    document = json_pack("{s:s, s:o, s:{s:s, s:s}, s:o, s:o, s:O, s:O, s:o}", "schema", "exportd.report/1",
                         "created_at", time_of(report->repro), "generator", "name", "export-json", "version", "1.0.0",
                         "sections", sections_of(report), "summary", json_incref(summary), "files", files,
                         "screenshots", screenshots, "repro", carry_repro(report));
    if (!document)
        out_of_memory(error);
out:
    json_decref(files);
    json_decref(screenshots);
    json_decref(summary);
    return document;
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct report report = {
        .job = job, .data = data, .repro = json_object_get(data, "repro"), .pictures = json_array()};
    struct exportd_kit_error error = {0};
    enum exportd_status status = EXPORTD_FAIL;
    json_t *document = NULL;
    char path[4096];
    char name[80];
    char why[512];

    if (exportd_repro_check(report.repro, why, sizeof why) < 0) {
        fail(&error, "repro_invalid", 0, "the repro", why);
        goto out;
    }
    exportd_project_name(report.repro, "report-", report.name, sizeof report.name);
    snprintf(name, sizeof name, "%s.json", report.name);
    if (read_options(&report, &error) < 0 || !(document = make_document(&report, &error)))
        goto out;
    exportd_progress(job, 0.8, "writing");
    FILE *out = create(&report, name, path, sizeof path, &error);
    if (!out)
        goto out;
    writer_put(out, document, !json_is_false(json_object_get(data, "pretty")));
    if (hand_over(&report, out, path, name, "application/json", &error) < 0)
        goto out;
    json_t *summary = json_copy(json_object_get(document, "summary"));
    json_object_del(summary, "first_failure"); /* as long as it likes; results are not */
    *result = json_pack("{s:s, s:s, s:o}", "file", name, "schema", "exportd.report/1", "summary", summary);
    exportd_progress(job, 1, "done");
    status = EXPORTD_OK;
out:
    if (status != EXPORTD_OK)
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    json_decref(report.pictures);
    json_decref(document);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "report",
     .option = "format",
     .value = "json",
     .summary = "All of a bug reproduction as one JSON document, with a published schema",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "format" : {"type" : "string", "const" : "json"},
             "pretty" :
                 {"type" : "boolean", "default" : true, "description" : "Indent the document; else it is one line"},
             "include" : {
                 "type" : "array",
                 "items" : {
                     "type" : "string",
                     "enum" : [
                         "description", "bug", "steps", "test", "files", "dependencies", "environment", "stability",
                         "validation", "runs", "screenshots", "other"
                     ]
                 },
                 "description" : "Which parts of the repro to carry (all, unless given); the summary is always whole"
             },
             "screenshots" : {
                 "type" : "string",
                 "enum" : [ "embed", "artifact", "omit" ],
                 "description" :
                     "In the document as base64, as files beside it, or left out (as conf.d says, unless given)"
             },
             "plain_errors" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Strip terminal escapes from the runs' errors; else they are exact"
             }
         },
         "additionalProperties" : false
     }),
     .flags = EXPORTD_NEEDS_REPRO,
     .run = run},
    {0},
};

static const struct exportd_option options[] = {
    {"screenshots", EXPORTD_STRING, "embed", "Screenshots where the request says nothing: embed, artifact or omit",
     0},
    {0},
};

EXPORTD_PLUGIN(.name = "export-json", .version = "1.0.0", .summary = "Reports as JSON", .licence = "MIT",
               .tasks = tasks, .options = options)
