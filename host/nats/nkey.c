#include "nats/nkey.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define SEED_BYTES 36 /* two of prefix, the seed, two of checksum */
#define SEED_TEXT 58
#define PUBLIC_BYTES 35
#define PREFIX_SEED (18 << 3) /* 'S' */
#define PREFIX_USER (20 << 3) /* 'U' */

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* RFC 4648 without padding. */
static bool decode(const char *text, size_t length, unsigned char *bytes, size_t size)
{
    uint32_t bits = 0;
    int count = 0;
    size_t done = 0;
    for (size_t i = 0; i < length; i++) {
        const char *at = text[i] ? strchr(alphabet, text[i]) : NULL;
        if (!at)
            return false;
        bits = (bits << 5) | (uint32_t)(at - alphabet);
        count += 5;
        if (count >= 8 && done < size) {
            count -= 8;
            bytes[done++] = (unsigned char)(bits >> count);
        }
    }
    return done == size;
}

static void encode(const unsigned char *bytes, size_t size, char *text)
{
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = 0; i < size; i++) {
        bits = (bits << 8) | bytes[i];
        for (count += 8; count >= 5;) {
            count -= 5;
            *text++ = alphabet[(bits >> count) & 31];
        }
    }
    if (count > 0)
        *text++ = alphabet[(bits << (5 - count)) & 31];
    *text = '\0';
}

/* CRC-16/XMODEM. */
static uint16_t checksum(const unsigned char *bytes, size_t size)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        crc = (uint16_t)(crc ^ (bytes[i] << 8));
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)((crc & 0x8000) ? (crc << 1) ^ 0x1021 : crc << 1);
    }
    return crc;
}

static bool make_public(const char *seed_text, char public_key[NKEY_PUBLIC_SIZE])
{
    unsigned char raw[SEED_BYTES], secret[crypto_sign_SECRETKEYBYTES], out[PUBLIC_BYTES];
    bool good = decode(seed_text, SEED_TEXT, raw, sizeof raw) && (raw[0] & 0xf8) == PREFIX_SEED &&
                (((raw[0] & 7) << 5) | (raw[1] >> 3)) == PREFIX_USER &&
                checksum(raw, SEED_BYTES - 2) == (raw[SEED_BYTES - 2] | raw[SEED_BYTES - 1] << 8);
    if (good) {
        out[0] = PREFIX_USER;
        crypto_sign_seed_keypair(out + 1, secret, raw + 2);
        uint16_t crc = checksum(out, PUBLIC_BYTES - 2);
        out[PUBLIC_BYTES - 2] = (unsigned char)(crc & 0xff);
        out[PUBLIC_BYTES - 1] = (unsigned char)(crc >> 8);
        encode(out, sizeof out, public_key);
    }
    sodium_memzero(raw, sizeof raw);
    sodium_memzero(secret, sizeof secret);
    return good;
}

int nkey_public(const char *seed_file, char public_key[NKEY_PUBLIC_SIZE], struct error *error)
{
    char text[2048];
    int fd = open(seed_file, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    int cause = errno;
    if (fd >= 0)
        close(fd);
    if (length < 0)
        return error_set(error, "nats_credentials", false, "[nats] nkey_seed: %s: %s", seed_file, strerror(cause));
    text[length] = '\0';
    const char *seed = strstr(text, "SU");
    bool good = seed && strlen(seed) >= SEED_TEXT && make_public(seed, public_key);
    sodium_memzero(text, sizeof text);
    if (!good)
        return error_set(error, "nats_credentials", false,
                         "[nats] nkey_seed: %s holds no user's NKey seed (SU and 56 more characters)", seed_file);
    return 0;
}
