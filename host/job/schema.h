/*
 * job/schema.h: JSON Schema as far as options need it.
 *
 * The subset that exportd/plugin.h names for a task's schema, no more: a schema that uses another keyword is refused
 * when the plugin is probed, so that nothing it says goes unheeded. (Debian has no C library for JSON Schema that
 * reads jansson's values.)
 */
#ifndef EXPORTD_JOB_SCHEMA_H
#define EXPORTD_JOB_SCHEMA_H

#include "base/error.h"

#include <jansson.h>

/* Checks that a schema is of the subset, and its defaults and enums of their own types. Returns 0 or -1
 * (plugin_invalid). */
int schema_check(const json_t *schema, struct error *error);

/* Holds value against schema and fills missing properties that have a default in. pointer: where value lies in the
 * request, as
 * "/data". Unknown properties are refused unless additionalProperties is true. Returns 0 or -1 (options_invalid),
 * with the JSON pointer of the fault and what was expected in the message. */
int schema_apply(const json_t *schema, json_t *value, const char *pointer, struct error *error);

#endif
