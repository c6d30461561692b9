/* batch.h: texts, their rows, the cache. */
#include "batch.h"
#include "npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct corpus_batch {
    size_t max_count, max_bytes;
    size_t count, used_bytes, room_bytes;
    char *bytes;
    size_t *offsets; /* max_count + 1 */
    size_t *chunks;
    struct embed_text *texts;
    unsigned char (*keys)[KEY_BYTES];
};

struct corpus_batch *batch_new(const struct embedder *embedder)
{
    struct corpus_batch *batch = calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    batch->max_count = embedder->batch_count;
    batch->max_bytes = embedder->batch_bytes;
    batch->offsets = calloc(batch->max_count + 1, sizeof *batch->offsets);
    batch->chunks = calloc(batch->max_count, sizeof *batch->chunks);
    batch->texts = calloc(batch->max_count, sizeof *batch->texts);
    batch->keys = calloc(batch->max_count, sizeof *batch->keys);
    return batch->offsets && batch->chunks && batch->texts && batch->keys ? batch : batch_free(batch);
}

struct corpus_batch *batch_free(struct corpus_batch *batch)
{
    if (batch) {
        free(batch->bytes);
        free(batch->offsets);
        free(batch->chunks);
        free(batch->texts);
        free(batch->keys);
    }
    free(batch);
    return NULL;
}

bool batch_is_full(const struct corpus_batch *batch, size_t size_bytes)
{
    return batch->count == batch->max_count ||
           (batch->count > 0 && batch->used_bytes + size_bytes > batch->max_bytes);
}

int batch_add(struct corpus_batch *batch, const char *text, size_t size_bytes, size_t chunk,
              const unsigned char key[KEY_BYTES])
{
    if (batch->used_bytes + size_bytes > batch->room_bytes) {
        size_t room = 2 * (batch->used_bytes + size_bytes);
        char *grown = realloc(batch->bytes, room);
        if (!grown)
            return -1;
        batch->bytes = grown;
        batch->room_bytes = room;
    }
    memcpy(batch->bytes + batch->used_bytes, text, size_bytes);
    batch->used_bytes += size_bytes;
    batch->chunks[batch->count] = chunk;
    memcpy(batch->keys[batch->count], key, KEY_BYTES);
    batch->offsets[++batch->count] = batch->used_bytes;
    return 0;
}

int batch_flush(struct corpus *corpus, struct exportd_kit_error *error)
{
    struct corpus_batch *batch = corpus->batch;
    struct embedder *embedder = corpus->embedder;
    float *vectors = NULL;
    size_t known = corpus->cache ? cache_dimensions(corpus->cache) : 0;
    if (batch->count == 0)
        return 0;
    for (size_t i = 0; i < batch->count; i++)
        batch->texts[i] =
            (struct embed_text){batch->bytes + batch->offsets[i], batch->offsets[i + 1] - batch->offsets[i]};
    if (embedder->embed(embedder, batch->texts, batch->count, &vectors, error) != 0)
        return -1;
    int failed = 0;
    if (known && known != embedder->dimensions)
        failed = exportd_kit_fail(error, "dimensions_changed", 0,
                                  "the model %s makes vectors of %zu numbers now, and made some of %zu before; set "
                                  "dimensions in [plugin repo-embed], or empty the plugin's cache",
                                  embedder->model, embedder->dimensions, known);
    for (size_t i = 0; !failed && i < batch->count; i++)
        if (npy_write_rows(corpus->fd, batch->chunks[i], 1, embedder->dimensions,
                           vectors + i * embedder->dimensions) != 0)
            failed = exportd_kit_fail(error, "workspace_failed", 1,
                                      "%s can't be written: %s; see disk in [plugin "
                                      "repo-embed]",
                                      CORPUS_VECTORS, strerror(errno));
    if (!failed && corpus->cache)
        cache_put(corpus->cache, (const unsigned char(*)[KEY_BYTES])batch->keys, vectors, batch->count,
                  embedder->dimensions);
    free(vectors);
    corpus->embedded += failed ? 0 : batch->count;
    corpus->dimensions = embedder->dimensions;
    batch->count = batch->used_bytes = 0;
    return failed;
}
