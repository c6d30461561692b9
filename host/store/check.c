/*
 * What the commands migrate and check do with a store, without running it.
 */
#include "base/memory.h"
#include "store/engine.h"
#include "store/postgres.h"

#include <stdlib.h>

static char *describe(PGconn *connection, int64_t timeout_ms, struct error *error)
{
    int version = 0;
    int wanted = 0;
    if (postgres_versions(connection, &version, &wanted, error) != 0)
        return NULL;
    int server = PQserverVersion(connection) / 10000;
    if (version < wanted)
        return memory_format("PostgreSQL %d, schema %d of %d: exportd migrate, or the next start, brings it up",
                             server, version, wanted);
    return memory_format("PostgreSQL %d, schema %d; %s", server, version,
                         postgres_has_exports(connection, timeout_ms)
                             ? "exports are kept in step"
                             : "exports are left alone: the table isn't there, or not as callers know it");
}

int store_check(const struct store_options *options, char **summary, struct error *error)
{
    if (!options->url || !*options->url) {
        *summary = memory_format("SQLite in %s", options->folder);
        return 0;
    }
    PGconn *connection = postgres_connect(options->url, options->timeout_ms, error);
    *summary = connection ? describe(connection, options->timeout_ms, error) : NULL;
    PQfinish(connection);
    return *summary ? 0 : -1;
}

int store_migrate(const struct store_options *options, char **summary, struct error *error)
{
    if (!options->url || !*options->url) {
        struct store_engine *engine = store_sqlite_open(options, error);
        if (!engine)
            return -1;
        engine->type->close(engine);
        *summary = memory_format("%s/store.db is up to date", options->folder);
        return 0;
    }
    char *warning = NULL;
    PGconn *connection = postgres_connect(options->url, options->timeout_ms, error);
    if (connection && postgres_migrate(connection, 0, &warning, error) == 0)
        *summary = warning ? memory_text(warning) : describe(connection, options->timeout_ms, error);
    free(warning);
    PQfinish(connection);
    return *summary ? 0 : -1;
}
