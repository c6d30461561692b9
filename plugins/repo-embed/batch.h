/*
 * batch.h: texts that wait to be embedded together.
 */
#ifndef REPO_EMBED_BATCH_H
#define REPO_EMBED_BATCH_H

#include "corpus.h"

struct corpus_batch;

struct corpus_batch *batch_new(const struct embedder *embedder);
struct corpus_batch *batch_free(struct corpus_batch *batch);

/* Nonzero where a text of so many bytes has no room beside those that wait. */
bool batch_is_full(const struct corpus_batch *batch, size_t size_bytes);

/* Adds a copy of the text of a chunk. Returns 0, or -1 when out of memory. */
int batch_add(struct corpus_batch *batch, const char *text, size_t size_bytes, size_t chunk,
              const unsigned char key[KEY_BYTES]);

/* Embeds those that wait, writes their rows and hands them to the cache. Returns 0, or -1 with error filled. */
int batch_flush(struct corpus *corpus, struct exportd_kit_error *error);

#endif
