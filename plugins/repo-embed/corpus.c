/* corpus.h: files, chunks, rows. */
#include "corpus.h"
#include "batch.h"
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 1000000 /* that are looked at, wanted or not */

struct making {
    struct corpus *corpus;
    struct exportd_kit_error *error;
};

void corpus_key_text(const unsigned char key[KEY_BYTES], char out[2 * KEY_BYTES + 1])
{
    sodium_bin2hex(out, 2 * KEY_BYTES + 1, key, KEY_BYTES);
}

static int cannot_write(struct exportd_kit_error *error)
{
    return exportd_kit_fail(error, "workspace_failed", 1, "%s can't be written: %s; see disk in [plugin repo-embed]",
                            CORPUS_VECTORS, strerror(errno));
}

static int take_file(void *context, const struct exportd_checkout_file *file)
{
    struct making *making = context;
    struct corpus *corpus = making->corpus;
    enum select_reason reason = corpus->generated_too ? SELECT_TAKEN : select_by_path(file->path);
    size_t length = strlen(file->path);
    if (exportd_cancelled(corpus->job))
        return exportd_kit_fail(making->error, "cancelled", 0, "the job was cancelled");
    if (select_well_formed(file->path, length, 0) < length)
        reason = SELECT_NAME;
    else if (!reason && file->size_bytes > corpus->limits.max_file_bytes)
        reason = SELECT_LARGE;
    else if (!reason && file->size_bytes == 0)
        reason = SELECT_EMPTY;
    else if (!reason && (corpus->file_count >= corpus->limits.max_files ||
                         corpus->all_bytes + file->size_bytes > corpus->limits.max_bytes))
        reason = SELECT_LIMIT;
    if (reason) {
        corpus->skipped[reason]++;
        return 0;
    }
    if (corpus->file_count == corpus->file_room) {
        size_t room = corpus->file_room ? 2 * corpus->file_room : 256;
        struct corpus_file *grown = room > FILES_MAX * 2 ? NULL : realloc(corpus->files, room * sizeof *grown);
        if (!grown)
            return exportd_kit_no_memory(making->error);
        corpus->files = grown;
        corpus->file_room = room;
    }
    struct corpus_file *taken = &corpus->files[corpus->file_count];
    *taken = (struct corpus_file){.path = strdup(file->path), .size_bytes = file->size_bytes};
    if (!taken->path)
        return exportd_kit_no_memory(making->error);
    corpus->file_count++;
    corpus->all_bytes += file->size_bytes;
    return 0;
}

/* A row from the cache, else the text waits for the next batch. */
static int fill_row(struct corpus *corpus, size_t row, const char *text, size_t size_bytes,
                    struct exportd_kit_error *error)
{
    const struct corpus_chunk *chunk = &corpus->chunks[row];
    size_t dimensions = corpus->cache ? cache_dimensions(corpus->cache) : 0;
    if (dimensions && !corpus->row && !(corpus->row = malloc(dimensions * sizeof *corpus->row)))
        return exportd_kit_no_memory(error);
    if (dimensions && cache_get(corpus->cache, chunk->key, corpus->row)) {
        corpus->reused++;
        corpus->dimensions = dimensions;
        return npy_write_rows(corpus->fd, row, 1, dimensions, corpus->row) != 0 ? cannot_write(error) : 0;
    }
    if (batch_is_full(corpus->batch, size_bytes) && batch_flush(corpus, error) != 0)
        return -1;
    return batch_add(corpus->batch, text, size_bytes, row, chunk->key) != 0 ? exportd_kit_no_memory(error) : 0;
}

static int take_chunk(void *context, const struct chunk *cut)
{
    struct making *making = context;
    struct corpus *corpus = making->corpus;
    if (exportd_cancelled(corpus->job))
        return exportd_kit_fail(making->error, "cancelled", 0, "the job was cancelled");
    if (corpus->chunk_count >= corpus->limits.max_chunks)
        return 1;
    if (corpus->chunk_count == corpus->chunk_room) {
        size_t room = corpus->chunk_room ? 2 * corpus->chunk_room : 1024;
        struct corpus_chunk *grown = realloc(corpus->chunks, room * sizeof *grown);
        if (!grown)
            return exportd_kit_no_memory(making->error);
        corpus->chunks = grown;
        corpus->chunk_room = room;
    }
    size_t row = corpus->chunk_count;
    struct corpus_chunk *chunk = &corpus->chunks[row];
    *chunk = (struct corpus_chunk){.file = (uint32_t)(corpus->file_count - 1),
                                   .start = (uint32_t)cut->start,
                                   .end = (uint32_t)cut->end,
                                   .start_line = cut->start_line,
                                   .end_line = cut->end_line,
                                   .title = strdup(cut->title)};
    if (!chunk->title)
        return exportd_kit_no_memory(making->error);
    corpus->chunk_count++;
    const char *text = corpus->text + cut->start;
    crypto_hash_sha256(chunk->key, (const unsigned char *)text, cut->end - cut->start);
    const uint64_t *twin = keys_find(&corpus->rows, chunk->key);
    if (twin) {
        chunk->twin = (uint32_t)*twin + 1;
        corpus->repeated++;
        return 0;
    }
    if (keys_put(&corpus->rows, chunk->key, row) != 0)
        return exportd_kit_no_memory(making->error);
    return fill_row(corpus, row, text, cut->end - cut->start, making->error);
}

char *corpus_read(const struct corpus *corpus, const struct corpus_file *file, size_t *size_bytes,
                  struct exportd_kit_error *error)
{
    size_t mended;
    char *text =
        exportd_checkout_read(corpus->checkout, file->path, (size_t)corpus->limits.max_file_bytes, size_bytes, error);
    if (text && !memchr(text, '\0', *size_bytes))
        select_by_text(text, *size_bytes, true, &mended);
    return text;
}

/* Cuts one file. *taken: whether it was worth it. Returns 0, 1 where there were enough chunks, or -1. */
static int embed_file(struct making *making, struct corpus_file *file, bool *taken)
{
    struct corpus *corpus = making->corpus;
    size_t size, mended;
    const char *slash = strrchr(file->path, '/');
    *taken = false;
    char *text = exportd_checkout_read(corpus->checkout, file->path, (size_t)corpus->limits.max_file_bytes, &size,
                                       making->error);
    if (!text)
        return -1;
    enum select_reason reason = select_by_text(text, size, corpus->generated_too, &mended);
    int stopped = 0;
    if (reason == SELECT_TAKEN) {
        corpus->mended_files += mended > 0;
        corpus->text = text;
        file->first = corpus->chunk_count;
        stopped = chunk_cut(outline_form_of(slash ? slash + 1 : file->path, text, size), text, size, &corpus->cut,
                            take_chunk, making, making->error);
        file->count = corpus->chunk_count - file->first;
        corpus->bytes += size;
        *taken = file->count > 0;
        reason = file->count > 0 ? SELECT_TAKEN : SELECT_EMPTY;
    }
    if (reason && !stopped)
        corpus->skipped[reason]++;
    free(text);
    return stopped;
}

static int embed_files(struct making *making)
{
    struct corpus *corpus = making->corpus;
    size_t all = corpus->file_count, left;
    int stopped = 0;
    corpus->file_count = 0;
    for (size_t i = 0; !stopped && i < all; i++) {
        struct corpus_file file = corpus->files[i];
        bool taken = false;
        char stage[64];
        if (exportd_cancelled(corpus->job)) {
            stopped = exportd_kit_fail(making->error, "cancelled", 0, "the job was cancelled");
        } else {
            corpus->files[i] = (struct corpus_file){0};
            corpus->files[corpus->file_count++] = file;
            stopped = embed_file(making, &corpus->files[corpus->file_count - 1], &taken);
            corpus->done_bytes += file.size_bytes;
            if (!taken) {
                corpus->file_count--;
                free(file.path);
                corpus->files[corpus->file_count].path = NULL;
            }
            snprintf(stage, sizeof stage, "embedding file %zu of %zu", i + 1, all);
            exportd_progress(corpus->job, 0.05 + 0.8 * (double)corpus->done_bytes / (double)(corpus->all_bytes + 1),
                             stage);
        }
        left = all - i - 1;
        if (stopped > 0) {
            corpus->skipped[SELECT_LIMIT] += left + 1;
            corpus->is_last_in_part = taken;
        }
    }
    for (size_t i = corpus->file_count; i < all; i++) {
        free(corpus->files[i].path);
        corpus->files[i].path = NULL;
    }
    return stopped < 0 ? -1 : batch_flush(corpus, making->error);
}

/* Rows of texts that came before. */
static int copy_twins(struct corpus *corpus, struct exportd_kit_error *error)
{
    size_t dimensions = corpus->dimensions;
    free(corpus->row);
    corpus->row = malloc((dimensions + 1) * sizeof *corpus->row);
    if (!corpus->row)
        return exportd_kit_no_memory(error);
    for (size_t i = 0; i < corpus->chunk_count; i++)
        if (corpus->chunks[i].twin &&
            (npy_read_rows(corpus->fd, corpus->chunks[i].twin - 1, 1, dimensions, corpus->row) != 0 ||
             npy_write_rows(corpus->fd, i, 1, dimensions, corpus->row) != 0))
            return cannot_write(error);
    return 0;
}

int corpus_make(struct corpus *corpus, struct exportd_kit_error *error)
{
    struct making making = {corpus, error};
    corpus->fd = -1;
    corpus->dimensions = corpus->embedder->dimensions;
    if (asprintf(&corpus->path, "%s/" CORPUS_VECTORS, exportd_workspace(corpus->job)) < 0) {
        corpus->path = NULL;
        return exportd_kit_no_memory(error);
    }
    corpus->fd = open(corpus->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (corpus->fd < 0)
        return cannot_write(error);
    corpus->batch = batch_new(corpus->embedder);
    if (!corpus->batch)
        return exportd_kit_no_memory(error);
    exportd_progress(corpus->job, 0.02, "listing the files");
    if (exportd_checkout_walk(corpus->checkout, take_file, &making, error) != 0 || embed_files(&making) != 0 ||
        copy_twins(corpus, error) != 0)
        return -1;
    if (npy_write_header(corpus->fd, corpus->chunk_count, corpus->dimensions) != 0)
        return cannot_write(error);
    return 0;
}

int corpus_vector(const struct corpus *corpus, size_t chunk, float *vector, struct exportd_kit_error *error)
{
    if (npy_read_rows(corpus->fd, chunk, 1, corpus->dimensions, vector) == 0)
        return 0;
    return exportd_kit_fail(error, "workspace_failed", 1, "%s can't be read: %s", CORPUS_VECTORS, strerror(errno));
}

void corpus_clear(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->file_count; i++)
        free(corpus->files[i].path);
    for (size_t i = 0; i < corpus->chunk_count; i++)
        free(corpus->chunks[i].title);
    if (corpus->path && corpus->fd >= 0)
        close(corpus->fd);
    batch_free(corpus->batch);
    keys_clear(&corpus->rows);
    free(corpus->files);
    free(corpus->chunks);
    free(corpus->row);
    free(corpus->path);
}
