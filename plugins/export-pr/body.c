/* body.h: the words of a pull request. */
#include "body.h"

#include "escape.h"
#include "values.h"

#include <errno.h>
#include <exportd/kit/template.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_MAX_CHARACTERS 200

static const char built_in[] =
    "{{#if bug.url}}\n"
    "This adds a regression test for {{bug.url|link}}:\n"
    "{{else}}\n"
    "This adds a regression test for a bug:\n"
    "{{/if}}\n"
    "**{{title}}**\n"
    "\n"
    "{{#if bug.severity}}\n"
    "Severity: {{bug.severity}}\n"
    "\n"
    "{{/if}}\n"
    "{{#if description}}\n"
    "{{description|markdown}}\n"
    "\n"
    "{{/if}}\n"
    "{{#if steps}}\n"
    "## Steps\n"
    "\n"
    "{{#each steps}}\n"
    "{{index}}. {{this.action|default:(not said)}}\n"
    "{{#if this.expected}}\n"
    "   - Expected: {{this.expected}}\n"
    "{{/if}}\n"
    "{{#if this.actual}}\n"
    "   - Actual: {{this.actual}}\n"
    "{{/if}}\n"
    "{{/each}}\n"
    "\n"
    "{{/if}}\n"
    "{{#if run}}\n"
    "## How to run it\n"
    "\n"
    "{{run|block:sh}}\n"
    "\n"
    "{{/if}}\n"
    "The test {{path|code}} **fails** while the bug is there, and passes once it is mended.\n"
    "\n"
    "{{#if stability.runs}}\n"
    "## How sure it is\n"
    "\n"
    "It came up in {{stability.reproduced|default:0}} of {{stability.runs}} runs"
    "{{#if validation.status}} ({{validation.status}}){{/if}}.\n"
    "\n"
    "{{#each validation.checks}}\n"
    "- {{this.name|default:a check}}: {{this.status|default:not said}}"
    "{{#if this.detail}} ({{this.detail}}){{/if}}\n"
    "{{/each}}\n"
    "\n"
    "{{/if}}\n"
    "{{#if error}}\n"
    "<details><summary>What the test says</summary>\n"
    "\n"
    "{{error|block:text}}\n"
    "\n"
    "</details>\n"
    "\n"
    "{{/if}}\n"
    "{{#if environment}}\n"
    "<details><summary>Where it was seen</summary>\n"
    "\n"
    "{{#each environment}}\n"
    "- {{this.name}}: {{this.value}}\n"
    "{{/each}}\n"
    "\n"
    "</details>\n"
    "\n"
    "{{/if}}\n"
    "Made of the reproduction {{id|code}}.\n";

static char *as_line(const char *value, void *context)
{
    (void)context;
    return escape_line(value);
}

static char *as_title(const char *value, void *context)
{
    (void)context;
    return escape_title(value, TITLE_MAX_CHARACTERS);
}

static char *as_name(const char *value, void *context)
{
    (void)context;
    return escape_name(value);
}

static char *markdown_filter(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return escape_markdown(value);
}

static char *code_filter(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return escape_code(value);
}

static char *block_filter(const char *value, const char *argument, void *context)
{
    (void)context;
    return escape_block(value, argument);
}

static char *link_filter(const char *value, const char *argument, void *context)
{
    (void)argument;
    (void)context;
    return escape_link(value);
}

static const struct exportd_template_filter filters[] = {
    {"markdown", markdown_filter, 1},
    {"code", code_filter, 1},
    {"block", block_filter, 1},
    {"link", link_filter, 1},
    {0},
};

static int out_of_memory(struct exportd_kit_error *error)
{
    error->code = "out_of_memory";
    error->retryable = 1;
    snprintf(error->message, sizeof error->message, "not enough memory for the text of the pull request");
    return -1;
}

/* The text of a template's file, or NULL with error filled. */
static char *read_file(const char *path, struct exportd_kit_error *error)
{
    FILE *file = fopen(path, "re");
    char *text = file ? malloc(EXPORTD_TEMPLATE_MAX_BYTES + 2) : NULL;
    if (text) {
        size_t length = fread(text, 1, EXPORTD_TEMPLATE_MAX_BYTES + 1, file);
        text[length] = '\0';
    }
    int cause = errno;
    int failed = !file || !text || ferror(file);
    if (file)
        fclose(file);
    if (!failed)
        return text;
    free(text);
    error->code = "template_unreadable";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message,
             "[plugin export-pr] body_template: %.400s can't be read: %s; name a file that exportd may read", path,
             strerror(cause));
    return NULL;
}

static char *fill_body(const char *template_, const struct exportd_template_options *options, const json_t *repro,
                       const struct body_place *place, size_t max_characters, struct exportd_kit_error *error)
{
    json_t *values = values_new(repro, max_characters);
    char *body = NULL;
    if (!values || values_place(values, repro, place->test_path, place->folder, place->branch) < 0)
        out_of_memory(error);
    else
        body = exportd_template_fill(template_, options, values, error);
    json_decref(values);
    return body;
}

char *body_make(const char *template_file, const json_t *repro, const struct body_place *place,
                struct exportd_kit_error *error)
{
    static const size_t cuts[] = {20000, 4000, 800, 160};
    char *read = NULL;
    const char *template_ = built_in;
    const struct exportd_template_options options = {
        .name = template_file && *template_file ? template_file : "the body's template",
        .escape = as_line,
        .filters = filters,
        .max_bytes = 64u << 20,
    };
    if (template_file && *template_file) {
        template_ = read = read_file(template_file, error);
        if (!read)
            return NULL;
    }
    char *body = NULL;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        body = fill_body(template_, &options, repro, place, cuts[i], error);
        if (!body || strlen(body) <= BODY_MAX_BYTES)
            break;
        free(body);
        body = NULL;
        error->code = "body_too_large";
        error->retryable = 0;
        snprintf(error->message, sizeof error->message,
                 "the pull request's text has more than %d bytes, however much the repro's texts are cut; put less "
                 "into the template",
                 BODY_MAX_BYTES);
    }
    free(read);
    return body;
}

static char *fill_line(const char *template_, const char *key, char *(*escape)(const char *, void *),
                       const json_t *values, struct exportd_kit_error *error)
{
    char name[80];
    snprintf(name, sizeof name, "[plugin export-pr] %s", key);
    const struct exportd_template_options options = {.name = name, .escape = escape, .max_bytes = 4096};
    return exportd_template_fill(template_, &options, values, error);
}

char *body_name(const char *template_, const char *key, const json_t *values, struct exportd_kit_error *error)
{
    return fill_line(template_, key, as_name, values, error);
}

char *body_title(const char *template_, const char *key, const json_t *values, struct exportd_kit_error *error)
{
    return fill_line(template_, key, as_title, values, error);
}
