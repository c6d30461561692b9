/* exportd/kit/template.h: the filters. */
#include "template_parts.h"

#include <ctype.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

/* What a filter works on: value until it is text. */
struct filtering {
    const struct exportd_template *template_;
    const struct template_node *node;
    const json_t *value; /* counts while text is NULL; may be NULL: no value */
    char *text;
    struct exportd_kit_error *error;
};

struct template_builtin {
    const char *name;
    enum { ARGUMENT_NONE, ARGUMENT_TEXT, ARGUMENT_NUMBER, ARGUMENT_OPTIONAL } argument;
    int (*apply)(struct filtering *filtering, const char *argument, int has_argument);
};

const char template_builtin_names[] = "lower, upper, slug, cut:N, default:TEXT, join:TEXT, json";

int template_is_blank(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

/* The fewest digits that give the number back. */
static char *real_text(double number)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return strdup(text);
}

/* A string, number or boolean as text (free it); NULL for a list, an object, or when out of memory. */
static char *scalar_text(const json_t *value)
{
    char text[32];
    if (!value || json_is_null(value))
        return strdup("");
    if (json_is_string(value))
        return strdup(json_string_value(value));
    if (json_is_boolean(value))
        return strdup(json_is_true(value) ? "true" : "false");
    if (json_is_real(value))
        return real_text(json_real_value(value));
    snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return strdup(text);
}

static int is_compound(const json_t *value)
{
    return json_is_array(value) || json_is_object(value);
}

/* Sets text from value where it is not there yet. Returns 0, or -1 with error filled. */
static int need_text(struct filtering *filtering)
{
    const struct template_node *node = filtering->node;
    if (filtering->text)
        return 0;
    if (is_compound(filtering->value))
        return template_refuse(filtering->template_->options, node->line, filtering->error,
                               "{{%s}} is %s; %s, or use the filter json", node->name,
                               json_is_array(filtering->value) ? "a list" : "an object",
                               json_is_array(filtering->value) ? "go through it with {{#each}}, join it with |join"
                                                               : "name one of its members");
    filtering->text = scalar_text(filtering->value);
    return filtering->text ? 0 : template_out_of_memory(filtering->error);
}

static int set_text(struct filtering *filtering, char *text)
{
    free(filtering->text);
    filtering->text = text;
    return text ? 0 : template_out_of_memory(filtering->error);
}

static int change_case(struct filtering *filtering, wint_t (*change)(wint_t letter, locale_t locale))
{
    const locale_t locale = filtering->template_->unicode;
    const char *at = filtering->text;
    char *changed = malloc(4 * strlen(at) + 1);
    char *out = changed;
    while (changed && *at) {
        uint32_t letter = exportd_text_next(&at);
        if (locale || letter < 0x80)
            letter =
                (uint32_t)(locale ? change((wint_t)letter, locale)
                                  : (wint_t)(change == towlower_l ? tolower((int)letter) : toupper((int)letter)));
        out += exportd_text_encode(letter, out);
    }
    if (out)
        *out = '\0';
    return set_text(filtering, changed);
}

static int apply_lower(struct filtering *filtering, const char *argument, int has_argument)
{
    (void)argument;
    (void)has_argument;
    return need_text(filtering) < 0 ? -1 : change_case(filtering, towlower_l);
}

static int apply_upper(struct filtering *filtering, const char *argument, int has_argument)
{
    (void)argument;
    (void)has_argument;
    return need_text(filtering) < 0 ? -1 : change_case(filtering, towupper_l);
}

static int apply_slug(struct filtering *filtering, const char *argument, int has_argument)
{
    (void)argument;
    (void)has_argument;
    if (need_text(filtering) < 0)
        return -1;
    char *out = filtering->text;
    for (const char *at = filtering->text; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < 0x80 && isalnum(byte))
            *out++ = (char)tolower(byte);
        else if (out > filtering->text && out[-1] != '-')
            *out++ = '-';
    }
    while (out > filtering->text && out[-1] == '-')
        out--;
    *out = '\0';
    return 0;
}

static int apply_cut(struct filtering *filtering, const char *argument, int has_argument)
{
    (void)has_argument;
    if (need_text(filtering) < 0)
        return -1;
    unsigned long characters = strtoul(argument, NULL, 10);
    const char *at = filtering->text;
    while (characters-- && *at)
        exportd_text_next(&at);
    filtering->text[at - filtering->text] = '\0';
    return 0;
}

static int apply_default(struct filtering *filtering, const char *argument, int has_argument)
{
    (void)has_argument;
    int blank = filtering->text ? !*filtering->text : template_is_blank(filtering->value);
    return blank ? set_text(filtering, strdup(argument)) : 0;
}

static int apply_join(struct filtering *filtering, const char *argument, int has_argument)
{
    const json_t *list = filtering->value;
    char *joined = NULL;
    size_t size_bytes;
    size_t index;
    json_t *element;
    if (filtering->text || !json_is_array(list))
        return need_text(filtering);
    FILE *out = open_memstream(&joined, &size_bytes);
    if (!out)
        return template_out_of_memory(filtering->error);
    int compound = 0;
    json_array_foreach((json_t *)(uintptr_t)list, index, element)
    {
        char *text = is_compound(element) ? NULL : scalar_text(element);
        compound = compound || is_compound(element);
        if (index)
            fputs(has_argument ? argument : ", ", out);
        fputs(text ? text : "", out);
        free(text);
    }
    if (fclose(out) != 0 || compound) {
        free(joined);
        return compound ? template_refuse(filtering->template_->options, filtering->node->line, filtering->error,
                                          "{{%s|join}}: the list has lists or objects in it; go through it with "
                                          "{{#each}}",
                                          filtering->node->name)
                        : template_out_of_memory(filtering->error);
    }
    return set_text(filtering, joined);
}

static int apply_json(struct filtering *filtering, const char *argument, int has_argument)
{
    (void)argument;
    (void)has_argument;
    json_t *made = filtering->text ? json_string(filtering->text) : filtering->value ? NULL : json_null();
    char *dumped =
        json_dumps(made ? made : filtering->value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    json_decref(made);
    return set_text(filtering, dumped);
}

static const struct template_builtin builtins[] = {
    {"lower", ARGUMENT_NONE, apply_lower},     {"upper", ARGUMENT_NONE, apply_upper},
    {"slug", ARGUMENT_NONE, apply_slug},       {"cut", ARGUMENT_NUMBER, apply_cut},
    {"default", ARGUMENT_TEXT, apply_default}, {"join", ARGUMENT_OPTIONAL, apply_join},
    {"json", ARGUMENT_NONE, apply_json},
};

const struct template_builtin *template_builtin_find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (strlen(builtins[i].name) == length && memcmp(builtins[i].name, name, length) == 0)
            return &builtins[i];
    return NULL;
}

const char *template_builtin_check(const struct template_call *call)
{
    size_t digits = strspn(call->argument, "0123456789");
    switch (call->builtin->argument) {
    case ARGUMENT_NONE:
        return call->has_argument ? "takes no text behind a colon; take it out" : NULL;
    case ARGUMENT_TEXT:
        return call->has_argument ? NULL : "needs a text behind a colon; write it as default:TEXT";
    case ARGUMENT_NUMBER:
        return digits == 0 || digits > 9 || call->argument[digits]
                   ? "needs a whole number behind a colon; write it as cut:40"
                   : NULL;
    case ARGUMENT_OPTIONAL:
        break;
    }
    return NULL;
}

char *template_filtered(const struct exportd_template *template_, const struct template_node *node,
                        const json_t *value, struct exportd_kit_error *error)
{
    struct filtering filtering = {.template_ = template_, .node = node, .value = value, .error = error};
    const struct exportd_template_options *options = template_->options;
    int final = 0;
    int status = 0;
    for (size_t i = 0; i < node->call_count && status == 0; i++) {
        const struct template_call *call = &node->calls[i];
        if (call->builtin) {
            status = call->builtin->apply(&filtering, call->argument, call->has_argument);
            continue;
        }
        final = final || call->own->final;
        status = need_text(&filtering);
        if (status == 0)
            status = set_text(&filtering, call->own->apply(filtering.text, call->argument, options->context));
    }
    if (status == 0)
        status = need_text(&filtering);
    if (status == 0 && options->escape && !final)
        status = set_text(&filtering, options->escape(filtering.text, options->context));
    if (status == 0)
        return filtering.text;
    free(filtering.text);
    return NULL;
}
