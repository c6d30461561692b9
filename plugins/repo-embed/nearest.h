/*
 * nearest.h: the chunks that are nearest to a question, by the cosine of their vectors.
 */
#ifndef REPO_EMBED_NEAREST_H
#define REPO_EMBED_NEAREST_H

#include "corpus.h"

#define NEAREST_MAX 50

/* For each of the queries, an array of strings: {"query", "chunks": [{"row", "file", "start_line", "end_line",
 * "title", "score"}]}, the nearest first, at most top (to NEAREST_MAX) of them; of chunks with one text, the first.
 * Returns an array, a new reference, or NULL with error filled. */
json_t *nearest_find(const struct corpus *corpus, const json_t *queries, size_t top, struct exportd_kit_error *error);

#endif
