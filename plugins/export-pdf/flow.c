/* flow.h: text that flows. */
#include "flow.h"

#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_MAX_BYTES 2000

struct text_style style_of(const struct document *document, enum text_kind kind)
{
    const struct palette *palette = &document->palette;
    switch (kind) {
    case KIND_BODY_BOLD:
        return (struct text_style){.font = FONT_BOLD, .size_pt = BODY_SIZE_PT, .colour = palette->ink};
    case KIND_SMALL:
        return (struct text_style){.font = FONT_REGULAR, .size_pt = SMALL_SIZE_PT, .colour = palette->ink};
    case KIND_SMALL_BOLD:
        return (struct text_style){.font = FONT_BOLD, .size_pt = SMALL_SIZE_PT, .colour = palette->ink};
    case KIND_SOFT:
        return (struct text_style){.font = FONT_REGULAR, .size_pt = SMALL_SIZE_PT, .colour = palette->soft};
    case KIND_LABEL:
        return (struct text_style){.font = FONT_BOLD, .size_pt = 7.5, .colour = palette->soft};
    case KIND_MONO:
    case KIND_CODE:
        return (struct text_style){.font = FONT_MONO, .size_pt = CODE_SIZE_PT, .colour = palette->ink};
    default:
        return (struct text_style){.font = FONT_REGULAR, .size_pt = BODY_SIZE_PT, .colour = palette->ink};
    }
}

struct flow flow_of(const struct document *document, enum text_kind kind)
{
    const double size_pt = style_of(document, kind).size_pt;
    struct flow flow = {.x = document->left,
                        .width = document->right - document->left,
                        .size_pt = size_pt,
                        .line_pt = size_pt >= BODY_SIZE_PT ? BODY_LINE_PT : SMALL_LINE_PT};
    if (kind == KIND_CODE) {
        flow.line_pt = CODE_LINE_PT;
        flow.code = 1;
        flow.on_ground = 1;
        flow.padding_pt = 8;
        flow.x += flow.padding_pt;
        flow.width -= 2 * flow.padding_pt;
        flow.ground_left = document->left;
        flow.hanging_pt = 2 * CODE_SIZE_PT;
    }
    return flow;
}

/* The baseline of a line whose top is at y. */
static double baseline(double y, double line_pt, double size_pt)
{
    return y + line_pt / 2 + size_pt * 0.36;
}

/* How many of the lines left go on this page: 0 where the next one should be taken. */
static size_t lines_that_fit(const struct document *document, const struct flow *flow, size_t left)
{
    const double room = document->bottom - document->y - 2 * flow->padding_pt;
    const int at_top = document->y <= document->top;
    size_t fit = room >= flow->line_pt ? (size_t)(room / flow->line_pt + 0.001) : 0;

    if (fit >= left && document->y + (double)left * flow->line_pt + flow->keep_pt > document->bottom && !at_top)
        fit = left > 3 ? left - 2 : 0;
    if (fit >= left)
        return left;
    if (left - fit == 1 && fit > 2)
        fit--; /* a last line is not left alone */
    if (fit < 2 && !at_top)
        return 0;
    return fit ? fit : 1;
}

static void draw_beside(struct document *document, const struct layout *layout, const struct flow *flow, size_t first,
                        size_t count, int *number)
{
    const struct text_style style = {.font = FONT_MONO, .size_pt = flow->size_pt, .colour = document->palette.faint};
    for (size_t i = first; flow->number_lines && i < first + count; i++) {
        char digits[24];
        const double y = document->y + (double)(i - first) * flow->line_pt;
        if (!layout->lines[i].begins_paragraph)
            continue;
        snprintf(digits, sizeof digits, "%d", (*number)++);
        set_string_right(document, digits, &style, flow->x - 10, y + (flow->line_pt - flow->size_pt * 1.4) / 2,
                         LAYOUT_WIDE);
    }
    if (first == 0 && flow->marker) {
        const struct text_style marker = {
            .font = FONT_REGULAR, .size_pt = flow->size_pt, .colour = document->palette.soft};
        set_string_right(document, flow->marker, &marker, flow->x - 6,
                         document->y + (flow->line_pt - flow->size_pt * 1.4) / 2, LAYOUT_WIDE);
    }
}

static void draw_lines(struct document *document, const struct layout *layout, const struct flow *flow, size_t first,
                       size_t count, int *number)
{
    const double padding = flow->on_ground ? flow->padding_pt : 0;
    const double height = (double)count * flow->line_pt + 2 * padding;
    if (flow->on_ground)
        draw_box(document, flow->ground_left, document->y, flow->x + flow->width + padding - flow->ground_left,
                 height, document->palette.panel);
    for (size_t i = 0; i < flow->bar_count; i++)
        draw_box(document, flow->bars[i], document->y, 2, height, document->palette.rule);
    document->y += padding;
    draw_beside(document, layout, flow, first, count, number);
    for (size_t i = first; i < first + count; i++) {
        draw_line(document, layout, i, flow->x, baseline(document->y, flow->line_pt, flow->size_pt));
        document->y += flow->line_pt;
    }
    document->y += padding;
}

void flow_text(struct document *document, const struct text *text, const struct flow *flow)
{
    const struct layout_options options = {
        .width_pt = flow->width, .hanging_pt = flow->hanging_pt, .code = flow->code};
    if (document->state != DOCUMENT_OPEN)
        return;
    struct layout *layout = layout_new(document->typesetter, text, &options);
    if (!layout) {
        document->state = DOCUMENT_FAILED;
        return;
    }
    int number = flow->number_from;
    size_t at = 0;
    while (at < layout->line_count && document->state == DOCUMENT_OPEN) {
        const size_t count = lines_that_fit(document, flow, layout->line_count - at);
        if (count)
            draw_lines(document, layout, flow, at, count, &number);
        at += count;
        if (at < layout->line_count)
            document_break(document);
    }
    layout_free(layout);
}

void flow_string(struct document *document, const char *utf8, enum text_kind kind)
{
    const struct text_style style = style_of(document, kind);
    const struct flow flow = flow_of(document, kind);
    struct text text = {0};
    text_add_string(&text, utf8, &style);
    flow_text(document, &text, &flow);
    text_free(&text);
}

void flow_section(struct document *document, const char *title, double room_pt)
{
    const struct text_style style = {.font = FONT_BOLD, .size_pt = 14, .colour = document->palette.ink};
    document_space(document, 24);
    document_need(document, 34 + room_pt);
    document_bookmark(document, 0, title);
    draw_box(document, document->left, document->y + 3, 3, 15, document->palette.accent);
    set_string(document, title, &style, document->left + 11, document->y, document->right - document->left);
    document->y += 28;
}

void flow_subheading(struct document *document, const char *title, double room_pt)
{
    const struct text_style style = {.font = FONT_BOLD, .size_pt = 10.5, .colour = document->palette.ink};
    document_space(document, 12);
    document_need(document, 20 + room_pt);
    document_bookmark(document, 1, title);
    set_string(document, title, &style, document->left, document->y, document->right - document->left);
    document->y += 20;
}

/* Cuts text behind the last character that leaves room for "…" in width. */
static void cut_to_width(const struct layout *layout, struct text *text, const struct text_style *style, double width)
{
    double pen = style->size_pt;
    size_t keep = 0;
    for (size_t g = 0; g < layout->glyph_count; g++) {
        pen += (double)layout->glyphs[g].advance;
        if (pen > width)
            break;
        keep = layout->glyphs[g].text_at;
    }
    while (keep > 0 && text->code_points[keep - 1] == ' ')
        keep--;
    text->length = keep;
    text_add_string(text, "…", style);
}

static double set_aligned(struct document *document, const char *utf8, const struct text_style *style, double x,
                          double y, double width, int right)
{
    const struct layout_options options = {.width_pt = LAYOUT_WIDE};
    struct text text = {0};
    double drawn = 0;
    if (document->state != DOCUMENT_OPEN)
        return 0;
    text_add(&text, utf8, strnlen(utf8, STRING_MAX_BYTES), style);
    for (size_t i = 0; i < text.length; i++)
        if (text.code_points[i] == '\n')
            text.code_points[i] = ' ';
    struct layout *layout = layout_new(document->typesetter, &text, &options);
    if (layout && layout_width(layout) > width + 0.5) {
        cut_to_width(layout, &text, style, width);
        layout_free(layout);
        layout = layout_new(document->typesetter, &text, &options);
    }
    if (layout) {
        drawn = layout_width(layout);
        draw_line(document, layout, 0, right ? x - drawn : x, baseline(y, style->size_pt * 1.4, style->size_pt));
    } else {
        document->state = DOCUMENT_FAILED;
    }
    layout_free(layout);
    text_free(&text);
    return drawn;
}

double set_string(struct document *document, const char *utf8, const struct text_style *style, double x, double y,
                  double width)
{
    return set_aligned(document, utf8, style, x, y, width, 0);
}

double set_string_right(struct document *document, const char *utf8, const struct text_style *style, double x,
                        double y, double width)
{
    return set_aligned(document, utf8, style, x, y, width, 1);
}

double string_width(struct document *document, const char *utf8, const struct text_style *style)
{
    const struct layout_options options = {.width_pt = LAYOUT_WIDE};
    struct text text = {0};
    text_add(&text, utf8, strnlen(utf8, STRING_MAX_BYTES), style);
    struct layout *layout = layout_new(document->typesetter, &text, &options);
    double width = layout ? layout_width(layout) : 0;
    layout_free(layout);
    text_free(&text);
    return width;
}
