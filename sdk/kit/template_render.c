/* exportd/kit/template.h: filling a template. */
#include "template_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 2000000 /* nodes that one filling may go through, with every turn of {{#each}} */

/* Inside {{#each}}. */
struct scope {
    const json_t *element; /* {{this}} */
    json_t *index;         /* {{index}} */
};

struct rendering {
    const struct exportd_template *template_;
    const json_t *values;
    struct exportd_kit_error *error;
    char *text;
    size_t length;
    size_t capacity;
    size_t max_bytes;
    size_t steps;
    /* Of each node: whether its name was looked up, and whether it was ever known. */
    struct {
        unsigned char asked, known;
    } * names;
};

static int too_large(struct rendering *rendering, const char *what, size_t limit, const char *unit)
{
    const char *name = rendering->template_->options->name;
    rendering->error->code = "template_too_large";
    rendering->error->retryable = 0;
    snprintf(rendering->error->message, sizeof rendering->error->message,
             "%.200s %s more than %zu %s; put less in it, or give it less", name ? name : "the template", what, limit,
             unit);
    return -1;
}

static int put(struct rendering *rendering, const char *text, size_t length)
{
    if (length > rendering->max_bytes - rendering->length)
        return too_large(rendering, "makes", rendering->max_bytes, "bytes");
    if (rendering->length + length >= rendering->capacity) {
        size_t capacity = 2 * (rendering->length + length) + 256;
        char *grown = realloc(rendering->text, capacity);
        if (!grown)
            return template_out_of_memory(rendering->error);
        rendering->text = grown;
        rendering->capacity = capacity;
    }
    memcpy(rendering->text + rendering->length, text, length);
    rendering->length += length;
    rendering->text[rendering->length] = '\0';
    return 0;
}

/* The element of a list by its number from 0. Returns whether there is one. */
static int find_element(const json_t *list, const char *word, const json_t **value)
{
    size_t digits = strspn(word, "0123456789");
    if (digits == 0 || digits > 9 || word[digits])
        return 0;
    *value = json_array_get(list, strtoul(word, NULL, 10));
    return *value != NULL;
}

/* Follows what is left of a name. Returns whether it is known. */
static int follow(const json_t *value, const char *rest, const json_t **found)
{
    char word[TEMPLATE_NAME_MAX + 1];
    while (*rest && value && !json_is_null(value)) {
        size_t length = strcspn(rest, ".");
        snprintf(word, sizeof word, "%.*s", (int)length, rest);
        if (json_is_array(value)) {
            if (!find_element(value, word, &value))
                return 0;
        } else {
            value = json_object_get(value, word);
            if (!value)
                return 0;
        }
        rest += length + (rest[length] == '.');
    }
    *found = value;
    return 1;
}

static int look_up(const struct rendering *rendering, const struct scope *scope, const char *name,
                   const json_t **found)
{
    size_t length = strcspn(name, ".");
    const char *rest = name + length + (name[length] == '.');
    if (scope && length == 4 && memcmp(name, "this", 4) == 0)
        return follow(scope->element, rest, found);
    if (scope && strcmp(name, "index") == 0) {
        *found = scope->index;
        return 1;
    }
    return follow(rendering->values, name, found);
}

typedef int (*visit)(struct rendering *rendering, size_t from, size_t to, const struct scope *scope);

static int count_step(struct rendering *rendering)
{
    return ++rendering->steps > STEPS_MAX ? too_large(rendering, "takes", STEPS_MAX, "steps") : 0;
}

/* Visits the inside of an {{#each}} for every element. */
static int each(struct rendering *rendering, const struct template_node *node, size_t from, const json_t *list,
                visit function)
{
    size_t index;
    json_t *element;
    json_array_foreach((json_t *)(uintptr_t)list, index, element)
    {
        struct scope inner = {.element = element, .index = json_integer((json_int_t)index + 1)};
        int status =
            inner.index ? function(rendering, from, node->end, &inner) : template_out_of_memory(rendering->error);
        json_decref(inner.index);
        if (status < 0 || count_step(rendering) < 0)
            return -1;
    }
    return 0;
}

/* Looks every name up, those in sections that are left out too. */
static int check(struct rendering *rendering, size_t from, size_t to, const struct scope *scope)
{
    const struct exportd_template *template_ = rendering->template_;
    for (size_t i = from; i < to; i++) {
        const struct template_node *node = &template_->nodes[i];
        const json_t *value = NULL;
        if (count_step(rendering) < 0)
            return -1;
        if (node->kind == TEMPLATE_TEXT)
            continue;
        rendering->names[i].asked = 1;
        int known = look_up(rendering, scope, node->name, &value);
        rendering->names[i].known |= known != 0;
        if (node->kind != TEMPLATE_EACH)
            continue;
        if (known && value && !json_is_null(value) && !json_is_array(value))
            return template_refuse(template_->options, node->line, rendering->error,
                                   "{{#each %s}}: that is no list; use {{#if %s}} or {{%s}}", node->name, node->name,
                                   node->name);
        if (each(rendering, node, i + 1, value, check) < 0)
            return -1;
        i = node->end - 1;
    }
    return 0;
}

/* Names that are unknown wherever they were looked up, all in one message. */
static int report_unknown(struct rendering *rendering)
{
    const struct exportd_template *template_ = rendering->template_;
    char unknown[400] = "";
    char known[200] = "";
    size_t length = 0;
    size_t count = 0;
    for (size_t i = 0; i < template_->count; i++) {
        if (!rendering->names[i].asked || rendering->names[i].known)
            continue;
        if (length < sizeof unknown)
            length += (size_t)snprintf(unknown + length, sizeof unknown - length, "%s{{%s}} in line %zu",
                                       count ? ", " : "", template_->nodes[i].name, template_->nodes[i].line);
        count++;
    }
    if (count == 0)
        return 0;
    const char *name;
    json_t *value;
    length = 0;
    json_object_foreach((json_t *)(uintptr_t)rendering->values, name, value)
    {
        if (length < sizeof known)
            length += (size_t)snprintf(known + length, sizeof known - length, "%s%s", length ? ", " : "", name);
    }
    return template_refuse(template_->options, 0, rendering->error, "there is no %s; the names are: %s", unknown,
                           length ? known : "none");
}

static int render(struct rendering *rendering, size_t from, size_t to, const struct scope *scope);

static int render_node(struct rendering *rendering, size_t *at, const struct scope *scope)
{
    const struct exportd_template *template_ = rendering->template_;
    const struct template_node *node = &template_->nodes[*at];
    const json_t *value = NULL;
    if (node->kind == TEMPLATE_TEXT)
        return put(rendering, node->text, node->length);
    look_up(rendering, scope, node->name, &value); /* in one element it may be unknown, and is then empty */
    if (node->kind == TEMPLATE_VALUE) {
        char *text = template_filtered(template_, node, value, rendering->error);
        int status = text ? put(rendering, text, strlen(text)) : -1;
        free(text);
        return status;
    }
    size_t inside = *at + 1;
    *at = node->end - 1;
    if (node->kind == TEMPLATE_EACH)
        return each(rendering, node, inside, value, render);
    if (!template_is_blank(value) && !json_is_false(value))
        return render(rendering, inside, node->middle, scope);
    return render(rendering, node->middle, node->end, scope);
}

static int render(struct rendering *rendering, size_t from, size_t to, const struct scope *scope)
{
    for (size_t i = from; i < to; i++)
        if (count_step(rendering) < 0 || render_node(rendering, &i, scope) < 0)
            return -1;
    return 0;
}

char *exportd_template_render(const struct exportd_template *template_, const json_t *values,
                              struct exportd_kit_error *error)
{
    size_t max_bytes = template_->options->max_bytes;
    struct rendering rendering = {.template_ = template_,
                                  .values = values,
                                  .error = error,
                                  .text = calloc(1, 1),
                                  .capacity = 1,
                                  .max_bytes = max_bytes ? max_bytes : EXPORTD_TEMPLATE_MAX_BYTES,
                                  .names = calloc(template_->count + 1, sizeof *rendering.names)};
    int status = rendering.text && rendering.names ? 0 : -1;
    if (status < 0)
        template_out_of_memory(error);
    if (status == 0)
        status = check(&rendering, 0, template_->count, NULL);
    if (status == 0)
        status = report_unknown(&rendering);
    if (status == 0)
        status = render(&rendering, 0, template_->count, NULL);
    free(rendering.names);
    if (status == 0)
        return rendering.text;
    free(rendering.text);
    return NULL;
}
