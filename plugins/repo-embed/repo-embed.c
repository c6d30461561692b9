/*
 * repo-embed: the task compute-embeddings, vectors of a repository's text and code, in files or in PostgreSQL.
 */
#include "nearest.h"
#include "output.h"
#include "rows.h"
#include "setup.h"

#include <stdlib.h>
#include <string.h>

#define QUERIES_MAX 16

/* One run. */
struct run {
    struct exportd_job *job;
    const json_t *data;
    struct exportd_checkout checkout;
    struct embedder embedder;
    struct corpus corpus;
    json_t *rows, *nearest, *notes;
};

static int open_cache(struct run *run, struct exportd_kit_error *error)
{
    const char *top = exportd_cache(run->job);
    char *folder = NULL;
    if (!top)
        return 0;
    if (asprintf(&folder, "%s/vectors", top) < 0)
        return exportd_kit_no_memory(error);
    run->corpus.cache = cache_open(folder, run->embedder.id, run->embedder.dimensions, error);
    free(folder);
    return run->corpus.cache ? 0 : -1;
}

static int hand_over(struct run *run, struct exportd_kit_error *error)
{
    struct exportd_job *job = run->job;
    const char *into = setup_given(run->data, "into");
    const json_t *queries = json_object_get(run->data, "query");
    const struct output_options options = {.text = json_is_true(json_object_get(run->data, "text")),
                                           .vectors = json_is_true(json_object_get(run->data, "vectors_in_jsonl"))};
    bool files = !into || strcmp(into, "postgres") != 0, rows = into && strcmp(into, "files") != 0;
    if (json_array_size(queries) > QUERIES_MAX)
        return exportd_kit_fail(error, "option_invalid", 0, "query has %zu questions; it takes %d",
                                json_array_size(queries), QUERIES_MAX);
    if (json_array_size(queries) > 0) {
        json_int_t top = json_integer_value(json_object_get(run->data, "top"));
        exportd_progress(job, 0.87, "looking for what is nearest");
        run->nearest = nearest_find(&run->corpus, queries, top > 0 ? (size_t)top : 5, error);
        if (!run->nearest)
            return -1;
    }
    if (files) {
        exportd_progress(job, 0.9, "writing the files");
        if (output_write(&run->corpus, &options, error) != 0)
            return -1;
    }
    if (!rows)
        return 0;
    exportd_progress(job, 0.95, "writing the rows");
    const struct rows_options to = {.url = exportd_secret(job, "EMBEDDINGS_DATABASE_URL"),
                                    .table = setup_option(job, "table"),
                                    .timeout_ms = exportd_option_integer(job, "database_timeout", 120000)};
    run->rows = rows_write(&run->corpus, &to, error);
    return run->rows ? 0 : -1;
}

/* Before anything is paid for: what into needs has to be there. */
static int check_into(const struct run *run, struct exportd_kit_error *error)
{
    const char *into = setup_given(run->data, "into");
    if (!into || strcmp(into, "files") == 0 || exportd_secret(run->job, "EMBEDDINGS_DATABASE_URL"))
        return 0;
    return exportd_kit_fail(
        error, "option_invalid", 0,
        "into = %s needs EMBEDDINGS_DATABASE_URL: set it in the environment or in [secrets], grant it "
        "with secrets in [plugin repo-embed], and the network with network = yes",
        into);
}

static json_t *describe(const struct run *run)
{
    const struct corpus *corpus = &run->corpus;
    json_t *skipped = json_object(), *embedder = output_embedder(corpus);
    for (enum select_reason reason = SELECT_VENDORED; reason < SELECT_REASONS; reason++)
        if (corpus->skipped[reason])
            json_object_set_new(skipped, select_word(reason), json_integer((json_int_t)corpus->skipped[reason]));
    if (corpus->skipped[SELECT_LIMIT])
        json_array_append_new(run->notes,
                              json_string("files were left out, or taken in part: the repository is larger than "
                                          "max_files, max_bytes or max_chunks of [plugin repo-embed]"));
    if (corpus->mended_files)
        json_array_append_new(run->notes,
                              json_sprintf("in %llu files, bytes that are not UTF-8 were taken as question marks",
                                           (unsigned long long)corpus->mended_files));
    if (!corpus->cache)
        json_array_append_new(run->notes,
                              json_string("there is no cache: every chunk was embedded anew; cache = embeddings in "
                                          "[plugin repo-embed] grants one"));
    if (run->embedder.describe)
        run->embedder.describe(&run->embedder, embedder);
    return json_pack("{s:O, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:O*, s:O*, s:O}", "repository",
                     run->checkout.repository, "embedder", embedder, "files", (json_int_t)corpus->file_count, "bytes",
                     (json_int_t)corpus->bytes, "chunks", (json_int_t)corpus->chunk_count, "embedded",
                     (json_int_t)corpus->embedded, "reused", (json_int_t)corpus->reused, "repeated",
                     (json_int_t)corpus->repeated, "complete", corpus->skipped[SELECT_LIMIT] == 0, "skipped", skipped,
                     "postgres", run->rows, "nearest", run->nearest, "notes", run->notes);
}

static int do_all(struct run *run, struct exportd_kit_error *error)
{
    run->notes = json_array();
    if (!run->notes)
        return exportd_kit_no_memory(error);
    if (setup_bounds(run->job, run->data, &run->corpus, error) != 0 || check_into(run, error) != 0 ||
        exportd_checkout_open(run->job, run->data, &run->checkout, error) != 0 ||
        setup_embedder(run->job, run->data, &run->embedder, error) != 0 || open_cache(run, error) != 0)
        return -1;
    run->corpus.job = run->job;
    run->corpus.checkout = &run->checkout;
    run->corpus.embedder = &run->embedder;
    return corpus_make(&run->corpus, error) != 0 ? -1 : hand_over(run, error);
}

static enum exportd_status run_task(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct exportd_kit_error error = {0};
    struct run run = {.job = job, .data = data};
    enum exportd_status status = EXPORTD_OK;
    if (do_all(&run, &error) != 0) {
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    } else {
        *result = describe(&run);
        exportd_progress(job, 1, "done");
    }
    cache_close(run.corpus.cache, (uint64_t)exportd_option_integer(job, "cache_size", 1));
    corpus_clear(&run.corpus);
    embedder_clear(&run.embedder);
    exportd_checkout_clear(&run.checkout);
    json_decref(run.rows);
    json_decref(run.nearest);
    json_decref(run.notes);
    return status;
}

static enum exportd_status init(struct exportd_job *self, void **state)
{
    *state = calloc(1, sizeof(struct setup_state));
    return *state ? EXPORTD_OK : exportd_fail(self, "out_of_memory", 1, "not enough memory to begin");
}

static void destroy(void *state)
{
    struct setup_state *kept = state;
    vectors_free(kept->vectors);
    free(kept);
}

static const struct exportd_task tasks[] = {
    {.task = "compute-embeddings",
     .summary = "Vectors of a repository's text and code, cut into chunks, in files or in PostgreSQL",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "embedder" : {
                 "type" : "string",
                 "enum" : [ "auto", "endpoint", "word-vectors", "hashed-ngrams" ],
                 "default" : "auto",
                 "description" : "auto: the best of those that conf.d sets up"
             },
             "chunk_bytes" : {
                 "type" : "integer",
                 "minimum" : 200,
                 "maximum" : 32768,
                 "description" : "Of one chunk at the most (else what conf.d says)"
             },
             "overlap_bytes" : {
                 "type" : "integer",
                 "minimum" : 0,
                 "maximum" : 10922,
                 "description" : "That the parts of one section or definition share (else what conf.d says)"
             },
             "include_generated" :
                 {"type" : "boolean", "default" : false, "description" : "Take generated and vendored files as well"},
             "into" : {
                 "type" : "string",
                 "enum" : [ "files", "postgres", "both" ],
                 "default" : "files",
                 "description" : "Artifacts, rows of a table, or both"
             },
             "text" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Put each chunk's text into embeddings.jsonl"
             },
             "vectors_in_jsonl" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Put each vector into embeddings.jsonl as well"
             },
             "query" : {
                 "type" : "array",
                 "items" : {"type" : "string", "minLength" : 1, "maxLength" : 2000},
                 "description" : "Questions: the result names the chunks that are nearest to each"
             },
             "top" : {
                 "type" : "integer",
                 "minimum" : 1,
                 "maximum" : 50,
                 "default" : 5,
                 "description" : "How many chunks to name for each query"
             }
         },
         "additionalProperties" : false
     }),
     .run = run_task,
     .after = "acquire-user-repo"},
    {0},
};

static const struct exportd_option options[] = {
    {"endpoint", EXPORTD_STRING, NULL,
     "An OpenAI-compatible API, as far as /v1 (https://api.openai.com/v1); EMBEDDINGS_API_KEY goes there. Without it "
     "and vectors: hashed character n-grams",
     0},
    {"model", EXPORTD_STRING, "text-embedding-3-small", "The endpoint's model", 0},
    {"dimensions", EXPORTD_INTEGER, NULL,
     "Of hashed vectors (unless given: 384), or those to ask the endpoint for (unless given: the model's own)", 0},
    {"vectors", EXPORTD_PATH, NULL, "Word vectors, in word2vec's text or binary format", 0},
    {"chunk_bytes", EXPORTD_INTEGER, "1500", "Of one chunk at the most", 0},
    {"overlap_bytes", EXPORTD_INTEGER, "200", "What the parts of one section or definition share", 0},
    {"max_files", EXPORTD_INTEGER, "50000",
     "Files that are embedded; what is beyond this or the next three is left out, and counted", 0},
    {"max_bytes", EXPORTD_SIZE, "512M", "The bytes of those files together", 0},
    {"max_file_bytes", EXPORTD_SIZE, "1M", "The bytes of one file", 0},
    {"max_chunks", EXPORTD_INTEGER, "200000", "Chunks of one repository", 0},
    {"batch_count", EXPORTD_INTEGER, "128", "Texts in one request to the endpoint", 0},
    {"batch_bytes", EXPORTD_SIZE, "256K", "Bytes of text in one request to the endpoint", 0},
    {"requests_per_minute", EXPORTD_INTEGER, "0", "Requests of one worker to the endpoint; 0: as fast as it answers",
     0},
    {"request_timeout", EXPORTD_DURATION, "60s", "Of one request to the endpoint", 0},
    {"cache_size", EXPORTD_SIZE, "1G", "All vectors in the cache together; those used least recently go", 0},
    {"table", EXPORTD_STRING, "exportd_embeddings",
     "The table in the database EMBEDDINGS_DATABASE_URL; made where it is missing", 0},
    {"database_timeout", EXPORTD_DURATION, "2m", "Of one of its statements, or of the connection", 0},
    {"proxy", EXPORTD_STRING, NULL, "An HTTP proxy for the endpoint, such as http://proxy.example:3128", 0},
    {"ca_file", EXPORTD_PATH, NULL, "Certificate authorities (PEM) for the endpoint instead of the system's", 0},
    {0},
};

static const char *const secrets[] = {"EMBEDDINGS_API_KEY", "EMBEDDINGS_DATABASE_URL", NULL};

EXPORTD_PLUGIN(.name = "repo-embed", .version = "1.0.0", .summary = "Embeddings of repositories", .licence = "MIT",
               .tasks = tasks, .options = options, .grants = EXPORTD_GRANT_NETWORK | EXPORTD_GRANT_CACHE,
               .secrets = secrets, .init = init, .destroy = destroy)
