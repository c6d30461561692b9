/* exportd/kit/forge.h: calls of a forge's JSON API. */
#include <exportd/kit/forge.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 60000 /* where the service names no time */

const char *exportd_forge_name(const struct exportd_remote *remote)
{
    static const char *const names[] = {[EXPORTD_REMOTE_GITHUB] = "GitHub",
                                        [EXPORTD_REMOTE_GITLAB] = "GitLab",
                                        [EXPORTD_REMOTE_GITEA] = "Gitea",
                                        [EXPORTD_REMOTE_GIT] = "the Git server"};
    return names[remote->kind];
}

const char *exportd_forge_words(const json_t *answer, char *out, size_t size)
{
    const json_t *message = json_object_get(answer, "message");
    const json_t *detail = json_object_get(json_array_get(json_object_get(answer, "errors"), 0), "message");
    if (!message)
        message = json_object_get(answer, "error");
    if (json_is_string(detail))
        message = detail;
    char *text = json_is_string(message) ? strdup(json_string_value(message))
                 : message               ? json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY)
                                         : NULL;
    out[0] = '\0';
    if (text)
        exportd_bundle_quote(text, out, size);
    free(text);
    return out;
}

/* GitHub says 403 where the others say 429. */
static int is_limited(const struct exportd_remote *remote, const struct exportd_http_answer *answer)
{
    const char *left = exportd_http_header(answer, "x-ratelimit-remaining");
    return answer->status == 429 ||
           (remote->kind == EXPORTD_REMOTE_GITHUB && answer->status == 403 &&
            ((left && strcmp(left, "0") == 0) || exportd_http_header(answer, "retry-after")));
}

static int call_again_later(struct exportd_job *job, const struct exportd_remote *remote,
                            const struct exportd_http_answer *answer, struct exportd_kit_error *error)
{
    int64_t wait_ms = exportd_http_retry_after_ms(answer, (int64_t)time(NULL));
    int limited = is_limited(remote, answer);
    if (!limited && answer->status < 500)
        return 0;
    if (limited || wait_ms > 0)
        exportd_retry_after(job, wait_ms >= 0 ? wait_ms : BUSY_MS);
    if (limited)
        return exportd_kit_fail(error, "rate_limited", 1,
                                "%s limits the rate of requests (%d); the job waits as long as it asks",
                                exportd_forge_name(remote), answer->status);
    return exportd_kit_fail(error, "service_unreachable", 1, "%s answered %s with the status %d",
                            exportd_forge_name(remote), remote->api, answer->status);
}

static const char *const token_headers[] = {
    [EXPORTD_REMOTE_GITHUB] = "Authorization: Bearer %s",
    [EXPORTD_REMOTE_GITLAB] = "PRIVATE-TOKEN: %s",
    [EXPORTD_REMOTE_GITEA] = "Authorization: token %s",
};

static char *make_header(const struct exportd_remote *remote)
{
    const char *form = token_headers[remote->kind], *place = strchr(form, '%');
    char *header = NULL;
    return asprintf(&header, "%.*s%s", (int)(place - form), form, remote->token ? remote->token : "") < 0 ? NULL
                                                                                                          : header;
}

int exportd_forge_call(struct exportd_job *job, struct exportd_http_client *client,
                       const struct exportd_remote *remote, const char *method, const char *path, json_t *body,
                       json_t **answer, struct exportd_kit_error *error)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL, *url = NULL;
    struct exportd_http_answer got = {0};
    int result = -1;
    *answer = NULL;
    char *token = make_header(remote);
    if ((body && !text) || !token || asprintf(&url, "%s%s", remote->api, path) < 0) {
        exportd_kit_no_memory(error);
    } else {
        const char *accept = remote->kind == EXPORTD_REMOTE_GITHUB ? "Accept: application/vnd.github+json"
                                                                   : "Accept: application/json";
        const char *headers[] = {token, accept, "Content-Type: application/json", NULL};
        if (!text)
            headers[2] = NULL;
        const struct exportd_http_request request = {
            .method = method, .url = url, .headers = headers, .body = text, .body_bytes = text ? strlen(text) : 0};
        if (exportd_http_send(client, &request, &got, error) == 0 &&
            call_again_later(job, remote, &got, error) == 0) {
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
