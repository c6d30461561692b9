/* layout.h: the text that is to be set. */
#include "layout.h"

#include <exportd/kit/text.h>
#include <stdlib.h>
#include <string.h>

#define STYLES_MAX 60000u

static int same_style(const struct text_style *a, const struct text_style *b)
{
    return a->font == b->font && a->size_pt == b->size_pt && a->colour == b->colour && a->link == b->link &&
           a->strike == b->strike && a->boxed == b->boxed;
}

/* The number of a style: the last one where it is the same. */
static int add_style(struct text *text, const struct text_style *style)
{
    if (text->style_count && same_style(&text->styles[text->style_count - 1], style))
        return 0;
    if (text->style_count == STYLES_MAX)
        return 0;
    if (text->style_count == text->style_capacity) {
        size_t capacity = text->style_capacity ? 2 * text->style_capacity : 8;
        struct text_style *styles = realloc(text->styles, capacity * sizeof *styles);
        if (!styles)
            return -1;
        text->styles = styles;
        text->style_capacity = capacity;
    }
    text->styles[text->style_count++] = *style;
    return 0;
}

static int reserve(struct text *text, size_t more)
{
    if (text->length + more <= text->capacity)
        return 0;
    size_t capacity = text->capacity ? text->capacity : 128;
    while (capacity < text->length + more)
        capacity *= 2;
    uint32_t *code_points = realloc(text->code_points, capacity * sizeof *code_points);
    if (code_points)
        text->code_points = code_points;
    uint16_t *style_of = realloc(text->style_of, capacity * sizeof *style_of);
    if (style_of)
        text->style_of = style_of;
    if (!code_points || !style_of)
        return -1;
    text->capacity = capacity;
    return 0;
}

void text_add(struct text *text, const char *utf8, size_t length, const struct text_style *style)
{
    const char *end = utf8 + length;
    if (text->failed || add_style(text, style) < 0 || reserve(text, length) < 0) {
        text->failed = 1;
        return;
    }
    while (utf8 < end) {
        uint32_t code_point = exportd_text_next(&utf8);
        if (!code_point)
            break;
        if (code_point == '\t')
            code_point = ' ';
        else if (code_point == 0x2028 || code_point == 0x2029)
            code_point = '\n';
        if ((code_point < 0x20 && code_point != '\n') || (code_point >= 0x7F && code_point <= 0x9F) ||
            code_point == 0xAD || code_point == 0xFEFF)
            continue;
        text->code_points[text->length] = code_point;
        text->style_of[text->length++] = (uint16_t)(text->style_count - 1);
    }
}

void text_add_string(struct text *text, const char *utf8, const struct text_style *style)
{
    text_add(text, utf8, strlen(utf8), style);
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->style_count = 0;
    text->failed = 0;
}

void text_free(struct text *text)
{
    free(text->code_points);
    free(text->style_of);
    free(text->styles);
    *text = (struct text){0};
}
