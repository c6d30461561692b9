/*
 * pull.h: a pull request that is to be there, and the forges that can make it so.
 *
 * pull.c makes it of the request, the repro and conf.d, without a call; a forge then makes the remote look like it.
 * A forge is idempotent: what it finds done it leaves, and it never moves a branch that others moved.
 */
#ifndef EXPORT_PR_PULL_H
#define EXPORT_PR_PULL_H

#include <exportd/kit/bundle.h>
#include <exportd/kit/http.h>
#include <exportd/kit/remote.h>
#include <exportd/plugin.h>
#include <stdbool.h>

/* Around the mark in a body. */
#define PULL_MARK_BEGIN "<!-- "
#define PULL_MARK_END " -->"

/* What should be there at the end. */
struct pull {
    struct exportd_job *job;
    struct exportd_http_client *http;
    char *branch;     /* a valid name of a branch, without refs/heads/ */
    bool numbered;    /* where the branch belongs to somebody else: branch-2, branch-3, … */
    const char *base; /* NULL: the remote's default branch */
    char *title;      /* one line */
    char *body;       /* Markdown */
    char *message;    /* of the commit, with its trailers; ends in a newline */
    char *mark; /* the trailer line in message that tells commits of this export: "Exportd-Repro: <id>"; body has
                   it in a comment of its own line, see PULL_MARK_BEGIN */
    char *author_name, *author_email; /* also the committer's */
    int64_t time_s;                   /* of the commit: the same request gives the same commit */
    const json_t *labels, *reviewers, *team_reviewers, *assignees; /* arrays of strings, or NULL */
    bool draft;
    bool fork;                     /* push to a fork of the token's user, even where it could push here */
    struct exportd_bundle *bundle; /* finished: what the commit adds or replaces, paths from the repository's top */
    char *test_path;               /* one of them */
};

struct pull_outcome {
    char *url; /* of the pull request; NULL where the remote knows none */
    json_int_t number;
    char *branch; /* the one that was used */
    char *base;
    char *commit;      /* its id, 40 or 64 hex digits */
    const char *state; /* "created", "updated" (the branch got a further commit), "unchanged"; of the pull request */
    char *note;        /* a sentence for the caller, or NULL */
};

/* Makes the pull request of the request's data, its repro and conf.d. Returns 0, or -1 with error filled
 * ("option_invalid", "branch_invalid", "repro_invalid", "repro_unsafe", "repro_too_large", "template_invalid",
 * "body_too_large", …); pull is to be cleared in either case. http is left to the caller; strings that are const are
 * borrowed from data. */
int pull_make(struct exportd_job *job, const json_t *data, struct pull *pull, struct exportd_kit_error *error);
void pull_clear(struct pull *pull);
void pull_outcome_clear(struct pull_outcome *outcome);

/* The forges. Each returns 0 with outcome filled, or -1 with error filled; where the service says how long to wait,
 * exportd_retry_after() was called. */
int github_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error);
int git_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
             struct exportd_kit_error *error);

#endif
