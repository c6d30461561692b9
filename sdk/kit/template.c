/* exportd/kit/template.h: reading a template. */
#include "template_parts.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTE_MAX 80

/* The section that is open, and those around it. */
struct open_section {
    size_t node;
    int has_else;
};

struct reader {
    struct exportd_template *template_;
    struct exportd_kit_error *error;
    const char *at;
    const char *pending; /* text since here is no node yet */
    size_t line;
    struct open_section open[EXPORTD_TEMPLATE_MAX_DEPTH];
    size_t depth;
};

int template_refuse(const struct exportd_template_options *options, size_t line, struct exportd_kit_error *error,
                    const char *format, ...)
{
    const char *name = options->name ? options->name : "the template";
    va_list arguments;
    error->code = "template_invalid";
    error->retryable = 0;
    int length = line ? snprintf(error->message, sizeof error->message, "%.200s:%zu: ", name, line)
                      : snprintf(error->message, sizeof error->message, "%.200s: ", name);
    va_start(arguments, format);
    vsnprintf(error->message + length, sizeof error->message - (size_t)length, format, arguments);
    va_end(arguments);
    return -1;
}

int template_out_of_memory(struct exportd_kit_error *error)
{
    error->code = "out_of_memory";
    error->retryable = 1;
    snprintf(error->message, sizeof error->message, "not enough memory for a template");
    return -1;
}

static struct template_node *add_node(struct reader *reader, enum template_kind kind)
{
    struct exportd_template *template_ = reader->template_;
    if (template_->count == template_->capacity) {
        size_t capacity = template_->capacity ? template_->capacity * 2 : 32;
        struct template_node *grown = realloc(template_->nodes, capacity * sizeof *grown);
        if (!grown) {
            template_out_of_memory(reader->error);
            return NULL;
        }
        template_->nodes = grown;
        template_->capacity = capacity;
    }
    struct template_node *node = &template_->nodes[template_->count++];
    *node = (struct template_node){.kind = kind, .line = reader->line};
    return node;
}

static int flush_text(struct reader *reader, const char *end)
{
    if (end <= reader->pending)
        return 0;
    struct template_node *node = add_node(reader, TEMPLATE_TEXT);
    if (!node)
        return -1;
    node->text = reader->pending;
    node->length = (size_t)(end - reader->pending);
    return 0;
}

static void trim(const char **start, const char **end)
{
    while (*start < *end && isspace((unsigned char)**start))
        (*start)++;
    while (*end > *start && isspace((unsigned char)(*end)[-1]))
        (*end)--;
}

static int is_name(const char *start, const char *end)
{
    if (start == end || end[-1] == '.')
        return 0;
    for (const char *at = start; at < end; at++) {
        if (*at == '.' && (at == start || at[-1] == '.'))
            return 0;
        if (!isalnum((unsigned char)*at) && !strchr("._-@/", *at))
            return 0;
    }
    return end - start <= TEMPLATE_NAME_MAX;
}

static int refuse_tag(struct reader *reader, const char *start, const char *end, const char *why)
{
    char copy[QUOTE_MAX];
    char quoted[2 * QUOTE_MAX];
    snprintf(copy, sizeof copy, "%.*s", (int)(end - start < QUOTE_MAX ? end - start : QUOTE_MAX), start);
    return template_refuse(reader->template_->options, reader->line, reader->error, "{{…}} holds %s; %s",
                           exportd_bundle_quote(copy, quoted, sizeof quoted), why);
}

static int set_name(struct reader *reader, struct template_node *node, const char *start, const char *end)
{
    trim(&start, &end);
    if (!is_name(start, end))
        return refuse_tag(reader, start, end,
                          "write a name there, such as {{bug.id}} (\\{{ writes two braces as they are)");
    node->name = strndup(start, (size_t)(end - start));
    return node->name ? 0 : template_out_of_memory(reader->error);
}

/* Where a filter's text ends: at | or at the end of the tag. */
static const char *argument_end(const char *at, const char *end)
{
    for (; at < end && *at != '|'; at++)
        if (*at == '\\' && at + 1 < end)
            at++;
    return at;
}

static char *unescaped(const char *at, const char *end)
{
    char *text = malloc((size_t)(end - at) + 1);
    char *out = text;
    for (; text && at < end; at++) {
        if (*at == '\\' && at + 1 < end && strchr("|}\\n", at[1])) {
            at++;
            *out++ = *at == 'n' ? '\n' : *at;
        } else {
            *out++ = *at;
        }
    }
    if (out)
        *out = '\0';
    return text;
}

static const struct exportd_template_filter *find_own(const struct exportd_template_options *options,
                                                      const char *name, size_t length)
{
    const struct exportd_template_filter *own = options->filters;
    for (; own && own->name; own++)
        if (strlen(own->name) == length && memcmp(own->name, name, length) == 0)
            return own;
    return NULL;
}

static int refuse_filter(struct reader *reader, const char *name, size_t length)
{
    char known[300];
    size_t used = (size_t)snprintf(known, sizeof known, "%s", template_builtin_names);
    const struct exportd_template_filter *own = reader->template_->options->filters;
    for (; own && own->name && used < sizeof known; own++)
        used += (size_t)snprintf(known + used, sizeof known - used, ", %s", own->name);
    char quoted[QUOTE_MAX];
    char copy[QUOTE_MAX / 2];
    snprintf(copy, sizeof copy, "%.*s", (int)(length < sizeof copy ? length : sizeof copy - 1), name);
    return template_refuse(reader->template_->options, reader->line, reader->error,
                           "there is no filter %s; the filters are: %s",
                           exportd_bundle_quote(copy, quoted, sizeof quoted), known);
}

/* One filter, from behind its |; moves *at to the next | or to end. */
static int read_filter(struct reader *reader, struct template_node *node, const char **at, const char *end)
{
    const char *start = *at;
    const char *stop = start;
    while (stop < end && *stop != '|' && *stop != ':')
        stop++;
    const char *argument = stop < end && *stop == ':' ? stop + 1 : NULL;
    trim(&start, &stop);
    if (node->call_count == TEMPLATE_FILTERS_MAX)
        return template_refuse(reader->template_->options, reader->line, reader->error,
                               "a name has more than %d filters; take some out", TEMPLATE_FILTERS_MAX);
    struct template_call *call = &node->calls[node->call_count];
    *call = (struct template_call){
        .own = find_own(reader->template_->options, start, (size_t)(stop - start)),
        .builtin = template_builtin_find(start, (size_t)(stop - start)),
    };
    if (!call->own && !call->builtin)
        return refuse_filter(reader, start, (size_t)(stop - start));
    const char *last = argument_end(argument ? argument : stop, end);
    call->has_argument = argument != NULL;
    call->argument = argument ? unescaped(argument, last) : strdup("");
    if (!call->argument)
        return template_out_of_memory(reader->error);
    node->call_count++;
    const char *wrong = call->own ? NULL : template_builtin_check(call);
    if (wrong)
        return template_refuse(reader->template_->options, reader->line, reader->error, "the filter %.*s %s",
                               (int)(stop - start), start, wrong);
    *at = last;
    return 0;
}

static int read_value(struct reader *reader, const char *start, const char *end)
{
    struct template_node *node = add_node(reader, TEMPLATE_VALUE);
    const char *bar = memchr(start, '|', (size_t)(end - start));
    if (!node || set_name(reader, node, start, bar ? bar : end) < 0)
        return -1;
    while (bar && bar < end) {
        bar++;
        if (read_filter(reader, node, &bar, end) < 0)
            return -1;
    }
    return 0;
}

static int is_word(const char *start, const char *end, const char *word)
{
    return (size_t)(end - start) == strlen(word) && memcmp(start, word, strlen(word)) == 0;
}

static int open_section(struct reader *reader, const char *start, const char *end)
{
    const char *word = start + 1;
    const char *stop = word;
    while (stop < end && !isspace((unsigned char)*stop))
        stop++;
    int is_each = is_word(word, stop, "each");
    if (!is_each && !is_word(word, stop, "if"))
        return refuse_tag(reader, start, end, "the sections are {{#if NAME}} and {{#each NAME}}");
    if (reader->depth == EXPORTD_TEMPLATE_MAX_DEPTH)
        return template_refuse(reader->template_->options, reader->line, reader->error,
                               "sections lie more than %d deep in each other; make it simpler",
                               EXPORTD_TEMPLATE_MAX_DEPTH);
    struct template_node *node = add_node(reader, is_each ? TEMPLATE_EACH : TEMPLATE_IF);
    if (!node || set_name(reader, node, stop, end) < 0)
        return -1;
    reader->open[reader->depth++] = (struct open_section){.node = reader->template_->count - 1};
    return 0;
}

static int read_else(struct reader *reader)
{
    struct open_section *open = reader->depth ? &reader->open[reader->depth - 1] : NULL;
    struct exportd_template *template_ = reader->template_;
    if (!open || open->has_else || template_->nodes[open->node].kind != TEMPLATE_IF)
        return template_refuse(template_->options, reader->line, reader->error,
                               "{{else}} belongs into an {{#if NAME}}, once; take it out");
    open->has_else = 1;
    template_->nodes[open->node].middle = template_->count;
    return 0;
}

static int close_section(struct reader *reader, const char *start, const char *end)
{
    struct exportd_template *template_ = reader->template_;
    const char *word = start + 1;
    trim(&word, &end);
    if (reader->depth == 0)
        return refuse_tag(reader, start, end, "no section is open there; take it out");
    const struct open_section *open = &reader->open[--reader->depth];
    struct template_node *node = &template_->nodes[open->node];
    const char *wanted = node->kind == TEMPLATE_EACH ? "each" : "if";
    if (!is_word(word, end, wanted))
        return template_refuse(template_->options, reader->line, reader->error,
                               "{{/%.*s}} ends what line %zu began as {{#%s %s}}; write {{/%s}}",
                               (int)(end - word < 40 ? end - word : 40), word, node->line, wanted, node->name,
                               wanted);
    node->end = template_->count;
    if (!open->has_else)
        node->middle = node->end;
    return 0;
}

/* Where the tag stands alone in its line, the line's start; else NULL. *after: behind its line break. */
static const char *alone_in_line(const struct exportd_template *template_, const char *tag, const char **after)
{
    const char *start = tag;
    const char *end = *after;
    while (start > template_->text && (start[-1] == ' ' || start[-1] == '\t'))
        start--;
    if (start > template_->text && start[-1] != '\n')
        return NULL;
    end += strspn(end, " \t\r");
    if (*end && *end != '\n')
        return NULL;
    *after = *end ? end + 1 : end;
    return start;
}

/* A tag, from its braces on. */
static int read_tag(struct reader *reader)
{
    const struct exportd_template *template_ = reader->template_;
    const char *tag = reader->at;
    const char *start = tag + 2;
    const char *end = strstr(start, "}}");
    /* A brace of a filter's text may stand right before them. */
    while (end && end[-1] == '\\' && end[2] == '}')
        end = strstr(end + 1, "}}");
    if (!end || end - start > 4096)
        return template_refuse(template_->options, reader->line, reader->error,
                               "{{ has no }}; close it, or write \\{{ for the two braces themselves");
    const char *after = end + 2;
    trim(&start, &end);
    int is_tag = start < end && (strchr("#/!", *start) || is_word(start, end, "else"));
    const char *line_start = is_tag ? alone_in_line(template_, tag, &after) : NULL;
    if (flush_text(reader, line_start ? line_start : tag) < 0)
        return -1;
    int status = 0;
    if (start < end && *start == '#')
        status = open_section(reader, start, end);
    else if (start < end && *start == '/')
        status = close_section(reader, start, end);
    else if (is_word(start, end, "else"))
        status = read_else(reader);
    else if (start == end || *start != '!')
        status = read_value(reader, start, end);
    for (; reader->at < after; reader->at++)
        reader->line += *reader->at == '\n';
    reader->pending = reader->at;
    return status;
}

/* A backslash before braces: one is dropped, and an even number of them leaves the braces a tag. */
static int read_backslash(struct reader *reader)
{
    if (strncmp(reader->at + 1, "{{", 2) == 0) {
        if (flush_text(reader, reader->at) < 0)
            return -1;
        reader->pending = reader->at + 1;
        reader->at += 3;
    } else if (strncmp(reader->at + 1, "\\{{", 3) == 0) {
        if (flush_text(reader, reader->at + 1) < 0)
            return -1;
        reader->at += 2;
        reader->pending = reader->at;
    } else {
        reader->at++;
    }
    return 0;
}

static int read_all(struct reader *reader)
{
    const struct exportd_template *template_ = reader->template_;
    while (*reader->at) {
        int status = 0;
        if (*reader->at == '\\')
            status = read_backslash(reader);
        else if (strncmp(reader->at, "{{", 2) == 0)
            status = read_tag(reader);
        else
            reader->line += *reader->at++ == '\n';
        if (status < 0)
            return -1;
    }
    if (reader->depth) {
        const struct template_node *node = &template_->nodes[reader->open[reader->depth - 1].node];
        const char *word = node->kind == TEMPLATE_EACH ? "each" : "if";
        return template_refuse(template_->options, node->line, reader->error, "{{#%s %s}} has no end; add {{/%s}}",
                               word, node->name, word);
    }
    return flush_text(reader, reader->at);
}

struct exportd_template *exportd_template_new(const char *text, const struct exportd_template_options *options,
                                              struct exportd_kit_error *error)
{
    struct exportd_template *template_ = calloc(1, sizeof *template_);
    if (!template_ || !(template_->text = strndup(text, EXPORTD_TEMPLATE_MAX_BYTES + 1))) {
        template_out_of_memory(error);
        return exportd_template_free(template_);
    }
    template_->options = options;
    template_->unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    struct reader reader = {
        .template_ = template_, .error = error, .at = template_->text, .pending = template_->text, .line = 1};
    if (strlen(template_->text) > EXPORTD_TEMPLATE_MAX_BYTES) {
        template_refuse(options, 0, error, "it has more than %u bytes; shorten it", EXPORTD_TEMPLATE_MAX_BYTES);
        return exportd_template_free(template_);
    }
    return read_all(&reader) < 0 ? exportd_template_free(template_) : template_;
}

struct exportd_template *exportd_template_free(struct exportd_template *template_)
{
    if (!template_)
        return NULL;
    for (size_t i = 0; i < template_->count; i++) {
        for (size_t j = 0; j < template_->nodes[i].call_count; j++)
            free(template_->nodes[i].calls[j].argument);
        free(template_->nodes[i].name);
    }
    if (template_->unicode)
        freelocale(template_->unicode);
    free(template_->nodes);
    free(template_->text);
    free(template_);
    return NULL;
}

char *exportd_template_fill(const char *text, const struct exportd_template_options *options, const json_t *values,
                            struct exportd_kit_error *error)
{
    struct exportd_template *template_ = exportd_template_new(text, options, error);
    char *filled = template_ ? exportd_template_render(template_, values, error) : NULL;
    exportd_template_free(template_);
    return filled;
}
