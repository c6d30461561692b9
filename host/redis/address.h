/*
 * redis/address.h: what [redis] url says.
 */
#ifndef EXPORTD_REDIS_ADDRESS_H
#define EXPORTD_REDIS_ADDRESS_H

#include "base/error.h"

struct redis_address {
    char *path; /* of a Unix socket; or NULL */
    char *host;
    char *port;
    char *user, *password; /* or NULL */
    char *database;        /* a number; or NULL */
};

/* redis://[user][:password@]host[:port][/database] or unix:///path. Returns 0, or -1 with error set, which never
 * holds the password. Clear it either way. */
int redis_address_read(const char *url, struct redis_address *address, struct error *error);
void redis_address_clear(struct redis_address *address);

#endif
