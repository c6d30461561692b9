/*
 * flow.h: text and tables that flow down the page and over to the next.
 *
 * Nothing is cut through: lines and rows move to the next page whole, a paragraph leaves no single line behind or
 * ahead, a heading stays with what follows it, and a table's heading is repeated on each page.
 */
#ifndef EXPORT_PDF_FLOW_H
#define EXPORT_PDF_FLOW_H

#include "document.h"

#define FLOW_BARS_MAX 6
#define TABLE_COLUMNS_MAX 12

enum text_kind {
    KIND_BODY,
    KIND_BODY_BOLD,
    KIND_SMALL,
    KIND_SMALL_BOLD,
    KIND_SOFT,  /* small, in a softer colour */
    KIND_LABEL, /* of columns and figures */
    KIND_MONO,
    KIND_CODE,
};

#define BODY_SIZE_PT 9.5
#define BODY_LINE_PT 14.5
#define SMALL_SIZE_PT 8.5
#define SMALL_LINE_PT 12.5
#define CODE_SIZE_PT 7.5
#define CODE_LINE_PT 11.2

struct text_style style_of(const struct document *document, enum text_kind kind);

struct flow {
    double x, width;
    double size_pt, line_pt;
    double hanging_pt;
    int code;         /* left to right, on a ground, unless ground_off */
    int number_lines; /* number each paragraph's first line, left of x */
    int number_from;
    int on_ground; /* draw a tinted box behind, which reaches padding_pt beyond the text and the line numbers */
    double padding_pt, ground_left;
    double bars[FLOW_BARS_MAX]; /* x of the bars beside quoted text */
    size_t bar_count;
    const char *marker; /* of a list's item, drawn left of the first line; or NULL */
    double keep_pt;     /* room that must be left for what follows the last line */
};

/* A flow over the width of the text, in the size of kind. */
struct flow flow_of(const struct document *document, enum text_kind kind);

void flow_text(struct document *document, const struct text *text, const struct flow *flow);

/* One paragraph in one style. */
void flow_string(struct document *document, const char *utf8, enum text_kind kind);

/* A section's heading, or one below it, with its bookmark; room_pt is what must fit below it. */
void flow_section(struct document *document, const char *title, double room_pt);
void flow_subheading(struct document *document, const char *title, double room_pt);

/* One line without flow, at x and with its top at y; cut with "…" to width. Returns its width. */
double set_string(struct document *document, const char *utf8, const struct text_style *style, double x, double y,
                  double width);
/* The same, ending at x. */
double set_string_right(struct document *document, const char *utf8, const struct text_style *style, double x,
                        double y, double width);
double string_width(struct document *document, const char *utf8, const struct text_style *style);

/* table.c */

enum table_align { ALIGN_LEFT, ALIGN_CENTRE, ALIGN_RIGHT };

struct table_column {
    double width;
    const char *heading; /* or NULL in a table without headings */
    enum table_align align;
};

struct table {
    struct document *document;
    double x;
    double size_pt, line_pt;
    double padding_pt; /* above and below each row; 0: the usual */
    struct table_column columns[TABLE_COLUMNS_MAX];
    size_t column_count;
    const struct text *heading_cells; /* headings of more than a word, instead of the columns'; or NULL */
    int started;
};

/* Draws a row of one text for each column, the headings before the first one. */
void table_row(struct table *table, const struct text *cells);
void table_end(struct table *table);

#endif
