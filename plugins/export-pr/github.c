/* github.h: a pull request on GitHub, from the repository to its number. */
#include "github.h"

#include "forge.h"

#include <stdlib.h>
#include <string.h>

#define FORK_WAIT_MS 10000

/* What a token that may only read needs, where forks aren't allowed. */
static int refuse_fork(struct github *github, const json_t *answer)
{
    char words[200];
    return github_fail(github, "fork_refused", 0,
                       "the token may not push to %s, and GitHub would not fork it (%s): give the token's user write "
                       "access, or allow forking in the repository's settings",
                       github->repository, github_words(github, answer, words, sizeof words));
}

static char *copy(const char *text)
{
    return *text ? strdup(text) : NULL;
}

static int check_repository(struct github *github, const json_t *answer)
{
    const json_t *push = json_object_get(json_object_get(answer, "permissions"), "push");
    if (json_is_true(json_object_get(answer, "archived")))
        return github_fail(github, "repository_archived", 0,
                           "%s is archived, and takes no pull requests; unarchive it in its settings",
                           github->repository);
    github->may_push = !json_is_false(push);
    github->forked = github->pull->fork || !github->may_push;
    if (github->forked && json_is_false(json_object_get(answer, "allow_forking")))
        return refuse_fork(github, NULL);
    return 0;
}

static int read_repository(struct github *github)
{
    const char *path = github->remote->path;
    json_t *answer;
    int status = github_call(github, "GET", NULL, &answer, "/repos/%s", path);
    if (status < 0)
        return -1;
    if (status == 200) {
        const char *base = github->pull->base;
        github->repository = copy(github_text(answer, "full_name"));
        github->head = copy(github_text(answer, "full_name"));
        github->owner = copy(github_text(answer, "owner.login"));
        github->base = copy(base ? base : github_text(answer, "default_branch"));
        status = github->repository && github->head && github->owner && github->base
                     ? check_repository(github, answer)
                     : github_fail(github, "answer_unexpected", 1,
                                   "%s describes %s without its name or its default branch; check [plugin export-pr] "
                                   "github_api in conf.d",
                                   github->remote->api, path);
    } else if (status == 404) {
        status =
            github_fail(github, "repository_not_found", 0,
                        "GitHub has no repository %s, or the token may not see it (404): check repo_url, and give "
                        "the token the scope repo or, where it is a fine-grained one, access to this repository",
                        path);
    } else {
        status = github_refused(github, status, answer, "show the repository");
    }
    json_decref(answer);
    return status;
}

/* The fork of the token's user: GitHub answers with the one that is there, or makes it. */
static int find_fork(struct github *github)
{
    json_t *answer;
    exportd_progress(github->pull->job, 0.15, "finding the fork");
    int status = github_call(github, "POST", json_pack("{s:b}", "default_branch_only", 1), &answer, "/repos/%s/forks",
                             github->repository);
    if (status < 0)
        return -1;
    if (status == 202) {
        free(github->head);
        free(github->owner);
        github->head = copy(github_text(answer, "full_name"));
        github->owner = copy(github_text(answer, "owner.login"));
        status = github->head && github->owner
                     ? 0
                     : github_fail(github, "answer_unexpected", 1, "%s does not name the fork of %s that it made",
                                   github->remote->api, github->repository);
    } else if (status == 404 || status == 401) {
        status = github_refused(github, status, answer, "fork the repository");
    } else {
        status = refuse_fork(github, answer);
    }
    json_decref(answer);
    /* Its owner's own token: a fork of oneself is the repository. */
    github->forked = status == 0 && strcmp(github->head, github->repository) != 0;
    return status;
}

static int read_base(struct github *github)
{
    json_t *answer;
    char *branch = exportd_http_escape(github->base);
    if (!branch)
        return github_out_of_memory(github);
    exportd_progress(github->pull->job, 0.25, "reading the base branch");
    int status = github_call(github, "GET", NULL, &answer, "/repos/%s/branches/%s", github->repository, branch);
    free(branch);
    if (status < 0)
        return -1;
    if (status == 200) {
        snprintf(github->base_commit.id, GITHUB_ID_SIZE, "%s", github_text(answer, "commit.sha"));
        snprintf(github->base_commit.tree, GITHUB_ID_SIZE, "%s", github_text(answer, "commit.commit.tree.sha"));
        status = github->base_commit.id[0] && github->base_commit.tree[0]
                     ? 0
                     : github_fail(github, "answer_unexpected", 1, "%s shows the branch %s without its commit",
                                   github->remote->api, github->base);
    } else if (status == 404 && github->pull->base) {
        status =
            github_fail(github, "base_not_found", 0, "%s has no branch %s; leave base out for its default branch",
                        github->repository, github->base);
    } else if (status == 404) {
        status = github_fail(github, "repository_empty", 0,
                             "%s has no commit on its default branch %s; push one first, or name another branch as "
                             "base",
                             github->repository, github->base);
    } else {
        status = github_refused(github, status, answer, "show the base branch");
    }
    json_decref(answer);
    return status;
}

int github_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error)
{
    struct github github = {.pull = pull, .remote = remote, .outcome = outcome, .error = error};
    exportd_progress(pull->job, 0.05, "reading the repository");
    int status = read_repository(&github);
    if (status == 0 && github.forked)
        status = find_fork(&github);
    if (status == 0)
        status = read_base(&github);
    if (status == 0)
        status = github_put_branch(&github);
    if (status == 0)
        status = github_put_pull(&github);
    if (status == 0) {
        outcome->branch = github.branch ? strdup(github.branch) : NULL;
        outcome->base = strdup(github.base);
        outcome->commit = *github.id ? strdup(github.id) : NULL;
        if (!outcome->branch || !outcome->base)
            status = github_out_of_memory(&github);
    }
    free(github.repository);
    free(github.head);
    free(github.owner);
    free(github.base);
    free(github.branch);
    json_decref(github.entries);
    return status;
}
