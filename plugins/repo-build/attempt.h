/*
 * attempt.h: a clean start, for the second attempt too.
 *
 * A later attempt finds the workspace as the one before left it. What lay in the repository before the first is noted
 * beside it; everything else goes. Files of the repository's own that a build changed stay changed.
 */
#ifndef REPO_BUILD_ATTEMPT_H
#define REPO_BUILD_ATTEMPT_H

#include "made.h"

/* before: gets what lay in the repository before the first attempt. has_modules: set where its node_modules did.
 * Returns 0, or -1 with error filled ("workspace_failed", and as made_list()). */
int attempt_begin(const char *workspace, const struct exportd_checkout *checkout, struct made_list *before,
                  bool *has_modules, struct exportd_kit_error *error);

/* The note isn't needed any more. */
void attempt_end(const char *workspace);

/* Removes a file or a folder with all that is in it, whatever its modes are. */
void attempt_remove(const char *path);

#endif
