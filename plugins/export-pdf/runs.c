/* report.h: the runs: their chart, their table, and their errors. */
#include "charts.h"
#include "report.h"

#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX 10000      /* that are looked at */
#define ERROR_GROUPS_MAX 12 /* that are shown */
#define ERROR_MAX_BYTES 6000
#define ERROR_LINES_MAX 80

/* Runs that failed in the same words. */
struct error_group {
    char *message; /* plain */
    size_t *runs;  /* their numbers, ascending */
    size_t count;
};

struct errors {
    struct error_group groups[ERROR_GROUPS_MAX];
    size_t count;
    size_t left_out; /* runs whose error is not shown */
};

static void add_error(struct errors *errors, const json_t *run, size_t number)
{
    char *message = report_plain(run, "error", ERROR_MAX_BYTES);
    size_t i = 0;
    if (!message || !message[strspn(message, " \n\t")])
        goto out;
    while (i < errors->count && strcmp(errors->groups[i].message, message) != 0)
        i++;
    if (i == ERROR_GROUPS_MAX) {
        errors->left_out++;
        goto out;
    }
    struct error_group *group = &errors->groups[i];
    size_t *runs = realloc(group->runs, (group->count + 1) * sizeof *runs);
    if (!runs)
        goto out;
    group->runs = runs;
    runs[group->count++] = number;
    if (i == errors->count) {
        errors->count++;
        group->message = message;
        message = NULL;
    }
out:
    free(message);
}

/* "1–5, 8, 11–20", cut where it gets long. */
static void describe_runs(const struct error_group *group, char *out, size_t out_size)
{
    size_t length = (size_t)snprintf(out, out_size, group->count == 1 ? "Error in run " : "Error in runs ");
    for (size_t i = 0; i < group->count;) {
        size_t j = i;
        while (j + 1 < group->count && group->runs[j + 1] == group->runs[j] + 1)
            j++;
        if (length > out_size - 60) {
            snprintf(out + length, out_size - length, ", … (%zu runs)", group->count);
            return;
        }
        length += (size_t)snprintf(out + length, out_size - length, j > i ? "%s%zu–%zu" : "%s%zu", i ? ", " : "",
                                   group->runs[i], group->runs[j]);
        i = j + 1;
    }
}

/* An error as a block of code; what a diff adds and takes away has the colours of a terminal. */
static void draw_error(struct document *document, const struct error_group *group)
{
    struct flow flow = flow_of(document, KIND_CODE);
    struct text text = {0};
    char heading[200];
    const char *at = group->message;
    long lines = 0;

    describe_runs(group, heading, sizeof heading);
    flow_subheading(document, heading, 50);
    while (*at && lines++ < ERROR_LINES_MAX) {
        const char *end = strchrnul(at, '\n');
        struct text_style style = style_of(document, KIND_CODE);
        if (at[0] == '+' && (at[1] == ' ' || at[1] == '\t'))
            style.colour = document->palette.bad;
        else if (at[0] == '-' && (at[1] == ' ' || at[1] == '\t'))
            style.colour = document->palette.good;
        else if (at == group->message)
            style.colour = document->palette.ink;
        else
            style.colour = document->palette.soft;
        text_add(&text, at, (size_t)(end - at), &style);
        at = *end ? end + 1 : end;
        if (*at && lines < ERROR_LINES_MAX)
            text_add_string(&text, "\n", &style);
    }
    while (text.length && text.code_points[text.length - 1] == '\n')
        text.length--;
    flow_text(document, &text, &flow);
    text_free(&text);
    if (*at) {
        document_space(document, 3);
        flow_string(document, "The rest of this error is left out.", KIND_SOFT);
    }
    document_space(document, 4);
}

static void draw_errors(struct document *document, const json_t *runs)
{
    struct errors errors = {0};
    char note[80];
    for (size_t i = 0; i < json_array_size(runs) && i < RUNS_MAX; i++)
        add_error(&errors, json_array_get(runs, i), i + 1);
    for (size_t i = 0; i < errors.count; i++) {
        draw_error(document, &errors.groups[i]);
        free(errors.groups[i].message);
        free(errors.groups[i].runs);
    }
    if (errors.left_out) {
        snprintf(note, sizeof note, "%zu more runs failed with other errors.", errors.left_out);
        flow_string(document, note, KIND_SOFT);
    }
}

/* "2026-11-21 19:31:26" out of "2026-11-21T19:31:26.371Z". */
static void format_time(const char *text, char *out, size_t out_size)
{
    snprintf(out, out_size, "%.19s", *text ? text : "–");
    if (strlen(out) > 10 && out[10] == 'T')
        out[10] = ' ';
}

static void draw_table(struct report *report, const json_t *runs, size_t count)
{
    struct document *document = report->document;
    const struct text_style small = style_of(document, KIND_SMALL);
    const struct text_style soft = style_of(document, KIND_SOFT);
    const double rest = document->right - document->left - 50;
    struct table table = {.document = document,
                          .x = document->left,
                          .size_pt = SMALL_SIZE_PT,
                          .line_pt = SMALL_LINE_PT,
                          .columns = {{50, "Run", ALIGN_LEFT},
                                      {rest * 0.3, "Status", ALIGN_LEFT},
                                      {rest * 0.45, "Started (UTC)", ALIGN_LEFT},
                                      {rest * 0.25, "Duration", ALIGN_RIGHT}},
                          .column_count = 4};
    struct text cells[4] = {{0}};
    char line[80];

    for (size_t i = 0; i < count; i++) {
        const json_t *run = json_array_get(runs, i);
        const json_t *duration = json_object_get(run, "duration_ms");
        char *status = report_plain(run, "status", 60);
        char *started = report_plain(run, "started_at", 40);
        struct text_style bold = style_of(document, KIND_SMALL_BOLD);
        bold.colour = status_colour(document, status ? status : "");
        snprintf(line, sizeof line, "%zu", i + 1);
        text_add_string(&cells[0], line, &soft);
        text_add_string(&cells[1], status ? status : "–", &bold);
        format_time(started ? started : "", line, sizeof line);
        text_add_string(&cells[2], line, &soft);
        format_duration(json_is_number(duration) ? json_number_value(duration) : -1, line, sizeof line);
        text_add_string(&cells[3], line, &small);
        table_row(&table, cells);
        for (int c = 0; c < 4; c++)
            text_clear(&cells[c]);
        free(status);
        free(started);
    }
    for (int c = 0; c < 4; c++)
        text_free(&cells[c]);
    table_end(&table);
}

void report_runs(struct report *report)
{
    struct document *document = report->document;
    const json_t *runs = exportd_repro_array(report->repro, "runs");
    const size_t count = json_array_size(runs);
    const size_t shown = count < (size_t)report->options->max_runs ? count : (size_t)report->options->max_runs;
    char note[120];

    if (!count)
        return;
    flow_section(document, "Runs", 150);
    chart_runs(document, runs);
    if (count > CHART_RUNS_MAX) {
        snprintf(note, sizeof note, "The chart shows the first %d of %zu runs.", CHART_RUNS_MAX, count);
        flow_string(document, note, KIND_SOFT);
        document_space(document, 4);
    }
    draw_errors(document, runs);
    if (!shown)
        return;
    flow_subheading(document, "All runs", 60);
    draw_table(report, runs, shown);
    if (shown < count) {
        snprintf(note, sizeof note, "Left out: %zu more runs.", count - shown);
        flow_string(document, note, KIND_SOFT);
    }
}
