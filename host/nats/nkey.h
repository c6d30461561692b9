/*
 * nats/nkey.h: NKeys, as NATS writes Ed25519 keys.
 */
#ifndef EXPORTD_NATS_NKEY_H
#define EXPORTD_NATS_NKEY_H

#include "base/error.h"

#define NKEY_PUBLIC_SIZE 57 /* the text and its NUL */

/* Reads a user's seed (SU…) from a file and makes its public key (U…). The seed is wiped from memory. Returns 0 or -1
 * (nats_credentials). */
int nkey_public(const char *seed_file, char public_key[NKEY_PUBLIC_SIZE], struct error *error);

#endif
