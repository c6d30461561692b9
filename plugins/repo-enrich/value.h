/*
 * value.h: what a repository says, as JSON and in lists that have bounds.
 *
 * Nothing in a repository is trusted: bytes may be no UTF-8, hold terminal escapes or marks that turn text, and be
 * endless. What goes into the document goes through here.
 */
#ifndef REPO_ENRICH_VALUE_H
#define REPO_ENRICH_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Bytes as one line of well-formed UTF-8: runs of blanks and line ends as one blank, none at the ends; control
 * characters and marks that turn text left out; cut in front of a whole character at max_bytes, then with "…" behind
 * it. A new reference, or NULL when out of memory. */
json_t *value_text(const char *bytes, size_t size, size_t max_bytes);

/* The same of a string; of NULL, and of one in which nothing is left, JSON's null. */
json_t *value_string(const char *text, size_t max_bytes);

/* A path: as it is where it is well-formed. */
json_t *value_path(const char *path);

/* Strings in the order in which they were added, at most VALUE_LIST_MAX. Zeroed, it is empty. */
#define VALUE_LIST_MAX 2000
struct value_list {
    char **items;
    size_t count, capacity;
    bool cut; /* one more was left out */
};

/* Returns 0, or -1 when out of memory. */
int value_list_add(struct value_list *list, const char *text);
void value_list_clear(struct value_list *list);

/* Compares without regard to ASCII case. */
bool value_begins(const char *text, const char *with);
bool value_ends(const char *text, const char *with);

/* Nonzero where a word of words (between blanks) is text, byte for byte. */
bool value_is_one_of(const char *text, size_t length, const char *words);

#endif
