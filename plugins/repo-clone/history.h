/*
 * history.h: a repository's history beside its files, for who reads it in the workspace.
 */
#ifndef REPO_CLONE_HISTORY_H
#define REPO_CLONE_HISTORY_H

#include "clone.h"

/* Makes top/.git out of a mirror, by copying its objects: the branch (or a HEAD that names the commit), its origin at
 * url, an index of the commit's files. Returns 0, or -1 with error filled. */
int history_copy(git_repository *mirror, git_commit *commit, const struct revision *revision, const char *url,
                 const char *top, struct exportd_kit_error *error);

#endif
