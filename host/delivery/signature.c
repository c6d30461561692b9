#include "delivery/signature.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define KEY_MAX 1024

int signature_make(const char *secret, const char *id, int64_t timestamp_s, const char *body, size_t length,
                   char text[SIGNATURE_TEXT_MAX])
{
    unsigned char key[KEY_MAX];
    size_t key_length = strlen(secret);
    if (strncmp(secret, "whsec_", 6) == 0) {
        if (sodium_base642bin(key, sizeof key, secret + 6, key_length - 6, NULL, &key_length, NULL,
                              sodium_base64_VARIANT_ORIGINAL) != 0)
            return -1;
    } else {
        if (key_length > sizeof key)
            return -1;
        memcpy(key, secret, key_length);
    }
    crypto_auth_hmacsha256_state state;
    char head[320];
    int head_length = snprintf(head, sizeof head, "%s.%" PRId64 ".", id, timestamp_s);
    if (head_length < 0 || (size_t)head_length >= sizeof head)
        return -1;
    unsigned char hash[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_init(&state, key, key_length);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)head, (unsigned long long)head_length);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body, length);
    crypto_auth_hmacsha256_final(&state, hash);
    sodium_memzero(key, sizeof key);
    memcpy(text, "v1,", 3);
    sodium_bin2base64(text + 3, SIGNATURE_TEXT_MAX - 3, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
    return 0;
}
