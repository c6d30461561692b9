/* setup.h: options, read and checked. */
#include "setup.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define HASHED_DIMENSIONS 384
#define FILE_BYTES_MAX ((int64_t)256 << 20)
#define CHUNKS_MAX 10000000

const char *setup_given(const json_t *data, const char *name)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : NULL;
}

const char *setup_option(struct exportd_job *job, const char *name)
{
    const char *value = exportd_option(job, name);
    return value && *value ? value : NULL;
}

/* A number of conf.d within its bounds. */
static int read_number(struct exportd_job *job, const char *name, int64_t least, int64_t most, int64_t otherwise,
                       int64_t *number, struct exportd_kit_error *error)
{
    *number = exportd_option_integer(job, name, otherwise);
    if (*number >= least && *number <= most)
        return 0;
    return exportd_kit_fail(error, "option_invalid", 0, "%s in [plugin repo-embed] is %lld; it takes %lld to %lld",
                            name, (long long)*number, (long long)least, (long long)most);
}

static int step_loading(void *context, double fraction)
{
    struct exportd_job *job = context;
    exportd_progress(job, 0.02 * fraction, "loading the word vectors");
    return exportd_cancelled(job);
}

static int open_word_vectors(struct exportd_job *job, struct embedder *embedder, const char *path,
                             struct exportd_kit_error *error)
{
    struct setup_state *state = job->state;
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    getrlimit(RLIMIT_DATA, &limit);
    /* The rest is for the job. */
    const struct vectors_options options = {
        .max_memory_bytes = limit.rlim_cur == RLIM_INFINITY ? 0 : (uint64_t)limit.rlim_cur / 4 * 3,
        .step = step_loading,
        .context = job};
    if (!state->vectors)
        state->vectors = vectors_load(path, &options, error);
    return state->vectors ? words_open(embedder, state->vectors, error) : -1;
}

static int open_endpoint(struct exportd_job *job, struct embedder *embedder, const char *url, int64_t dimensions,
                         struct exportd_kit_error *error)
{
    int64_t count, bytes, pace;
    if (read_number(job, "batch_count", 1, 2048, 128, &count, error) != 0 ||
        read_number(job, "batch_bytes", 1, (int64_t)8 << 20, 262144, &bytes, error) != 0 ||
        read_number(job, "requests_per_minute", 0, 1000000, 0, &pace, error) != 0)
        return -1;
    const struct endpoint_options options = {.job = job,
                                             .url = url,
                                             .model = setup_option(job, "model") ? setup_option(job, "model") : "",
                                             .key = exportd_secret(job, "EMBEDDINGS_API_KEY"),
                                             .dimensions = (size_t)dimensions,
                                             .batch_count = (size_t)count,
                                             .batch_bytes = (size_t)bytes,
                                             .requests_per_minute = pace,
                                             .timeout_ms = exportd_option_integer(job, "request_timeout", 60000),
                                             .proxy = setup_option(job, "proxy"),
                                             .ca_file = setup_option(job, "ca_file")};
    return endpoint_open(embedder, &options, error);
}

int setup_embedder(struct exportd_job *job, const json_t *data, struct embedder *embedder,
                   struct exportd_kit_error *error)
{
    const char *endpoint = setup_option(job, "endpoint"), *vectors = setup_option(job, "vectors");
    const char *wanted = setup_given(data, "embedder");
    int64_t dimensions;
    if (!wanted || strcmp(wanted, "auto") == 0)
        wanted = endpoint ? "endpoint" : vectors ? "word-vectors" : "hashed-ngrams";
    if (read_number(job, "dimensions", 2, EMBEDDER_DIMENSIONS_MAX, HASHED_DIMENSIONS, &dimensions, error) != 0)
        return -1;
    if (strcmp(wanted, "hashed-ngrams") == 0)
        return hashed_open(embedder, (size_t)dimensions, error);
    bool by_endpoint = strcmp(wanted, "endpoint") == 0;
    if (!(by_endpoint ? endpoint : vectors))
        return exportd_kit_fail(error, "option_invalid", 0,
                                "embedder is %s, and conf.d sets none up; set %s in [plugin repo-embed]", wanted,
                                by_endpoint ? "endpoint" : "vectors");
    return by_endpoint
               ? open_endpoint(job, embedder, endpoint, setup_option(job, "dimensions") ? dimensions : 0, error)
               : open_word_vectors(job, embedder, vectors, error);
}

/* An option of the request, else of conf.d. */
static int64_t cut_option(struct exportd_job *job, const json_t *data, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(data, name);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : exportd_option_integer(job, name, otherwise);
}

int setup_bounds(struct exportd_job *job, const json_t *data, struct corpus *corpus, struct exportd_kit_error *error)
{
    int64_t files, bytes, file_bytes, chunks;
    int64_t chunk_bytes = cut_option(job, data, "chunk_bytes", 1500),
            overlap_bytes = cut_option(job, data, "overlap_bytes", 200);
    if (chunk_bytes < CHUNK_BYTES_MIN || chunk_bytes > CHUNK_BYTES_MAX)
        return exportd_kit_fail(error, "option_invalid", 0, "chunk_bytes is %lld; it takes %d to %d",
                                (long long)chunk_bytes, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    if (overlap_bytes < 0 || overlap_bytes > chunk_bytes / 3)
        return exportd_kit_fail(error, "option_invalid", 0,
                                "overlap_bytes is %lld; with chunk_bytes = %lld it takes 0 to %lld",
                                (long long)overlap_bytes, (long long)chunk_bytes, (long long)chunk_bytes / 3);
    if (read_number(job, "max_files", 1, 1000000, 50000, &files, error) != 0 ||
        read_number(job, "max_bytes", 1, INT64_MAX, 536870912, &bytes, error) != 0 ||
        read_number(job, "max_file_bytes", 1, FILE_BYTES_MAX, 1048576, &file_bytes, error) != 0 ||
        read_number(job, "max_chunks", 1, CHUNKS_MAX, 200000, &chunks, error) != 0)
        return -1;
    corpus->cut = (struct chunk_options){(size_t)chunk_bytes, (size_t)overlap_bytes};
    corpus->limits = (struct corpus_limits){(uint64_t)files, (uint64_t)bytes, (uint64_t)file_bytes, (uint64_t)chunks};
    corpus->generated_too = json_is_true(json_object_get(data, "include_generated"));
    return 0;
}
