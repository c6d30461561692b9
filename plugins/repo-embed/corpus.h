/*
 * corpus.h: a repository's chunks with their vectors.
 *
 * Vectors lie in a NumPy file from the start, one row for each chunk in the order of files and places, so that memory
 * holds no more than a batch of them. A text that comes twice is embedded once; one that the cache knows, not at all.
 */
#ifndef REPO_EMBED_CORPUS_H
#define REPO_EMBED_CORPUS_H

#include "cache.h"
#include "chunk.h"
#include "embedder.h"
#include "keys.h"
#include "select.h"

#include <exportd/kit/checkout.h>

#define CORPUS_VECTORS "embeddings.npy"

struct corpus_limits {
    uint64_t max_files, max_bytes, max_file_bytes, max_chunks;
};

struct corpus_file {
    char *path;
    uint64_t size_bytes;
    size_t first, count; /* its chunks */
};

struct corpus_chunk {
    uint32_t file;
    uint32_t start, end; /* bytes of its file */
    uint32_t start_line, end_line;
    unsigned char key[KEY_BYTES]; /* SHA-256 of its text */
    char *title;
    uint32_t twin; /* the row of the same text + 1, or 0 */
};

struct corpus {
    struct exportd_job *job;
    const struct exportd_checkout *checkout;
    struct embedder *embedder;
    struct cache *cache; /* or NULL */
    struct chunk_options cut;
    struct corpus_limits limits;
    bool generated_too; /* take generated and vendored files as well */

    struct corpus_file *files;
    size_t file_count, file_room;
    struct corpus_chunk *chunks;
    size_t chunk_count, chunk_room;
    uint64_t bytes, mended_files, skipped[SELECT_REASONS];
    uint64_t embedded, reused, repeated;
    bool is_last_in_part; /* max_chunks ended the last file before its end */
    size_t dimensions;    /* 0 where there is no chunk and the embedder doesn't know them before the first */

    char *path; /* of the NumPy file */
    int fd;
    struct keys rows; /* of texts that were seen */
    struct corpus_batch *batch;
    float *row;       /* room for one */
    const char *text; /* of the file that is being cut */
    size_t done_bytes, all_bytes;
};

/* Embeds all that is worth it. Returns 0, or -1 with error filled. Clear it in either case. */
int corpus_make(struct corpus *corpus, struct exportd_kit_error *error);
void corpus_clear(struct corpus *corpus);

/* Reads a file as it was cut. A new string, or NULL with error filled. */
char *corpus_read(const struct corpus *corpus, const struct corpus_file *file, size_t *size_bytes,
                  struct exportd_kit_error *error);

/* Reads the vector of a chunk. Returns 0, or -1 with error filled. */
int corpus_vector(const struct corpus *corpus, size_t chunk, float *vector, struct exportd_kit_error *error);

/* Writes a digest as 64 hexadecimal digits. */
void corpus_key_text(const unsigned char key[KEY_BYTES], char out[2 * KEY_BYTES + 1]);

#endif
