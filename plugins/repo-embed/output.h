/*
 * output.h: what a corpus is handed over as: embeddings.npy, embeddings.jsonl, embeddings.index.json.
 */
#ifndef REPO_EMBED_OUTPUT_H
#define REPO_EMBED_OUTPUT_H

#include "corpus.h"

struct output_options {
    bool text;    /* each line of the JSON Lines has the chunk's text */
    bool vectors; /* and its vector */
};

/* Writes the three files and hands them over. Returns 0, or -1 with error filled. */
int output_write(const struct corpus *corpus, const struct output_options *options, struct exportd_kit_error *error);

/* {"kind", "model", "dimensions", "note"}. A new reference, or NULL when out of memory. */
json_t *output_embedder(const struct corpus *corpus);

#endif
