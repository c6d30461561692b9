/*
 * outline.h: where a text may be cut, and what its parts are called.
 *
 * No parser: lines, indentation, brackets and headings say enough, and a text that isn't what its name promises is
 * merely cut at poorer places.
 */
#ifndef REPO_EMBED_OUTLINE_H
#define REPO_EMBED_OUTLINE_H

#include <exportd/kit/bundle.h>
#include <stdbool.h>

enum outline_form {
    OUTLINE_PLAIN,    /* paragraphs */
    OUTLINE_MARKDOWN, /* headings */
    OUTLINE_RST,      /* underlined headings */
    OUTLINE_BRACES,   /* C and what looks like it */
    OUTLINE_INDENT,   /* Python, Ruby, YAML, shell, …: definitions begin at the margin */
};

/* How good a place before a unit is to cut at: the lower, the better. */
enum outline_rank {
    RANK_SECTION, /* a heading, a definition at the top */
    RANK_MEMBER,  /* a definition in a definition; a paragraph below a heading */
    RANK_BLANK,   /* behind an empty line */
    RANK_LINE,
    RANK_INSIDE, /* in the middle of a long line */
};

/* A line, or a piece of a long one. */
struct outline_unit {
    uint32_t start; /* its first byte */
    uint32_t line;  /* from 1 */
    uint8_t rank;   /* enum outline_rank */
};

/* A title: it stands from its unit on, until one of the same or a smaller level comes. */
struct outline_mark {
    uint32_t unit;
    uint32_t start, length; /* its text's bytes; one line */
    uint8_t level;          /* from 1, at most OUTLINE_LEVELS */
};
#define OUTLINE_LEVELS 6

struct outline {
    struct outline_unit *units; /* ended by one that starts at the text's end, which count doesn't count */
    size_t count;
    struct outline_mark *marks;
    size_t mark_count;
    const char *text; /* borrowed */
    size_t size_bytes;
};

/* The form of a file by its name, or by its first line where that names an interpreter. */
enum outline_form outline_form_of(const char *name, const char *text, size_t size_bytes);

/* Makes the outline of a text, well-formed UTF-8 of less than 1 GiB. Lines over unit_max bytes become several units
 * of at most piece_max bytes (4 or more), whole characters each. Returns 0, or -1 with error filled
 * ("out_of_memory"). Clear it in either case. */
int outline_make(struct outline *outline, enum outline_form form, const char *text, size_t size_bytes,
                 size_t unit_max, size_t piece_max, struct exportd_kit_error *error);
void outline_clear(struct outline *outline);

/* The parts below are outline.c's own: they set ranks, and add marks where there is memory left for them. */
struct outline_line {
    const char *text;
    size_t length; /* without the line's end */
    size_t indent; /* blanks before; a tab counts 4 */
    bool blank;
};
struct outline_line outline_line_at(const struct outline *outline, size_t unit);
int outline_add_mark(struct outline *outline, size_t unit, const char *text, size_t length, unsigned int level);
int outline_headings(struct outline *outline, enum outline_form form);
int outline_braces(struct outline *outline);
int outline_indents(struct outline *outline);

#endif
