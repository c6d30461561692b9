/*
 * values.h: what the placeholders of a template stand for, and what its manifest says.
 *
 * The manifest is template.json at the template's top; without it a template takes whatever values a request gives.
 *
 *     {"values": {"name": {"description": "…", "default": "{{owner}}-app", "choices": ["a", "b"]}},
 *      "exclude": ["docs/", "*.tmp"], "raw": ["public/"], "unknown": "keep"}
 */
#ifndef REPO_TEMPLATE_VALUES_H
#define REPO_TEMPLATE_VALUES_H

#include <exportd/kit/checkout.h>
#include <stdbool.h>

#define VALUES_MANIFEST "template.json"

struct values {
    json_t *manifest; /* an object, perhaps an empty one */
    json_t *known;    /* {name: text}: the request's, the defaults, and year, date, template_url, template_commit */
    bool keep_unknown;
};

/* Reads the manifest and works out the values. given: an object of texts, numbers and truth values, or NULL. Returns
 * 0, or -1 with error filled: "template_invalid" (the manifest), "value_missing" (all that are, with their
 * descriptions), "value_invalid", "out_of_memory". Clear it with values_clear() in either case. */
int values_read(const struct exportd_checkout *checkout, const json_t *given, struct values *values,
                struct exportd_kit_error *error);
void values_clear(struct values *values);

/* Whether a file is left out, or is copied as it is. */
bool values_excludes(const struct values *values, const char *path);
bool values_keeps_raw(const struct values *values, const char *path);

/* Whether a path is matched by a pattern: "*" and "?" stay within a name, "**" doesn't; one without a slash is for a
 * file's or a folder's name anywhere, one with a slash at its end for folders. */
bool values_match(const char *pattern, const char *path);

#endif
