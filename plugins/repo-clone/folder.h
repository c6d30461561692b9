/*
 * folder.h: a folder of this machine that is no repository, copied as it lies there.
 */
#ifndef REPO_CLONE_FOLDER_H
#define REPO_CLONE_FOLDER_H

#include "clone.h"

/* Nonzero where a source is a folder on this machine, and not a repository of git's. */
int folder_is_plain(const struct source *source);

/* Copies it into the request's checkout, by the same rules as a repository's tree. Returns 0, or -1 with error
 * filled: "option_invalid" (a ref, say), "subfolder_not_found", "folder_unreadable", and what rules and checkout say.
 */
int folder_run(struct request *request, struct exportd_kit_error *error);

#endif
