/*
 * The tests' database as others see it: EXPORTD_TEST_DATABASE, which tests/tools/with-postgres makes.
 */
#ifndef EXPORTD_TESTS_DATABASE_SUPPORT_H
#define EXPORTD_TESTS_DATABASE_SUPPORT_H

#include "support.h"

#include <libpq-fe.h>
#include <stdbool.h>

/* False, and a word about it, where there is none. */
static inline bool has_database(const char *program)
{
    if (getenv("EXPORTD_TEST_DATABASE"))
        return true;
    fprintf(stderr, "%s: run me with tests/tools/with-postgres\n", program);
    return false;
}

static inline PGconn *connect_plainly(void)
{
    PGconn *connection = PQconnectdb(getenv("EXPORTD_TEST_DATABASE"));
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    PQclear(PQexec(connection, "SET search_path = public; SET client_min_messages = error"));
    return connection;
}

static inline void execute(const char *sql)
{
    PGconn *connection = connect_plainly();
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    PQclear(result);
    PQfinish(connection);
}

/* The first column of the first row; "" where there is none. */
static inline const char *ask(const char *sql)
{
    static char text[1000];
    PGconn *connection = connect_plainly();
    PGresult *result = PQexec(connection, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    snprintf(text, sizeof text, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(connection);
    return text;
}

#endif
