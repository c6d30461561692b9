/*
 * select.h: which files of a repository are worth embedding, and their text.
 */
#ifndef REPO_EMBED_SELECT_H
#define REPO_EMBED_SELECT_H

#include <stdbool.h>
#include <stddef.h>

/* Why a file is left out. */
enum select_reason {
    SELECT_TAKEN,
    SELECT_VENDORED,  /* in a folder of others' code: node_modules, vendor */
    SELECT_GENERATED, /* made by a program: dist, *.min.js, lock files; or it says so itself */
    SELECT_LARGE,     /* over max_file_bytes */
    SELECT_BINARY,    /* a NUL in it, or hardly any UTF-8 */
    SELECT_EMPTY,     /* nothing but blank space */
    SELECT_NAME,      /* its name is not UTF-8 */
    SELECT_LIMIT,     /* beyond max_files, max_bytes or max_chunks */
    SELECT_REASONS,
};

/* The word for it in the result. */
const char *select_word(enum select_reason reason);

/* By its path alone. */
enum select_reason select_by_path(const char *path);

/* By its content, which is made well-formed UTF-8 in place: each byte that isn't becomes a question mark, and *mended
 * counts them. */
enum select_reason select_by_text(char *text, size_t size_bytes, bool generated_too, size_t *mended);

/* The first byte from offset on that does not begin or go on with a well-formed character; size_bytes: none. */
size_t select_well_formed(const char *text, size_t size_bytes, size_t offset);

#endif
