/* layout.h: text set into lines. */
#include "layout.h"

#include "shape.h"

#include <stdlib.h>
#include <string.h>

#define NO_BREAK SIZE_MAX

static int is_cjk(uint32_t c)
{
    return (c >= 0x2E80 && c < 0xA4D0) || (c >= 0xAC00 && c < 0xD7A4) || (c >= 0xF900 && c < 0xFB00) ||
           (c >= 0xFF00 && c < 0xFFF0) || (c >= 0x20000 && c < 0x30000);
}

static int is_one_of(uint32_t c, const uint32_t *set)
{
    while (*set && *set != c)
        set++;
    return *set != 0;
}

/* Characters that may not begin a line, and those that may not end one (the chief ones of kinsoku). */
static int may_begin_line(uint32_t c)
{
    static const uint32_t set[] = {0x3001, 0x3002, 0x300D, 0x300F, 0x3011, 0x3015, 0x3009, 0x300B, 0x30FB, 0x30FC,
                                   0x3041, 0x3043, 0x3045, 0x3047, 0x3049, 0x3063, 0x3083, 0x3085, 0x3087, 0x30A1,
                                   0x30A3, 0x30A5, 0x30A7, 0x30A9, 0x30C3, 0x30E3, 0x30E5, 0x30E7, 0xFF01, 0xFF09,
                                   0xFF0C, 0xFF0E, 0xFF1A, 0xFF1B, 0xFF1F, 0xFF5D, 0x2026, ')',    ']',    '}',
                                   '.',    ',',    ':',    ';',    '!',    '?',    0x201D, 0x2019, 0};
    return !is_one_of(c, set);
}

static int may_end_line(uint32_t c)
{
    static const uint32_t set[] = {0x300C, 0x300E, 0x3010, 0x3014, 0x3008, 0x300A, 0xFF08,
                                   0xFF5B, '(',    '[',    '{',    0x201C, 0x2018, 0};
    return !is_one_of(c, set);
}

static int is_space(uint32_t c)
{
    return c == ' ' || c == 0x3000 || c == 0x200B || (c >= 0x2000 && c <= 0x200A && c != 0x2007);
}

/* A place where any line may end. */
static int may_break(const uint32_t *c, size_t start, size_t at)
{
    const uint32_t before = c[at - 1];
    if (is_space(c[at]))
        return 0;
    if (is_space(before))
        return 1;
    if ((before == '-' || before == 0x2010 || before == 0x2013 || before == 0x2014) && at > start + 1 &&
        !is_space(c[at - 2]) && c[at - 2] != '-' && c[at] != '-' && c[at] != '>')
        return 1;
    return (is_cjk(before) || is_cjk(c[at])) && may_end_line(before) && may_begin_line(c[at]);
}

/* A place where a word that is longer than its line may end. */
static int may_break_word(uint32_t before)
{
    static const uint32_t set[] = {'/', '.', ',', ';',  ':', '_', '-', '?', '&',
                                   '=', ')', '(', '\\', '|', '+', '}', 0};
    return is_one_of(before, set);
}

/* The end of the line that begins at start; lines end before a character that begins a cluster (its width is not
 * negative). */
static size_t find_line_end(const uint32_t *c, const float *widths, size_t start, size_t end, double width_pt)
{
    size_t good = NO_BREAK;
    size_t poor = NO_BREAK;
    size_t any = NO_BREAK;
    double pen = 0;

    for (size_t i = start; i < end; i++) {
        const int begins_cluster = widths[i] >= 0;
        if (i > start && begins_cluster) {
            if (may_break(c, start, i))
                good = i;
            else if (may_break_word(c[i - 1]))
                poor = i;
            any = i;
        }
        pen += begins_cluster ? (double)widths[i] : 0;
        if (pen > width_pt && !is_space(c[i]) && i > start && any != NO_BREAK) {
            if (good != NO_BREAK)
                return good;
            return poor != NO_BREAK ? poor : any;
        }
    }
    return end;
}

/* The width of each character: of its cluster where it begins one, else -1. */
static float *measure(const struct layout *layout, size_t first_run, size_t start, size_t end)
{
    float *widths = malloc((end - start + 1) * sizeof *widths);
    if (!widths)
        return NULL;
    for (size_t i = start; i < end; i++)
        widths[i - start] = -1;
    for (size_t r = first_run; r < layout->run_count; r++) {
        const struct layout_run *run = &layout->runs[r];
        for (uint32_t g = 0; g < run->glyph_count; g++) {
            const struct layout_glyph *glyph = &layout->glyphs[run->glyph_at + g];
            float *width = &widths[glyph->text_at - start];
            *width = (*width < 0 ? 0 : *width) + (glyph->advance > 0 ? glyph->advance : 0);
        }
    }
    return widths;
}

/* The first glyph of a run that may stand for the character at start; runs from left to right are in order. */
static uint32_t first_glyph(const struct layout *layout, const struct layout_run *run, size_t start)
{
    uint32_t low = run->glyph_at;
    uint32_t high = run->level & 1 ? low : low + run->glyph_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (layout->glyphs[middle].text_at < start)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The part of a run whose characters lie in [start, end). */
static int add_part(struct layout *layout, size_t run_index, size_t start, size_t end)
{
    const struct layout_run *run = &layout->runs[run_index];
    struct layout_part part = {.run = (uint32_t)run_index};
    for (uint32_t g = first_glyph(layout, run, start); g < run->glyph_at + run->glyph_count; g++) {
        const struct layout_glyph *glyph = &layout->glyphs[g];
        if (glyph->text_at >= end && !(run->level & 1))
            break;
        if (glyph->text_at < start || glyph->text_at >= end)
            continue;
        if (!part.glyph_count++)
            part.glyph_at = g;
        part.width_pt += (double)glyph->advance;
    }
    if (!part.glyph_count)
        return 0;
    if (layout_grow(&layout->parts, &layout->part_capacity, layout->part_count, sizeof *layout->parts) < 0)
        return -1;
    layout->parts[layout->part_count++] = part;
    return 0;
}

/* Puts a line's parts into the order of display (rule L2 of the bidi algorithm) and gives them their places. */
static void order_parts(struct layout *layout, struct layout_line *line, double x_pt)
{
    struct layout_part *parts = layout->parts + line->part_at;
    int highest = 0;
    for (uint32_t i = 0; i < line->part_count; i++)
        if (layout->runs[parts[i].run].level > highest)
            highest = layout->runs[parts[i].run].level;
    for (int level = highest; level > 0; level--) {
        for (uint32_t i = 0; i < line->part_count; i++) {
            uint32_t j = i;
            while (j < line->part_count && layout->runs[parts[j].run].level >= level)
                j++;
            for (uint32_t low = i, high = j; low + 1 < high; low++) {
                high--;
                struct layout_part part = parts[low];
                parts[low] = parts[high];
                parts[high] = part;
            }
            if (j > i)
                i = j;
        }
    }
    for (uint32_t i = 0; i < line->part_count; i++) {
        parts[i].x_pt = x_pt;
        x_pt += parts[i].width_pt;
    }
}

static int add_line(struct layout *layout, size_t *first_run, size_t start, size_t end, double indent_pt,
                    double width_pt, int right_to_left)
{
    struct layout_line line = {.part_at = (uint32_t)layout->part_count};
    const uint32_t *c = layout->text->code_points;

    while (end > start && is_space(c[end - 1]))
        end--;
    while (*first_run < layout->run_count && layout->runs[*first_run].end <= start)
        ++*first_run;
    for (size_t r = *first_run; r < layout->run_count && layout->runs[r].start < end; r++)
        if (add_part(layout, r, start, end) < 0)
            return -1;
    line.part_count = (uint32_t)layout->part_count - line.part_at;
    for (uint32_t i = 0; i < line.part_count; i++)
        line.width_pt += layout->parts[line.part_at + i].width_pt;
    if (right_to_left && width_pt < LAYOUT_WIDE)
        order_parts(layout, &line, width_pt - indent_pt > line.width_pt ? width_pt - indent_pt - line.width_pt : 0);
    else
        order_parts(layout, &line, indent_pt);
    line.width_pt += indent_pt;
    if (layout_grow(&layout->lines, &layout->line_capacity, layout->line_count, sizeof *layout->lines) < 0)
        return -1;
    layout->lines[layout->line_count++] = line;
    return 0;
}

static int set_paragraph(struct typesetter *typesetter, struct layout *layout, const struct layout_options *options,
                         size_t start, size_t end)
{
    size_t first_run = layout->run_count;
    int right_to_left = shape_paragraph(typesetter, layout, start, end, options->code);
    float *widths = right_to_left < 0 ? NULL : measure(layout, first_run, start, end);
    int result = -1;
    if (!widths)
        return -1;
    double indent_pt = 0;
    size_t at = start;
    do {
        size_t line_end = start + find_line_end(layout->text->code_points + start, widths, at - start, end - start,
                                                options->width_pt - indent_pt);
        if (add_line(layout, &first_run, at, line_end, indent_pt, options->width_pt, right_to_left) < 0)
            goto out;
        layout->lines[layout->line_count - 1].begins_paragraph = at == start;
        at = line_end;
        indent_pt = options->hanging_pt;
    } while (at < end);
    result = 0;
out:
    free(widths);
    return result;
}

struct layout *layout_new(struct typesetter *typesetter, const struct text *text,
                          const struct layout_options *options)
{
    struct layout *layout = calloc(1, sizeof *layout);
    if (!layout || text->failed)
        goto failed;
    layout->text = text;
    size_t start = 0;
    for (size_t i = 0; i <= text->length; i++) {
        if (i < text->length && text->code_points[i] != '\n')
            continue;
        if (set_paragraph(typesetter, layout, options, start, i) < 0)
            goto failed;
        start = i + 1;
    }
    return layout;
failed:
    layout_free(layout);
    return NULL;
}

void layout_free(struct layout *layout)
{
    if (!layout)
        return;
    free(layout->glyphs);
    free(layout->runs);
    free(layout->parts);
    free(layout->lines);
    free(layout);
}

double layout_width(const struct layout *layout)
{
    double width_pt = 0;
    for (size_t i = 0; i < layout->line_count; i++)
        if (layout->lines[i].width_pt > width_pt)
            width_pt = layout->lines[i].width_pt;
    return width_pt;
}
