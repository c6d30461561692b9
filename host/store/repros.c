#include "store/repros.h"

#include "base/memory.h"
#include "store/postgres.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 4

struct repros {
    const struct config *config;
    pthread_mutex_t mutex; /* guards what is kept */
    PGconn *kept[KEPT_MAX];
    int kept_count;
};

struct repros *repros_new(const struct config *config)
{
    if (!config->store.url[0] || !config->repros.query[0])
        return NULL;
    struct repros *repros = memory_zeroed(1, sizeof *repros);
    repros->config = config;
    pthread_mutex_init(&repros->mutex, NULL);
    return repros;
}

void repros_free(struct repros *repros)
{
    if (!repros)
        return;
    for (int i = 0; i < repros->kept_count; i++)
        PQfinish(repros->kept[i]);
    pthread_mutex_destroy(&repros->mutex);
    free(repros);
}

static PGconn *take(struct repros *repros)
{
    pthread_mutex_lock(&repros->mutex);
    PGconn *connection = repros->kept_count > 0 ? repros->kept[--repros->kept_count] : NULL;
    pthread_mutex_unlock(&repros->mutex);
    return connection;
}

static void give_back(struct repros *repros, PGconn *connection)
{
    pthread_mutex_lock(&repros->mutex);
    bool keep = repros->kept_count < KEPT_MAX;
    if (keep)
        repros->kept[repros->kept_count++] = connection;
    pthread_mutex_unlock(&repros->mutex);
    if (!keep)
        PQfinish(connection);
}

static PGconn *connect_to(struct repros *repros, struct error *error)
{
    const struct config_store *store = &repros->config->store;
    PGconn *connection = postgres_connect(store->url, store->timeout_ms, error);
    if (!connection)
        return NULL;
    /* The query is the operator's: it finds and plans as in a session of his own, and may not write. */
    PGresult *result = postgres_ask(
        connection,
        "RESET search_path; RESET enable_seqscan; RESET enable_mergejoin; RESET plan_cache_mode; RESET jit; "
        "SET default_transaction_read_only = on",
        NULL, store->timeout_ms);
    if (PQresultStatus(result) != PGRES_COMMAND_OK) {
        postgres_fail(connection, result, "look a repro up", error);
        PQfinish(connection);
        connection = NULL;
    }
    PQclear(result);
    return connection;
}

static void drop_nulls(json_t *repro)
{
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(repro, next, key, value)
    {
        if (json_is_null(value))
            json_object_del(repro, key);
    }
}

static json_t *read_repro(const struct repros *repros, const PGresult *result, const char *id, struct error *error)
{
    int64_t most = repros->config->repros.max_bytes;
    if (PQntuples(result) == 0 || PQnfields(result) == 0 || PQgetisnull(result, 0, 0)) {
        error_set(error, "repro_not_found", false, "the table of repros has none of the id %.200s", id);
        return NULL;
    }
    if (PQgetlength(result, 0, 0) > most) {
        error_set(error, "repro_too_large", false,
                  "the repro %.200s has %d bytes, more than the %lld allowed; raise [repros] max_bytes", id,
                  PQgetlength(result, 0, 0), (long long)most);
        return NULL;
    }
    json_t *repro = json_loadb(PQgetvalue(result, 0, 0), (size_t)PQgetlength(result, 0, 0), 0, NULL);
    if (!json_is_object(repro)) {
        json_decref(repro);
        error_set(error, "repro_query", false,
                  "what [repros] query finds for %.200s is no JSON object; it must give one row with one JSON column",
                  id);
        return NULL;
    }
    drop_nulls(repro);
    return repro;
}

static void explain(PGconn *connection, const PGresult *result, const char *id, struct error *error)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state && strncmp(state, "22", 2) == 0) /* no uuid, say */
        error_set(error, "repro_not_found", false, "the repro_id %.200s can't be one of the table's: %s", id,
                  PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    else if (state && strncmp(state, "42", 2) == 0)
        error_set(error, "repro_query", false, "[repros] query is refused by the database: %s",
                  PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    else
        postgres_fail(connection, result, "look a repro up", error);
}

json_t *repros_find(struct repros *repros, const char *id, struct error *error)
{
    for (;;) {
        PGconn *connection = take(repros);
        bool was_kept = connection != NULL;
        if (!connection)
            connection = connect_to(repros, error);
        if (!connection)
            return NULL;
        PGresult *result =
            postgres_ask(connection, repros->config->repros.query, id, repros->config->store.timeout_ms);
        if (PQstatus(connection) != CONNECTION_OK && was_kept) {
            PQclear(result); /* it had been lost since; all that are kept may be */
            PQfinish(connection);
            continue;
        }
        json_t *repro = NULL;
        bool answered = result != NULL;
        if (PQresultStatus(result) == PGRES_TUPLES_OK)
            repro = read_repro(repros, result, id, error);
        else
            explain(connection, result, id, error);
        PQclear(result);
        if (answered && PQstatus(connection) == CONNECTION_OK)
            give_back(repros, connection);
        else
            PQfinish(connection);
        return repro;
    }
}
