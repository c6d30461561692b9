/*
 * download.h: the body of one HTTP answer, piece by piece, for who asks for the next one.
 *
 * A forge may redirect to where its tarballs lie: only over https (where the first address is), only to its own hosts
 * and to those that conf.d names, and without the token.
 */
#ifndef REPO_CLONE_DOWNLOAD_H
#define REPO_CLONE_DOWNLOAD_H

#include <exportd/kit/bundle.h>
#include <exportd/plugin.h>
#include <stdint.h>
#include <sys/types.h>

struct download_options {
    struct exportd_job *job; /* for its cancelling, its options and its progress */
    const char *url;
    const char *header;       /* with the token, for this address alone; NULL: none */
    const char *const *hosts; /* that it may redirect to, ended by NULL */
    uint64_t max_bytes;
};

struct download;

/* Asks, and returns when the answer's status is 200; or NULL with error filled. Free it with download_free(). */
struct download *download_open(const struct download_options *options, struct exportd_kit_error *error);

/* The next piece, borrowed until the next call. Returns its size, 0 at the end, -1 with error filled. */
ssize_t download_next(struct download *download, const void **bytes, struct exportd_kit_error *error);

/* NULL is fine. Returns NULL. */
struct download *download_free(struct download *download);

#endif
