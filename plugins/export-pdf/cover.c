/* report.h: the cover block and the summary. */
#include "charts.h"
#include "report.h"

#include <exportd/kit/repro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PANEL_HEIGHT_PT 104.0
#define ENVIRONMENT_ROWS_MAX 5
#define CHECKS_MAX 200
#define LABELS_MAX 12

static uint32_t severity_colour(const struct document *document, const char *severity)
{
    if (strcasecmp(severity, "critical") == 0 || strcasecmp(severity, "blocker") == 0)
        return 0x9B1C1C;
    if (strcasecmp(severity, "high") == 0 || strcasecmp(severity, "major") == 0)
        return 0xB4443C;
    if (strcasecmp(severity, "medium") == 0 || strcasecmp(severity, "moderate") == 0)
        return document->palette.warning;
    if (strcasecmp(severity, "low") == 0 || strcasecmp(severity, "minor") == 0)
        return document->palette.good;
    return document->palette.soft;
}

/* The next chip of a row, on a new row where this one is full. */
static void place_chip(struct document *document, const char *label, uint32_t colour, double *x)
{
    const struct text_style style = style_of(document, KIND_LABEL);
    const double width = string_width(document, label, &style) + 14;
    if (*x > document->left && *x + width > document->right) {
        *x = document->left;
        document->y += 20;
    }
    *x += draw_chip(document, label, *x, document->y, colour) + 6;
}

static void draw_chips(struct report *report)
{
    struct document *document = report->document;
    char *severity = report_plain(report->repro, "bug.severity", 40);
    char *status = report_plain(report->repro, "validation.status", 40);
    const json_t *labels = exportd_repro_array(report->repro, "bug.labels");
    double x = document->left;
    char label[80];

    if (severity && *severity) {
        snprintf(label, sizeof label, "Severity: %s", severity);
        place_chip(document, label, severity_colour(document, severity), &x);
    }
    if (status && *status) {
        snprintf(label, sizeof label, "Validation: %s", status);
        place_chip(document, label, status_colour(document, status), &x);
    }
    for (size_t i = 0; i < json_array_size(labels) && i < LABELS_MAX; i++) {
        const char *name = json_string_value(json_array_get(labels, i));
        report_copy(label, sizeof label, name ? name : "");
        place_chip(document, label, document->palette.soft, &x);
    }
    if (x > document->left)
        document->y += 24;
    free(severity);
    free(status);
}

/* "Bug 20184 · reported 2016-06-27 · https://…", the address a link. */
static void draw_reference(struct report *report)
{
    struct document *document = report->document;
    char *id = report_plain(report->repro, "bug.id", 80);
    char *url = report_plain(report->repro, "bug.url", 1000);
    char *reported = report_plain(report->repro, "bug.reported_at", 40);
    struct text_style style = style_of(document, KIND_BODY);
    struct text text = {0};
    struct flow flow = flow_of(document, KIND_BODY);

    style.colour = document->palette.soft;
    if (id && *id) {
        text_add_string(&text, "Bug ", &style);
        text_add_string(&text, id, &style);
    }
    if (reported && strlen(reported) >= 10) {
        text_add_string(&text, text.length ? "   ·   reported " : "Reported ", &style);
        text_add(&text, reported, 10, &style);
    }
    if (url && *url) {
        if (text.length)
            text_add_string(&text, "   ·   ", &style);
        if (url_is_safe(url)) {
            style.colour = document->palette.accent;
            style.link = url;
        }
        text_add_string(&text, url, &style);
    }
    if (text.length)
        flow_text(document, &text, &flow);
    document->y += 8;
    text_free(&text);
    free(id);
    free(url);
    free(reported);
}

void report_cover(struct report *report)
{
    struct document *document = report->document;
    struct text_style overline = {.font = FONT_BOLD, .size_pt = 8, .colour = document->palette.accent};
    struct text_style style = {.font = FONT_BOLD, .size_pt = 21, .colour = document->palette.ink};
    struct flow flow = flow_of(document, KIND_BODY);
    struct text text = {0};
    char prepared[200];

    draw_box(document, 0, 0, document->page_width, 5, document->palette.accent);
    document->y = 46;
    document_bookmark(document, 0, "Overview");
    set_string(document, "BUG REPRODUCTION REPORT", &overline, document->left, document->y, 300);
    if (report->options->prepared_for) {
        overline.font = FONT_REGULAR;
        overline.colour = document->palette.soft;
        const int length = snprintf(prepared, sizeof prepared, "Prepared for ");
        report_copy(prepared + length, sizeof prepared - (size_t)length, report->options->prepared_for);
        set_string_right(document, prepared, &overline, document->right, document->y, 260);
    }
    document->y += 18;
    if (strlen(report->title) > 160)
        style.size_pt = 15;
    flow.size_pt = style.size_pt;
    flow.line_pt = style.size_pt * 1.29;
    text_add_string(&text, report->title, &style);
    flow_text(document, &text, &flow);
    text_free(&text);
    document->y += 6;
    draw_reference(report);
    draw_chips(report);
}

static const char *describe_score(double score)
{
    return score >= 0.9995 ? "Every time"
           : score >= 0.8  ? "Nearly every time"
           : score >= 0.3  ? "Sometimes"
           : score > 0     ? "Seldom"
                           : "Never";
}

/* A number of runs, made fit to be shown. */
static double count_of(const json_t *stability, const char *key)
{
    const double count = json_number_value(json_object_get(stability, key));
    return count >= 0 ? count <= 1e9 ? count : 1e9 : 0;
}

static void draw_stability(struct report *report, double width)
{
    struct document *document = report->document;
    const json_t *stability = json_object_get(report->repro, "stability");
    const struct text_style label = style_of(document, KIND_LABEL);
    const struct text_style bold = style_of(document, KIND_BODY_BOLD);
    const struct text_style soft = style_of(document, KIND_SOFT);
    const double score = json_number_value(json_object_get(stability, "score"));
    const double runs = count_of(stability, "runs");
    const uint32_t colour = score >= 0.95  ? document->palette.good
                            : score >= 0.3 ? document->palette.warning
                                           : document->palette.bad;
    const double x = document->left + 12;
    const double text_x = x + 84;
    const double text_width = width - 84 - 22;
    char line[64];

    set_string(document, "STABILITY", &label, x, document->y + 9, width);
    if (!json_is_number(json_object_get(stability, "score"))) {
        set_string(document, "Not measured", &soft, x, document->y + 30, width - 24);
        return;
    }
    chart_gauge(document, x + 34, document->y + 62, 34, score, colour);
    set_string(document, describe_score(score), &bold, text_x, document->y + 40, text_width);
    if (runs > 0) {
        snprintf(line, sizeof line, "%.0f of %.0f runs", count_of(stability, "reproduced"), runs);
        set_string(document, line, &soft, text_x, document->y + 56, text_width);
        set_string(document, "showed the bug", &soft, text_x, document->y + 68, text_width);
    }
}

/* A JSON value in a few words. */
static void describe(const json_t *value, char *out, size_t out_size)
{
    if (json_is_string(value))
        report_copy(out, out_size, json_string_value(value));
    else if (json_is_integer(value))
        snprintf(out, out_size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(out, out_size, "%g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(out, out_size, "%s", json_is_true(value) ? "yes" : "no");
    else
        snprintf(out, out_size, "%s", json_is_null(value) ? "none" : "…");
}

static void draw_environment(struct report *report, double x, double width)
{
    struct document *document = report->document;
    const struct text_style label = style_of(document, KIND_LABEL);
    const struct text_style soft = style_of(document, KIND_SOFT);
    const struct text_style small = style_of(document, KIND_SMALL);
    json_t *environment = json_object_get(report->repro, "environment");
    const char *key;
    json_t *value;
    int row = 0;

    set_string(document, "ENVIRONMENT", &label, x + 12, document->y + 9, width);
    if (!json_object_size(environment))
        set_string(document, "Not recorded", &soft, x + 12, document->y + 30, width - 24);
    json_object_foreach(environment, key, value)
    {
        char name[80];
        char text[128];
        const double y = document->y + 26 + 14 * row;
        if (row == ENVIRONMENT_ROWS_MAX) {
            break;
        }
        report_copy(name, sizeof name, key);
        for (char *c = name; *c; c++)
            if (*c == '_')
                *c = ' ';
        describe(value, text, sizeof text);
        set_string(document, name, &soft, x + 12, y, 88);
        set_string(document, text, &small, x + 104, y, width - 114);
        row++;
    }
}

static void draw_checks(struct report *report)
{
    struct document *document = report->document;
    const json_t *checks = exportd_repro_array(report->repro, "validation.checks");
    const struct text_style small = style_of(document, KIND_SMALL);
    const struct text_style soft = style_of(document, KIND_SOFT);
    const double width = document->right - document->left;
    struct table table = {.document = document,
                          .x = document->left,
                          .size_pt = SMALL_SIZE_PT,
                          .line_pt = SMALL_LINE_PT,
                          .columns = {{70, "Result", ALIGN_LEFT},
                                      {(width - 70) * 0.5, "Check", ALIGN_LEFT},
                                      {(width - 70) * 0.5, "Detail", ALIGN_LEFT}},
                          .column_count = 3};
    struct text cells[3] = {{0}};
    if (!json_array_size(checks))
        return;
    flow_subheading(document, "Validation", 60);
    for (size_t i = 0; i < json_array_size(checks) && i < CHECKS_MAX; i++) {
        const json_t *check = json_array_get(checks, i);
        char *status = report_plain(check, "status", 40);
        char *name = report_plain(check, "name", 400);
        char *detail = report_plain(check, "detail", 1000);
        struct text_style bold = style_of(document, KIND_SMALL_BOLD);
        bold.colour = status_colour(document, status ? status : "");
        text_add_string(&cells[0], status ? status : "–", &bold);
        text_add_string(&cells[1], name ? name : "", &small);
        text_add_string(&cells[2], detail ? detail : "", &soft);
        table_row(&table, cells);
        for (int c = 0; c < 3; c++)
            text_clear(&cells[c]);
        free(status);
        free(name);
        free(detail);
    }
    for (int c = 0; c < 3; c++)
        text_free(&cells[c]);
    table_end(&table);
}

/* Two panels side by side; the cursor stays above them. */
static void draw_panels(struct report *report)
{
    struct document *document = report->document;
    const double width = document->right - document->left;
    const double left_width = width * 0.42;
    const double gap = 12;

    document_need(document, PANEL_HEIGHT_PT + 10);
    draw_round_box(document, document->left, document->y, left_width, PANEL_HEIGHT_PT, 5, document->palette.panel);
    draw_round_box(document, document->left + left_width + gap, document->y, width - left_width - gap,
                   PANEL_HEIGHT_PT, 5, document->palette.panel);
    draw_stability(report, left_width);
    draw_environment(report, document->left + left_width + gap, width - left_width - gap);
}

void report_summary(struct report *report)
{
    struct document *document = report->document;
    if (json_object_size(json_object_get(report->repro, "stability")) ||
        json_object_size(json_object_get(report->repro, "environment"))) {
        draw_panels(report);
        document->y += PANEL_HEIGHT_PT + 4;
    }
    draw_checks(report);
}
