/* Merge requests over GitLab's REST API, version 4: docs.gitlab.com/api/merge_requests. */
#include "forge.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_IT "open the merge request"

/* The ids of users by their names; names that GitLab doesn't know go to the note. */
static json_t *find_users(const struct pull *pull, const struct exportd_remote *remote, const json_t *names,
                          struct pull_outcome *outcome, struct exportd_kit_error *error)
{
    json_t *ids = json_array(), *answer;
    size_t index;
    const json_t *name;
    json_array_foreach(names, index, name)
    {
        char path[1024];
        char *escaped = exportd_http_escape(json_string_value(name));
        snprintf(path, sizeof path, "/users?username=%s", escaped ? escaped : "");
        free(escaped);
        int status = exportd_forge_call(pull->job, pull->http, remote, "GET", path, NULL, &answer, error);
        json_t *id = json_object_get(json_array_get(answer, 0), "id");
        if (status == 200 && id)
            json_array_append(ids, id);
        else if (status > 0)
            forge_note(outcome, "GitLab knows no user %s", json_string_value(name));
        json_decref(answer);
        if (status < 0) {
            json_decref(ids);
            return NULL;
        }
    }
    return ids;
}

static json_t *comma_list(const json_t *names)
{
    char text[4096] = "";
    size_t index, length = 0;
    const json_t *name;
    json_array_foreach(names, index, name)
    {
        int wrote = snprintf(text + length, sizeof text - length, "%s%s", index ? "," : "", json_string_value(name));
        if (wrote < 0 || (size_t)wrote >= sizeof text - length)
            break;
        length += (size_t)wrote;
    }
    return json_string(text);
}

static void take_request(const json_t *request, struct pull_outcome *outcome)
{
    const char *url = json_string_value(json_object_get(request, "web_url"));
    outcome->number = json_integer_value(json_object_get(request, "iid"));
    free(outcome->url);
    outcome->url = url ? strdup(url) : NULL;
}

static char *title_of(const struct pull *pull)
{
    char *title = NULL;
    return asprintf(&title, pull->draft ? "Draft: %s" : "%s", pull->title) < 0 ? NULL : title;
}

/* Brings an open request's words up to date. */
static int update(const struct pull *pull, const struct exportd_remote *remote, const char *project,
                  const json_t *request, struct pull_outcome *outcome, struct exportd_kit_error *error)
{
    json_t *description = json_object_get(request, "description"), *answer;
    char path[1200];
    char *title = title_of(pull);
    take_request(request, outcome);
    const char *there = json_string_value(json_object_get(request, "title"));
    bool same = title && there && strcmp(there, title) == 0 && json_is_string(description) &&
                strcmp(json_string_value(description), pull->body) == 0;
    if (same) {
        free(title);
        return 0;
    }
    snprintf(path, sizeof path, "/projects/%s/merge_requests/%lld", project, (long long)outcome->number);
    int status =
        exportd_forge_call(pull->job, pull->http, remote, "PUT", path,
                           json_pack("{s:s*, s:s}", "title", title, "description", pull->body), &answer, error);
    if (status > 0 && status != 200)
        forge_refused(remote, status, answer, "update the merge request", error);
    outcome->state = "updated";
    json_decref(answer);
    free(title);
    return status == 200 ? 0 : -1;
}

/* Returns 1 where there is none, 0 with the outcome filled, -1 with error filled. */
static int find(const struct pull *pull, const struct exportd_remote *remote, const char *project,
                struct pull_outcome *outcome, struct exportd_kit_error *error)
{
    char path[4096];
    json_t *answer;
    char *branch = exportd_http_escape(outcome->branch), *base = exportd_http_escape(outcome->base);
    snprintf(path, sizeof path, "/projects/%s/merge_requests?state=opened&source_branch=%s&target_branch=%s", project,
             branch ? branch : "", base ? base : "");
    free(branch);
    free(base);
    int status = exportd_forge_call(pull->job, pull->http, remote, "GET", path, NULL, &answer, error);
    int result = -1;
    if (status == 200)
        result = json_array_size(answer) == 0
                     ? 1
                     : update(pull, remote, project, json_array_get(answer, 0), outcome, error);
    else if (status > 0)
        forge_refused(remote, status, answer, "look for the merge request", error);
    json_decref(answer);
    return result;
}

static int create(const struct pull *pull, const struct exportd_remote *remote, const char *project,
                  struct pull_outcome *outcome, struct exportd_kit_error *error)
{
    char path[1200];
    json_t *answer;
    json_t *reviewers = find_users(pull, remote, pull->reviewers, outcome, error);
    json_t *assignees = reviewers ? find_users(pull, remote, pull->assignees, outcome, error) : NULL;
    if (!assignees) {
        json_decref(reviewers);
        return -1;
    }
    char *title = title_of(pull);
    json_t *body = json_pack("{s:s, s:s, s:s*, s:s, s:b}", "source_branch", outcome->branch, "target_branch",
                             outcome->base, "title", title, "description", pull->body, "remove_source_branch", 1);
    free(title);
    if (json_array_size(pull->labels) > 0)
        json_object_set_new(body, "labels", comma_list(pull->labels));
    if (json_array_size(reviewers) > 0)
        json_object_set(body, "reviewer_ids", reviewers);
    if (json_array_size(assignees) > 0)
        json_object_set(body, "assignee_ids", assignees);
    json_decref(reviewers);
    json_decref(assignees);
    if (json_array_size(pull->team_reviewers) > 0)
        forge_note(outcome, "GitLab has no team reviewers: they were left out");
    snprintf(path, sizeof path, "/projects/%s/merge_requests", project);
    int status = exportd_forge_call(pull->job, pull->http, remote, "POST", path, body, &answer, error);
    int result = -1;
    if (status == 201) {
        take_request(answer, outcome);
        outcome->state = "created";
        result = 0;
    } else if (status == 409) { /* another run of this export was faster */
        result = find(pull, remote, project, outcome, error);
        if (result > 0)
            result = forge_refused(remote, status, answer, OPEN_IT, error);
    } else if (status > 0) {
        forge_refused(remote, status, answer, OPEN_IT, error);
    }
    json_decref(answer);
    return result;
}

int gitlab_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error)
{
    char *project = exportd_http_escape(remote->path);
    if (!project)
        return -1;
    int found = find(pull, remote, project, outcome, error);
    if (found > 0)
        found = create(pull, remote, project, outcome, error);
    free(project);
    return found;
}
