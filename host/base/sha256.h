/*
 * base/sha256.h: SHA-256 of a file's bytes, with GnuTLS: it uses the processor's instructions for that where there
 * are some, and is five times as fast as libsodium then. For what is in memory, libsodium will do.
 */
#ifndef EXPORTD_BASE_SHA256_H
#define EXPORTD_BASE_SHA256_H

#include <stdatomic.h>
#include <stdint.h>

#define SHA256_HEX_MAX 65

/*
 * The SHA-256 of up to most bytes from offset on, as lower-case hex, and how many there were. stop: or NULL; once
 * true, it ends with ECANCELED. Blocking; any thread. Returns 0 or an errno, and then sets nothing.
 */
int sha256_of_file(int fd, int64_t offset, int64_t most, const atomic_bool *stop, char hex[SHA256_HEX_MAX],
                   int64_t *bytes);

#endif
