/* rows_parts.h: a connection to PostgreSQL that stops when the job does. */
#ifndef REPO_EMBED_ROWS_PARTS_H
#define REPO_EMBED_ROWS_PARTS_H

#include "rows.h"

#include <libpq-fe.h>

struct rows_connection {
    PGconn *pg;
    struct exportd_job *job;
    int64_t timeout_ms;
};

/* Connects. Returns 0, or -1 with error filled. Close it in either case. */
int rows_connect(struct rows_connection *connection, const char *url, struct exportd_kit_error *error);
void rows_close(struct rows_connection *connection);

/* Runs one statement with text parameters and waits for its result. Returns it (PQclear() it), of status command ok,
 * tuples or copy in, or NULL with error filled. */
PGresult *rows_ask(struct rows_connection *connection, const char *sql, const char *const *values, int count,
                   struct exportd_kit_error *error);

/* The same where the result is of no interest. Returns 0 or -1. */
int rows_do(struct rows_connection *connection, const char *sql, struct exportd_kit_error *error);

/* Sends a piece of a COPY, and at its end waits for the server's word. Return 0, or -1 with error filled. */
int rows_copy(struct rows_connection *connection, const char *bytes, size_t size, struct exportd_kit_error *error);
int rows_copy_end(struct rows_connection *connection, struct exportd_kit_error *error);

#endif
