/* shape.h: from characters to glyphs. */
#include "shape.h"

#include <fribidi.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_RIGHT_TO_LEFT 0x0590u
#define RUN_MAX 1000 /* HarfBuzz takes quadratic time for some endless runs; it sees the context across the cut */

int layout_grow(void *array, size_t *capacity, size_t count, size_t element_size)
{
    void **elements = array;
    if (count < *capacity)
        return 0;
    size_t grown = *capacity ? 2 * *capacity : 64;
    void *moved = realloc(*elements, grown * element_size);
    if (!moved)
        return -1;
    *elements = moved;
    *capacity = grown;
    return 0;
}

/* Characters that steer how others are shown and have no picture of their own. */
static int is_invisible(uint32_t code_point)
{
    return (code_point >= 0x200B && code_point <= 0x200F) || (code_point >= 0x202A && code_point <= 0x202E) ||
           (code_point >= 0x2060 && code_point <= 0x206F) || (code_point >= 0xFE00 && code_point <= 0xFE0F) ||
           (code_point >= 0xE0000 && code_point <= 0xE01EF) || code_point == 0x034F || code_point == 0x061C;
}

/* Marks that join the character before them. */
static int is_mark(uint32_t code_point)
{
    if (code_point < 0x300)
        return 0;
    hb_unicode_general_category_t category = hb_unicode_general_category(hb_unicode_funcs_get_default(), code_point);
    return category == HB_UNICODE_GENERAL_CATEGORY_NON_SPACING_MARK ||
           category == HB_UNICODE_GENERAL_CATEGORY_ENCLOSING_MARK;
}

/* Characters whose glyph depends on nothing around them: CJK, and all that a monospaced face has for Western text. */
static int is_plain(uint32_t code_point, enum font_slot slot)
{
    if (slot == SLOT_MONO)
        return code_point < 0x300 || (code_point >= 0x370 && code_point < 0x483) ||
               (code_point >= 0x2010 && code_point < 0x2E80);
    return (code_point >= 0x2E80 && code_point < 0xA4D0 && code_point != 0x302A && code_point != 0x3099 &&
            code_point != 0x309A) ||
           (code_point >= 0xAC00 && code_point < 0xD7A4) || (code_point >= 0xF900 && code_point < 0xFB00) ||
           (code_point >= 0xFF00 && code_point < 0xFFF0) || (code_point >= 0x1F000 && code_point < 0x30000);
}

static void note_missing(struct missing *missing, uint32_t code_point)
{
    size_t at = missing->count;
    while (at > 0 && missing->code_points[at - 1] > code_point)
        at--;
    if ((at > 0 && missing->code_points[at - 1] == code_point) || missing->count == MISSING_MAX)
        return;
    memmove(missing->code_points + at + 1, missing->code_points + at,
            (missing->count - at) * sizeof *missing->code_points);
    missing->code_points[at] = code_point;
    missing->count++;
}

static struct layout_glyph *add_glyph(struct layout *layout)
{
    if (layout_grow(&layout->glyphs, &layout->glyph_capacity, layout->glyph_count, sizeof *layout->glyphs) < 0)
        return NULL;
    struct layout_glyph *glyph = &layout->glyphs[layout->glyph_count++];
    *glyph = (struct layout_glyph){0};
    return glyph;
}

/* One glyph for each character. */
static int shape_plain(const struct typesetter *typesetter, struct layout *layout, struct layout_run *run)
{
    const struct text *text = layout->text;
    const struct ttf_face *face = typesetter->fonts->faces[run->font->slot].ttf;
    const double scale = text->styles[run->style].size_pt / face->units_per_em;
    for (uint32_t i = run->start; i < run->end; i++) {
        if (is_invisible(text->code_points[i]))
            continue;
        struct layout_glyph *glyph = add_glyph(layout);
        if (!glyph)
            return -1;
        glyph->glyph = ttf_glyph(face, text->code_points[i]);
        glyph->text_at = i;
        glyph->text_length = 1;
        glyph->advance = (float)(ttf_advance(face, glyph->glyph) * scale);
    }
    return 0;
}

/* Lets each cluster's first glyph, in reading order, stand for all its characters. */
static void assign_text(struct layout *layout, const struct layout_run *run)
{
    struct layout_glyph *glyphs = layout->glyphs + run->glyph_at;
    const uint32_t count = run->glyph_count;
    const int backwards = run->level & 1;
    for (uint32_t i = 0; i < count; i++) {
        struct layout_glyph *glyph = &glyphs[backwards ? count - 1 - i : i];
        uint32_t next = run->end;
        uint32_t j = i + 1;
        while (j < count && glyphs[backwards ? count - 1 - j : j].text_at == glyph->text_at)
            j++;
        if (j < count)
            next = glyphs[backwards ? count - 1 - j : j].text_at;
        glyph->text_length = next > glyph->text_at ? (uint16_t)(next - glyph->text_at) : 0;
        i = j - 1;
    }
}

static int shape_complex(struct typesetter *typesetter, struct layout *layout, struct layout_run *run)
{
    const struct text *text = layout->text;
    const struct font_face *face = &typesetter->fonts->faces[run->font->slot];
    const double scale = text->styles[run->style].size_pt / face->ttf->units_per_em;
    hb_buffer_t *buffer = typesetter->buffer;

    hb_buffer_clear_contents(buffer);
    hb_buffer_add_codepoints(buffer, text->code_points, (int)text->length, run->start, (int)(run->end - run->start));
    hb_buffer_set_direction(buffer, run->level & 1 ? HB_DIRECTION_RTL : HB_DIRECTION_LTR);
    hb_buffer_guess_segment_properties(buffer);
    hb_shape(face->hb, buffer, NULL, 0);
    unsigned int count;
    const hb_glyph_info_t *infos = hb_buffer_get_glyph_infos(buffer, &count);
    const hb_glyph_position_t *positions = hb_buffer_get_glyph_positions(buffer, NULL);
    if (!hb_buffer_allocation_successful(buffer))
        return -1;
    for (unsigned int i = 0; i < count; i++) {
        struct layout_glyph *glyph = add_glyph(layout);
        if (!glyph)
            return -1;
        glyph->glyph = (uint16_t)infos[i].codepoint;
        glyph->text_at = infos[i].cluster;
        glyph->advance = (float)(positions[i].x_advance * scale);
        glyph->x_offset = (float)(positions[i].x_offset * scale);
        glyph->y_offset = (float)(positions[i].y_offset * scale);
    }
    return 0;
}

/* What one character asks of its run. */
struct item {
    const struct font_link *font;
    hb_script_t script;
    uint16_t style;
    uint8_t level;
    uint8_t plain;
};

static struct item itemise(struct typesetter *typesetter, const struct text *text, size_t at, uint8_t level,
                           const struct item *before)
{
    const uint32_t code_point = text->code_points[at];
    struct item item = {.style = text->style_of[at], .level = level, .script = HB_SCRIPT_COMMON};
    const int joins = before && before->style == item.style && before->level == level &&
                      (is_invisible(code_point) || is_mark(code_point));
    uint16_t glyph = 0;

    if (joins &&
        (is_invisible(code_point) || ttf_glyph(typesetter->fonts->faces[before->font->slot].ttf, code_point)))
        return (struct item){before->font, before->script, item.style, level,
                             is_invisible(code_point) && before->plain};
    item.font = fonts_choose(typesetter->fonts, text->styles[item.style].font, code_point, &glyph);
    if (!glyph && !is_invisible(code_point))
        note_missing(&typesetter->missing, code_point);
    item.plain = !(level & 1) && is_plain(code_point, item.font->slot);
    if (!item.plain && code_point >= 0x250) {
        item.script = hb_unicode_script(hb_unicode_funcs_get_default(), code_point);
        if (item.script == HB_SCRIPT_INHERITED)
            item.script = HB_SCRIPT_COMMON;
    } else if (!item.plain && (code_point | 0x20) >= 'a' && ((code_point | 0x20) <= 'z' || code_point >= 0xC0)) {
        item.script = HB_SCRIPT_LATIN;
    }
    if (before && item.script == HB_SCRIPT_COMMON)
        item.script = before->script;
    return item;
}

static int same_run(const struct item *a, const struct item *b)
{
    return a->font == b->font && a->style == b->style && a->level == b->level && a->plain == b->plain &&
           (a->script == b->script || a->script == HB_SCRIPT_COMMON);
}

static int add_run(struct typesetter *typesetter, struct layout *layout, const struct item *item, size_t start,
                   size_t end)
{
    if (layout_grow(&layout->runs, &layout->run_capacity, layout->run_count, sizeof *layout->runs) < 0)
        return -1;
    struct layout_run *run = &layout->runs[layout->run_count++];
    *run = (struct layout_run){.font = item->font,
                               .start = (uint32_t)start,
                               .end = (uint32_t)end,
                               .glyph_at = (uint32_t)layout->glyph_count,
                               .style = item->style,
                               .level = item->level};
    int result = item->plain ? shape_plain(typesetter, layout, run) : shape_complex(typesetter, layout, run);
    run->glyph_count = (uint32_t)layout->glyph_count - run->glyph_at;
    if (result == 0 && !item->plain)
        assign_text(layout, run);
    return result;
}

/* The direction in which most letters read. (The first letter's, as is often taken, turns an English sentence around
 * that begins with a word of Arabic.) */
static FriBidiParType main_direction(const FriBidiCharType *types, size_t length)
{
    size_t left_to_right = 0;
    size_t right_to_left = 0;
    for (size_t i = 0; i < length; i++) {
        left_to_right += types[i] == FRIBIDI_TYPE_LTR;
        right_to_left += types[i] == FRIBIDI_TYPE_RTL || types[i] == FRIBIDI_TYPE_AL;
    }
    return right_to_left > left_to_right ? FRIBIDI_PAR_RTL : FRIBIDI_PAR_LTR;
}

/* Bidi levels of a paragraph, or NULL where all are 0. *failed is set when out of memory. */
static FriBidiLevel *find_levels(const uint32_t *code_points, size_t length, int code, int *base_level, int *failed)
{
    FriBidiLevel *levels = NULL;
    FriBidiCharType *types = NULL;
    FriBidiBracketType *brackets = NULL;
    FriBidiParType base = FRIBIDI_PAR_LTR;
    size_t i = 0;

    while (i < length && code_points[i] < FIRST_RIGHT_TO_LEFT)
        i++;
    if (i == length)
        return NULL;
    levels = malloc(length * sizeof *levels);
    types = malloc(length * sizeof *types);
    brackets = malloc(length * sizeof *brackets);
    *failed = 1;
    if (!levels || !types || !brackets)
        goto out;
    fribidi_get_bidi_types(code_points, (FriBidiStrIndex)length, types);
    if (!code)
        base = main_direction(types, length);
    fribidi_get_bracket_types(code_points, (FriBidiStrIndex)length, types, brackets);
    if (!fribidi_get_par_embedding_levels_ex(types, brackets, (FriBidiStrIndex)length, &base, levels))
        goto out;
    *base_level = FRIBIDI_IS_RTL(base) ? 1 : 0;
    *failed = 0;
out:
    free(types);
    free(brackets);
    if (*failed) {
        free(levels);
        levels = NULL;
    }
    return levels;
}

int shape_paragraph(struct typesetter *typesetter, struct layout *layout, size_t start, size_t end, int code)
{
    const struct text *text = layout->text;
    int base_level = 0;
    int failed = 0;
    FriBidiLevel *levels = find_levels(text->code_points + start, end - start, code, &base_level, &failed);
    if (failed)
        return -1;
    struct item run = {0};
    size_t run_start = start;
    for (size_t i = start; i < end && !failed; i++) {
        uint8_t level = levels ? (uint8_t)levels[i - start] : 0;
        struct item item = itemise(typesetter, text, i, level, i > start ? &run : NULL);
        if (i > run_start && (!same_run(&run, &item) || i - run_start >= RUN_MAX)) {
            failed = add_run(typesetter, layout, &run, run_start, i) < 0;
            run_start = i;
        }
        run = item;
    }
    if (end > run_start && !failed)
        failed = add_run(typesetter, layout, &run, run_start, end) < 0;
    free(levels);
    return failed ? -1 : base_level;
}
