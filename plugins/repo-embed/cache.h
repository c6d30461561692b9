/*
 * cache.h: vectors that were made before, by the digest of their text, one file for each embedder.
 *
 * The file is only ever added to, under a lock that covers one write, so workers share it; each record carries a
 * checksum. A worker that is killed leaves at most an unfinished record at the end, which the next write covers. What
 * is too large is made anew with its younger half, and other embedders' files that were not used for longest go.
 */
#ifndef REPO_EMBED_CACHE_H
#define REPO_EMBED_CACHE_H

#include <exportd/kit/bundle.h>
#include <stdint.h>

struct cache;

/* Opens the cache of an embedder (id: 64 hexadecimal digits) in a folder and reads which digests it has. dimensions:
 * 0 where they are not known yet. Returns it, or NULL with error filled: "cache_failed", "out_of_memory". */
struct cache *cache_open(const char *folder, const char *id, size_t dimensions, struct exportd_kit_error *error);

/* Of the vectors that are in it; 0 where there is none yet. */
size_t cache_dimensions(const struct cache *cache);

/* Reads a vector. Returns 1 where it is there and whole, else 0. */
int cache_get(struct cache *cache, const unsigned char key[32], float *vector);

/* Adds vectors. What can't be written is not there later, and that is all. */
void cache_put(struct cache *cache, const unsigned char (*keys)[32], const float *vectors, size_t count,
               size_t dimensions);

/* Closes it, and keeps the folder within most_bytes. NULL is fine. Returns NULL. */
struct cache *cache_close(struct cache *cache, uint64_t most_bytes);

#endif
