/* embedder.h: what all of them share. */
#include "embedder.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

void embedder_clear(struct embedder *embedder)
{
    if (embedder->free_self)
        embedder->free_self(embedder->self);
    *embedder = (struct embedder){0};
}

void embedder_identify(struct embedder *embedder, const char *const *words)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (; *words; words++)
        crypto_hash_sha256_update(&state, (const unsigned char *)*words, strlen(*words) + 1);
    crypto_hash_sha256_final(&state, digest);
    sodium_bin2hex(embedder->id, sizeof embedder->id, digest, sizeof digest);
}

bool embedder_normalise(float *vector, size_t dimensions)
{
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++)
        sum += (double)vector[i] * (double)vector[i];
    if (sum <= 0)
        return false;
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < dimensions; i++)
        vector[i] *= scale;
    return true;
}
