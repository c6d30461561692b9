/*
 * rules.h: which paths of a repository may get a name on this disk, and how much of them.
 *
 * Everything that is to be written is taken first, by its path from the repository's top with "/" between the names,
 * whether it comes from a tree of git's or from a tarball. README.md says what is refused, and what is made harmless.
 */
#ifndef REPO_CLONE_RULES_H
#define REPO_CLONE_RULES_H

#include <exportd/kit/bundle.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum rules_kind { RULES_FILE, RULES_LINK, RULES_FOLDER };

struct rules_limits {
    uint64_t max_files; /* files, links and folders */
    uint64_t max_bytes; /* of all files */
    uint64_t max_file;  /* of one */
};

struct rules_counts {
    uint64_t files; /* links too, folders not */
    uint64_t folders;
    uint64_t bytes;
};

struct rules;

/* notes: gets a sentence for whatever was made harmless; borrowed. NULL when out of memory. */
struct rules *rules_new(const struct rules_limits *limits, json_t *notes);

/* NULL is fine. Returns NULL. */
struct rules *rules_free(struct rules *rules);

/* Takes one path. Its folders were taken before, each once. size_bytes: of a file or a link's target. Returns 0, or
 * -1 with error filled: "repository_unsafe", "repository_too_large", "out_of_memory". */
int rules_take(struct rules *rules, const char *path, enum rules_kind kind, uint64_t size_bytes,
               struct exportd_kit_error *error);

/* Nonzero where that folder was taken. */
int rules_has_folder(const struct rules *rules, const char *path);

struct rules_counts rules_counts(const struct rules *rules);

/* Whether a link at path, with this target, leads to a place inside the repository however the other links lie: a
 * relative target that goes up at its beginning alone, and not beyond the top. */
int rules_link_is_safe(const char *path, const char *target, size_t length);

/* Adds a note, the first 100 of them. */
void rules_note(const struct rules *rules, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
