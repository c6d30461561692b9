/*
 * languages.h: the language of a file, by its name, its "#!" line and, for some endings, its content.
 *
 * Names and kinds follow GitHub's linguist; ambiguous endings are decided by a few words that settle it nearly
 * always, not by its classifier.
 */
#ifndef REPO_ENRICH_LANGUAGES_H
#define REPO_ENRICH_LANGUAGES_H

#include <stdbool.h>
#include <stddef.h>

struct language_entry {
    const char *key;
    const char *language;
};

/* In the order of their keys' bytes. Endings are in lower case, without the dot. */
extern const struct language_entry language_endings[], language_names[], language_programs[];
extern const size_t language_endings_count, language_names_count, language_programs_count;

/* A header, ".h", whose content says nothing: C, C++ or Objective-C, by what else there is. */
#define LANGUAGE_OF_HEADERS "(.h)"

/* Nonzero where the content may matter to language_of(): it need not be read for other names. */
bool language_may_be(const char *name);

/* The language of a file called name whose content begins so (size bytes, a NUL behind them), or NULL where it is
 * none that is counted. A constant. */
const char *language_of(const char *name, const char *content, size_t size);

/* The language of that name in any case, as it is written; or NULL. */
const char *language_named(const char *name, size_t length);

#endif
