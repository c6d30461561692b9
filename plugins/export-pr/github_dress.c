/* github.h: labels, assignees and reviewers. The pull request is there: what of these can't be had is no failure. */
#include "github.h"

#include "forge.h"

#include <stdlib.h>
#include <string.h>

/* The names of wanted that a list of the pull request's, [{key: name}], lacks: a new array. */
static json_t *lacking(const json_t *wanted, const json_t *there, const char *key)
{
    json_t *names = json_array(), *entry;
    const json_t *name;
    size_t index, at;
    json_array_foreach((json_t *)(uintptr_t)wanted, index, name)
    {
        bool found = false;
        json_array_foreach((json_t *)(uintptr_t)there, at, entry)
        {
            found = found || strcasecmp(github_text(entry, key), json_string_value(name)) == 0;
        }
        if (!found)
            json_array_append(names, (json_t *)(uintptr_t)name);
    }
    return names;
}

/* One of them, added to what is there. body: taken. Returns 0, with a note where GitHub refuses it, or -1. */
static int add(struct github *github, const char *method, const char *below, json_t *body, const char *what)
{
    char words[200];
    json_t *answer;
    int status = github_call(github, method, body, &answer, "/repos/%s/%s", github->repository, below);
    if (status >= 300)
        forge_note(github->outcome, "GitHub refuses the %s (%d, %s)", what, status,
                   github_words(github, answer, words, sizeof words));
    json_decref(answer);
    return status < 0 ? -1 : 0;
}

static int add_labels(struct github *github, json_t *labels)
{
    char below[64];
    snprintf(below, sizeof below, "issues/%lld/labels", (long long)github->outcome->number);
    return add(github, "POST", below, json_pack("{s:O}", "labels", labels), "labels");
}

static int add_assignees(struct github *github, json_t *assignees)
{
    char below[64];
    snprintf(below, sizeof below, "issues/%lld/assignees", (long long)github->outcome->number);
    return add(github, "POST", below, json_pack("{s:O}", "assignees", assignees), "assignees");
}

/* Where the token may not write, GitHub drops them without a word. */
static void note_dropped(struct github *github, const json_t *wanted, const json_t *there, const char *key,
                         const char *what)
{
    json_t *names = lacking(wanted, there, key);
    if (json_array_size(names) > 0)
        forge_note(github->outcome, "GitHub did not set all of the %s: the token may not write to %s", what,
                   github->repository);
    json_decref(names);
}

/* Both by one call, where nothing is there yet that it would replace; one by one where GitHub refuses the two. */
static int set_both(struct github *github, json_t *labels, json_t *assignees)
{
    json_t *answer;
    int status =
        github_call(github, "PATCH", json_pack("{s:O, s:O}", "labels", labels, "assignees", assignees), &answer,
                    "/repos/%s/issues/%lld", github->repository, (long long)github->outcome->number);
    if (status == 200) {
        note_dropped(github, labels, json_object_get(answer, "labels"), "name", "labels");
        note_dropped(github, assignees, json_object_get(answer, "assignees"), "login", "assignees");
    }
    json_decref(answer);
    if (status < 0 || status < 300)
        return status < 0 ? -1 : 0;
    return add_labels(github, labels) < 0 || add_assignees(github, assignees) < 0 ? -1 : 0;
}

/* Takes out those who have given their review: nobody is asked twice. */
static int drop_reviewed(struct github *github, json_t *people)
{
    json_t *answer, *review;
    size_t index;
    int status = github_call(github, "GET", NULL, &answer, "/repos/%s/pulls/%lld/reviews?per_page=100",
                             github->repository, (long long)github->outcome->number);
    json_array_foreach(answer, index, review)
    {
        const char *login = github_text(json_object_get(review, "user"), "login");
        for (size_t i = json_array_size(people); i-- > 0;)
            if (strcasecmp(json_string_value(json_array_get(people, i)), login) == 0)
                json_array_remove(people, i);
    }
    json_decref(answer);
    return status < 0 ? -1 : 0;
}

static int ask_for_reviews(struct github *github, const json_t *request, bool is_new)
{
    const struct pull *pull = github->pull;
    char below[64];
    json_t *people = lacking(pull->reviewers, json_object_get(request, "requested_reviewers"), "login");
    json_t *teams = lacking(pull->team_reviewers, json_object_get(request, "requested_teams"), "slug");
    int reviewed = !is_new && json_array_size(people) > 0 ? drop_reviewed(github, people) : 0;
    json_t *body = json_object();
    if (json_array_size(people) > 0)
        json_object_set(body, "reviewers", people);
    if (json_array_size(teams) > 0)
        json_object_set(body, "team_reviewers", teams);
    json_decref(people);
    json_decref(teams);
    if (reviewed < 0 || json_object_size(body) == 0) {
        json_decref(body);
        return reviewed;
    }
    snprintf(below, sizeof below, "pulls/%lld/requested_reviewers", (long long)github->outcome->number);
    return add(github, "POST", below, body, "reviewers");
}

int github_dress(struct github *github, const json_t *request, bool is_new)
{
    const struct pull *pull = github->pull;
    json_t *labels = lacking(pull->labels, json_object_get(request, "labels"), "name");
    json_t *assignees = lacking(pull->assignees, json_object_get(request, "assignees"), "login");
    bool has_labels = json_array_size(labels) > 0, has_assignees = json_array_size(assignees) > 0;
    int status = 0;
    exportd_progress(pull->job, 0.95, "labels and reviewers");
    if (is_new && has_labels && has_assignees)
        status = set_both(github, labels, assignees);
    else if (has_labels && add_labels(github, labels) < 0)
        status = -1;
    else if (has_assignees)
        status = add_assignees(github, assignees);
    json_decref(labels);
    json_decref(assignees);
    return status < 0 ? -1 : ask_for_reviews(github, request, is_new);
}
