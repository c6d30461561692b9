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

/* Of one file; to begin with, what its path says. */
struct kind_said {
    enum kind kind;
    bool written;         /* an attribute says that it is not generated: its content has no say in that */
    bool detectable;      /* 0: it is to be left out */
    const char *language; /* a name as in languages.h, where one is given that is known; or NULL */
};

/* Changes *said by the rules that stand for the path. attributes may be NULL. */
void kind_attributes_apply(const struct kind_attributes *attributes, const char *path, struct kind_said *said);

/* Nonzero where pattern, as .gitattributes writes it, stands for a path: "*" within a name, "**" across, "?". A
 * pattern that takes too many steps stands for nothing. */
bool kind_matches(const char *pattern, const char *path);

#endif
