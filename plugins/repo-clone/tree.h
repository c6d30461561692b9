/*
 * tree.h: checks a commit's tree out, without git's own checkout: no hook, no filter, no attribute has a say.
 *
 * The whole tree is walked and counted before the first file is written.
 */
#ifndef REPO_CLONE_TREE_H
#define REPO_CLONE_TREE_H

#include "checkout.h"

#include <git2.h>

struct tree_options {
    git_repository *repository;
    const git_oid *tree;
    const char *prefix;    /* the folder that the tree lies in, taken already; "": the top */
    const char *subfolder; /* of the tree, which alone is checked out; NULL: all of it */
    struct rules *rules;
    struct checkout *checkout;
    json_t *submodules; /* gets {path, commit} for each */
    /* Called now and then with the files written and all files; nonzero stops. */
    int (*step)(void *context, size_t done, size_t all);
    void *context;
};

/* Returns 0, or -1 with error filled: what the rules and the checkout say, "subfolder_not_found", "cancelled",
 * "objects_missing" (retryable: the mirror lacks what it was sent). */
int tree_check_out(const struct tree_options *options, struct exportd_kit_error *error);

/* The content of the file .gitmodules of a tree: a new string, or NULL where there is none that can be used. */
char *tree_gitmodules(git_repository *repository, const git_oid *tree);

#endif
