/*
 * kinds.h: files that somebody else wrote, that a program made, or that explain: they don't count as the repository's
 * languages. By the rules that GitHub's linguist goes by, as far as they are about paths that are still in use, and
 * by the repository's own word in .gitattributes.
 */
#ifndef REPO_ENRICH_KINDS_H
#define REPO_ENRICH_KINDS_H

#include <stdbool.h>
#include <stddef.h>

enum kind {
    KIND_OWN,
    KIND_VENDORED,
    KIND_GENERATED,
    KIND_DOCUMENTATION,
};

/* What a path says. */
enum kind kind_of_path(const char *path, const char *name);

/* Nonzero where a file's beginning says that a program wrote it, or where it is minified. name decides what is looked
 * for. */
bool kind_is_generated(const char *name, const char *content, size_t size);

/* What .gitattributes says of a file by linguist-vendored, -generated, -documentation, -detectable and -language. */
struct kind_attributes;

/* The rules of such a file's text. NULL when out of memory, or where there are none. Free it with
 * kind_attributes_free(), which takes NULL. */
struct kind_attributes *kind_attributes_read(const char *text);
struct kind_attributes *kind_attributes_free(struct kind_attributes *attributes);

/* Changes *kind, and *language (a name as in languages.h) where one is given that is known; *detectable: 0 where the
 * file is to be left out. attributes may be NULL. */
void kind_attributes_apply(const struct kind_attributes *attributes, const char *path, enum kind *kind,
                           const char **language, bool *detectable);

/* Nonzero where pattern, as .gitattributes writes it, stands for a path: "*" within a name, "**" across, "?". */
bool kind_matches(const char *pattern, const char *path);

#endif
