#include "base/sha256.h"

#include "base/memory.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 262144
#define HASH_BYTES 32

int sha256_of_file(int fd, int64_t offset, int64_t most, const atomic_bool *stop, char hex[SHA256_HEX_MAX],
                   int64_t *bytes)
{
    gnutls_hash_hd_t state;
    unsigned char hash[HASH_BYTES];
    int cause = 0;
    int64_t done = 0;
    if (gnutls_hash_init(&state, GNUTLS_DIG_SHA256) < 0)
        return ENOMEM;
    unsigned char *buffer = memory_zeroed(1, READ_BYTES);
    while (!cause && done < most) {
        size_t wanted = most - done < READ_BYTES ? (size_t)(most - done) : READ_BYTES;
        ssize_t got = pread(fd, buffer, wanted, (off_t)(offset + done));
        if (got == 0)
            break;
        if (got < 0)
            cause = errno == EINTR ? 0 : errno;
        else if (stop && atomic_load(stop))
            cause = ECANCELED;
        else if (gnutls_hash(state, buffer, (size_t)got) < 0)
            cause = EIO;
        else
            done += got;
    }
    free(buffer);
    gnutls_hash_deinit(state, hash);
    if (cause)
        return cause;
    sodium_bin2hex(hex, SHA256_HEX_MAX, hash, sizeof hash);
    *bytes = done;
    return 0;
}
