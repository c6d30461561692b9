/*
 * embedder.h: what makes vectors of texts: an endpoint, word vectors or hashed character n-grams, behind one table.
 */
#ifndef REPO_EMBED_EMBEDDER_H
#define REPO_EMBED_EMBEDDER_H

#include <exportd/kit/bundle.h>
#include <exportd/plugin.h>
#include <stdbool.h>

#define EMBEDDER_DIMENSIONS_MAX 16000

struct embed_text {
    const char *text; /* well-formed UTF-8 without NUL, not blank; not ended by one */
    size_t size_bytes;
};

struct embedder {
    const char *kind;                /* "endpoint", "word-vectors", "hashed-ngrams": a constant */
    const char *note;                /* a sentence for the result: what these vectors are good for; a constant */
    char model[256];                 /* which of the kind, for people */
    char id[65];                     /* hex: texts embedded under the same id have the same vectors */
    size_t dimensions;               /* 0: known with the first answer */
    size_t batch_count, batch_bytes; /* that one call of embed takes at the most; a single text may have more bytes */
    void *self;
    /* Sets *vectors to a new array of count rows of dimensions floats, all finite; where dimensions was 0, it is
     * known then. Returns 0, or -1 with error filled. */
    int (*embed)(struct embedder *embedder, const struct embed_text *texts, size_t count, float **vectors,
                 struct exportd_kit_error *error);
    /* Adds what it has to say to the result: tokens, requests. May be NULL. */
    void (*describe)(const struct embedder *embedder, json_t *into);
    void (*free_self)(void *self);
};

/* Calls free_self and zeroes it. */
void embedder_clear(struct embedder *embedder);

/* Sets id from these words, ended by NULL. */
void embedder_identify(struct embedder *embedder, const char *const *words);

/* Makes the vector one unit long; a vector of zeros stays. Returns false for that one. */
bool embedder_normalise(float *vector, size_t dimensions);

/* Hashed character n-grams. Returns 0, or -1 with error filled. */
int hashed_open(struct embedder *embedder, size_t dimensions, struct exportd_kit_error *error);

struct vectors;
/* The means of word vectors, which are borrowed. See vectors.h. */
int words_open(struct embedder *embedder, const struct vectors *vectors, struct exportd_kit_error *error);

/* How an OpenAI-compatible endpoint is asked. Strings are borrowed. */
struct endpoint_options {
    struct exportd_job *job;
    const char *url; /* up to and with /v1 */
    const char *model;
    const char *key;   /* or NULL */
    size_t dimensions; /* that are asked for; 0: the model's own */
    size_t batch_count, batch_bytes;
    int64_t requests_per_minute; /* 0: as fast as it goes */
    int64_t timeout_ms;
    const char *proxy, *ca_file;
};
int endpoint_open(struct embedder *embedder, const struct endpoint_options *options, struct exportd_kit_error *error);

#endif
