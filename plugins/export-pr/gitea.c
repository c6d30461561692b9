/* Pull requests over Gitea's REST API, version 1, which Forgejo has too: docs.gitea.com/api. */
#include "forge.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_IT "open the pull request"
#define PATH_MAX_BYTES 2048

static void take_request(const json_t *request, struct pull_outcome *outcome)
{
    const char *url = json_string_value(json_object_get(request, "html_url"));
    outcome->number = json_integer_value(json_object_get(request, "number"));
    free(outcome->url);
    outcome->url = url ? strdup(url) : NULL;
}

static char *title_of(const struct pull *pull)
{
    char *title = NULL;
    return asprintf(&title, pull->draft ? "WIP: %s" : "%s", pull->title) < 0 ? NULL : title;
}

static int update(const struct pull *pull, const struct exportd_remote *remote, const json_t *request,
                  struct pull_outcome *outcome, struct exportd_kit_error *error)
{
    char path[PATH_MAX_BYTES];
    json_t *answer;
    char *title = title_of(pull);
    const char *there = json_string_value(json_object_get(request, "title"));
    const char *body = json_string_value(json_object_get(request, "body"));
    take_request(request, outcome);
    if (title && there && body && strcmp(there, title) == 0 && strcmp(body, pull->body) == 0) {
        free(title);
        return 0;
    }
    snprintf(path, sizeof path, "/repos/%s/pulls/%lld", remote->path, (long long)outcome->number);
    int status = exportd_forge_call(pull->job, pull->http, remote, "PATCH", path,
                                    json_pack("{s:s*, s:s}", "title", title, "body", pull->body), &answer, error);
    if (status > 0 && status != 201 && status != 200)
        forge_refused(remote, status, answer, "update the pull request", error);
    outcome->state = "updated";
    json_decref(answer);
    free(title);
    return status == 201 || status == 200 ? 0 : -1;
}

/* Returns 1 where there is none that is open, 0 with the outcome filled, -1 with error filled. */
static int find(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error)
{
    char path[PATH_MAX_BYTES];
    json_t *answer;
    char *branch = exportd_http_escape(outcome->branch), *base = exportd_http_escape(outcome->base);
    snprintf(path, sizeof path, "/repos/%s/pulls/%s/%s", remote->path, base ? base : "", branch ? branch : "");
    free(branch);
    free(base);
    int status = exportd_forge_call(pull->job, pull->http, remote, "GET", path, NULL, &answer, error);
    int result = -1;
    const char *state = json_string_value(json_object_get(answer, "state"));
    if (status == 404 || (status == 200 && state && strcmp(state, "open") != 0))
        result = 1;
    else if (status == 200)
        result = update(pull, remote, answer, outcome, error);
    else if (status > 0)
        forge_refused(remote, status, answer, "look for the pull request", error);
    json_decref(answer);
    return result;
}

/* The ids of the labels that the repository has; the others go to the note. */
static json_t *find_labels(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                           struct exportd_kit_error *error)
{
    json_t *ids = json_array(), *answer = NULL;
    char path[PATH_MAX_BYTES];
    size_t index, at;
    const json_t *name, *label;
    if (json_array_size(pull->labels) == 0)
        return ids;
    snprintf(path, sizeof path, "/repos/%s/labels?limit=50", remote->path);
    int status = exportd_forge_call(pull->job, pull->http, remote, "GET", path, NULL, &answer, error);
    json_array_foreach(pull->labels, index, name)
    {
        json_t *id = NULL;
        json_array_foreach(answer, at, label)
        {
            const char *text = json_string_value(json_object_get(label, "name"));
            if (text && strcmp(text, json_string_value(name)) == 0)
                id = json_object_get(label, "id");
        }
        if (id)
            json_array_append(ids, id);
        else if (status > 0)
            forge_note(outcome, "the repository has no label %s", json_string_value(name));
    }
    json_decref(answer);
    if (status > 0)
        return ids;
    json_decref(ids);
    return NULL;
}

/* The pull request is there: what can't be had of reviewers is no failure. */
static int ask_for_reviews(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                           struct exportd_kit_error *error)
{
    char path[PATH_MAX_BYTES];
    json_t *answer, *body = json_object();
    if (json_array_size(pull->reviewers) + json_array_size(pull->team_reviewers) == 0) {
        json_decref(body);
        return 0;
    }
    if (json_array_size(pull->reviewers) > 0)
        json_object_set_new(body, "reviewers", json_deep_copy(pull->reviewers));
    if (json_array_size(pull->team_reviewers) > 0)
        json_object_set_new(body, "team_reviewers", json_deep_copy(pull->team_reviewers));
    snprintf(path, sizeof path, "/repos/%s/pulls/%lld/requested_reviewers", remote->path, (long long)outcome->number);
    int status = exportd_forge_call(pull->job, pull->http, remote, "POST", path, body, &answer, error);
    if (status > 0 && status != 201)
        forge_note(outcome, "Gitea refuses the reviewers (%d)", status);
    json_decref(answer);
    return status < 0 ? -1 : 0;
}

static int create(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                  struct exportd_kit_error *error)
{
    char path[PATH_MAX_BYTES];
    json_t *answer, *labels = find_labels(pull, remote, outcome, error);
    if (!labels)
        return -1;
    char *title = title_of(pull);
    json_t *body = json_pack("{s:s, s:s, s:s*, s:s}", "head", outcome->branch, "base", outcome->base, "title", title,
                             "body", pull->body);
    free(title);
    if (json_array_size(labels) > 0)
        json_object_set(body, "labels", labels);
    if (json_array_size(pull->assignees) > 0)
        json_object_set_new(body, "assignees", json_deep_copy(pull->assignees));
    json_decref(labels);
    snprintf(path, sizeof path, "/repos/%s/pulls", remote->path);
    int status = exportd_forge_call(pull->job, pull->http, remote, "POST", path, body, &answer, error);
    int result = -1;
    if (status == 201) {
        take_request(answer, outcome);
        outcome->state = "created";
        result = ask_for_reviews(pull, remote, outcome, error);
    } else if (status == 409) { /* another run of this export was faster */
        result = find(pull, remote, outcome, error);
        if (result > 0)
            result = forge_refused(remote, status, answer, OPEN_IT, error);
    } else if (status > 0) {
        forge_refused(remote, status, answer, OPEN_IT, error);
    }
    json_decref(answer);
    return result;
}

int gitea_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
               struct exportd_kit_error *error)
{
    int found = find(pull, remote, outcome, error);
    return found > 0 ? create(pull, remote, outcome, error) : found;
}
