/* github.h: one request. */
#include "github.h"

#include "value.h"

#include <exportd/kit/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOPICS_MAX 50
#define ANSWER_BYTES ((size_t)1 << 20)

static void note(json_t *notes, const char *format, const char *detail)
{
    char text[900];
    snprintf(text, sizeof text, format, detail);
    json_array_append_new(notes, value_string(text, sizeof text));
}

/* Where a URL goes on behind base, or NULL. */
static const char *below(const char *base, const char *url)
{
    size_t length = base ? strlen(base) : 0;
    while (length > 0 && base[length - 1] == '/')
        length--;
    return length > 0 && strncasecmp(base, url, length) == 0 && url[length] == '/' ? url + length + 1 : NULL;
}

/* The address of the repository in the API, where it lies at GitHub; a new string. NULL: it doesn't, or no memory. */
static char *find_address(struct exportd_job *job, const char *url)
{
    const char *path = url ? below(exportd_option(job, "github_web"), url) : NULL;
    const char *slash = path ? strchr(path, '/') : NULL;
    const char *api = exportd_option(job, "github_api");
    char *address = NULL, *owner = NULL, *name = NULL;
    size_t length = slash ? strlen(slash + 1) : 0, api_length = api ? strlen(api) : 0;
    if (length > 4 && value_ends(slash + 1, ".git"))
        length -= 4;
    while (api_length > 0 && api[api_length - 1] == '/')
        api_length--;
    if (!slash || slash == path || length == 0 || memchr(slash + 1, '/', length) || api_length == 0)
        return NULL;
    char *plain_owner = strndup(path, (size_t)(slash - path)), *plain_name = strndup(slash + 1, length);
    if (plain_owner && plain_name) {
        owner = exportd_http_escape(plain_owner);
        name = exportd_http_escape(plain_name);
    }
    if (!owner || !name || asprintf(&address, "%.*s/repos/%s/%s", (int)api_length, api, owner, name) < 0)
        address = NULL;
    free(plain_owner);
    free(plain_name);
    free(owner);
    free(name);
    return address;
}

static json_t *number(const json_t *answer, const char *key)
{
    json_t *value = json_object_get(answer, key);
    return json_is_integer(value) ? json_incref(value) : json_null();
}

static json_t *text(const json_t *answer, const char *key)
{
    return value_string(json_string_value(json_object_get(answer, key)), 500);
}

static json_t *describe(const json_t *answer)
{
    size_t index;
    json_t *topic, *topics = json_array();
    json_array_foreach(json_object_get(answer, "topics"), index, topic)
    {
        if (json_is_string(topic) && json_array_size(topics) < TOPICS_MAX)
            json_array_append_new(topics, value_string(json_string_value(topic), 100));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "full_name",
                     text(answer, "full_name"), "description", text(answer, "description"), "homepage",
                     text(answer, "homepage"), "stars", number(answer, "stargazers_count"), "forks",
                     number(answer, "forks_count"), "watchers", number(answer, "subscribers_count"), "open_issues",
                     number(answer, "open_issues_count"), "topics", topics, "default_branch",
                     text(answer, "default_branch"), "archived", json_is_true(json_object_get(answer, "archived")),
                     "fork", json_is_true(json_object_get(answer, "fork")), "licence",
                     text(json_object_get(answer, "license"), "spdx_id"), "created_at", text(answer, "created_at"),
                     "pushed_at", text(answer, "pushed_at"));
}

static json_t *read_answer(const struct exportd_http_answer *answer, json_t *notes)
{
    char status[16];
    const char *remaining = exportd_http_header(answer, "x-ratelimit-remaining");
    json_t *body = answer->status == 200 ? exportd_http_json(answer) : NULL;
    json_t *result = json_is_object(body) ? describe(body) : NULL;
    json_decref(body);
    if (result)
        return result;
    snprintf(status, sizeof status, "%d", answer->status);
    if (answer->status == 429 || (answer->status == 403 && remaining && strcmp(remaining, "0") == 0))
        note(notes,
             "GitHub limits the rate of requests (%s): what it knows is left out; a GITHUB_TOKEN raises the limit",
             status);
    else if (answer->status == 401)
        note(notes, "GitHub doesn't know the token (%s): set a new GITHUB_TOKEN", status);
    else if (answer->status == 404)
        note(notes, "GitHub's API shows no such repository (%s): a private one needs a GITHUB_TOKEN that may read it",
             status);
    else if (answer->status == 200)
        note(notes, "GitHub's API answered with something else than a repository (%s): what it knows is left out",
             status);
    else
        note(notes, "GitHub's API answered with the status %s: what it knows is left out", status);
    return json_null();
}

static int is_cancelled(void *context)
{
    return exportd_cancelled(context);
}

/* Sends the request; follows a repository that was renamed once, within the API. */
static int send_request(struct exportd_http_client *client, struct exportd_job *job, const char *address,
                        struct exportd_http_answer *answer, struct exportd_kit_error *error)
{
    const char *token = exportd_secret(job, "GITHUB_TOKEN");
    char authorization[600] = "";
    const char *headers[] = {"Accept: application/vnd.github+json", "X-GitHub-Api-Version: 2022-11-28", NULL, NULL};
    if (token && *token && strlen(token) < 500) {
        snprintf(authorization, sizeof authorization, "Authorization: Bearer %s", token);
        headers[2] = authorization;
    }
    const struct exportd_http_request request = {.method = "GET", .url = address, .headers = headers};
    int failed = exportd_http_send(client, &request, answer, error);
    const char *location = failed ? NULL : exportd_http_header(answer, "location");
    if (failed || (answer->status != 301 && answer->status != 307) || !location ||
        !below(exportd_option(job, "github_api"), location))
        return failed;
    char *moved = strdup(location);
    const struct exportd_http_request again = {.method = "GET", .url = moved, .headers = headers};
    exportd_http_answer_clear(answer);
    failed = moved ? exportd_http_send(client, &again, answer, error) : exportd_kit_no_memory(error);
    free(moved);
    return failed;
}

json_t *github_ask(struct exportd_job *job, const struct exportd_checkout *checkout, json_t *notes,
                   struct exportd_kit_error *error)
{
    const struct exportd_http_options options = {
        .timeout_ms = exportd_option_integer(job, "github_timeout", 10000),
        .max_answer_bytes = ANSWER_BYTES,
        .ca_file = exportd_option(job, "ca_file"),
        .proxy = exportd_option(job, "proxy"),
        .cancelled = is_cancelled,
        .context = job,
    };
    struct exportd_http_answer answer = {0};
    char *address = exportd_option_integer(job, "ask_github", 0) ? find_address(job, checkout->url) : NULL;
    json_t *result = NULL;
    if (!address)
        return json_null();
    exportd_progress(job, 0.9, "asking GitHub");
    struct exportd_http_client *client = exportd_http_new(&options, error);
    if (client && send_request(client, job, address, &answer, error) == 0) {
        result = read_answer(&answer, notes);
    } else if (client && strcmp(error->code, "cancelled") != 0 && strcmp(error->code, "out_of_memory") != 0) {
        note(notes, "GitHub was not asked with success, and what it knows is left out: %s", error->message);
        result = json_null();
    }
    exportd_http_answer_clear(&answer);
    exportd_http_free(client);
    free(address);
    return result;
}
