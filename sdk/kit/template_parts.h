/*
 * template_parts.h: a template that was read, inside the kit: template.c makes it, template_render.c fills it,
 * template_filter.c has the filters.
 */
#ifndef EXPORTD_KIT_TEMPLATE_PARTS_H
#define EXPORTD_KIT_TEMPLATE_PARTS_H

#include <exportd/kit/template.h>
#include <locale.h>

#define TEMPLATE_NAME_MAX 200
#define TEMPLATE_FILTERS_MAX 16 /* of one hole */

enum template_kind {
    TEMPLATE_TEXT,
    TEMPLATE_VALUE,
    TEMPLATE_IF,
    TEMPLATE_EACH,
};

struct template_call {
    const struct template_builtin *builtin; /* or own */
    const struct exportd_template_filter *own;
    char *argument; /* "" where there is none */
    int has_argument;
};

/* The nodes lie in one array, in the order of the text; what a section holds follows it. */
struct template_node {
    enum template_kind kind;
    size_t line;
    const char *text; /* TEMPLATE_TEXT: in the template's copy */
    size_t length;
    char *name; /* of the others */
    struct template_call calls[TEMPLATE_FILTERS_MAX];
    size_t call_count;
    size_t middle; /* of a section: the node where {{else}} begins, or end */
    size_t end;    /* of a section: the first node behind it */
};

struct exportd_template {
    char *text;
    const struct exportd_template_options *options;
    struct template_node *nodes;
    size_t count;
    size_t capacity;
    locale_t unicode;
};

/* Fills error ("template_invalid"), with the template's name and the line in front. Returns -1. */
int template_refuse(const struct exportd_template_options *options, size_t line, struct exportd_kit_error *error,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
int template_out_of_memory(struct exportd_kit_error *error);

/* The filter that the kit has under that name, or NULL. */
const struct template_builtin *template_builtin_find(const char *name, size_t length);

/* Checks the argument of a filter. Returns NULL, or what is wrong with it. */
const char *template_builtin_check(const struct template_call *call);

/* What the built-in filters are called, for a message. */
extern const char template_builtin_names[];

/* Applies the node's filters to value and escapes the outcome. Returns a new string, or NULL with error filled. */
char *template_filtered(const struct exportd_template *template_, const struct template_node *node,
                        const json_t *value, struct exportd_kit_error *error);

/* Null, missing, "", or a list or object with nothing in it. */
int template_is_blank(const json_t *value);

#endif
