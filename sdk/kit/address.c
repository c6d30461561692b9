/* exportd/kit/address.h: which addresses a request may go to. */
#include <exportd/kit/address.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_TEXT 64

struct block {
    const char *address;
    int bits;
};

/* From IANA's registries of special-purpose addresses. */
static const struct block closed_v4[] = {
    {"0.0.0.0", 8},     {"10.0.0.0", 8},      {"100.64.0.0", 10},  {"127.0.0.0", 8},    {"169.254.0.0", 16},
    {"172.16.0.0", 12}, {"192.0.0.0", 24},    {"192.0.2.0", 24},   {"192.88.99.0", 24}, {"192.168.0.0", 16},
    {"198.18.0.0", 15}, {"198.51.100.0", 24}, {"203.0.113.0", 24}, {"224.0.0.0", 4},    {"240.0.0.0", 4},
};

/* Beyond these, only 2000::/3 is public. */
static const struct block closed_v6[] = {
    {"2001::", 23},
    {"2001:db8::", 32},
    {"3fff::", 20},
};

/* An address's bytes: 4, or 16; 0 where it is of another family. A mapped IPv4 address has 4. */
static size_t bytes_of(const struct sockaddr *address, unsigned char out[16])
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        memcpy(out, &v4.sin_addr, 4);
        return 4;
    }
    if (address->sa_family != AF_INET6)
        return 0;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
        memcpy(out, (const unsigned char *)&v6.sin6_addr + 12, 4);
        return 4;
    }
    memcpy(out, &v6.sin6_addr, 16);
    return 16;
}

static int matches(const unsigned char *address, const unsigned char *prefix, int bits)
{
    int bytes = bits / 8, rest = bits % 8;
    if (memcmp(address, prefix, (size_t)bytes) != 0)
        return 0;
    unsigned char mask = (unsigned char)(0xff << (8 - rest));
    return rest == 0 || (address[bytes] & mask) == (prefix[bytes] & mask);
}

static int in_blocks(int family, const unsigned char *address, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char prefix[16];
        if (inet_pton(family, blocks[i].address, prefix) == 1 && matches(address, prefix, blocks[i].bits))
            return 1;
    }
    return 0;
}

static int v4_is_public(const unsigned char *address)
{
    return !in_blocks(AF_INET, address, closed_v4, sizeof closed_v4 / sizeof closed_v4[0]);
}

static int v6_is_public(const unsigned char *address)
{
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(address, nat64, sizeof nat64) == 0)
        return v4_is_public(address + 12);
    if (address[0] == 0x20 && address[1] == 0x02) /* 6to4 */
        return v4_is_public(address + 2);
    return (address[0] & 0xe0) == 0x20 &&
           !in_blocks(AF_INET6, address, closed_v6, sizeof closed_v6 / sizeof closed_v6[0]);
}

int exportd_address_is_public(const struct sockaddr *address)
{
    unsigned char bytes[16];
    size_t size = bytes_of(address, bytes);
    return size == 4 ? v4_is_public(bytes) : size == 16 && v6_is_public(bytes);
}

int exportd_address_in_block(const struct sockaddr *address, const char *block)
{
    unsigned char bytes[16], prefix[16];
    char text[BLOCK_TEXT];
    size_t size = bytes_of(address, bytes), length = strcspn(block, "/");
    long bits = (long)size * 8;
    if (size == 0 || length >= sizeof text)
        return 0;
    snprintf(text, sizeof text, "%.*s", (int)length, block);
    if (inet_pton(size == 4 ? AF_INET : AF_INET6, text, prefix) != 1)
        return 0;
    if (block[length] == '/') {
        char *end;
        const char *number = block + length + 1;
        long most = bits;
        bits = strtol(number, &end, 10);
        if (end == number || *end || bits < 0 || bits > most)
            return 0;
    }
    return matches(bytes, prefix, (int)bits);
}

int exportd_address_is_allowed(const struct sockaddr *address, const char *blocks)
{
    if (exportd_address_is_public(address))
        return 1;
    for (const char *at = blocks ? blocks : ""; *at;) {
        char block[BLOCK_TEXT];
        size_t length = strcspn(at, " ,\t");
        if (length > 0 && length < sizeof block) {
            snprintf(block, sizeof block, "%.*s", (int)length, at);
            if (exportd_address_in_block(address, block))
                return 1;
        }
        at += length;
        at += strspn(at, " ,\t");
    }
    return 0;
}

const char *exportd_address_text(const struct sockaddr *address, char *out, size_t out_size)
{
    unsigned char bytes[16];
    size_t size = bytes_of(address, bytes);
    if (size == 0 || !inet_ntop(size == 4 ? AF_INET : AF_INET6, bytes, out, (socklen_t)out_size))
        snprintf(out, out_size, "an address of another family");
    return out;
}
