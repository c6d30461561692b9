/*
 * derive.h: what a report says about a repro beyond the repro itself.
 */
#ifndef EXPORT_JSON_DERIVE_H
#define EXPORT_JSON_DERIVE_H

#include <exportd/kit/bundle.h>
#include <jansson.h>

/* Called for each entry with its decoded content, which it may use until it returns. Returns 0, or -1 with error
 * filled. */
typedef int (*derive_entry_fn)(void *context, size_t index, const json_t *entry, json_t *line, const char *content,
                               size_t size_bytes, struct exportd_kit_error *error);

/* A new array with one line for each entry of repro[name] (files or screenshots): its name_key, bytes and sha256 of
 * the decoded content; *total_bytes is their sum. each may be NULL. Returns NULL with error filled. */
json_t *derive_index(const json_t *repro, const char *name, derive_entry_fn each, void *context,
                     uint64_t *total_bytes, struct exportd_kit_error *error);

/* A new object: counts of runs, durations, the first failure, checks. Returns NULL when out of memory. */
json_t *derive_summary(const json_t *repro);

/* A new object: path, lines, bytes and sha256 of the test. */
json_t *derive_test(const json_t *repro);

/* Text without terminal escapes, as a new value; null for NULL. */
json_t *derive_plain(const char *text);

#endif
