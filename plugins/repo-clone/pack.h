/*
 * pack.h: what was checked out, as one tarball.
 *
 * Like exportd/kit/archive.h's, but straight from the files on disk, of any size, with links: the same commit gives
 * the same bytes.
 */
#ifndef REPO_CLONE_PACK_H
#define REPO_CLONE_PACK_H

#include "checkout.h"

#include <exportd/plugin.h>

struct pack_options {
    bool zstd;          /* else gzip */
    const char *top;    /* the folder that everything lies in */
    int64_t time_s;     /* of every entry */
    const char *folder; /* where the files lie */
    struct exportd_job *job;
};

/* Writes a new file at path. Returns 0, or -1 with error filled ("archive_failed", "cancelled"). */
int pack_write(const struct checkout *checkout, const struct pack_options *options, const char *path,
               struct exportd_kit_error *error);

#endif
