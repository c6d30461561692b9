/* exportd/kit/project.h: the README of a project. */
#include "project_parts.h"

#include <ctype.h>
#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes text from outside into a line of Markdown: without terminal escapes, on one line, with nothing in it that
 * Markdown or HTML would read. */
static void put_inline(FILE *out, const char *text)
{
    char *plain = exportd_text_plain(text);
    char before = ' ';
    for (const char *at = plain; at && *at; at++) {
        int in_word = isalnum((unsigned char)before) && isalnum((unsigned char)at[1]);
        if (*at == '\n' || *at == '\t') {
            if (before != ' ')
                fputc(' ', out);
            before = ' ';
            continue;
        }
        if (*at == '<')
            fputs("&lt;", out);
        else if (*at == '>')
            fputs("&gt;", out);
        else if (*at == '&')
            fputs("&amp;", out);
        else if (strchr("\\`*[]|~", *at) || (*at == '_' && !in_word))
            fprintf(out, "\\%c", *at);
        else
            fputc(*at, out);
        before = *at;
    }
    free(plain);
}

/* A path or version in backticks, more of them than it holds in a row. */
static void put_code(FILE *out, const char *text)
{
    char *plain = exportd_text_plain(text);
    size_t longest = 0;
    size_t row = 0;
    for (const char *at = plain; at && *at; at++) {
        row = *at == '`' ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    for (size_t i = 0; i <= longest; i++)
        fputc('`', out);
    if (longest)
        fputc(' ', out);
    for (const char *at = plain; at && *at; at++)
        fputc(*at == '\n' ? ' ' : *at, out);
    if (longest)
        fputc(' ', out);
    for (size_t i = 0; i <= longest; i++)
        fputc('`', out);
    free(plain);
}

/* A link target, where it is one of the web; else nothing. Returns whether it wrote. */
static int put_link(FILE *out, const char *url)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!$&'*+,;=%";
    if (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)
        return 0;
    fputc('<', out);
    for (; *url; url++) {
        if (strchr(safe, *url))
            fputc(*url, out);
        else
            fprintf(out, "%%%02X", (unsigned int)(unsigned char)*url);
    }
    fputc('>', out);
    return 1;
}

static void put_head(FILE *out, const json_t *repro)
{
    const char *url = exportd_repro_string(repro, "bug.url", "");
    const char *id = exportd_repro_string(repro, "bug.id", "");
    const char *severity = exportd_repro_string(repro, "bug.severity", NULL);
    const json_t *labels = exportd_repro_array(repro, "bug.labels");
    size_t index;
    json_t *label;

    fputs("# ", out);
    put_inline(out, exportd_repro_string(repro, "title", ""));
    fputs("\n\nA reproduction of a bug, ready to run.\n\n", out);
    if (*id || *url) {
        fputs("- Bug: ", out);
        put_inline(out, id);
        fputs(*id && *url ? ", " : "", out);
        if (!put_link(out, url))
            put_inline(out, url);
        fputc('\n', out);
    }
    if (severity) {
        fputs("- Severity: ", out);
        put_inline(out, severity);
        fputc('\n', out);
    }
    json_array_foreach((json_t *)(uintptr_t)labels, index, label)
    {
        fputs(index ? ", " : "- Labels: ", out);
        put_inline(out, json_string_value(label));
    }
    fputs(json_array_size(labels) ? "\n\n" : "\n", out);
}

/* Markdown of the repro's own; after the command, so that a fence left open hides nothing that is needed to run it.
 */
static void put_description(FILE *out, const json_t *repro)
{
    const char *description = exportd_repro_string(repro, "description", "");
    if (!*description)
        return;
    char *plain = exportd_text_plain(description);
    fprintf(out, "## The bug\n\n%s\n\n", plain ? plain : "");
    free(plain);
}

static void put_field(FILE *out, const json_t *step, const char *name, const char *label)
{
    const char *text = exportd_repro_string(step, name, "");
    if (!*text)
        return;
    fprintf(out, "   - %s: ", label);
    put_inline(out, text);
    fputc('\n', out);
}

static void put_steps(FILE *out, const json_t *repro)
{
    const json_t *steps = exportd_repro_array(repro, "steps");
    size_t index;
    json_t *step;
    if (!json_array_size(steps))
        return;
    fputs("## Steps\n\n", out);
    json_array_foreach((json_t *)(uintptr_t)steps, index, step)
    {
        fprintf(out, "%zu. ", index + 1);
        put_inline(out, exportd_repro_string(step, "action", "(not said)"));
        fputc('\n', out);
        put_field(out, step, "expected", "Expected");
        put_field(out, step, "actual", "Actual");
    }
    fputc('\n', out);
}

static void put_number(FILE *out, const json_t *value)
{
    fprintf(out, "%.6g", json_number_value(value));
}

static void put_seen(FILE *out, const json_t *repro)
{
    const json_t *stability = json_object_get(repro, "stability");
    const json_t *runs = json_object_get(stability, "runs");
    const json_t *reproduced = json_object_get(stability, "reproduced");
    const json_t *environment = json_object_get(repro, "environment");
    const char *name;
    json_t *value;
    int has_runs = json_is_number(runs) && json_is_number(reproduced);
    if (!has_runs && !json_object_size(environment))
        return;
    fputs("## Where it was seen\n\n", out);
    if (has_runs) {
        fputs("It came up in ", out);
        put_number(out, reproduced);
        fputs(" of ", out);
        put_number(out, runs);
        fputs(" runs", out);
        if (json_number_value(reproduced) < json_number_value(runs))
            fputs(", so run the test more than once", out);
        fputs(".\n\n", out);
    }
    json_object_foreach((json_t *)(uintptr_t)environment, name, value)
    {
        if (!json_is_string(value) && !json_is_number(value))
            continue;
        fputs("- ", out);
        put_inline(out, name);
        fputs(": ", out);
        if (json_is_string(value))
            put_inline(out, json_string_value(value));
        else
            put_number(out, value);
        fputc('\n', out);
    }
    fputs(json_object_size(environment) ? "\n" : "", out);
}

static void put_files(FILE *out, const struct exportd_project *project)
{
    fputs("## What is here\n\n- ", out);
    put_code(out, project->test_path);
    fputs(": the test\n- ", out);
    put_code(out, project->config_path);
    fprintf(out, ": the Playwright config%s\n", project->config_made ? ", made for this export" : " of the repro");
    fprintf(out, "- `package.json`: Playwright is %s, the very version that the bug was seen with (from ",
            project->playwright_version);
    put_inline(out, project->playwright_from);
    fputs(")\n", out);
    if (project->screenshots)
        fputs("- `" EXPORTD_PROJECT_SCREENSHOTS "/`: what the browser showed\n", out);
    if (project->kept)
        fputs("- `" EXPORTD_PROJECT_KEPT "/`: files of the repro whose names this export needs for its own\n", out);
}

int exportd_project_readme(struct exportd_project *project, const json_t *repro, const char *how_to_run,
                           struct exportd_kit_error *error)
{
    char *content = NULL;
    size_t size_bytes = 0;
    FILE *out = open_memstream(&content, &size_bytes);
    if (!out)
        return project_out_of_memory(error);
    put_head(out, repro);
    fprintf(out, "## How to run it\n\n%s\n", how_to_run);
    put_description(out, repro);
    put_steps(out, repro);
    put_seen(out, repro);
    put_files(out, project);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(content);
        return project_out_of_memory(error);
    }
    return exportd_bundle_add_own(project->bundle, "README.md", content, size_bytes, 0644, error);
}
