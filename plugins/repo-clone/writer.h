/*
 * writer.h: writes files to a checkout on a thread of its own, so that libgit2 unpacks the next ones meanwhile: each
 * takes about half of the time. libgit2 itself is no faster on two threads: they share one cache of delta bases.
 */
#ifndef REPO_CLONE_WRITER_H
#define REPO_CLONE_WRITER_H

#include "checkout.h"

#include <git2.h>

struct writer;

/* The checkout, and the rules behind it, are the writer's until its end. NULL: no memory, or no thread; error says
 * so.
 */
struct writer *writer_start(struct checkout *checkout, struct exportd_kit_error *error);

/* Takes object over. path must live until the end. Waits while much is to be written; -1 where writing failed: go to
 * the end then, which says why. */
int writer_put(struct writer *writer, const char *path, git_filemode_t mode, git_odb_object *object);

/* Waits for all that was put, and frees the writer. Returns 0, or -1 with error filled. NULL is fine. */
int writer_end(struct writer *writer, struct exportd_kit_error *error);

#endif
