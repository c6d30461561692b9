/*
 * job/request.h: from what a caller sent to a job, checked.
 *
 * The HTTP shape: {"jobId", "task", "callbackUrl", "data": {…}}, and, beyond the contract, "priority" (-100 to 100),
 * "runAt" (RFC 3339 or milliseconds since the epoch) and "maxAttempts". data holds the task's options beside repro_id
 * or an inline repro.
 */
#ifndef EXPORTD_JOB_REQUEST_H
#define EXPORTD_JOB_REQUEST_H

#include "base/error.h"
#include "config/config.h"
#include "job/job.h"
#include "plugin/catalog.h"

struct repros;

/* Parses a body from outside: depth, duplicate keys, UTF-8, NUL are checked. NULL with error set (json_invalid,
 * json_too_deep). */
json_t *request_parse(const char *body, size_t length, int64_t max_depth, struct error *error);

/* Makes the job for a request in the HTTP shape; *route is where it goes. NULL with error set (request_invalid,
 * options_invalid, repro_invalid, route_unknown …), and the message names the field. */
struct job *request_read(const struct catalog *catalog, json_t *request, const struct route **route,
                         struct error *error);

/* For the other doors, whose requests have shapes of their own. The hash that tells "the same body". */
void request_hash(const json_t *request, struct job *job);

/* 1 to JOB_ID_MAX bytes, no control characters. id may be NULL. */
bool request_id_is_usable(const char *id);

/* Holds data against the route and makes it the job's; its task, route and time of acceptance too. where: what a
 * message calls data, as "/options". Changes data. Returns 0 or -1. */
int request_fill(const struct config *config, const struct route *route, json_t *data, const char *where,
                 struct job *job, struct error *error);

/* Checks a repro document and its limits (files, bytes), wherever it came from. Returns 0 or -1 (repro_invalid). */
int request_check_repro(const struct config *config, const json_t *repro, struct error *error);

/* Whether the job's data names a repro by id that is still to be loaded; the id is new, NULL otherwise. */
char *request_missing_repro(const struct job *job);

/* Loads a repro, <id>.json from [repros] folder, or else by [repros] query, and puts it into the job's data. repros:
 * NULL where there is no database. Blocking; any thread. Returns 0, or -1 (repro_not_found, repro_invalid, …). */
int request_load_repro(const struct config *config, struct repros *repros, const char *repro_id, struct job *job,
                       struct error *error);

#endif
