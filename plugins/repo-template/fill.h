/*
 * fill.h: placeholders in names and contents.
 *
 *     {{name}}  {{ name | slug }}  {{name|upper|cut:20}}    with the filters of exportd/kit/template.h, and:
 *     camel, pascal, snake, kebab, path ("my.app" as my/app)
 *     \{{name}}   {{name}} as it stands
 *
 * Everything else in braces is somebody else's and stays: ${{ … }}, {{{ … }}}, {{#if …}}, {{ a.b }}, {{ f(x) }}.
 */
#ifndef REPO_TEMPLATE_FILL_H
#define REPO_TEMPLATE_FILL_H

#include "values.h"

/* The length of the name that text begins with, a letter or _ and then letters, digits, _ and -; 0: none. */
size_t fill_name_length(const char *text);

/* Fills text. name: of the file, for messages. *filled: a new string, with a NUL behind *size bytes (size may be
 * NULL). unknown: gets "name (file:line)" for each placeholder that has no value. Returns 0, or -1 with error filled:
 * "template_invalid" (a filter that there isn't), "out_of_memory". */
int fill_text(const char *text, size_t length, const struct values *values, const char *name, char **filled,
              size_t *size, json_t *unknown, struct exportd_kit_error *error);

/* Fills every file of the template, its path too, into a new bundle. changed: set where anything was. Returns the
 * bundle, finished, or NULL with error filled: "placeholder_unknown" with the list, "template_too_large", and what
 * the bundle refuses. */
struct exportd_bundle *fill_all(struct exportd_job *job, const struct exportd_checkout *checkout,
                                const struct values *values, bool *changed, struct exportd_kit_error *error);

#endif
