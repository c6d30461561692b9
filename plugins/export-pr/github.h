/*
 * github.h: GitHub's REST API, as far as a pull request needs it: what the parts of the forge share.
 *
 * Everything is made by the Git Data API, without a clone: a tree on the base's tree, a commit on the base's commit,
 * a reference to it, a pull request. A call that was done before, by an attempt that died, is found out from what it
 * left behind; nothing is remembered elsewhere.
 */
#ifndef EXPORT_PR_GITHUB_H
#define EXPORT_PR_GITHUB_H

#include "pull.h"

#define GITHUB_ID_SIZE 65 /* of an object's id as text, with its NUL */

struct github_commit {
    char id[GITHUB_ID_SIZE];
    char tree[GITHUB_ID_SIZE];
};

/* One pull request under way. */
struct github {
    const struct pull *pull;
    const struct exportd_remote *remote;
    struct pull_outcome *outcome;
    struct exportd_kit_error *error;
    char *repository; /* "owner/name", where the pull request is opened */
    char *head;       /* "owner/name", where the branch is: the same, or the fork */
    char *owner;      /* of head */
    bool forked;
    bool may_push; /* to repository */
    char *base;
    struct github_commit base_commit;
    json_t *entries;         /* the files, as POST git/trees takes them */
    char *branch;            /* the one that is used */
    char id[GITHUB_ID_SIZE]; /* what it points to at the end */
    enum github_branch_state {
        GITHUB_BRANCH_NEW,     /* this run made it */
        GITHUB_BRANCH_KEPT,    /* it was there, with this very content */
        GITHUB_BRANCH_MOVED,   /* it got a further commit */
        GITHUB_BRANCH_FOREIGN, /* the content is there, but the last commit is somebody else's */
        GITHUB_BRANCH_NONE,    /* the base has the content already */
    } state;
};

/* One call. body: sent as JSON, or NULL; taken. path: below the API's address. Returns the status, with *answer a new
 * reference (NULL where there is no body); or -1 with error filled where no caller can do better: the service can't
 * be reached or fails (5xx), limits the rate (exportd_retry_after() was called), doesn't know the token (401), wants
 * a single sign-on, has moved, archived or blocked the repository. */
int github_call(struct github *github, const char *method, json_t *body, json_t **answer, const char *path, ...)
    __attribute__((format(printf, 5, 6)));

/* The sentence for a status that wasn't hoped for. doing: "create the branch x". answer: borrowed. Returns -1. */
int github_refused(struct github *github, int status, const json_t *answer, const char *doing);

/* Fills error. Returns -1. */
int github_fail(struct github *github, const char *code, int retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int github_out_of_memory(struct github *github);

/* What GitHub says in an answer, as it can stand in a sentence, in out. Returns out. */
const char *github_words(const struct github *github, const json_t *answer, char *out, size_t out_size);

/* Nonzero where GitHub's words hold that text, in any case. */
bool github_says(const json_t *answer, const char *text);

/* The string at a path such as "commit.tree.sha", or "". Borrowed. */
const char *github_text(const json_t *answer, const char *path);

/* github_branch.c: brings the branch to where it should be. Returns 0 with state, branch and id set, or -1. */
int github_put_branch(struct github *github);

/* github_pull.c: opens the pull request, or finds it and brings it up to date. Returns 0 with the outcome filled, or
 * -1. */
int github_put_pull(struct github *github);

/* The open pull request of that branch which this export made, by the mark in its body. Returns 1 where there is one,
 * 0 where there is none, -1 with error filled. */
int github_has_marked_pull(struct github *github, const char *branch);

/* github_dress.c: labels, assignees and reviewers for a pull request, new or found (then only what it lacks). What
 * GitHub refuses goes to the note. Returns 0, or -1 with error filled where a retry is worth it. */
int github_dress(struct github *github, const json_t *request, bool is_new);

#endif
