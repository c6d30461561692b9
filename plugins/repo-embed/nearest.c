/* nearest.h: all rows, one after the other. */
#include "nearest.h"
#include "npy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 256 /* that are read at once */

struct hit {
    double score;
    size_t row;
};

struct search {
    const struct corpus *corpus;
    size_t query_count, top;
    float *queries, *rows;
    struct hit *hits;   /* query_count times top, the best first */
    size_t *hit_counts; /* of each query */
};

static double cosine(const float *left, const float *right, size_t dimensions)
{
    double both = 0, first = 0, second = 0;
    for (size_t i = 0; i < dimensions; i++) {
        both += (double)left[i] * (double)right[i];
        first += (double)left[i] * (double)left[i];
        second += (double)right[i] * (double)right[i];
    }
    return first > 0 && second > 0 ? both / sqrt(first * second) : 0;
}

static void offer(struct search *search, size_t query, size_t row, double score)
{
    struct hit *hits = search->hits + query * search->top;
    size_t count = search->hit_counts[query], place = count;
    if (count == search->top && score <= hits[count - 1].score)
        return;
    if (count < search->top)
        search->hit_counts[query] = ++count;
    else
        place--;
    while (place > 0 && hits[place - 1].score < score) {
        hits[place] = hits[place - 1];
        place--;
    }
    hits[place] = (struct hit){score, row};
}

static int embed_queries(struct search *search, const json_t *queries, struct exportd_kit_error *error)
{
    struct embedder *embedder = search->corpus->embedder;
    for (size_t i = 0; i < search->query_count; i++) {
        const json_t *query = json_array_get(queries, i);
        const struct embed_text text = {json_string_value(query), json_string_length(query)};
        float *vector = NULL;
        if (text.size_bytes == 0 || text.text[strspn(text.text, " \t\r\n")] == '\0')
            return exportd_kit_fail(error, "option_invalid", 0, "query %zu is empty; say what to look for", i + 1);
        if (embedder->embed(embedder, &text, 1, &vector, error) != 0)
            return -1;
        if (embedder->dimensions == search->corpus->dimensions)
            memcpy(search->queries + i * embedder->dimensions, vector, embedder->dimensions * sizeof *vector);
        free(vector);
        if (embedder->dimensions != search->corpus->dimensions)
            return exportd_kit_fail(error, "dimensions_changed", 0,
                                    "the model %s makes vectors of %zu numbers now, and made some of %zu before; set "
                                    "dimensions in [plugin repo-embed], or empty the plugin's cache",
                                    embedder->model, embedder->dimensions, search->corpus->dimensions);
    }
    return 0;
}

static int look_at_rows(struct search *search, struct exportd_kit_error *error)
{
    const struct corpus *corpus = search->corpus;
    for (size_t first = 0; first < corpus->chunk_count; first += ROWS) {
        size_t rows = corpus->chunk_count - first < ROWS ? corpus->chunk_count - first : ROWS;
        if (exportd_cancelled(corpus->job))
            return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
        if (npy_read_rows(corpus->fd, first, rows, corpus->dimensions, search->rows) != 0)
            return exportd_kit_fail(error, "workspace_failed", 1, "%s can't be read: %s", CORPUS_VECTORS,
                                    strerror(errno));
        for (size_t i = 0; i < rows; i++)
            for (size_t query = 0; query < search->query_count && !corpus->chunks[first + i].twin; query++)
                offer(search, query, first + i,
                      cosine(search->queries + query * corpus->dimensions, search->rows + i * corpus->dimensions,
                             corpus->dimensions));
    }
    return 0;
}

static json_t *describe(const struct search *search, const json_t *queries)
{
    const struct corpus *corpus = search->corpus;
    json_t *all = json_array();
    for (size_t query = 0; query < search->query_count; query++) {
        json_t *chunks = json_array();
        for (size_t i = 0; i < search->hit_counts[query]; i++) {
            const struct hit *hit = &search->hits[query * search->top + i];
            const struct corpus_chunk *chunk = &corpus->chunks[hit->row];
            json_array_append_new(chunks, json_pack("{s:I, s:s, s:i, s:i, s:s, s:f}", "row", (json_int_t)hit->row,
                                                    "file", corpus->files[chunk->file].path, "start_line",
                                                    (int)chunk->start_line, "end_line", (int)chunk->end_line, "title",
                                                    chunk->title, "score", round(hit->score * 1e6) / 1e6));
        }
        json_array_append_new(all,
                              json_pack("{s:O, s:o}", "query", json_array_get(queries, query), "chunks", chunks));
    }
    return all;
}

json_t *nearest_find(const struct corpus *corpus, const json_t *queries, size_t top, struct exportd_kit_error *error)
{
    struct search search = {.corpus = corpus, .query_count = json_array_size(queries), .top = top};
    size_t row = (corpus->dimensions + 1) * sizeof(float);
    json_t *found = NULL;
    if (corpus->chunk_count == 0)
        search.top = 0;
    search.queries = calloc(search.query_count + 1, row);
    search.rows = calloc(ROWS, row);
    search.hits = calloc(search.query_count * top + 1, sizeof *search.hits);
    search.hit_counts = calloc(search.query_count + 1, sizeof *search.hit_counts);
    if (!search.queries || !search.rows || !search.hits || !search.hit_counts)
        exportd_kit_no_memory(error);
    else if (search.top == 0 || (embed_queries(&search, queries, error) == 0 && look_at_rows(&search, error) == 0))
        found = describe(&search, queries);
    if (search.top == 0 && !found)
        exportd_kit_no_memory(error);
    free(search.queries);
    free(search.rows);
    free(search.hits);
    free(search.hit_counts);
    return found;
}
