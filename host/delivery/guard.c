#include "delivery/guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static bool matches(const unsigned char *address, const unsigned char *prefix, int bits)
{
    int bytes = bits / 8;
    if (memcmp(address, prefix, (size_t)bytes) != 0)
        return false;
    int rest = bits % 8;
    if (rest == 0)
        return true;
    unsigned char mask = (unsigned char)(0xff << (8 - rest));
    return (address[bytes] & mask) == (prefix[bytes] & mask);
}

static bool in_blocks(int family, const unsigned char *address, const struct block *blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char prefix[16];
        if (inet_pton(family, blocks[i].address, prefix) == 1 && matches(address, prefix, blocks[i].bits))
            return true;
    }
    return false;
}

static bool v4_is_public(const unsigned char *address)
{
    return !in_blocks(AF_INET, address, closed_v4, sizeof closed_v4 / sizeof closed_v4[0]);
}

static bool v6_is_public(const unsigned char *address)
{
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(address, nat64, sizeof nat64) == 0)
        return v4_is_public(address + 12);
    if (address[0] == 0x20 && address[1] == 0x02) /* 6to4 */
        return v4_is_public(address + 2);
    return (address[0] & 0xe0) == 0x20 &&
           !in_blocks(AF_INET6, address, closed_v6, sizeof closed_v6 / sizeof closed_v6[0]);
}

static bool is_listed(int family, const unsigned char *address, const struct config_list *allowed)
{
    for (size_t i = 0; i < allowed->count; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", allowed->items[i]);
        int bits = family == AF_INET ? 32 : 128;
        char *slash = strchr(text, '/');
        if (slash) {
            bits = (int)strtol(slash + 1, NULL, 10);
            *slash = '\0';
        }
        unsigned char prefix[16];
        if (inet_pton(family, text, prefix) == 1 && matches(address, prefix, bits))
            return true;
    }
    return false;
}

bool guard_allows(const struct sockaddr *address, const struct config_list *allowed, char *text, size_t text_size)
{
    snprintf(text, text_size, "an address of another family");
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        const unsigned char *bytes = (const unsigned char *)&v4.sin_addr;
        inet_ntop(AF_INET, bytes, text, (socklen_t)text_size);
        return v4_is_public(bytes) || is_listed(AF_INET, bytes, allowed);
    }
    if (address->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    const unsigned char *bytes = (const unsigned char *)&v6.sin6_addr;
    inet_ntop(AF_INET6, bytes, text, (socklen_t)text_size);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
        return v4_is_public(bytes + 12) || is_listed(AF_INET, bytes + 12, allowed);
    return v6_is_public(bytes) || is_listed(AF_INET6, bytes, allowed);
}
