/*
 * keys.h: a table from the digest of a text to a number: its row, or its place in the cache.
 */
#ifndef REPO_EMBED_KEYS_H
#define REPO_EMBED_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define KEY_BYTES 32 /* SHA-256 */

struct keys {
    struct key_slot *slots;
    size_t capacity; /* a power of 2, or 0 */
    size_t count;
};

/* The number of a key, or NULL where there is none. Borrowed until the next keys_put(). */
uint64_t *keys_find(const struct keys *keys, const unsigned char key[KEY_BYTES]);

/* Sets the number of a key. Returns 0, or -1 when out of memory. */
int keys_put(struct keys *keys, const unsigned char key[KEY_BYTES], uint64_t value);

void keys_clear(struct keys *keys);

#endif
