/*
 * document.h: the PDF that is being made: its pages, what is drawn on them, and its bookmarks.
 *
 * Lengths are in points; y grows downwards from the top of the page, as one reads. The cursor is document->y: what
 * flows is drawn there and moves it. After a failure (no memory, the job was cancelled, libharu complained) and once
 * the document has all the pages that it may have, everything here does nothing, so that callers look once, at the
 * end.
 */
#ifndef EXPORT_PDF_DOCUMENT_H
#define EXPORT_PDF_DOCUMENT_H

#include "embed.h"
#include "layout.h"

#include <exportd/plugin.h>

#define DOCUMENT_PAGES_MAX 2000
#define DOCUMENT_GUTTER_PT 56.0 /* left and right of the text */
#define DOCUMENT_TOP_PT 62.0
#define DOCUMENT_BOTTOM_PT 58.0

enum document_state {
    DOCUMENT_OPEN,
    DOCUMENT_FULL, /* has DOCUMENT_PAGES_MAX pages */
    DOCUMENT_CANCELLED,
    DOCUMENT_FAILED,
};

/* The muted colours that everything is drawn in. */
struct palette {
    uint32_t ink, soft, faint, rule, panel, accent;
    uint32_t good, bad, warning, neutral;
};

struct document_page {
    HPDF_Page page;
    const char *font_names[FONT_SLOT_COUNT];
};

struct document {
    HPDF_Doc pdf;
    struct exportd_job *job;
    struct typesetter *typesetter;
    struct palette palette;
    enum document_state state;
    double page_width, page_height;
    double left, right, top, bottom; /* of the text */
    double y;
    struct document_page *pages;
    size_t page_count, page_capacity;
    struct embed *embeds[FONT_SLOT_COUNT];
    HPDF_Outline parents[3]; /* the newest bookmark of each depth */
    struct document_page *page;
    uint32_t fill; /* the page's colour just now */
    int fill_known;
};

struct document_info {
    const char *title, *author, *subject, *keywords;
    int64_t time_s;
    uint64_t id[2]; /* stands for the input */
};

/* Starts a document with one empty page. job and typesetter are borrowed. Returns NULL when out of memory. Free with
 * document_free(), which takes NULL. */
struct document *document_new(struct exportd_job *job, struct typesetter *typesetter, double page_width,
                              double page_height, uint32_t accent);
void document_free(struct document *document);

/* Goes to a new page. */
void document_break(struct document *document);

/* Goes to a new page unless height_pt is left on this one (or the cursor is at its top). */
void document_need(struct document *document, double height_pt);

/* Moves the cursor down, but not at the top of a page. */
void document_space(struct document *document, double height_pt);

/* A bookmark to the cursor: depth 0 to 2, under the newest of the depth above. */
void document_bookmark(struct document *document, int depth, const char *title);

/* Draws on an earlier page (0 is the first), for what is known at the end only. */
void document_turn_to(struct document *document, size_t page);

/* Writes fonts and metadata, and saves to path. Returns 0, or -1 with a sentence in message. */
int document_save(struct document *document, const struct document_info *info, const char *path, char *message,
                  size_t message_size);

/* draw.c */

/* A line of a layout, its left edge at x and its baseline at baseline_y, with links and tinted grounds. */
void draw_line(struct document *document, const struct layout *layout, size_t line, double x, double baseline_y);
void draw_box(struct document *document, double x, double y, double width, double height, uint32_t colour);
void draw_round_box(struct document *document, double x, double y, double width, double height, double radius,
                    uint32_t colour);
void draw_frame(struct document *document, double x, double y, double width, double height, double line_width,
                uint32_t colour);
void draw_rule(struct document *document, double x, double y, double width, uint32_t colour);
/* A line through count points (x and y in turn), with round ends. */
void draw_stroke(struct document *document, const double *points, size_t count, double line_width, uint32_t colour);
/* An arc of a ring; from and to in turns of a circle, clockwise from the top. */
void draw_arc(struct document *document, double x, double y, double radius, double line_width, double from, double to,
              uint32_t colour);
void draw_link(struct document *document, double x, double y, double width, double height, const char *url);
void draw_picture(struct document *document, HPDF_Dict picture, double x, double y, double width, double height);

/* Whether a URL is one that a reader may safely click: http, https or mailto. */
int url_is_safe(const char *url);

#endif
