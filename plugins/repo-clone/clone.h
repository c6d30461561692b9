/*
 * clone.h: a repository, and what it names as submodules, over git, from mirrors.
 */
#ifndef REPO_CLONE_CLONE_H
#define REPO_CLONE_CLONE_H

#include "source.h"
#include "tree.h"

#include <exportd/kit/git.h>

/* What the request and conf.d say, for either mode. */
struct request {
    struct exportd_job *job;
    struct source source;
    const char *ref; /* NULL: the remote's default branch */
    char *subfolder; /* NULL: all of it; a safe path, without a slash at its end */
    bool submodules;
    bool history;
    char *top; /* where the files go: <workspace>/repo */
    struct rules *rules;
    struct checkout *checkout;
    json_t *notes;
    json_t *subs; /* the submodules: {path, commit, url, state, reason} */
};

/* What was found at the ref. */
struct revision {
    char commit[EXPORTD_GIT_SIZE]; /* "": the service didn't say */
    char *branch;                  /* its name, or NULL: a tag or a commit was asked for */
    char *ref;                     /* "refs/tags/v1", or the commit itself */
    int64_t time_s;                /* of the commit */
};
void revision_clear(struct revision *revision);

/* The kit's options for one source. */
struct exportd_git_options clone_git_options(const struct request *request, const struct source *source);

/* Finds what ref names on the remote: a branch, a tag, a full name, a commit, by asking it, without fetching. Returns
 * 0 with revision filled, but for the time; commit may be shortened, where ref is, or the tag's own id. -1 with error
 * filled ("ref_not_found", "repository_empty", and those of exportd_git_remote_ref()). */
int clone_find(struct exportd_git_mirror *mirror, const char *ref, struct revision *revision,
               struct exportd_kit_error *error);

/* Clones into the request's checkout, with the submodules where they are wanted. Returns 0, or -1 with error filled.
 */
int clone_run(struct request *request, struct revision *revision, struct exportd_kit_error *error);

/* Says of a refusal by the server which token conf.d has for it, and what it needs. */
void clone_name_the_mend(const struct source *source, struct exportd_kit_error *error);

#endif
