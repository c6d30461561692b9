/*
 * exportd/kit/template.h: text with holes, filled from a JSON object: bodies, titles, paths, whole files.
 *
 *     {{title}}  {{bug.id}}  {{steps.0.action}}      what a name stands for; dots lead into objects and lists
 *     {{title|slug|cut:40|default:untitled}}         with filters, from left to right
 *     {{#if bug.url}}…{{else}}…{{/if}}               only where it has a value: not null, false, "" or empty
 *     {{#each steps}}{{index}}. {{this.action}}{{/each}}   for every element; index counts from 1
 *     {{! a remark}}                                 nothing
 *     \{{                                            the characters {{ themselves; \\{{ is a backslash and a hole
 *
 * The filters: lower, upper; slug ([a-z0-9-], nothing else); cut:N (the first N characters); default:TEXT (where it
 * is null or empty); join:TEXT (a list, with TEXT between; ", " without one); json. Their text goes to the next | or
 * }}; in it \| \} \\ stand for those characters and \n for a new line. Callers may add filters of their own.
 *
 * A line that holds nothing but the tag of a section or a remark leaves nothing behind, no empty line either.
 *
 * A name that the values do not have is a mistake of the template, not an empty text: all of them are reported at
 * once, with their lines. So give every name a template may use, null where there is nothing to say. Below a null
 * every name is known; and in {{#each}} a name below this is known where at least one element has it.
 */
#ifndef EXPORTD_KIT_TEMPLATE_H
#define EXPORTD_KIT_TEMPLATE_H

#include <exportd/kit/bundle.h>
#include <jansson.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXPORTD_TEMPLATE_MAX_BYTES (1u << 20) /* of a template, and of what comes out unless the options say more */
#define EXPORTD_TEMPLATE_MAX_DEPTH 32         /* of sections in sections */

struct exportd_template;

/* A filter of the caller's own. */
struct exportd_template_filter {
    const char *name; /* [a-z0-9_] */
    /* A new string (the template frees it), or NULL when out of memory. argument: the text behind ":", else "". */
    char *(*apply)(const char *value, const char *argument, void *context);
    int final; /* nonzero: what it makes is not escaped */
};

struct exportd_template_options {
    const char *name; /* of the template, for messages: a file's name, or that of a setting */
    /* Applied to every value once its filters are done: a new string, or NULL when out of memory. NULL: none. The
     * template's own text is never escaped. */
    char *(*escape)(const char *value, void *context);
    const struct exportd_template_filter *filters; /* ended by one without a name; may be NULL */
    void *context;                                 /* for escape and apply */
    size_t max_bytes;                              /* of what comes out; 0: EXPORTD_TEMPLATE_MAX_BYTES */
};

/* Reads a template. Copies text; options, and what it points to, must live as long as the template. Returns it (free
 * it with exportd_template_free()), or NULL with error filled: "template_invalid" (name, line and mend),
 * "out_of_memory". */
struct exportd_template *exportd_template_new(const char *text, const struct exportd_template_options *options,
                                              struct exportd_kit_error *error);

/* Frees the template. NULL is fine. Returns NULL. */
struct exportd_template *exportd_template_free(struct exportd_template *template_);

/* Fills the template from values, an object. Returns a new string (free it), or NULL with error filled:
 * "template_invalid" (unknown names; a list or an object where text should be), "template_too_large",
 * "out_of_memory". */
char *exportd_template_render(const struct exportd_template *template_, const json_t *values,
                              struct exportd_kit_error *error);

/* Both at once, for a template that is used once. */
char *exportd_template_fill(const char *text, const struct exportd_template_options *options, const json_t *values,
                            struct exportd_kit_error *error);

#ifdef __cplusplus
}
#endif
#endif
