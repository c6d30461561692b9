/* charts.h: figures drawn from numbers. */
#include "charts.h"

#include <exportd/kit/repro.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PLOT_HEIGHT_PT 92.0
#define AXIS_WIDTH_PT 42.0
#define CHIP_HEIGHT_PT 15.0

uint32_t tint(uint32_t colour, double strength)
{
    uint32_t mixed = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        const double part = (double)(colour >> shift & 0xFF);
        mixed |= (uint32_t)lround(255 - (255 - part) * strength) << shift;
    }
    return mixed;
}

uint32_t status_colour(const struct document *document, const char *status)
{
    static const char *const good[] = {"passed", "verified", "ok", "success"};
    static const char *const bad[] = {"failed", "failure", "error", "invalid", "rejected", "unverified"};
    static const char *const warning[] = {"flaky", "timedout", "timedOut", "interrupted", "warning"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (strcmp(status, good[i]) == 0)
            return document->palette.good;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strcmp(status, bad[i]) == 0)
            return document->palette.bad;
    for (size_t i = 0; i < sizeof warning / sizeof *warning; i++)
        if (strcmp(status, warning[i]) == 0)
            return document->palette.warning;
    return document->palette.neutral;
}

double draw_chip(struct document *document, const char *label, double x, double y, uint32_t colour)
{
    struct text_style style = style_of(document, KIND_LABEL);
    const double room = document->right - document->left - 14;
    double width = string_width(document, label, &style);
    width = (width < room ? width : room) + 14;
    style.colour = colour;
    draw_round_box(document, x, y, width, CHIP_HEIGHT_PT, 3.5, tint(colour, 0.13));
    set_string(document, label, &style, x + 7, y + (CHIP_HEIGHT_PT - style.size_pt * 1.4) / 2, width - 13);
    return width;
}

void format_duration(double duration_ms, char *out, size_t out_size)
{
    if (!(duration_ms >= 0) || duration_ms > 1e12)
        snprintf(out, out_size, "–");
    else if (duration_ms < 999.5)
        snprintf(out, out_size, "%.0f ms", duration_ms);
    else if (duration_ms < 99950)
        snprintf(out, out_size, "%.1f s", duration_ms / 1000);
    else
        snprintf(out, out_size, "%.0f min %.0f s", floor(duration_ms / 60000), fmod(duration_ms / 1000, 60));
}

void chart_gauge(struct document *document, double x, double y, double radius, double score, uint32_t colour)
{
    struct text_style style = {.font = FONT_BOLD, .size_pt = radius * 0.47, .colour = document->palette.ink};
    char percent[16];
    const double width = radius * 0.26;

    score = score >= 0 ? score <= 1 ? score : 1 : 0;
    draw_arc(document, x, y, radius - width / 2, width, 0, 1, document->palette.rule);
    draw_arc(document, x, y, radius - width / 2, width, 0, score, colour);
    snprintf(percent, sizeof percent, "%.0f%%", score * 100);
    const double text_width = string_width(document, percent, &style);
    set_string(document, percent, &style, x - text_width / 2, y - style.size_pt * 0.7, 2 * radius);
}

/* The colour of a run's bar: those that passed stand back, also for eyes that don't tell red from green. */
static uint32_t bar_colour(const struct document *document, const char *status)
{
    const uint32_t colour = status_colour(document, status);
    return colour == document->palette.good ? tint(colour, 0.45) : colour;
}

static double duration_of(const json_t *run)
{
    const double duration_ms = json_number_value(json_object_get(run, "duration_ms"));
    return duration_ms > 0 && duration_ms < 1e12 ? duration_ms : 0;
}

/* A round step that cuts most into three to five parts. */
static double nice_step(double most)
{
    const double rough = most / 4;
    const double power = pow(10, floor(log10(rough)));
    const double part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void draw_axis(struct document *document, double left, double top, double most, double step)
{
    struct text_style style = style_of(document, KIND_SOFT);
    style.size_pt = 7;
    const long steps = lround(most / step);
    for (long i = 0; i <= steps; i++) {
        char label[32];
        const double value = step * (double)i;
        const double y = top + PLOT_HEIGHT_PT * (1 - value / most);
        draw_rule(document, left, y - 0.3, document->right - left, document->palette.rule);
        format_duration(value, label, sizeof label);
        set_string_right(document, value > 0 ? label : "0", &style, left - 6, y - 5, AXIS_WIDTH_PT);
    }
}

static void draw_bars(struct document *document, const json_t *runs, size_t count, double left, double most)
{
    struct text_style style = style_of(document, KIND_SOFT);
    const double slot = (document->right - left) / (double)count;
    const double gap = slot > 6 ? slot * 0.28 : slot > 2 ? 0.8 : 0.2;
    const double bar = slot - gap < 26 ? slot - gap : 26;
    const size_t every = slot > 13 ? 1 : slot > 5 ? 5 : slot > 2.5 ? 10 : 50;
    style.size_pt = 7;
    for (size_t i = 0; i < count; i++) {
        const json_t *run = json_array_get(runs, i);
        const double middle = left + slot * ((double)i + 0.5);
        double height = PLOT_HEIGHT_PT * duration_of(run) / most;
        char label[24];
        height = height > 1 ? height : 1;
        draw_box(document, middle - bar / 2, document->y + PLOT_HEIGHT_PT - height, bar, height,
                 bar_colour(document, exportd_repro_string(run, "status", "")));
        if ((i + 1) % every == 0 || (i == 0 && every > 1)) {
            snprintf(label, sizeof label, "%zu", i + 1);
            const double width = string_width(document, label, &style);
            set_string(document, label, &style, middle - width / 2, document->y + PLOT_HEIGHT_PT + 4, 40);
        }
    }
}

static void draw_legend(struct document *document, const json_t *runs, size_t count)
{
    static const char *const known[] = {"failed", "passed", "flaky", "timedOut", "interrupted", "skipped"};
    struct text_style style = style_of(document, KIND_SOFT);
    double x = document->left + AXIS_WIDTH_PT;
    size_t others = count;
    style.size_pt = 7.5;
    for (size_t k = 0; k <= sizeof known / sizeof *known; k++) {
        const char *name = k < sizeof known / sizeof *known ? known[k] : NULL;
        size_t number = 0;
        char label[48];
        for (size_t i = 0; name && i < count; i++)
            number += strcmp(exportd_repro_string(json_array_get(runs, i), "status", ""), name) == 0;
        others -= number;
        if (!name)
            number = others;
        if (!number)
            continue;
        draw_round_box(document, x, document->y + 2, 7, 7, 1.5, bar_colour(document, name ? name : ""));
        snprintf(label, sizeof label, "%s (%zu)", name ? name : "other", number);
        x += 11 + set_string(document, label, &style, x + 11, document->y, 120) + 16;
    }
    struct text_style soft = style_of(document, KIND_SOFT);
    soft.size_pt = 7.5;
    set_string_right(document, "duration of each run", &soft, document->right, document->y, 150);
    document->y += 17;
}

void chart_runs(struct document *document, const json_t *runs)
{
    size_t count = json_array_size(runs);
    double longest = 0;
    if (!count)
        return;
    if (count > CHART_RUNS_MAX)
        count = CHART_RUNS_MAX;
    for (size_t i = 0; i < count; i++)
        if (duration_of(json_array_get(runs, i)) > longest)
            longest = duration_of(json_array_get(runs, i));
    const double step = nice_step(longest > 0 ? longest : 1000);
    const double most = step * ceil((longest > 0 ? longest : 1000) / step - 0.0001);

    document_need(document, PLOT_HEIGHT_PT + 46);
    draw_legend(document, runs, count);
    document->y += 4;
    draw_axis(document, document->left + AXIS_WIDTH_PT, document->y, most, step);
    draw_bars(document, runs, count, document->left + AXIS_WIDTH_PT, most);
    document->y += PLOT_HEIGHT_PT + 22;
}
