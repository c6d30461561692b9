/* output.h: JSON Lines, the index, the artifacts. */
#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES "embeddings.jsonl"
#define INDEX "embeddings.index.json"
#define SCHEMA "exportd.embeddings/1"

struct writer {
    const struct corpus *corpus;
    const struct output_options *options;
    FILE *out;
    float *vector;
};

static int cannot_write(const char *name, struct exportd_kit_error *error)
{
    return exportd_kit_fail(error, "workspace_failed", 1, "%s can't be written: %s; see disk in [plugin repo-embed]",
                            name, strerror(errno));
}

json_t *output_embedder(const struct corpus *corpus)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "kind", corpus->embedder->kind, "model", corpus->embedder->model,
                     "dimensions", (json_int_t)corpus->dimensions, "note", corpus->embedder->note);
}

/* Numbers as short as they can be for a float to be the same again. */
static void write_vector(FILE *out, const float *vector, size_t dimensions)
{
    fputs(",\"vector\":[", out);
    for (size_t i = 0; i < dimensions; i++)
        fprintf(out, i > 0 ? ",%.9g" : "%.9g", (double)vector[i]);
    fputc(']', out);
}

static int write_line(struct writer *writer, size_t row, const char *path, const char *text,
                      struct exportd_kit_error *error)
{
    const struct corpus_chunk *chunk = &writer->corpus->chunks[row];
    char hash[2 * KEY_BYTES + 1];
    corpus_key_text(chunk->key, hash);
    json_t *line = json_pack("{s:I, s:s, s:i, s:i, s:i, s:i, s:s, s:s}", "row", (json_int_t)row, "file", path,
                             "start_line", (int)chunk->start_line, "end_line", (int)chunk->end_line, "start_byte",
                             (int)chunk->start, "end_byte", (int)chunk->end, "title", chunk->title, "hash", hash);
    if (line && writer->options->text)
        json_object_set_new(line, "text", json_stringn(text + chunk->start, chunk->end - chunk->start));
    char *written = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!written)
        return exportd_kit_no_memory(error);
    fwrite(written, 1, strlen(written) - 1, writer->out); /* but for the closing bracket */
    free(written);
    if (writer->options->vectors) {
        if (corpus_vector(writer->corpus, row, writer->vector, error) != 0)
            return -1;
        write_vector(writer->out, writer->vector, writer->corpus->dimensions);
    }
    fputs("}\n", writer->out);
    return 0;
}

static int write_lines(struct writer *writer, struct exportd_kit_error *error)
{
    const struct corpus *corpus = writer->corpus;
    int failed = 0;
    for (size_t i = 0; !failed && i < corpus->file_count; i++) {
        const struct corpus_file *file = &corpus->files[i];
        size_t size = 0;
        char *text = writer->options->text ? corpus_read(corpus, file, &size, error) : NULL;
        if (exportd_cancelled(corpus->job))
            failed = exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
        else if (writer->options->text && !text)
            failed = -1;
        for (size_t row = file->first; !failed && row < file->first + file->count; row++)
            failed = write_line(writer, row, file->path, text, error);
        free(text);
    }
    return failed;
}

/* Opens a file of the workspace; *path is its name. */
static FILE *open_new(const struct corpus *corpus, const char *name, char **path)
{
    if (asprintf(path, "%s/%s", exportd_workspace(corpus->job), name) < 0) {
        *path = NULL;
        return NULL;
    }
    unlink(*path);
    return fopen(*path, "wxe");
}

static int hand_over(const struct corpus *corpus, const char *path, const char *name, const char *media_type,
                     struct exportd_kit_error *error)
{
    if (exportd_artifact(corpus->job, path, name, media_type) == 0)
        return 0;
    return exportd_kit_fail(error, "artifact_refused", 0, "the host did not take %s (the reason is in its log)",
                            name);
}

static int write_jsonl(const struct corpus *corpus, const struct output_options *options,
                       struct exportd_kit_error *error)
{
    char *path = NULL;
    struct writer writer = {.corpus = corpus, .options = options, .out = open_new(corpus, LINES, &path)};
    int failed = writer.out ? 0 : cannot_write(LINES, error);
    if (!failed && !(writer.vector = malloc((corpus->dimensions + 1) * sizeof *writer.vector)))
        failed = exportd_kit_no_memory(error);
    failed = failed ? failed : write_lines(&writer, error);
    bool broken = writer.out && ferror(writer.out);
    if (writer.out && fclose(writer.out) != 0)
        broken = true;
    if (!failed && broken)
        failed = cannot_write(LINES, error);
    failed = failed ? failed : hand_over(corpus, path, LINES, "application/jsonl", error);
    free(writer.vector);
    free(path);
    return failed;
}

static json_t *make_index(const struct corpus *corpus)
{
    json_t *files = json_object();
    for (size_t i = 0; i < corpus->file_count; i++)
        json_object_set_new(
            files, corpus->files[i].path,
            json_pack("[I, I]", (json_int_t)corpus->files[i].first, (json_int_t)corpus->files[i].count));
    return json_pack("{s:s, s:o, s:O, s:I, s:{s:I, s:I}, s:o}", "schema", SCHEMA, "embedder", output_embedder(corpus),
                     "repository", corpus->checkout->repository, "chunks", (json_int_t)corpus->chunk_count, "cut",
                     "chunk_bytes", (json_int_t)corpus->cut.chunk_bytes, "overlap_bytes",
                     (json_int_t)corpus->cut.overlap_bytes, "files", files);
}

static int write_index(const struct corpus *corpus, struct exportd_kit_error *error)
{
    char *path = NULL;
    FILE *out = open_new(corpus, INDEX, &path);
    json_t *index = make_index(corpus);
    int failed = !out ? cannot_write(INDEX, error) : index ? 0 : exportd_kit_no_memory(error);
    if (!failed && (json_dumpf(index, out, JSON_COMPACT) != 0 || fputc('\n', out) == EOF))
        failed = cannot_write(INDEX, error);
    if (out && fclose(out) != 0 && !failed)
        failed = cannot_write(INDEX, error);
    failed = failed ? failed : hand_over(corpus, path, INDEX, "application/json", error);
    json_decref(index);
    free(path);
    return failed;
}

int output_write(const struct corpus *corpus, const struct output_options *options, struct exportd_kit_error *error)
{
    if (write_jsonl(corpus, options, error) != 0 || write_index(corpus, error) != 0)
        return -1;
    return hand_over(corpus, corpus->path, CORPUS_VECTORS, "application/x-npy", error);
}
