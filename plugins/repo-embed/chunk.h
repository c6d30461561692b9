/*
 * chunk.h: a text in pieces of about one size, cut where its outline is best cut.
 *
 * Sections and definitions stay whole where they fit, small neighbours go together, and what is longer than a piece
 * is cut at the best places inside, each part beginning with the end of the one before. Every byte is in a piece, but
 * for blank space: pieces of nothing else are left out.
 */
#ifndef REPO_EMBED_CHUNK_H
#define REPO_EMBED_CHUNK_H

#include "outline.h"

#define CHUNK_BYTES_MIN 200
#define CHUNK_BYTES_MAX 32768
#define CHUNK_TITLE_MAX 200

struct chunk_options {
    size_t chunk_bytes;   /* of one piece at the most */
    size_t overlap_bytes; /* at most a third of chunk_bytes */
};

struct chunk {
    size_t start, end; /* bytes of the text, whole characters */
    uint32_t start_line, end_line;
    char title[CHUNK_TITLE_MAX]; /* headings or definitions, from the outermost inwards, "A > B"; or "" */
};

/* Calls visit for every piece, in order. Nonzero of visit ends it. Returns what visit did, 0, or -1 with error
 * filled. */
int chunk_cut(enum outline_form form, const char *text, size_t size_bytes, const struct chunk_options *options,
              int (*visit)(void *context, const struct chunk *chunk), void *context, struct exportd_kit_error *error);

#endif
