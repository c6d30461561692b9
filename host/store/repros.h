/*
 * store/repros.h: repro documents out of the callers' own table, by [repros] query.
 *
 * A few connections are kept, so that loading a repro costs one round trip. Blocking; any thread.
 */
#ifndef EXPORTD_STORE_REPROS_H
#define EXPORTD_STORE_REPROS_H

#include "base/error.h"
#include "config/config.h"

#include <jansson.h>

struct repros;

/* NULL where the configuration names no PostgreSQL or no query. Opens no connection yet. */
struct repros *repros_new(const struct config *config);
void repros_free(struct repros *repros); /* takes NULL; nobody asks any more */

/* The document of that id, as a new object; members of the row that are null are left out. NULL with error set:
 * repro_not_found, repro_too_large, repro_unreachable (retryable), repro_query (the query itself is wrong). */
json_t *repros_find(struct repros *repros, const char *id, struct error *error);

#endif
