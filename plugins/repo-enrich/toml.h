/*
 * toml.h: TOML 1.0 as JSON, for manifests. Debian 12 has no C library for it.
 *
 * Tables and inline tables become objects, arrays of tables arrays; dates and times, and numbers that no 64 bits
 * hold, become strings as they are written. It reads what others wrote for other readers: where it is in doubt it is
 * lenient (a table given twice is one table, a key given twice has the last value).
 */
#ifndef REPO_ENRICH_TOML_H
#define REPO_ENRICH_TOML_H

#include <jansson.h>
#include <stddef.h>

/* Reads text (size bytes, a NUL behind them). A new object, or NULL when out of memory. *line: where it is no TOML,
 * and the object has what stands before that; else 0. */
json_t *toml_read(const char *text, size_t size, size_t *line);

#endif
