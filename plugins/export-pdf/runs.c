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
#define ROWS_PER_CHUNK 30

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

/* The day on which all runs were started, as the length of what their times share: 10, or 0. */
static size_t shared_day(const json_t *runs, size_t count)
{
    const char *first = exportd_repro_string(json_array_get(runs, 0), "started_at", "");
    if (strlen(first) < 19 || first[10] != 'T')
        return 0;
    for (size_t i = 1; i < count; i++) {
        const char *started = exportd_repro_string(json_array_get(runs, i), "started_at", "");
        if (strlen(started) < 19 || strncmp(first, started, 11) != 0)
            return 0;
    }
    return 10;
}

/* Four cells: number, status, time ("2026-11-21 19:31:26", or the time alone), duration. */
static void fill_run(struct document *document, struct text *cells, const json_t *run, size_t number, int time_only)
{
    const struct text_style small = style_of(document, KIND_SMALL);
    const struct text_style soft = style_of(document, KIND_SOFT);
    const json_t *duration = json_object_get(run, "duration_ms");
    char *status = report_plain(run, "status", 60);
    char *started = report_plain(run, "started_at", 40);
    struct text_style bold = style_of(document, KIND_SMALL_BOLD);
    char line[80];

    bold.colour = status_colour(document, status ? status : "");
    snprintf(line, sizeof line, "%zu", number);
    text_add_string(&cells[0], line, &soft);
    text_add_string(&cells[1], status ? status : "–", &bold);
    snprintf(line, sizeof line, "%.19s", started && *started ? started : "–");
    if (strlen(line) > 10 && line[10] == 'T')
        line[10] = ' ';
    text_add_string(&cells[2], time_only && strlen(line) > 11 ? line + 11 : line, &soft);
    format_duration(json_is_number(duration) ? json_number_value(duration) : -1, line, sizeof line);
    text_add_string(&cells[3], line, &small);
    free(status);
    free(started);
}

/* All runs: side by side in two halves where they are of one day, so that their times are short. */
static void draw_table(struct report *report, const json_t *runs, size_t count)
{
    struct document *document = report->document;
    const size_t halves = shared_day(runs, count) && count > 5 ? 2 : 1;
    const double gap = halves == 2 ? 18 : 0;
    const double rest = (document->right - document->left - gap) / (double)halves - 42;
    const struct table_column columns[] = {{42, "Run", ALIGN_LEFT},
                                           {rest * 0.33, "Status", ALIGN_LEFT},
                                           {rest * 0.36, "Started (UTC)", ALIGN_LEFT},
                                           {rest * 0.31, "Duration", ALIGN_RIGHT}};
    struct table table = {.document = document,
                          .x = document->left,
                          .size_pt = SMALL_SIZE_PT,
                          .line_pt = SMALL_LINE_PT,
                          .padding_pt = 2.5,
                          .column_count = halves == 2 ? 9 : 4};
    struct text cells[9] = {{0}};

    memcpy(table.columns, columns, sizeof columns);
    table.columns[4] = (struct table_column){gap, "", ALIGN_LEFT};
    memcpy(table.columns + 5, columns, sizeof columns);
    for (size_t chunk = 0; chunk < count; chunk += ROWS_PER_CHUNK * halves) {
        const size_t left = count - chunk < ROWS_PER_CHUNK * halves ? count - chunk : ROWS_PER_CHUNK * halves;
        const size_t rows = (left + halves - 1) / halves;
        for (size_t row = 0; row < rows; row++) {
            for (size_t half = 0; half < halves && half * rows + row < left; half++) {
                const size_t number = chunk + half * rows + row;
                fill_run(document, cells + 5 * half, json_array_get(runs, number), number + 1, halves == 2);
            }
            table_row(&table, cells);
            for (int c = 0; c < 9; c++)
                text_clear(&cells[c]);
        }
    }
    for (int c = 0; c < 9; c++)
        text_free(&cells[c]);
    table_end(&table);
}

static int compare_numbers(const void *a, const void *b)
{
    const double difference = *(const double *)a - *(const double *)b;
    return difference < 0 ? -1 : difference > 0;
}

/* "20 runs, of which 7 failed. They took 1.2 s to 2.9 s, half of them less than 2.0 s." */
static void draw_summary(struct document *document, const json_t *runs)
{
    const size_t count = json_array_size(runs);
    double *durations = malloc(count * sizeof *durations);
    size_t measured = 0;
    size_t failed = 0;
    char shortest[32];
    char median[32];
    char longest[32];
    char line[240];

    for (size_t i = 0; durations && i < count; i++) {
        const json_t *run = json_array_get(runs, i);
        const json_t *duration = json_object_get(run, "duration_ms");
        if (json_is_number(duration) && json_number_value(duration) >= 0)
            durations[measured++] = json_number_value(duration);
        failed += strcmp(exportd_repro_string(run, "status", ""), "failed") == 0;
    }
    int length = snprintf(line, sizeof line, "%zu run%s, of which %zu failed.", count, count == 1 ? "" : "s", failed);
    if (measured > 1 && length > 0) {
        qsort(durations, measured, sizeof *durations, compare_numbers);
        format_duration(durations[0], shortest, sizeof shortest);
        format_duration(durations[measured / 2], median, sizeof median);
        format_duration(durations[measured - 1], longest, sizeof longest);
        snprintf(line + length, sizeof line - (size_t)length, " They took %s to %s, with a median of %s.", shortest,
                 longest, median);
    }
    flow_string(document, line, KIND_BODY);
    document_space(document, 6);
    free(durations);
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
    flow_section(document, "Runs", 170);
    draw_summary(document, runs);
    chart_runs(document, runs);
    if (count > CHART_RUNS_MAX) {
        snprintf(note, sizeof note, "The chart shows the first %d of %zu runs.", CHART_RUNS_MAX, count);
        flow_string(document, note, KIND_SOFT);
        document_space(document, 4);
    }
    draw_errors(document, runs);
    if (!shown)
        return;
    const char *first = exportd_repro_string(json_array_get(runs, 0), "started_at", "");
    if (shared_day(runs, shown) && shown > 5)
        snprintf(note, sizeof note, "All runs, on %.10s", first);
    else
        snprintf(note, sizeof note, "All runs");
    flow_subheading(document, note, 60);
    draw_table(report, runs, shown);
    if (shown < count) {
        snprintf(note, sizeof note, "Left out: %zu more runs.", count - shown);
        flow_string(document, note, KIND_SOFT);
    }
}
