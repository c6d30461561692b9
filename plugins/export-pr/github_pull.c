/* github.h: the pull request: found, opened, brought up to date. */
#include "github.h"

#include "forge.h"

#include <stdlib.h>
#include <string.h>

#define PATH_SIZE 1200

/* The pull requests of a branch in that state ("open", "all"), newest first, as a new reference in *answer. Returns
 * 0, or -1 with error filled. */
static int list(struct github *github, const char *branch, const char *state, json_t **answer)
{
    char head[PATH_SIZE];
    snprintf(head, sizeof head, "%s:%s", github->owner, branch);
    char *escaped = exportd_http_escape(head);
    char *base = exportd_http_escape(github->base);
    int status = escaped && base
                     ? github_call(github, "GET", NULL, answer, "/repos/%s/pulls?head=%s&base=%s&state=%s",
                                   github->repository, escaped, base, state)
                     : github_out_of_memory(github);
    free(escaped);
    free(base);
    if (status == 200)
        return 0;
    if (status >= 0)
        status = github_refused(github, status, *answer, "list the pull requests");
    json_decref(*answer);
    *answer = NULL;
    return status;
}

/* Whether its body still has the comment that this export puts there. */
static bool is_marked(const struct github *github, const json_t *request)
{
    char comment[300];
    snprintf(comment, sizeof comment, PULL_MARK_BEGIN "%s" PULL_MARK_END, github->pull->mark);
    return strstr(github_text(request, "body"), comment) != NULL;
}

int github_has_marked_pull(struct github *github, const char *branch)
{
    json_t *answer = NULL, *request;
    size_t index;
    int found = 0;
    if (list(github, branch, "open", &answer) < 0)
        return -1;
    json_array_foreach(answer, index, request)
    {
        found = found || is_marked(github, request);
    }
    json_decref(answer);
    return found;
}

static int take(struct github *github, const json_t *request, const char *state)
{
    struct pull_outcome *outcome = github->outcome;
    const char *url = github_text(request, "html_url");
    outcome->number = json_integer_value(json_object_get(request, "number"));
    outcome->url = *url ? strdup(url) : NULL;
    outcome->state = state;
    if (outcome->url && outcome->number > 0)
        return 0;
    return github_fail(github, "answer_unexpected", 1, "%s shows a pull request without its number and address",
                       github->remote->api);
}

/* Line ends are GitHub's own affair. */
static bool same_text(const char *there, const char *wanted)
{
    while (*there || *wanted) {
        if (*there == '\r')
            there++;
        else if (*there != *wanted)
            return false;
        else {
            there++;
            wanted++;
        }
    }
    return true;
}

/* An open one: its words are brought up to date, unless somebody has taken them over. */
static int update(struct github *github, const json_t *request)
{
    const struct pull *pull = github->pull;
    json_t *answer = NULL;
    bool same = strcmp(github_text(request, "title"), pull->title) == 0 &&
                same_text(github_text(request, "body"), pull->body);
    bool rewritten = !is_marked(github, request);
    bool changes = github->state == GITHUB_BRANCH_MOVED || (!same && !rewritten);
    if (take(github, request, changes ? "updated" : "unchanged") < 0)
        return -1;
    if (github->state == GITHUB_BRANCH_FOREIGN)
        forge_note(github->outcome, "somebody else has added commits to the branch %s", github->branch);
    if (rewritten)
        forge_note(github->outcome, "the pull request's text was rewritten by hand, and is left as it is");
    else if (!same) {
        int status =
            github_call(github, "PATCH", json_pack("{s:s, s:s}", "title", pull->title, "body", pull->body), &answer,
                        "/repos/%s/pulls/%lld", github->repository, (long long)github->outcome->number);
        if (status >= 0 && status != 200)
            status = github_refused(github, status, answer, "update the pull request");
        json_decref(answer);
        if (status < 0)
            return -1;
    }
    return github_dress(github, request, false);
}

/* Looks for an open one. Returns 1 where there is none, 0 with the outcome filled, -1 with error filled. */
static int find(struct github *github)
{
    json_t *answer = NULL, *request;
    size_t index;
    int result = 1;
    if (list(github, github->branch, "all", &answer) < 0)
        return -1;
    json_array_foreach(answer, index, request)
    {
        if (strcmp(github_text(request, "state"), "open") == 0) {
            result = update(github, request);
            json_decref(answer);
            return result;
        }
    }
    json_t *last = json_array_get(answer, 0);
    if (last)
        forge_note(github->outcome, "the branch's pull request #%lld was %s, so that there is a new one",
                   (long long)json_integer_value(json_object_get(last, "number")),
                   *github_text(last, "merged_at") ? "merged" : "closed");
    json_decref(answer);
    return result;
}

static int nothing_to_change(struct github *github)
{
    return github_fail(
        github, "nothing_to_change", 0,
        "the branch %s has these files already, with the same content: there is nothing to open a pull "
        "request for",
        github->base);
}

/* The base has the files already: the pull request of this export that brought them, where there was one. */
static int find_done(struct github *github)
{
    json_t *answer = NULL, *request;
    size_t index;
    int result = 1;
    if (list(github, github->branch, "all", &answer) < 0)
        return -1;
    json_array_foreach(answer, index, request)
    {
        if (result != 1 || !is_marked(github, request))
            continue;
        result = take(github, request, "unchanged");
        snprintf(github->id, sizeof github->id, "%s", github_text(request, "head.sha"));
        forge_note(github->outcome, "the branch %s has these files already: the pull request %s", github->base,
                   *github_text(request, "merged_at")                   ? "was merged"
                   : strcmp(github_text(request, "state"), "open") == 0 ? "is open still, and can be closed"
                                                                        : "was closed");
    }
    json_decref(answer);
    return result == 1 ? nothing_to_change(github) : result;
}

static int refuse_pull(struct github *github, int status, const json_t *answer)
{
    char words[300];
    if (status != 422)
        return github_refused(github, status, answer, "open the pull request");
    if (github_says(answer, "No commits between"))
        return nothing_to_change(github);
    if (github_says(answer, "head: invalid")) /* what was just created is not everywhere at once */
        return github_fail(github, "branch_not_ready", 1,
                           "GitHub doesn't see the new branch %s yet (422); the job tries again", github->branch);
    return github_fail(github, "request_refused", 0, "GitHub would not open the pull request (422): %s",
                       github_words(github, answer, words, sizeof words));
}

/* Returns 1 where there is one already, 0 with the outcome filled, -1 with error filled. */
static int create(struct github *github)
{
    const struct pull *pull = github->pull;
    char head[PATH_SIZE];
    json_t *answer;
    snprintf(head, sizeof head, "%s%s%s", github->forked ? github->owner : "", github->forked ? ":" : "",
             github->branch);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:b}", "title", pull->title, "head", head, "base", github->base,
                             "body", pull->body, "draft", (int)pull->draft);
    if (github->forked)
        json_object_set_new(body, "maintainer_can_modify", json_true());
    exportd_progress(pull->job, 0.85, "opening the pull request");
    int status = github_call(github, "POST", body, &answer, "/repos/%s/pulls", github->repository);
    if (status == 201)
        status = take(github, answer, "created") == 0 ? github_dress(github, answer, true) : -1;
    else if (status == 422 && github_says(answer, "already exists"))
        status = 1;
    else if (status >= 0)
        status = refuse_pull(github, status, answer);
    json_decref(answer);
    return status;
}

int github_put_pull(struct github *github)
{
    if (github->state == GITHUB_BRANCH_NONE)
        return find_done(github);
    int status = github->state == GITHUB_BRANCH_NEW ? 1 : find(github);
    if (status == 1)
        status = create(github);
    if (status == 1) /* another run of this export was faster */
        status = find(github);
    if (status == 1)
        return github_fail(github, "conflict", 1,
                           "GitHub says that there is a pull request for %s, and lists none; the job tries again",
                           github->branch);
    return status;
}
