/*
 * vectors.h: static word vectors from a file: word2vec's text format (also without its first line, as GloVe has it)
 * or its binary one.
 *
 * A binary file stays where it is, mapped; a text file's numbers are read into memory once. The order of the words is
 * that of their frequency, as all known programs write them.
 */
#ifndef REPO_EMBED_VECTORS_H
#define REPO_EMBED_VECTORS_H

#include <exportd/kit/bundle.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VECTORS_DIMENSIONS_MAX 4096
#define VECTORS_WORD_MAX 1000 /* bytes */

struct vectors_options {
    uint64_t max_memory_bytes;                   /* that they may take; 0: no such bound */
    int (*step)(void *context, double fraction); /* now and then; nonzero stops it. May be NULL */
    void *context;
};

struct vectors;

/* Loads a file. Returns it (free it with vectors_free()), or NULL with error filled: "vectors_invalid" (with the line
 * or the byte), "vectors_too_large", "vectors_missing", "cancelled", "out_of_memory". */
struct vectors *vectors_load(const char *path, const struct vectors_options *options,
                             struct exportd_kit_error *error);
struct vectors *vectors_free(struct vectors *vectors);

size_t vectors_dimensions(const struct vectors *vectors);
size_t vectors_count(const struct vectors *vectors);
bool vectors_is_binary(const struct vectors *vectors);
const char *vectors_name(const struct vectors *vectors);  /* the file's, without its folder */
const char *vectors_stamp(const struct vectors *vectors); /* changes when the file does */

/* The rank of a word, from 0 for the most frequent, or -1. */
int64_t vectors_find(const struct vectors *vectors, const char *word, size_t length);

/* Copies the vector of a rank. */
void vectors_copy(const struct vectors *vectors, size_t rank, float *vector);

#endif
