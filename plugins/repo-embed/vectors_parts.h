/* vectors_parts.h: what vectors.c and the two readers share. */
#ifndef REPO_EMBED_VECTORS_PARTS_H
#define REPO_EMBED_VECTORS_PARTS_H

#include "vectors.h"

struct vectors_word {
    uint64_t text;    /* its place in the file */
    uint64_t numbers; /* binary: theirs */
    uint32_t length;
};

struct vectors {
    const char *map; /* the file */
    size_t size_bytes;
    char *name;
    char stamp[96];
    bool binary;
    size_t dimensions, count, room;
    struct vectors_word *words;
    float *numbers; /* text: count rows of them */
    char *texts;    /* text: the words, for the file is unmapped then; places are in here */
    size_t texts_bytes, texts_room;
    uint32_t *slots; /* rank + 1, or 0 */
    size_t slot_count;
    uint64_t dropped; /* bytes of the map that were given back while it was read */
    const struct vectors_options *options;
};

#define VECTORS_STEP 4096 /* words between two looks at whether to go on */

/* Reads on from offset, where the first word begins. Returns 0, or -1 with error filled. */
int vectors_read_text(struct vectors *vectors, size_t offset, size_t line, struct exportd_kit_error *error);
int vectors_read_binary(struct vectors *vectors, size_t offset, size_t words, struct exportd_kit_error *error);

/* Makes room for one more word. Returns 0, or -1 with error filled ("vectors_too_large", "out_of_memory"). */
int vectors_reserve(struct vectors *vectors, struct exportd_kit_error *error);

/* Says how far it is, and gives back what was read of the map. Returns 0, or -1 with error filled ("cancelled"). */
int vectors_step(struct vectors *vectors, size_t offset, struct exportd_kit_error *error);

/* Reads one number at *at, before end, and moves *at behind it. Returns false where there is none. */
bool vectors_number(const char **at, const char *end, float *number);

/* Where the numbers of a line begin: some files have words with blanks in them, so they are counted from the end. */
const char *vectors_before_numbers(const char *begin, const char *end, size_t dimensions);

#endif
