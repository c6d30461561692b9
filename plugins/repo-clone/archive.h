/*
 * archive.h: a repository's files as its forge's tarball, streamed into the checkout without a file in between.
 */
#ifndef REPO_CLONE_ARCHIVE_H
#define REPO_CLONE_ARCHIVE_H

#include "clone.h"

/* Returns 0, or -1 with error filled: "archive_unsupported" (no forge that conf.d names), "archive_invalid"
 * (retryable: cut short, or none), "redirect_refused", and those of clone_run(). */
int archive_run(struct request *request, struct revision *revision, struct exportd_kit_error *error);

#endif
