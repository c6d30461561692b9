/*
 * values.h: what the templates of export-pr may name. README.md has the list.
 */
#ifndef EXPORT_PR_VALUES_H
#define EXPORT_PR_VALUES_H

#include <jansson.h>
#include <stddef.h>

#define VALUES_LIST_MAX 100 /* elements of a list that a template sees */

/* The values of a repro, every name there (null where it says nothing), texts without escapes and of at most
 * max_characters. A new reference, or NULL when out of memory. */
json_t *values_new(const json_t *repro, size_t max_characters);

/* Adds what is known once the files are: the test's path, the folder that it is run from ("" for the repository's
 * top), the branch. Returns 0, or -1 when out of memory. */
int values_place(json_t *values, const json_t *repro, const char *test_path, const char *folder, const char *branch);

#endif
