/*
 * submodules.h: what .gitmodules says of the submodules in a tree.
 */
#ifndef REPO_CLONE_SUBMODULES_H
#define REPO_CLONE_SUBMODULES_H

#include <git2.h>
#include <jansson.h>
#include <stddef.h>

/* Gives each of list's submodules from the index first on, {path, commit}, its url: what .gitmodules has for its path
 * in the tree, beside base, the repository's own address. One without, or with a name or an address that no
 * repository needs, gets a state ("refused") and a reason. prefix: the folder that the tree lies in. */
void submodules_name(json_t *list, size_t first, const char *prefix, const char *base, git_repository *repository,
                     const git_oid *tree);

#endif
