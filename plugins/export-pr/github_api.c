/* github.h: calls, and the sentences for what GitHub refuses. */
#include "github.h"

#include <exportd/kit/repro.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDARY_WAIT_MS 60000 /* where GitHub limits the rate and names no time: its documentation's minute */
#define PATH_MAX_BYTES 4096
#define WORDS_MAX 320

int github_fail(struct github *github, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    github->error->code = code;
    github->error->retryable = retryable;
    vsnprintf(github->error->message, sizeof github->error->message, format, arguments);
    va_end(arguments);
    return -1;
}

int github_out_of_memory(struct github *github)
{
    return github_fail(github, "out_of_memory", 1, "not enough memory for a request to GitHub");
}

const char *github_text(const json_t *answer, const char *path)
{
    return exportd_repro_string(answer, path, "");
}

/* The message, and those of the errors below it. */
static char *all_words(const json_t *answer)
{
    char *text = NULL;
    size_t size_bytes;
    size_t index;
    json_t *part;
    FILE *out = open_memstream(&text, &size_bytes);
    if (!out)
        return NULL;
    fputs(github_text(answer, "message"), out);
    json_array_foreach(json_object_get(answer, "errors"), index, part)
    {
        const char *message = json_is_string(part) ? json_string_value(part) : github_text(part, "message");
        const char *field = github_text(part, "field");
        if (*message)
            fprintf(out, "; %s", message);
        else if (*field)
            fprintf(out, "; %s: %s", field, github_text(part, "code"));
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

const char *github_words(const struct github *github, const json_t *answer, char *out, size_t out_size)
{
    char *text = all_words(answer);
    const char *token = github->remote->token;
    /* Nobody should send it back, but a proxy that echoes requests has been seen. */
    bool echoes = text && token && *token && strstr(text, token);
    exportd_bundle_quote(text && !echoes ? text : "", out, out_size);
    free(text);
    return out;
}

bool github_says(const json_t *answer, const char *text)
{
    char *words = all_words(answer);
    bool says = words && strcasestr(words, text);
    free(words);
    return says;
}

static const char *secret_of(const struct github *github)
{
    const char *web = exportd_option(github->pull->job, "enterprise");
    size_t length = web ? strlen(web) : 0;
    while (length && web[length - 1] == '/')
        length--;
    bool enterprise =
        length && strlen(github->remote->web) == length && strncmp(web, github->remote->web, length) == 0;
    return enterprise ? "GITHUB_ENTERPRISE_TOKEN" : "GITHUB_TOKEN";
}

static bool limits_rate(const struct exportd_http_answer *answer, const json_t *json)
{
    const char *remaining = exportd_http_header(answer, "x-ratelimit-remaining");
    if (answer->status == 429)
        return true;
    return answer->status == 403 &&
           (exportd_http_header(answer, "retry-after") || (remaining && strcmp(remaining, "0") == 0) ||
            github_says(json, "rate limit") || github_says(json, "abuse detection"));
}

static int wait_for_rate(struct github *github, const struct exportd_http_answer *answer)
{
    int64_t wait_ms = exportd_http_retry_after_ms(answer, (int64_t)time(NULL));
    if (wait_ms < 0)
        wait_ms = SECONDARY_WAIT_MS;
    exportd_retry_after(github->pull->job, wait_ms);
    return github_fail(github, "rate_limited", 1,
                       "GitHub limits the rate of requests (%d): the job comes back in %lld s; where that is often, "
                       "use a token of its own for exportd",
                       answer->status, (long long)(wait_ms + 999) / 1000);
}

/* A single sign-on that the token isn't authorized for: GitHub names the page, behind "url=". */
static int refuse_sso(struct github *github, const char *header)
{
    const char *url = strstr(header, "url=");
    char quoted[300];
    char page[260] = "";
    if (url)
        snprintf(page, sizeof page, "%.*s", (int)strcspn(url + 4, "?; "), url + 4);
    return github_fail(github, "sso_required", 0,
                       "the organization of %s wants a single sign-on for the token (403): authorize %s for it, on "
                       "GitHub under Settings, Developer settings, Configure SSO%s%s",
                       github->remote->path, secret_of(github), *page ? ", or at " : "",
                       *page ? exportd_bundle_quote(page, quoted, sizeof quoted) : "");
}

/* What ends the job whatever was asked. Returns 0 where the status is the caller's business, or -1. */
static int check_answer(struct github *github, const struct exportd_http_answer *answer, const json_t *json)
{
    const char *path = github->remote->path;
    const char *sso = exportd_http_header(answer, "x-github-sso");
    int64_t wait_ms = exportd_http_retry_after_ms(answer, (int64_t)time(NULL));
    int status = answer->status;
    if (limits_rate(answer, json))
        return wait_for_rate(github, answer);
    if (status >= 500) {
        if (wait_ms > 0)
            exportd_retry_after(github->pull->job, wait_ms);
        return github_fail(github, "service_unreachable", 1, "%s answered with the status %d; the job tries again",
                           github->remote->api, status);
    }
    if (status == 401)
        return github_fail(github, "token_refused", 0,
                           "GitHub doesn't know the token (401): it is wrong or has expired; set a new %s",
                           secret_of(github));
    if (status == 403 && sso && strncasecmp(sso, "required", 8) == 0)
        return refuse_sso(github, sso);
    if (status == 403 && github_says(json, "archived"))
        return github_fail(github, "repository_archived", 0,
                           "%s is archived, and takes no pull requests; unarchive it in its settings", path);
    if (status == 451 || (status == 403 && github_says(json, "access blocked")))
        return github_fail(github, "repository_blocked", 0, "GitHub has blocked %s (%d); its owner can ask why", path,
                           status);
    if (status >= 300 && status < 400)
        return github_fail(github, "repository_moved", 0,
                           "%s has moved (%d): open %s/%s in a browser, and give the address that it leads to as "
                           "repo_url",
                           path, status, github->remote->web, path);
    if (status < 300 && answer->body_bytes && !json)
        return github_fail(
            github, "answer_unexpected", 1,
            "%s answered with something that is no JSON; check [plugin export-pr] github_api in conf.d",
            github->remote->api);
    return 0;
}

static int send(struct github *github, const char *method, const char *url, const char *body, json_t **answer)
{
    char *token = NULL;
    struct exportd_http_answer got = {0};
    int status = -1;
    if (asprintf(&token, "Authorization: Bearer %s", github->remote->token) < 0)
        return github_out_of_memory(github);
    const char *const headers[] = {token, "Accept: application/vnd.github+json", "X-GitHub-Api-Version: 2022-11-28",
                                   NULL};
    const struct exportd_http_request request = {
        .method = method, .url = url, .headers = headers, .body = body, .body_bytes = body ? strlen(body) : 0};
    if (exportd_http_send(github->pull->http, &request, &got, github->error) == 0) {
        *answer = exportd_http_json(&got);
        status = check_answer(github, &got, *answer) == 0 ? got.status : -1;
    }
    exportd_http_answer_clear(&got);
    free(token);
    return status;
}

int github_call(struct github *github, const char *method, json_t *body, json_t **answer, const char *path, ...)
{
    char below[PATH_MAX_BYTES];
    char *url = NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int status = -1;
    va_list arguments;
    va_start(arguments, path);
    int length = vsnprintf(below, sizeof below, path, arguments);
    va_end(arguments);
    *answer = NULL;
    if ((body && !text) || length < 0 || (size_t)length >= sizeof below ||
        asprintf(&url, "%s%s", github->remote->api, below) < 0) {
        url = NULL;
        github_out_of_memory(github);
    } else {
        status = send(github, method, url, text, answer);
    }
    if (status < 0) {
        json_decref(*answer);
        *answer = NULL;
    }
    json_decref(body);
    free(text);
    free(url);
    return status;
}

int github_refused(struct github *github, int status, const json_t *answer, const char *doing)
{
    const char *path = github->remote->path;
    char words[WORDS_MAX];
    github_words(github, answer, words, sizeof words);
    switch (status) {
    case 403:
    case 404: /* what a token may not do, GitHub answers as if it were not there */
        return github_fail(
            github, "token_scope", 0,
            "GitHub would not %s (%d, %s): give %s the scope repo, or, where it is a fine-grained one, "
            "access to %s with Contents and Pull requests: write",
            doing, status, words, secret_of(github), path);
    case 409:
        if (github_says(answer, "empty"))
            return github_fail(github, "repository_empty", 0,
                               "%s has no commit on its default branch; push one first", path);
        return github_fail(github, "conflict", 1, "GitHub could not %s just now (409, %s); the job tries again",
                           doing, words);
    case 410:
        return github_fail(
            github, "request_refused", 0,
            "GitHub would not %s (410, %s): pull requests or issues are switched off in the settings of "
            "%s",
            doing, words, path);
    default:
        return github_fail(github, "request_refused", 0, "GitHub would not %s (%d): %s", doing, status, words);
    }
}
