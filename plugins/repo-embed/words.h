/*
 * words.h: text taken apart into words, as people and programs write them.
 *
 * A run is letters and digits without anything between; what is beyond ASCII counts as letters, but for general
 * punctuation. The parts of a run are what an identifier is made of: parseHTTPHeader2 is parse, HTTP, Header, 2.
 */
#ifndef REPO_EMBED_WORDS_H
#define REPO_EMBED_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#define WORD_MAX 64 /* bytes of a run; a longer one is several */

struct word {
    const char *text;
    size_t length;
};

/* The next run between *at and end, which are well-formed UTF-8; moves *at behind it. Returns false at the end. */
bool words_run(const char **at, const char *end, struct word *run);

/* The next part of a run from *offset on; moves *offset behind it. Returns false at its end. */
bool words_part(const struct word *run, size_t *offset, struct word *part);

/* Writes the word with its ASCII letters in lower case to out. Returns its length. */
size_t words_lower(const struct word *word, char out[WORD_MAX]);

/* Nonzero for a word, in lower case, that says little of what a text is about: "the", "return". */
bool words_is_common(const char *word, size_t length);

#endif
