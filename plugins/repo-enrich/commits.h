/*
 * commits.h: the commits that a commit comes from, the newest first.
 *
 * Read without libgit2's own walk, which reads all of a history before it shows the first commit, and each of them
 * twice.
 */
#ifndef REPO_ENRICH_COMMITS_H
#define REPO_ENRICH_COMMITS_H

#include <git2.h>
#include <stdbool.h>

struct commit {
    git_oid id;
    int64_t time_s;     /* when it was committed */
    const char *author; /* "Name <email> 1700000000 +0100"; borrowed until the next call; "" where there is none */
    bool root;          /* it has no parents */
};

struct commits;

/* A walk from a commit on. NULL when out of memory. */
struct commits *commits_new(git_repository *repository, const git_oid *from);
struct commits *commits_free(struct commits *commits);

/* Returns 0 with *commit filled, 1 at the end, -1 where the next one can't be read (it isn't there, is damaged, or
 * there is no memory for it). */
int commits_next(struct commits *commits, struct commit *commit);

#endif
