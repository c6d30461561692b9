/*
 * exportd/kit/address.h: which addresses a request that somebody else names may go to.
 *
 * To be asked when a connection is made, with the address that a name led to just then: libcurl's
 * CURLOPT_OPENSOCKETFUNCTION. A look at the name, or at the address beforehand, can be fooled.
 */
#ifndef EXPORTD_KIT_ADDRESS_H
#define EXPORTD_KIT_ADDRESS_H

#include <stddef.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Nonzero for a public address: not a private, loopback, link-local, shared (100.64/10), multicast, documentation,
 * benchmark or reserved one, nor an IPv6 address that carries such an IPv4 address (mapped, NAT64, 6to4). Only
 * AF_INET and AF_INET6 are ever public. */
int exportd_address_is_public(const struct sockaddr *address);

/* Nonzero where the address lies in a block, "10.0.0.0/8", "127.0.0.1" or "fd00::/8"; a mapped IPv4 address is that
 * IPv4 address. A block that can't be read holds nothing. */
int exportd_address_in_block(const struct sockaddr *address, const char *block);

/* Nonzero where it is public or in one of these blocks: words between blanks or commas; NULL: none. */
int exportd_address_is_allowed(const struct sockaddr *address, const char *blocks);

/* Writes the address as text. Returns out. */
const char *exportd_address_text(const struct sockaddr *address, char *out, size_t out_size);

#ifdef __cplusplus
}
#endif
#endif
