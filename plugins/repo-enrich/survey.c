/* survey.h: the walk. */
#include "survey.h"

#include "languages.h"
#include "manifest.h"
#include "readme.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES 65536  /* of a source file that are looked at */
#define BINARY_BYTES 8000 /* in which a NUL means that it is no text, as for git */
#define ATTRIBUTES_BYTES 65536
#define STEP 64 /* files between two words of how far it is */

static void count_language(struct survey *survey, const char *name, uint64_t bytes, uint64_t files)
{
    size_t i = 0;
    while (i < survey->language_count && strcmp(survey->languages[i].name, name) != 0)
        i++;
    if (i == SURVEY_LANGUAGES_MAX)
        return;
    if (i == survey->language_count)
        survey->languages[survey->language_count++] = (struct survey_language){.name = name};
    survey->languages[i].bytes += bytes;
    survey->languages[i].files += files;
}

static int keep_largest(struct survey *survey, const struct exportd_checkout_file *file)
{
    size_t at = survey->largest_count;
    if (at == SURVEY_LARGEST && survey->largest[at - 1].bytes >= file->size_bytes)
        return 0;
    char *path = strdup(file->path);
    if (!path)
        return exportd_kit_no_memory(survey->error);
    if (at == SURVEY_LARGEST)
        free(survey->largest[--at].path);
    else
        survey->largest_count++;
    for (; at > 0 && survey->largest[at - 1].bytes < file->size_bytes; at--)
        survey->largest[at] = survey->largest[at - 1];
    survey->largest[at] = (struct survey_file){path, file->size_bytes};
    return 0;
}

static size_t depth_of(const char *path)
{
    size_t depth = 0;
    while ((path = strchr(path, '/'))) {
        depth++;
        path++;
    }
    return depth;
}

/* Those that lie nearest to the top come first, as they were met; where there is no room, the deepest one goes. */
static int keep_manifest(struct value_list *list, const char *path)
{
    size_t depth = depth_of(path), from = 0, to;
    if (list->count == VALUE_LIST_MAX) {
        list->cut = true;
        if (depth_of(list->items[list->count - 1]) <= depth)
            return 0;
        free(list->items[--list->count]);
    }
    to = list->count;
    if (value_list_add(list, path) != 0)
        return -1;
    char *added = list->items[to];
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (depth_of(list->items[middle]) <= depth)
            from = middle + 1;
        else
            to = middle;
    }
    memmove(list->items + from + 1, list->items + from, (list->count - 1 - from) * sizeof *list->items);
    list->items[from] = added;
    return 0;
}

/* A file of the repository's own, by its beginning. */
static int look_into(struct survey *survey, const struct exportd_checkout_file *file, const struct kind_said *said)
{
    const char *language = said->language;
    size_t size = 0;
    char *content = exportd_checkout_read(survey->checkout, file->path, HEAD_BYTES, &size, survey->error);
    if (!content)
        return -1;
    bool text = !memchr(content, '\0', size < BINARY_BYTES ? size : BINARY_BYTES);
    if (text && !said->written && kind_is_generated(file->name, content, size)) {
        survey->generated++;
    } else if (text && (language = language ? language : language_of(file->name, content, size))) {
        count_language(survey, language, file->size_bytes, 1);
        licence_see_source(&survey->licence, content, size);
        tools_see_source(&survey->tools, file->path, language, content, size);
    }
    free(content);
    return 0;
}

/* What is noted by its path alone. What others wrote, and examples, are not built and tested with the repository. */
static int look_at(struct survey *survey, const struct exportd_checkout_file *file, enum kind kind)
{
    int failed = keep_largest(survey, file), rank = readme_rank(file->path);
    if (*file->path == '.' || !strchr(file->path, '/') || strcmp(file->name, "Jenkinsfile") == 0 ||
        (kind != KIND_VENDORED && kind != KIND_DOCUMENTATION))
        tools_see_path(&survey->tools, file->path, file->name);
    if (!failed && rank > 0 && (survey->readme_rank == 0 || rank < survey->readme_rank)) {
        free(survey->readme.path);
        survey->readme = (struct survey_file){strdup(file->path), file->size_bytes};
        survey->readme_rank = rank;
        failed = survey->readme.path ? 0 : -1;
    }
    if (!failed && licence_is_file(file->path))
        failed = value_list_add(&survey->licences, file->path);
    if (!failed && kind != KIND_VENDORED && manifest_is(file->path, file->name))
        failed = keep_manifest(&survey->manifests, file->path);
    if (!failed && strncmp(file->path, ".github/workflows/", 18) == 0)
        failed = value_list_add(&survey->workflows, file->path);
    return failed && !survey->error->code ? exportd_kit_no_memory(survey->error) : failed;
}

static int visit(void *context, const struct exportd_checkout_file *file)
{
    struct survey *survey = context;
    struct kind_said said = {.kind = kind_of_path(file->path, file->name), .detectable = true};
    if (exportd_cancelled(survey->job))
        return exportd_kit_fail(survey->error, "cancelled", 0, "the job was cancelled");
    if (survey->files % STEP == 0) {
        double share = (double)survey->files / ((double)survey->files + 2000);
        exportd_progress(survey->job, 0.5 * share, "reading the files");
    }
    survey->files++;
    survey->bytes += file->size_bytes;
    kind_attributes_apply(survey->attributes, file->path, &said);
    if (look_at(survey, file, said.kind) != 0)
        return -1;
    survey->vendored += said.kind == KIND_VENDORED;
    survey->generated += said.kind == KIND_GENERATED;
    survey->documentation += said.kind == KIND_DOCUMENTATION;
    if (said.kind != KIND_OWN || !said.detectable || file->size_bytes == 0 ||
        (!said.language && !language_may_be(file->name)))
        return 0;
    return look_into(survey, file, &said);
}

/* Headers that didn't say: C, where there is some, or nothing else of the family; else what there is. */
static void settle_headers(struct survey *survey)
{
    uint64_t c = 0, others = 0;
    size_t headers = survey->language_count;
    const char *other = "C";
    for (size_t i = 0; i < survey->language_count; i++) {
        const struct survey_language *language = &survey->languages[i];
        if (strcmp(language->name, LANGUAGE_OF_HEADERS) == 0)
            headers = i;
        else if (strcmp(language->name, "C") == 0)
            c = language->bytes;
        else if ((strcmp(language->name, "C++") == 0 || strcmp(language->name, "Objective-C") == 0) &&
                 language->bytes > others) {
            others = language->bytes;
            other = language->name;
        }
    }
    if (headers == survey->language_count)
        return;
    struct survey_language found = survey->languages[headers];
    survey->languages[headers] = survey->languages[--survey->language_count];
    count_language(survey, c > 0 ? "C" : other, found.bytes, found.files);
}

int survey_run(struct survey *survey, struct exportd_job *job, const struct exportd_checkout *checkout,
               struct exportd_kit_error *error)
{
    size_t size = 0;
    struct exportd_kit_error none = {0};
    *survey = (struct survey){.job = job, .checkout = checkout, .error = error};
    if (tools_init(&survey->tools) != 0)
        return exportd_kit_no_memory(error);
    char *attributes = exportd_checkout_read(checkout, ".gitattributes", ATTRIBUTES_BYTES, &size, &none);
    survey->attributes = attributes ? kind_attributes_read(attributes) : NULL;
    free(attributes);
    int failed = exportd_checkout_walk(checkout, visit, survey, error);
    settle_headers(survey);
    return failed;
}

void survey_clear(struct survey *survey)
{
    kind_attributes_free(survey->attributes);
    tools_clear(&survey->tools);
    licence_clear(&survey->licence);
    value_list_clear(&survey->licences);
    value_list_clear(&survey->manifests);
    value_list_clear(&survey->workflows);
    free(survey->readme.path);
    for (size_t i = 0; i < survey->largest_count; i++)
        free(survey->largest[i].path);
    *survey = (struct survey){0};
}

json_t *survey_files(const struct survey *survey)
{
    json_t *largest = json_array();
    for (size_t i = 0; i < survey->largest_count; i++)
        json_array_append_new(largest, json_pack("{s:o, s:I}", "path", value_path(survey->largest[i].path), "bytes",
                                                 (json_int_t)survey->largest[i].bytes));
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "count", (json_int_t)survey->files, "bytes",
                     (json_int_t)survey->bytes, "vendored", (json_int_t)survey->vendored, "generated",
                     (json_int_t)survey->generated, "documentation", (json_int_t)survey->documentation, "largest",
                     largest);
}

static int by_bytes(const void *a, const void *b)
{
    const struct survey_language *one = a, *other = b;
    if (one->bytes != other->bytes)
        return one->bytes > other->bytes ? -1 : 1;
    return strcmp(one->name, other->name);
}

json_t *survey_languages(struct survey *survey)
{
    uint64_t all = 0;
    json_t *list = json_array();
    qsort(survey->languages, survey->language_count, sizeof *survey->languages, by_bytes);
    for (size_t i = 0; i < survey->language_count; i++)
        all += survey->languages[i].bytes;
    for (size_t i = 0; i < survey->language_count; i++) {
        const struct survey_language *language = &survey->languages[i];
        double percent = round(1000.0 * (double)language->bytes / (double)all) / 10.0;
        json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:f}", "name", language->name, "bytes",
                                              (json_int_t)language->bytes, "files", (json_int_t)language->files,
                                              "percent", percent));
    }
    return list;
}
