/*
 * delivery/guard.h: which addresses a callback may go to.
 */
#ifndef EXPORTD_DELIVERY_GUARD_H
#define EXPORTD_DELIVERY_GUARD_H

#include "config/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

/* Whether address is public, or in one of the blocks that conf.d allows. Private, loopback, link-local, shared
 * (100.64/10), multicast, documentation, benchmark and reserved ones are not public, nor are IPv6 addresses that
 * carry such an IPv4 address (mapped, NAT64, 6to4). text gets the address as text. Only AF_INET and AF_INET6 are ever
 * allowed. */
bool guard_allows(const struct sockaddr *address, const struct config_list *allowed, char *text, size_t text_size);

#endif
