/* form.h: fields, and the address that they go to. */
#include "form.h"

#include <exportd/kit/page.h>
#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_MAX_BYTES 160
#define NAME_MAX_BYTES (sizeof "project[files][]" + 3 * EXPORTD_BUNDLE_PATH_MAX)

static int out_of_memory(struct exportd_kit_error *error)
{
    *error = (struct exportd_kit_error){
        .code = "out_of_memory", .retryable = 1, .message = "not enough memory for the page"};
    return -1;
}

static void escape_brackets(const char *path, char *out)
{
    for (; *path; path++) {
        if (*path == '[' || *path == ']') {
            memcpy(out, *path == '[' ? "%5B" : "%5D", 3);
            out += 3;
        } else {
            *out++ = *path;
        }
    }
    *out = '\0';
}

/* StackBlitz can't tell "a[b" from a file that is called "a%5Bb". */
static int check_brackets(const struct exportd_project *project, const char *path, struct exportd_kit_error *error)
{
    char escaped[NAME_MAX_BYTES];
    char quoted[160];
    char quoted_other[160];
    struct exportd_bundle_file other;
    if (!strpbrk(path, "[]"))
        return 0;
    escape_brackets(path, escaped);
    if (exportd_bundle_find(project->bundle, escaped, &other) < 0)
        return 0;
    error->code = "repro_unsafe";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message, "the paths %s and %s are one to StackBlitz; rename one",
             exportd_bundle_quote(path, quoted, sizeof quoted),
             exportd_bundle_quote(escaped, quoted_other, sizeof quoted_other));
    return -1;
}

/* As JavaScript's encodeURIComponent() does it. */
static void put_component(FILE *out, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()";
    for (; *text; text++) {
        if (strchr(plain, *text))
            fputc(*text, out);
        else
            fprintf(out, "%%%02X", (unsigned int)(unsigned char)*text);
    }
}

/* The files to open are apart by commas, so a path that holds one can't be named. */
static char *make_action(const struct exportd_project *project, const char *web)
{
    char *action = NULL;
    size_t size;
    size_t length = strlen(web);
    FILE *out = open_memstream(&action, &size);
    if (!out)
        return NULL;
    while (length && web[length - 1] == '/')
        length--;
    fprintf(out, "%.*s/run?file=", (int)length, web);
    if (!strchr(project->test_path, ',')) {
        put_component(out, project->test_path);
        put_component(out, ",");
    }
    put_component(out, "README.md");
    if (fclose(out) != 0) {
        free(action);
        return NULL;
    }
    return action;
}

/* "Reproduction of bug 4711, https://…", or NULL. */
static char *make_description(const json_t *repro)
{
    const char *id = exportd_repro_string(repro, "bug.id", "");
    const char *url = exportd_repro_string(repro, "bug.url", "");
    char *text;
    if ((!*id && !*url) || asprintf(&text, "Reproduction of bug %s%s%s", id, *id && *url ? ", " : "", url) < 0)
        return NULL;
    char *plain = exportd_text_plain(text);
    free(text);
    return plain;
}

int form_prepare(struct form *form, const struct exportd_project *project, const json_t *repro, const char *web,
                 struct exportd_kit_error *error)
{
    form->project = project;
    form->title = exportd_project_title(repro, TITLE_MAX_BYTES);
    form->description = make_description(repro);
    form->action = make_action(project, web);
    form->left_out = json_array();
    if (!form->title || !form->action || !form->left_out)
        return out_of_memory(error);
    for (size_t i = 0; i < exportd_bundle_count(project->bundle); i++) {
        struct exportd_bundle_file file = exportd_bundle_get(project->bundle, i);
        if (!exportd_project_is_text(file.content, file.size_bytes)) {
            if (json_array_append_new(form->left_out,
                                      json_pack("{s:s, s:s}", "path", file.path, "reason", "not text")) < 0)
                return out_of_memory(error);
            continue;
        }
        if (check_brackets(project, file.path, error) < 0)
            return -1;
        form->files++;
        form->bytes += file.size_bytes;
    }
    return 0;
}

void form_fields(FILE *out, void *context)
{
    const struct form *form = context;
    char name[NAME_MAX_BYTES] = "project[files][";
    char *path = name + strlen(name);
    exportd_page_field(out, "project[title]", form->title);
    if (form->description)
        exportd_page_field(out, "project[description]", form->description);
    exportd_page_field(out, "project[template]", "node");
    for (size_t i = 0; i < exportd_bundle_count(form->project->bundle); i++) {
        struct exportd_bundle_file file = exportd_bundle_get(form->project->bundle, i);
        if (!exportd_project_is_text(file.content, file.size_bytes))
            continue;
        escape_brackets(file.path, path);
        memcpy(path + strlen(path), "]", 2);
        exportd_page_field(out, name, file.content);
    }
}

void form_clear(struct form *form)
{
    free(form->title);
    free(form->description);
    free(form->action);
    json_decref(form->left_out);
    *form = (struct form){0};
}
