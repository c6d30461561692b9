/* rows.h: the table, what goes and what comes. */
#include "rows.h"
#include "rows_parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define COPY_BYTES ((size_t)64 << 10)

struct writing {
    const struct corpus *corpus;
    struct rows_connection connection;
    char table[300]; /* as SQL */
    char type[32];   /* of the embedding's column: "vector" or "real[]"; empty: there is no table */
    const char *repository;
    const char *folder; /* the subfolder that is embedded, below the repository's top, or "" */
    long long kept_count, removed, written;
    FILE *out; /* a piece of the COPY */
    char *bytes;
    size_t size;
    float *vector;
};

/* "schema.name" with each part quoted. */
static int quote_table(struct writing *writing, const char *table, struct exportd_kit_error *error)
{
    size_t used = 0, dots = 0;
    bool begin = true, sound = *table && strlen(table) <= 127;
    for (const char *at = table; sound && *at; at++) {
        if (begin)
            used += (size_t)snprintf(writing->table + used, sizeof writing->table - used, "\"");
        if (*at == '.') {
            sound = !begin && ++dots == 1 && at[1];
            used += (size_t)snprintf(writing->table + used, sizeof writing->table - used, "\".");
            begin = true;
        } else {
            sound = isalpha((unsigned char)*at) || *at == '_' || (!begin && isdigit((unsigned char)*at));
            writing->table[used++] = *at;
            begin = false;
        }
    }
    if (!sound)
        return exportd_kit_fail(
            error, "option_invalid", 0,
            "table in [plugin repo-embed] is no table's name; it takes letters, digits and _, with a "
            "schema before a point at the most, such as exportd_embeddings");
    snprintf(writing->table + used, sizeof writing->table - used, "\"");
    return 0;
}

/* One text of a query's first row, or NULL where there is none. Returns -1 with error filled. */
static int ask_text(struct writing *writing, const char *sql, const char *const *values, int count, char *out,
                    size_t size, struct exportd_kit_error *error)
{
    PGresult *result = rows_ask(&writing->connection, sql, values, count, error);
    if (!result)
        return -1;
    bool is_there = PQntuples(result) > 0 && !PQgetisnull(result, 0, 0);
    snprintf(out, size, "%s", is_there ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return 0;
}

/* Makes the table, in a transaction of its own: those who make one wait for each other, and only for that. The
 * extension is made too where the database has it and lets this user. */
static int make_table(struct writing *writing, struct exportd_kit_error *error)
{
    struct rows_connection *connection = &writing->connection;
    char sql[1200], there[8], type[64];
    size_t dimensions = writing->corpus->dimensions;
    if (rows_do(connection, "BEGIN", error) != 0 ||
        ask_text(writing,
                 "SELECT CASE WHEN to_regtype('vector') IS NOT NULL THEN 'yes' WHEN EXISTS (SELECT FROM "
                 "pg_available_extensions WHERE name = 'vector') THEN 'maybe' ELSE 'no' END",
                 NULL, 0, there, sizeof there, error) != 0 ||
        rows_do(connection, "SELECT pg_advisory_xact_lock(7305081472563)", error) != 0)
        return -1;
    if (strcmp(there, "maybe") == 0) {
        struct exportd_kit_error ignored = {0};
        if (rows_do(connection, "SAVEPOINT extension", error) != 0)
            return -1;
        int made = rows_do(connection, "CREATE EXTENSION IF NOT EXISTS vector", &ignored) == 0;
        snprintf(there, sizeof there, made ? "yes" : "no");
        if (rows_do(connection, made ? "RELEASE extension" : "ROLLBACK TO extension", error) != 0)
            return -1;
    }
    snprintf(type, sizeof type, strcmp(there, "yes") == 0 ? "vector(%zu)" : "real[]", dimensions);
    snprintf(
        sql, sizeof sql,
        "CREATE TABLE IF NOT EXISTS %s (repository text NOT NULL, commit text, model text NOT NULL, file text NOT "
        "NULL, start_byte integer NOT NULL, start_line integer NOT NULL, end_line integer NOT NULL, title text NOT "
        "NULL, hash text NOT NULL, embedder text NOT NULL, embedding %s NOT NULL, PRIMARY KEY (repository, model, "
        "file, start_byte))",
        writing->table, type);
    return rows_do(connection, sql, error) != 0 ? -1 : rows_do(connection, "COMMIT", error);
}

static int find_table(struct writing *writing, bool *is_there, struct exportd_kit_error *error)
{
    char found[8];
    const char *const values[] = {writing->table};
    int failed = ask_text(writing, "SELECT 'yes' WHERE to_regclass($1::text) IS NOT NULL", values, 1, found,
                          sizeof found, error);
    *is_there = !failed && *found;
    return failed;
}

/* What the column is in truth: the table may be older, or somebody else's. */
static int check_column(struct writing *writing, struct exportd_kit_error *error)
{
    char wanted[48];
    const char *const values[] = {writing->table};
    if (ask_text(writing,
                 "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::text::regclass AND "
                 "attname "
                 "= 'embedding' AND NOT attisdropped",
                 values, 1, writing->type, sizeof writing->type, error) != 0)
        return -1;
    snprintf(wanted, sizeof wanted, "vector(%zu)", writing->corpus->dimensions);
    bool any = writing->corpus->chunk_count == 0 && strncmp(writing->type, "vector(", 7) == 0;
    if (any || strcmp(writing->type, wanted) == 0 || strcmp(writing->type, "vector") == 0)
        snprintf(writing->type, sizeof writing->type, "vector");
    else if (strcmp(writing->type, "real[]") != 0)
        return exportd_kit_fail(
            error, "table_unsuitable", 0,
            "the table %s has the column embedding as %s, and these vectors are %s; name another table "
            "with table in [plugin repo-embed]",
            writing->table, *writing->type ? writing->type : "nothing", wanted);
    return 0;
}

/* Text as a field of COPY's text format. */
static void put_field(FILE *out, const char *text, char end)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '\t' || *text == '\n' || *text == '\r') {
            fputc('\\', out);
            fputc(*text == '\t' ? 't' : *text == '\n' ? 'n' : *text == '\r' ? 'r' : '\\', out);
        } else {
            fputc(*text, out);
        }
    }
    fputc(end, out);
}

/* A file's path from the repository's top. */
static void put_path(const struct writing *writing, const struct corpus_chunk *chunk)
{
    if (*writing->folder)
        put_field(writing->out, writing->folder, '/');
    put_field(writing->out, writing->corpus->files[chunk->file].path, '\t');
}

/* Sends what was put so far, once it is worth it, or at the end. */
static int send_piece(struct writing *writing, bool end, struct exportd_kit_error *error)
{
    if (fflush(writing->out) != 0)
        return exportd_kit_no_memory(error);
    if (writing->size < COPY_BYTES && !end)
        return 0;
    int failed = writing->size > 0 ? rows_copy(&writing->connection, writing->bytes, writing->size, error) : 0;
    rewind(writing->out);
    return failed || !end ? failed : rows_copy_end(&writing->connection, error);
}

/* All chunks but for their vectors, in a table of this transaction. */
static int send_keys(struct writing *writing, struct exportd_kit_error *error)
{
    const struct corpus *corpus = writing->corpus;
    if (rows_do(&writing->connection,
                "CREATE TEMPORARY TABLE exportd_new (row integer, file text, start_byte integer, start_line integer, "
                "end_line integer, title text, hash text) ON COMMIT DROP",
                error) != 0 ||
        rows_do(&writing->connection, "COPY exportd_new FROM STDIN", error) != 0)
        return -1;
    for (size_t row = 0; row < corpus->chunk_count; row++) {
        const struct corpus_chunk *chunk = &corpus->chunks[row];
        char hash[2 * KEY_BYTES + 1];
        corpus_key_text(chunk->key, hash);
        fprintf(writing->out, "%zu\t", row);
        put_path(writing, chunk);
        fprintf(writing->out, "%u\t%u\t%u\t", chunk->start, chunk->start_line, chunk->end_line);
        put_field(writing->out, chunk->title, '\t');
        put_field(writing->out, hash, '\n');
        if (send_piece(writing, false, error) != 0)
            return -1;
    }
    return send_piece(writing, true, error);
}

#define SAME_CHUNK                                                                                                   \
    "t.repository = $1 AND t.model = $2 AND t.embedder = $3 AND t.file = n.file AND t.start_byte = n.start_byte "    \
    "AND "                                                                                                           \
    "t.start_line = n.start_line AND t.end_line = n.end_line AND t.title = n.title AND t.hash = n.hash"

/* Jobs of one repository and model write one after the other. */
static int lock_rows(struct writing *writing, const char *const *values, struct exportd_kit_error *error)
{
    PGresult *result = rows_ask(&writing->connection,
                                "SELECT pg_advisory_xact_lock(hashtextextended($1::text || E'\\n' || $2::text, 0))",
                                values, 2, error);
    PQclear(result);
    return result ? 0 : -1;
}

/* Below the subfolder $4, and where the files are not complete ($5), in those that were read; of the one that was
 * read in part ($6), up to its last chunk. */
#define COVERED                                                                                                      \
    "($4::text = '' OR left(t.file, length($4) + 1) = $4 || '/') AND ($5::text = 'complete' OR EXISTS (SELECT FROM " \
    "exportd_new n WHERE n.file = t.file AND (t.start_byte <= n.start_byte OR t.file <> CASE $4 WHEN '' THEN "       \
    "$6::text ELSE $4 || '/' || $6 END)))"

static int remove_old(struct writing *writing, const char *const *values, struct exportd_kit_error *error)
{
    const struct corpus *corpus = writing->corpus;
    const char *const covered[] = {values[0],
                                   values[1],
                                   values[2],
                                   writing->folder,
                                   corpus->skipped[SELECT_LIMIT] == 0 ? "complete" : "",
                                   corpus->is_last_in_part ? corpus->files[corpus->file_count - 1].path : ""};
    char sql[1400];
    snprintf(sql, sizeof sql,
             "DELETE FROM %s t WHERE t.repository = $1 AND t.model = $2 AND " COVERED
             " AND NOT EXISTS (SELECT FROM exportd_new n WHERE " SAME_CHUNK ")",
             writing->table);
    PGresult *result = rows_ask(&writing->connection, sql, covered, 6, error);
    writing->removed = result ? strtoll(PQcmdTuples(result), NULL, 10) : 0;
    PQclear(result);
    return result ? 0 : -1;
}

static int put_row(struct writing *writing, size_t row, struct exportd_kit_error *error)
{
    const struct corpus *corpus = writing->corpus;
    const struct corpus_chunk *chunk = &corpus->chunks[row];
    char hash[2 * KEY_BYTES + 1];
    bool list = strcmp(writing->type, "real[]") == 0;
    FILE *out = writing->out;
    if (corpus_vector(corpus, row, writing->vector, error) != 0)
        return -1;
    corpus_key_text(chunk->key, hash);
    put_field(out, writing->repository, '\t');
    if (corpus->checkout->commit)
        put_field(out, corpus->checkout->commit, '\t');
    else
        fputs("\\N\t", out);
    put_field(out, corpus->embedder->model, '\t');
    put_path(writing, chunk);
    fprintf(out, "%u\t%u\t%u\t", chunk->start, chunk->start_line, chunk->end_line);
    put_field(out, chunk->title, '\t');
    put_field(out, hash, '\t');
    put_field(out, corpus->embedder->id, '\t');
    fputc(list ? '{' : '[', out);
    for (size_t i = 0; i < corpus->dimensions; i++)
        fprintf(out, i > 0 ? ",%.9g" : "%.9g", (double)writing->vector[i]);
    fputs(list ? "}\n" : "]\n", out);
    return send_piece(writing, false, error);
}

static int add_new(struct writing *writing, const char *const *values, struct exportd_kit_error *error)
{
    char sql[1000];
    snprintf(sql, sizeof sql,
             "SELECT n.row FROM exportd_new n WHERE NOT EXISTS (SELECT FROM %s t WHERE " SAME_CHUNK
             ") ORDER BY n.row",
             writing->table);
    PGresult *rows = rows_ask(&writing->connection, sql, values, 3, error);
    if (!rows)
        return -1;
    snprintf(sql, sizeof sql,
             "COPY %s (repository, commit, model, file, start_byte, start_line, end_line, title, hash, embedder, "
             "embedding) FROM STDIN",
             writing->table);
    int failed = rows_do(&writing->connection, sql, error);
    for (int i = 0; !failed && i < PQntuples(rows); i++)
        failed = put_row(writing, strtoul(PQgetvalue(rows, i, 0), NULL, 10), error);
    failed = failed ? failed : send_piece(writing, true, error);
    writing->written = PQntuples(rows);
    PQclear(rows);
    return failed;
}

static int write_rows(struct writing *writing, struct exportd_kit_error *error)
{
    const struct corpus *corpus = writing->corpus;
    const char *const values[] = {writing->repository, corpus->embedder->model, corpus->embedder->id};
    struct rows_connection *connection = &writing->connection;
    if (rows_do(connection, "BEGIN", error) != 0 || check_column(writing, error) != 0 ||
        send_keys(writing, error) != 0 || lock_rows(writing, values, error) != 0 ||
        remove_old(writing, values, error) != 0 || (corpus->chunk_count > 0 && add_new(writing, values, error) != 0))
        return -1;
    return rows_do(connection, "COMMIT", error);
}

static int write_all(struct writing *writing, const struct rows_options *options, struct exportd_kit_error *error)
{
    bool is_there;
    if (quote_table(writing, options->table, error) != 0 ||
        rows_connect(&writing->connection, options->url, error) != 0 || find_table(writing, &is_there, error) != 0)
        return -1;
    if (!is_there && writing->corpus->chunk_count == 0)
        return 0; /* nothing to write, and nothing to remove it from */
    return !is_there && make_table(writing, error) != 0 ? -1 : write_rows(writing, error);
}

/* The subfolder by the folder of the workspace that the checkout is in, "repo" or "repo/<subfolder>". */
static const char *subfolder_of(const struct exportd_checkout *checkout)
{
    const char *folder = json_string_value(json_object_get(checkout->repository, "folder"));
    return folder && strncmp(folder, "repo/", 5) == 0 ? folder + 5 : "";
}

json_t *rows_write(const struct corpus *corpus, const struct rows_options *options, struct exportd_kit_error *error)
{
    struct writing writing = {.corpus = corpus,
                              .connection = {.job = corpus->job, .timeout_ms = options->timeout_ms},
                              .repository = corpus->checkout->url ? corpus->checkout->url : "",
                              .folder = subfolder_of(corpus->checkout)};
    json_t *said = NULL;
    writing.out = open_memstream(&writing.bytes, &writing.size);
    writing.vector = malloc((corpus->dimensions + 1) * sizeof *writing.vector);
    if (!writing.out || !writing.vector)
        exportd_kit_no_memory(error);
    else if (write_all(&writing, options, error) == 0)
        said = json_pack("{s:s, s:s*, s:I, s:I, s:I}", "table", options->table, "type",
                         *writing.type ? writing.type : NULL, "written", (json_int_t)writing.written, "kept",
                         (json_int_t)corpus->chunk_count - writing.written, "removed", (json_int_t)writing.removed);
    rows_close(&writing.connection);
    if (writing.out)
        fclose(writing.out);
    free(writing.bytes);
    free(writing.vector);
    return said;
}
