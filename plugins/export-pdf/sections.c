/* report.h: the sections below the summary, and the pages' margins. */
#include "charts.h"
#include "code.h"
#include "markdown.h"
#include "picture.h"
#include "report.h"

#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX_BYTES 6000
#define SCREENSHOTS_MAX 40
#define SCREENSHOT_HEIGHT_PT 272.0
#define ROWS_MAX 200
#define CAPTION_HEIGHT_PT 20.0

char *report_plain(const json_t *repro, const char *path, size_t max_bytes)
{
    const char *string = exportd_repro_string(repro, path, NULL);
    char *plain = string ? exportd_text_plain(string) : NULL;
    if (!plain || strlen(plain) <= max_bytes)
        return plain;
    while (max_bytes && ((unsigned char)plain[max_bytes] & 0xC0) == 0x80)
        max_bytes--;
    plain[max_bytes] = '\0';
    char *cut = NULL;
    if (asprintf(&cut, "%s…", plain) < 0)
        cut = NULL;
    free(plain);
    return cut;
}

void report_copy(char *out, size_t out_size, const char *text)
{
    char *plain = exportd_text_plain(text);
    size_t length = plain ? strlen(plain) : 0;
    if (length >= out_size)
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): no text has no length */
        for (length = out_size - 1; length && ((unsigned char)plain[length] & 0xC0) == 0x80;)
            length--;
    if (length)
        memcpy(out, plain, length);
    out[length] = '\0';
    free(plain);
}

void report_description(struct report *report)
{
    char *description = report_plain(report->repro, "description", SIZE_MAX / 4);
    if (description && description[strspn(description, " \t\n")]) {
        flow_section(report->document, "Description", 40);
        markdown_flow(report->document, description);
    }
    free(description);
}

/* Fills a cell with a field of an entry; an empty one gets a dash. */
static void fill_cell(struct text *cell, const json_t *entry, const char *path, const struct text_style *style)
{
    char *plain = report_plain(entry, path, CELL_MAX_BYTES);
    text_add_string(cell, plain && *plain ? plain : "–", style);
    free(plain);
}

void report_steps(struct report *report)
{
    struct document *document = report->document;
    const json_t *steps = exportd_repro_array(report->repro, "steps");
    const size_t count = json_array_size(steps);
    const struct text_style small = style_of(document, KIND_SMALL);
    const struct text_style soft = style_of(document, KIND_SOFT);
    const double width = document->right - document->left - 30;
    struct table table = {.document = document,
                          .x = document->left,
                          .size_pt = SMALL_SIZE_PT,
                          .line_pt = SMALL_LINE_PT,
                          .columns = {{30, "#", ALIGN_LEFT},
                                      {width * 0.36, "Action", ALIGN_LEFT},
                                      {width * 0.32, "Expected", ALIGN_LEFT},
                                      {width * 0.32, "Actual", ALIGN_LEFT}},
                          .column_count = 4};
    struct text cells[4] = {{0}};
    char line[80];

    if (!count)
        return;
    if (count > 999)
        table.columns[0].width = 38;
    flow_section(document, "Steps to reproduce", count <= 6 ? 22 + 34 * (double)count : 70);
    for (size_t i = 0; i < count && i < (size_t)report->options->max_steps && document->state == DOCUMENT_OPEN; i++) {
        const json_t *step = json_array_get(steps, i);
        const char *expected = exportd_repro_string(step, "expected", "");
        const char *actual = exportd_repro_string(step, "actual", "");
        struct text_style result = small;
        if (*expected && *actual && strcmp(expected, actual) != 0) {
            result.font = FONT_BOLD;
            result.colour = document->palette.bad;
        }
        snprintf(line, sizeof line, "%zu", i + 1);
        text_add_string(&cells[0], line, &soft);
        fill_cell(&cells[1], step, "action", &small);
        fill_cell(&cells[2], step, "expected", &small);
        fill_cell(&cells[3], step, "actual", &result);
        table_row(&table, cells);
        for (int c = 0; c < 4; c++)
            text_clear(&cells[c]);
    }
    for (int c = 0; c < 4; c++)
        text_free(&cells[c]);
    table_end(&table);
    if (count > (size_t)report->options->max_steps) {
        snprintf(line, sizeof line, "Left out: %zu more steps.", count - (size_t)report->options->max_steps);
        flow_string(document, line, KIND_SOFT);
    }
}

/* A picture with its frame and caption, kept together. */
static void draw_figure(struct document *document, const struct picture *picture, const char *caption)
{
    const struct text_style soft = style_of(document, KIND_SOFT);
    double width = document->right - document->left;
    double height = width * picture->height / picture->width;
    if (height > SCREENSHOT_HEIGHT_PT) {
        height = SCREENSHOT_HEIGHT_PT;
        width = height * picture->width / picture->height;
    }
    if (picture->width < width) { /* small pictures are not blown up beyond a pixel for a point */
        height *= picture->width / width;
        width = picture->width;
    }
    document_need(document, height + CAPTION_HEIGHT_PT + 4);
    draw_picture(document, picture->object, document->left, document->y, width, height);
    draw_frame(document, document->left, document->y, width, height, 0.6, document->palette.rule);
    set_string(document, caption, &soft, document->left, document->y + height + 4, document->right - document->left);
    document->y += height + CAPTION_HEIGHT_PT + 12;
}

/* Stands in for a picture that can't be shown. */
static void draw_placeholder(struct document *document, const char *caption)
{
    const struct text_style soft = style_of(document, KIND_SOFT);
    struct flow flow = flow_of(document, KIND_SMALL);
    struct text text = {0};
    flow.on_ground = 1;
    flow.padding_pt = 8;
    flow.ground_left = document->left;
    flow.x += 10;
    flow.width -= 18;
    text_add_string(&text, caption, &soft);
    flow_text(document, &text, &flow);
    text_free(&text);
    document_space(document, 12);
}

static void draw_screenshot(struct report *report, const json_t *entry, size_t number)
{
    if (report->document->state != DOCUMENT_OPEN)
        return;
    char *name = report_plain(entry, "name", 200);
    size_t size_bytes = 0;
    char reason[200] = "";
    char caption[600];
    struct picture picture = {0};
    char *data = exportd_repro_content(entry, &size_bytes, reason, sizeof reason);
    const char *shown_name = name && *name ? name : "unnamed";

    if (data && picture_load(report->document->pdf, data, size_bytes, &picture, reason, sizeof reason) == 0) {
        snprintf(caption, sizeof caption, "Figure %zu.  %s  (%u × %u pixels)", number, shown_name, picture.width,
                 picture.height);
        draw_figure(report->document, &picture, caption);
    } else {
        snprintf(caption, sizeof caption, "Figure %zu.  %s could not be shown: %s.", number, shown_name, reason);
        draw_placeholder(report->document, caption);
        exportd_log(report->document->job, EXPORTD_WARNING, "screenshot %s could not be shown: %s", shown_name,
                    reason);
    }
    free(data);
    free(name);
}

void report_screenshots(struct report *report)
{
    const json_t *screenshots = exportd_repro_array(report->repro, "screenshots");
    const size_t count = json_array_size(screenshots);
    char note[80];
    if (!count)
        return;
    flow_section(report->document, "Screenshots", SCREENSHOT_HEIGHT_PT + CAPTION_HEIGHT_PT);
    for (size_t i = 0; i < count && i < SCREENSHOTS_MAX && report->document->state == DOCUMENT_OPEN; i++) {
        if (exportd_cancelled(report->document->job))
            report->document->state = DOCUMENT_CANCELLED;
        draw_screenshot(report, json_array_get(screenshots, i), i + 1);
    }
    if (count > SCREENSHOTS_MAX) {
        snprintf(note, sizeof note, "Left out: %zu more screenshots.", count - SCREENSHOTS_MAX);
        flow_string(report->document, note, KIND_SOFT);
    }
}

void report_test(struct report *report)
{
    struct document *document = report->document;
    static const char *const paths[] = {"test.path", "test.framework", "test.language"};
    const struct text_style soft = style_of(document, KIND_SOFT);
    const struct flow flow = flow_of(document, KIND_SMALL);
    struct text text = {0};
    char *code = report_plain(report->repro, "test.code", SIZE_MAX / 4);

    flow_section(document, "Regression test", 70);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        char *plain = report_plain(report->repro, paths[i], 300);
        struct text_style style = soft;
        if (i == 0) {
            style = style_of(document, KIND_MONO);
            style.size_pt = 8;
        }
        if (plain && *plain) {
            if (text.length)
                text_add_string(&text, "   ·   ", &soft);
            text_add_string(&text, plain, &style);
        }
        free(plain);
    }
    if (text.length) {
        flow_text(document, &text, &flow);
        document_space(document, 5);
    }
    text_free(&text);
    if (code && *code)
        code_flow(document, code, exportd_repro_string(report->repro, "test.language", ""),
                  report->options->max_code_lines);
    free(code);
}

/* The size that a file entry has once decoded. */
static void describe_size(const json_t *entry, char *out, size_t out_size)
{
    double size_bytes = (double)json_string_length(json_object_get(entry, "content"));
    if (strcmp(exportd_repro_string(entry, "encoding", "utf-8"), "base64") == 0)
        size_bytes = size_bytes * 3 / 4;
    if (size_bytes < 1000)
        snprintf(out, out_size, "%.0f bytes", size_bytes);
    else if (size_bytes < 1e6)
        snprintf(out, out_size, "%.1f KB", size_bytes / 1e3);
    else
        snprintf(out, out_size, "%.1f MB", size_bytes / 1e6);
}

static void draw_dependencies(struct report *report, json_t *dependencies)
{
    struct document *document = report->document;
    const struct text_style mono = style_of(document, KIND_MONO);
    struct table table = {
        .document = document,
        .x = document->left,
        .size_pt = SMALL_SIZE_PT,
        .line_pt = SMALL_LINE_PT,
        .columns = {{300, "Dependency", ALIGN_LEFT}, {document->right - document->left - 300, "Version", ALIGN_LEFT}},
        .column_count = 2};
    struct text cells[2] = {{0}};
    const char *key;
    json_t *value;
    size_t rows = 0;

    json_object_foreach(dependencies, key, value)
    {
        if (rows++ == ROWS_MAX)
            break;
        text_add(&cells[0], key, strnlen(key, CELL_MAX_BYTES), &mono);
        const char *version = json_string_value(value);
        text_add(&cells[1], version ? version : "–", version ? strnlen(version, CELL_MAX_BYTES) : strlen("–"), &mono);
        table_row(&table, cells);
        text_clear(&cells[0]);
        text_clear(&cells[1]);
    }
    text_free(&cells[0]);
    text_free(&cells[1]);
    table_end(&table);
}

static void draw_files(struct report *report, const json_t *files)
{
    struct document *document = report->document;
    const struct text_style mono = style_of(document, KIND_MONO);
    const struct text_style soft = style_of(document, KIND_SOFT);
    struct table table = {
        .document = document,
        .x = document->left,
        .size_pt = SMALL_SIZE_PT,
        .line_pt = SMALL_LINE_PT,
        .columns = {{document->right - document->left - 90, "File", ALIGN_LEFT}, {90, "Size", ALIGN_RIGHT}},
        .column_count = 2};
    struct text cells[2] = {{0}};
    char line[64];

    for (size_t i = 0; i < json_array_size(files) && i < ROWS_MAX; i++) {
        const json_t *file = json_array_get(files, i);
        describe_size(file, line, sizeof line);
        fill_cell(&cells[0], file, "path", &mono);
        text_add_string(&cells[1], line, &soft);
        table_row(&table, cells);
        text_clear(&cells[0]);
        text_clear(&cells[1]);
    }
    text_free(&cells[0]);
    text_free(&cells[1]);
    table_end(&table);
    if (json_array_size(files) > ROWS_MAX) {
        snprintf(line, sizeof line, "Left out: %zu more files.", json_array_size(files) - ROWS_MAX);
        flow_string(document, line, KIND_SOFT);
    }
}

void report_project(struct report *report)
{
    json_t *dependencies = json_object_get(report->repro, "dependencies");
    const json_t *files = exportd_repro_array(report->repro, "files");
    if (!json_object_size(dependencies) && !json_array_size(files))
        return;
    const size_t rows = json_object_size(dependencies) + json_array_size(files) + 3;
    flow_section(report->document, "Project", rows < 14 ? (double)rows * 21.5 : 60);
    if (json_object_size(dependencies))
        draw_dependencies(report, dependencies);
    if (json_array_size(files))
        draw_files(report, files);
}

void report_missing(struct report *report)
{
    const struct missing *missing = &report->document->typesetter->missing;
    struct text text = {0};
    const struct text_style soft = style_of(report->document, KIND_SOFT);
    const struct flow flow = flow_of(report->document, KIND_SMALL);
    char name[16];
    if (!missing->count)
        return;
    document_space(report->document, 16);
    text_add_string(&text, "Characters that no font of this report has: ", &soft);
    for (size_t i = 0; i < missing->count; i++) {
        snprintf(name, sizeof name, "%sU+%04X", i ? ", " : "", missing->code_points[i]);
        text_add_string(&text, name, &soft);
    }
    text_add_string(&text, ".", &soft);
    flow_text(report->document, &text, &flow);
    text_free(&text);
}

void report_margins(struct report *report)
{
    struct document *document = report->document;
    struct text_style style = {.font = FONT_REGULAR, .size_pt = 7.5, .colour = document->palette.faint};
    char *id = report_plain(report->repro, "bug.id", 60);
    const char *organisation = report->options->organisation;
    const double width = document->right - document->left;
    const int full = document->state == DOCUMENT_FULL;
    char line[120];

    if (full)
        document->state = DOCUMENT_OPEN;
    for (size_t i = 0; i < document->page_count && document->state == DOCUMENT_OPEN; i++) {
        const double y = document->page_height - 38;
        document_turn_to(document, i);
        if (i > 0) {
            set_string(document, report->title, &style, document->left, 32, width * 0.75);
            if (id && *id) {
                snprintf(line, sizeof line, "Bug %s", id);
                set_string_right(document, line, &style, document->right, 32, width * 0.23);
            }
            draw_rule(document, document->left, 46, width, document->palette.rule);
        }
        if (full && i + 1 == document->page_count)
            set_string(document, "The report was cut here: it has reached its greatest number of pages.", &style,
                       document->left, y, width * 0.8);
        else
            set_string(document, organisation ? organisation : "Bug reproduction report", &style, document->left, y,
                       width * 0.6);
        snprintf(line, sizeof line, "Page %zu of %zu", i + 1, document->page_count);
        set_string_right(document, line, &style, document->right, y, width * 0.3);
    }
    if (full && document->state == DOCUMENT_OPEN)
        document->state = DOCUMENT_FULL;
    free(id);
}
