/*
 * layout.h: text set into lines.
 *
 * A text is characters with styles. A layout is the same text shaped (HarfBuzz), ordered for display (fribidi) and
 * broken into lines of a given width; it knows nothing of pages. Lines break after spaces, around CJK characters and,
 * in a word that is longer than its line, after punctuation or anywhere.
 */
#ifndef EXPORT_PDF_LAYOUT_H
#define EXPORT_PDF_LAYOUT_H

#include "fonts.h"

#include <stdint.h>

#define LAYOUT_WIDE 1e6 /* a width that no line reaches */

struct text_style {
    enum font_style font;
    double size_pt;
    uint32_t colour;  /* 0xRRGGBB */
    const char *link; /* a URL, borrowed for as long as the layout lives; or NULL */
    unsigned int strike : 1;
    unsigned int boxed : 1; /* on a tinted ground, as inline code is */
};

/* Grows by text_add(); all zero is empty. failed is set when memory ran out. */
struct text {
    uint32_t *code_points;
    uint16_t *style_of;
    size_t length, capacity;
    struct text_style *styles;
    size_t style_count, style_capacity;
    int failed;
};

/* Appends UTF-8 of a length. Newlines break the line; tabs become a space; other control characters are dropped. */
void text_add(struct text *text, const char *utf8, size_t length, const struct text_style *style);
void text_add_string(struct text *text, const char *utf8, const struct text_style *style);
void text_clear(struct text *text); /* empty again, memory kept */
void text_free(struct text *text);

/* The characters that no font had. */
#define MISSING_MAX 256
struct missing {
    uint32_t code_points[MISSING_MAX]; /* in ascending order */
    size_t count;
};

struct typesetter {
    const struct fonts *fonts;
    hb_buffer_t *buffer;
    struct missing missing;
};

struct layout_glyph {
    uint16_t glyph;
    uint16_t text_length; /* of the characters at text_at that it stands for; 0: another glyph carries them */
    uint32_t text_at;
    float advance, x_offset, y_offset; /* in points */
};

/* Glyphs of one face, style and direction. */
struct layout_run {
    const struct font_link *font;
    uint32_t start, end; /* in the text */
    uint32_t glyph_at, glyph_count;
    uint16_t style;
    uint8_t level; /* bidi: odd runs right to left */
};

/* What a line shows of a run, in the order of display. */
struct layout_part {
    uint32_t run;
    uint32_t glyph_at, glyph_count;
    double x_pt, width_pt; /* from the layout's left */
};

struct layout_line {
    uint32_t part_at, part_count;
    double width_pt;
    int begins_paragraph; /* the text's first line, or one after a newline */
};

struct layout {
    const struct text *text; /* borrowed */
    struct layout_glyph *glyphs;
    size_t glyph_count, glyph_capacity;
    struct layout_run *runs;
    size_t run_count, run_capacity;
    struct layout_part *parts;
    size_t part_count, part_capacity;
    struct layout_line *lines;
    size_t line_count, line_capacity;
};

struct layout_options {
    double width_pt;
    double hanging_pt; /* by how much lines after the first of a paragraph are indented */
    int code;          /* always left to right */
};

/* Sets text (which must outlive the layout). Returns NULL when out of memory. Free with layout_free(). */
struct layout *layout_new(struct typesetter *typesetter, const struct text *text,
                          const struct layout_options *options);
void layout_free(struct layout *layout);

/* The widest line. */
double layout_width(const struct layout *layout);

#endif
