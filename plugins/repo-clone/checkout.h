/*
 * checkout.h: writes the files of a repository below one folder, and nowhere else.
 *
 * A path is taken by the rules (rules.h) before it is written. Every folder is opened by its name from the one above,
 * never through a link, files are made anew, never opened; links come last, when nothing more is written.
 */
#ifndef REPO_CLONE_CHECKOUT_H
#define REPO_CLONE_CHECKOUT_H

#include "rules.h"

#include <stdbool.h>

struct checkout;

/* A new checkout in top, a folder that is made; what was there goes. rules: borrowed. NULL with error filled. */
struct checkout *checkout_new(const char *top, struct rules *rules, struct exportd_kit_error *error);

/* NULL is fine. Returns NULL. */
struct checkout *checkout_free(struct checkout *checkout);

/* Makes a folder that was taken, with those above it. Returns 0, or -1 with error filled ("workspace_failed"), as
 * the others do. */
int checkout_folder(struct checkout *checkout, const char *path, struct exportd_kit_error *error);

/* A file, in one or several pieces: begin, write, end. */
int checkout_begin(struct checkout *checkout, const char *path, bool executable, struct exportd_kit_error *error);
int checkout_write(struct checkout *checkout, const void *bytes, size_t size, struct exportd_kit_error *error);
int checkout_end(struct checkout *checkout, struct exportd_kit_error *error);

/* A link: made by checkout_finish(). One that leads out of the repository becomes a file that holds its target, as
 * git does where there are no links, and is noted. */
int checkout_link(struct checkout *checkout, const char *path, const char *target, size_t length,
                  struct exportd_kit_error *error);

int checkout_finish(struct checkout *checkout, struct exportd_kit_error *error);

/* What lies in the checkout, in the order in which it was written, links at the end. */
struct checkout_entry {
    const char *path;
    const char *target; /* of a link, else NULL */
    bool executable;
};
size_t checkout_count(const struct checkout *checkout);
struct checkout_entry checkout_get(const struct checkout *checkout, size_t index);

/* The files that stand for others (Git LFS), as {path, oid, bytes}: a new reference, the first 1,000 of them. */
json_t *checkout_lfs(const struct checkout *checkout);

#endif
