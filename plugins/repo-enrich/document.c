/* document.h: the document. */
#include "document.h"

#include "github.h"
#include "history.h"
#include "manifest.h"
#include "readme.h"
#include "survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKFLOW_BYTES 16384

/* Calls take for each file of a list with its content, at most max_bytes of it. A file that can't be read is an
 * error. */
static int read_files(struct survey *survey, const struct value_list *list, size_t most, size_t max_bytes,
                      int (*take)(void *context, const char *path, const char *text, size_t size), void *context)
{
    for (size_t i = 0; i < list->count && i < most; i++) {
        size_t size = 0;
        if (exportd_cancelled(survey->job))
            return exportd_kit_fail(survey->error, "cancelled", 0, "the job was cancelled");
        char *text = exportd_checkout_read(survey->checkout, list->items[i], max_bytes, &size, survey->error);
        int failed = text ? take(context, list->items[i], text, size) : -1;
        free(text);
        if (failed)
            return -1;
    }
    return 0;
}

struct manifests {
    struct survey *survey;
    json_t *list;
    size_t max_dependencies;
};

/* What the manifest at the top declares as the licence; the first one that says so goes. */
static void see_declared(struct survey *survey, const char *path, const json_t *manifest)
{
    const char *licence = json_string_value(json_object_get(manifest, "licence"));
    if (survey->licence.declared || !licence || strchr(path, '/') || strncasecmp(licence, "see license", 11) == 0)
        return;
    survey->licence.declared = licence; /* the list holds it */
    survey->licence.declared_in = json_string_value(json_object_get(manifest, "file"));
}

static int take_manifest(void *context, const char *path, const char *text, size_t size)
{
    struct manifests *manifests = context;
    const char *slash = strrchr(path, '/');
    bool example = kind_of_path(path, slash ? slash + 1 : path) == KIND_DOCUMENTATION;
    json_t *manifest = manifest_read(path, slash ? slash + 1 : path, text, size, manifests->max_dependencies,
                                     example ? NULL : &manifests->survey->tools);
    if (!manifest)
        return exportd_kit_no_memory(manifests->survey->error);
    if (json_is_object(manifest)) {
        json_array_append(manifests->list, manifest);
        see_declared(manifests->survey, path, manifest);
    }
    json_decref(manifest);
    return 0;
}

static int take_licence(void *context, const char *path, const char *text, size_t size)
{
    struct survey *survey = context;
    licence_see_file(&survey->licence, path, text, size);
    return 0;
}

static int take_workflow(void *context, const char *path, const char *text, size_t size)
{
    struct survey *survey = context;
    (void)size;
    tools_name_workflow(&survey->tools, path, text);
    return 0;
}

static json_t *read_readme(struct survey *survey)
{
    size_t size = 0;
    if (!survey->readme.path)
        return json_null();
    char *text = exportd_checkout_read(survey->checkout, survey->readme.path, README_BYTES, &size, survey->error);
    if (!text)
        return NULL;
    json_t *readme = readme_read(survey->readme.path, text, size, survey->readme.bytes,
                                 (size_t)exportd_option_integer(survey->job, "summary_bytes", 600));
    free(text);
    if (!readme)
        exportd_kit_no_memory(survey->error);
    return readme;
}

static json_t *read_history(const struct survey *survey, const struct document_wishes *wishes, json_t *notes)
{
    struct exportd_job *job = survey->job;
    const struct history_options options = {
        .job = job,
        .max_commits = (size_t)exportd_option_integer(job, "max_commits", 100000),
        .max_contributors = (size_t)exportd_option_integer(job, "max_contributors", 100),
        .time_ms = exportd_option_integer(job, "history_time", 10000),
        .wait_ms = exportd_option_integer(job, "mirror_wait", 10000),
        .emails = exportd_option_integer(job, "emails", 0) != 0,
    };
    return wishes->history ? history_read(survey->checkout, &options, notes, survey->error) : json_null();
}

static void note_cut(json_t *notes, const struct value_list *manifests, size_t most)
{
    char text[120];
    if (manifests->count <= most)
        return;
    snprintf(text, sizeof text, "of %zu%s manifests the first %zu were read (max_manifests)", manifests->count,
             manifests->cut ? " or more" : "", most);
    json_array_append_new(notes, json_string(text));
}

/* All of it, from a survey that is done. */
static json_t *assemble(struct survey *survey, const struct document_wishes *wishes)
{
    struct exportd_job *job = survey->job;
    size_t most = (size_t)exportd_option_integer(job, "max_manifests", 200);
    struct manifests manifests = {survey, json_array(),
                                  (size_t)exportd_option_integer(job, "max_dependencies", 2000)};
    json_t *notes = json_array(), *readme = NULL, *licence = NULL, *history = NULL, *github = NULL, *document = NULL;
    int failed = notes && manifests.list ? 0 : exportd_kit_no_memory(survey->error);
    exportd_progress(job, 0.55, "reading the manifests");
    failed =
        failed ? failed : read_files(survey, &survey->manifests, most, MANIFEST_BYTES, take_manifest, &manifests);
    failed = failed ? failed : read_files(survey, &survey->licences, SIZE_MAX, LICENCE_BYTES, take_licence, survey);
    failed =
        failed ? failed : read_files(survey, &survey->workflows, SIZE_MAX, WORKFLOW_BYTES, take_workflow, survey);
    if (!failed) {
        note_cut(notes, &survey->manifests, most);
        licence = licence_choose(&survey->licence);
        readme = licence ? read_readme(survey) : NULL;
        history = readme ? read_history(survey, wishes, notes) : NULL;
        github = !history         ? NULL
                 : wishes->github ? github_ask(job, survey->checkout, notes, survey->error)
                                  : json_null();
    }
    if (github)
        document = json_pack("{s:s, s:O, s:o, s:o, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O, s:O}", "schema",
                             DOCUMENT_SCHEMA, "repository", survey->checkout->repository, "files",
                             survey_files(survey), "languages", survey_languages(survey), "licence", licence,
                             "readme", readme, "manifests", manifests.list, "package_managers",
                             survey->tools.package_managers, "build_tools", survey->tools.build_tools,
                             "test_frameworks", survey->tools.test_frameworks, "ci", survey->tools.ci, "containers",
                             survey->tools.containers, "history", history, "github", github, "notes", notes);
    if (!document && !survey->error->code)
        exportd_kit_no_memory(survey->error);
    json_decref(licence);
    json_decref(readme);
    json_decref(history);
    json_decref(github);
    json_decref(notes);
    json_decref(manifests.list);
    return document;
}

json_t *document_make(struct exportd_job *job, const struct exportd_checkout *checkout,
                      const struct document_wishes *wishes, struct exportd_kit_error *error)
{
    struct survey *survey = calloc(1, sizeof *survey);
    json_t *document = NULL;
    if (!survey) {
        exportd_kit_no_memory(error);
        return NULL;
    }
    if (survey_run(survey, job, checkout, error) == 0)
        document = assemble(survey, wishes);
    survey_clear(survey);
    free(survey);
    return document;
}

int document_write(const json_t *document, const char *path, struct exportd_kit_error *error)
{
    FILE *file = fopen(path, "we");
    if (file && json_dumpf(document, file, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0 &&
        fputc('\n', file) != EOF && fclose(file) == 0)
        return 0;
    return exportd_kit_fail(error, "workspace_failed", errno == ENOSPC || errno == EDQUOT,
                            "enrichment.json can't be written: %s", strerror(errno));
}

static void cut_list(json_t *list, size_t most)
{
    while (json_array_size(list) > most)
        json_array_remove(list, json_array_size(list) - 1);
}

/* Each step leaves less of the lists. */
static void cut(json_t *document, size_t manifests, size_t dependencies, size_t others)
{
    static const char *const lists[] = {"package_managers", "build_tools", "test_frameworks",
                                        "containers",       "ci",          "languages"};
    size_t index;
    json_t *item;
    json_t *contributors =
        json_object_get(json_object_get(json_object_get(document, "history"), "contributors"), "list");
    cut_list(json_object_get(document, "manifests"), manifests);
    json_array_foreach(json_object_get(document, "manifests"), index, item)
    {
        json_t *all = json_object_get(item, "dependencies");
        if (json_array_size(all) > dependencies)
            json_object_set_new(item, "truncated", json_true());
        cut_list(all, dependencies);
        cut_list(json_object_get(item, "workspaces"), others);
    }
    cut_list(contributors, others);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        cut_list(json_object_get(document, lists[i]), others);
    json_array_foreach(json_object_get(document, "ci"), index, item)
    {
        cut_list(json_object_get(item, "files"), others);
    }
    json_array_foreach(json_object_get(document, "containers"), index, item)
    {
        cut_list(json_object_get(item, "files"), others);
    }
}

json_t *document_trim(json_t *document, size_t max_bytes)
{
    static const size_t steps[][3] = {{100, 100, 100}, {50, 20, 50}, {10, 5, 10}, {0, 0, 0}};
    if (json_dumpb(document, NULL, 0, JSON_COMPACT) <= max_bytes)
        return json_incref(document);
    json_t *copy = json_deep_copy(document);
    if (!copy)
        return NULL;
    json_object_set_new(copy, "trimmed", json_true());
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        cut(copy, steps[i][0], steps[i][1], steps[i][2]);
        if (json_dumpb(copy, NULL, 0, JSON_COMPACT) <= max_bytes)
            break;
    }
    return copy;
}
