/*
 * rows.h: a corpus as rows of a PostgreSQL table.
 *
 * In one transaction: rows of the repository and the model that are still right stay untouched, the others go, the
 * new ones come by COPY. Files are named from the repository's top; where a subfolder was embedded, rows beside it
 * stay, and where the corpus is not complete, those of files that it did not read. The embedding's column is of
 * pgvector's type where the database has it, else real[].
 */
#ifndef REPO_EMBED_ROWS_H
#define REPO_EMBED_ROWS_H

#include "corpus.h"

struct rows_options {
    const char *url;    /* a connection's URI or words, with the password: never repeated */
    const char *table;  /* "name" or "schema.name" */
    int64_t timeout_ms; /* of one statement, and of the connection */
};

/* Writes the rows. Returns {"table", "type", "written", "kept", "removed"} (no "type" where there is no table: one
 * without rows is not made), a new reference, or NULL with error
 * filled: "database_unreachable" (retryable), "database_failed", "option_invalid", … */
json_t *rows_write(const struct corpus *corpus, const struct rows_options *options, struct exportd_kit_error *error);

#endif
