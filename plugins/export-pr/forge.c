/* Calls of a JSON API: GitLab's and Gitea's. */
#include "forge.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 60000 /* where the service names no time */

static int fail(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int fail(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    error->retryable = retryable;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

static const char *name_of(const struct remote *remote)
{
    return remote->kind == REMOTE_GITLAB ? "GitLab" : "Gitea";
}

/* What it says itself: {"message": text, list or object} or {"error": text}. */
static void quote_answer(const json_t *answer, char *out, size_t size)
{
    const json_t *message = json_object_get(answer, "message");
    if (!message)
        message = json_object_get(answer, "error");
    char *text = json_is_string(message) ? strdup(json_string_value(message))
                 : message               ? json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY)
                                         : NULL;
    out[0] = '\0';
    if (text)
        exportd_bundle_quote(text, out, size);
    free(text);
}

static int call_again_later(const struct pull *pull, const struct remote *remote,
                            const struct exportd_http_answer *answer, struct exportd_kit_error *error)
{
    int64_t wait_ms = exportd_http_retry_after_ms(answer, (int64_t)time(NULL));
    if (answer->status != 429 && answer->status < 500)
        return 0;
    if (answer->status == 429 || wait_ms > 0)
        exportd_retry_after(pull->job, wait_ms >= 0 ? wait_ms : BUSY_MS);
    if (answer->status == 429)
        return fail(error, "rate_limited", 1,
                    "%s limits the rate of requests (429); the job waits as long as it asks", name_of(remote));
    return fail(error, "service_unreachable", 1, "%s answered %s with the status %d", name_of(remote), remote->api,
                answer->status);
}

int forge_call(const struct pull *pull, const struct remote *remote, const char *method, const char *path,
               json_t *body, json_t **answer, struct exportd_kit_error *error)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *url = NULL, *token = NULL;
    struct exportd_http_answer got = {0};
    int result = -1;
    *answer = NULL;
    if ((body && !text) || asprintf(&url, "%s%s", remote->api, path) < 0 ||
        asprintf(&token, remote->kind == REMOTE_GITLAB ? "PRIVATE-TOKEN: %s" : "Authorization: token %s",
                 remote->token ? remote->token : "") < 0) {
        fail(error, "out_of_memory", 1, "out of memory");
    } else {
        const char *headers[] = {token, "Accept: application/json", "Content-Type: application/json", NULL};
        if (!text)
            headers[2] = NULL;
        const struct exportd_http_request request = {
            .method = method, .url = url, .headers = headers, .body = text, .body_bytes = text ? strlen(text) : 0};
        if (exportd_http_send(pull->http, &request, &got, error) == 0 &&
            call_again_later(pull, remote, &got, error) == 0) {
            *answer = exportd_http_json(&got);
            result = got.status;
        }
    }
    exportd_http_answer_clear(&got);
    json_decref(body);
    free(text);
    free(url);
    free(token);
    return result;
}

int forge_refused(const struct remote *remote, int status, const json_t *answer, const char *doing,
                  struct exportd_kit_error *error)
{
    const char *name = name_of(remote);
    const char *token = remote->kind == REMOTE_GITLAB ? "GITLAB_TOKEN" : "GITEA_TOKEN";
    const char *scope =
        remote->kind == REMOTE_GITLAB ? "the scope api" : "the scopes write:repository and write:issue";
    char words[300];
    quote_answer(answer, words, sizeof words);
    switch (status) {
    case 401:
        return fail(error, "token_refused", 0, "%s doesn't know the token (401): it may have expired; set a new %s",
                    name, token);
    case 403:
        return fail(error, "token_scope", 0,
                    "the token may not %s (403): give %s %s, and its user the right to write to %s", doing, token,
                    scope, remote->path);
    case 404:
        return fail(error, "repository_not_found", 0,
                    "%s has no project %s, or the token may not see it (404): check repo_url and who %s belongs to",
                    name, remote->path, token);
    case 409:
    case 422:
    case 400:
        return fail(error, "request_refused", 0, "%s would not %s (%d): %s", name, doing, status, words);
    default:
        return fail(error, "request_refused", 0, "%s would not %s: status %d %s", name, doing, status, words);
    }
}

void forge_note(struct pull_outcome *outcome, const char *format, ...)
{
    char *text = NULL, *all = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if (!outcome->note) {
        outcome->note = text;
        return;
    }
    if (asprintf(&all, "%s; %s", outcome->note, text) >= 0) {
        free(outcome->note);
        outcome->note = all;
    }
    free(text);
}

int forge_branch_taken(const struct pull *pull, struct exportd_kit_error *error)
{
    return fail(error, "branch_taken", 0,
                "the branch %s is there, with commits that aren't this export's: it is left alone; give another "
                "branch_name, or on_conflict = number",
                pull->branch);
}
