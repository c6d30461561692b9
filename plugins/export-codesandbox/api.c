/* api.h: requests, and what their answers name. */
#include "api.h"

#include "refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "X-CSB-API-Version: 2023-07-01" /* what their OpenAPI document describes */
#define URL_MAX 1024

static int refuse(struct exportd_kit_error *error, const char *code, const char *message)
{
    error->code = code;
    error->retryable = strcmp(code, "out_of_memory") == 0;
    snprintf(error->message, sizeof error->message, "%s", message);
    return -1;
}

/* Plain HTTP is for a server on this machine, as tests and proxies have it. */
static int is_safe_for_key(const char *address)
{
    static const char *const here[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    if (strncmp(address, "https://", 8) == 0)
        return 1;
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) {
        size_t length = strlen(here[i]);
        if (strncmp(address, here[i], length) == 0 && strchr(":/", address[length])) /* the end too */
            return 1;
    }
    return 0;
}

static int take_key(struct api *api, struct exportd_kit_error *error)
{
    const char *key = api->options.key;
    for (const char *at = key; *at; at++)
        if (*at <= ' ' || *at > '~')
            return refuse(error, "key_invalid",
                          "CSB_API_KEY has a character in it that no key has (a space, a line end); set it again");
    if (!is_safe_for_key(api->options.api))
        return refuse(
            error, "option_invalid",
            "api in [plugin export-codesandbox] begins with http://, and the key in CSB_API_KEY is sent over "
            "https:// alone; mend the address");
    if (asprintf(&api->authorization, "Authorization: Bearer %s", key) < 0) {
        api->authorization = NULL;
        return refuse(error, "out_of_memory", "not enough memory for a request");
    }
    return 0;
}

int api_open(struct api *api, const struct api_options *options, struct exportd_kit_error *error)
{
    api->options = *options;
    api->retry_after_ms = -1;
    if (options->key && take_key(api, error) < 0)
        return -1;
    api->client = exportd_http_new(&options->http, error);
    return api->client ? 0 : -1;
}

void api_close(struct api *api)
{
    exportd_http_free(api->client);
    if (api->authorization)
        explicit_bzero(api->authorization, strlen(api->authorization));
    free(api->authorization);
    *api = (struct api){0};
}

/* address + path, without a doubled "/". */
static int make_url(const char *address, const char *path, char url[URL_MAX], struct exportd_kit_error *error)
{
    size_t length = strlen(address);
    while (length && address[length - 1] == '/')
        length--;
    int written = snprintf(url, URL_MAX, "%.*s%s", (int)length, address, path);
    if (written > 0 && written < URL_MAX)
        return 0;
    return refuse(error, "option_invalid", "an address in [plugin export-codesandbox] is too long; shorten it");
}

/* Sends a request. Returns 0 with *json set to the answer (or NULL, where it is no JSON), or -1 with error filled. */
static int send_request(struct api *api, enum call call, const char *path, const char *body, json_t **json,
                        struct exportd_kit_error *error)
{
    const char *address = call == CALL_DEFINE ? api->options.web : api->options.api;
    const char *headers[4] = {"Accept: application/json"};
    struct exportd_http_answer answer = {0};
    char url[URL_MAX];
    if (make_url(address, path, url, error) < 0)
        return -1;
    if (call != CALL_DEFINE) {
        headers[1] = API_VERSION;
        headers[2] = api->authorization;
    }
    const struct exportd_http_request request = {
        .method = body ? "POST" : "GET",
        .url = url,
        .headers = headers,
        .body = body,
        .body_bytes = body ? strlen(body) : 0,
    };
    api->retry_after_ms = -1;
    if (exportd_http_send(api->client, &request, &answer, error) < 0)
        return -1;
    int status = 0;
    if (answer.status == 200 || (body && answer.status == 201)) {
        *json = exportd_http_json(&answer);
    } else {
        api->retry_after_ms = refusal_fill(call, &answer, address, api->options.key, error);
        status = -1;
    }
    exportd_http_answer_clear(&answer);
    return status;
}

/* An id comes to stand in an address. */
static int take_id(const json_t *value, char id[API_ID_MAX + 1], struct exportd_kit_error *error)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    const char *text = json_string_value(value);
    size_t length = text ? strlen(text) : 0;
    if (length == 0 || length > API_ID_MAX || strspn(text, safe) != length)
        return refuse(error, "answer_invalid",
                      "CodeSandbox' answer names no sandbox, though it was a success; check the addresses in "
                      "[plugin export-codesandbox]");
    memcpy(id, text, length + 1);
    return 0;
}

static int has_tag(const json_t *sandbox, const char *tag)
{
    size_t index;
    json_t *element;
    json_array_foreach(json_object_get(sandbox, "tags"), index, element)
    {
        const char *text = json_string_value(element);
        if (text && strcmp(text, tag) == 0)
            return 1;
    }
    return 0;
}

int api_find(struct api *api, const char *tag, char id[API_ID_MAX + 1], struct exportd_kit_error *error)
{
    json_t *answer = NULL;
    size_t index;
    json_t *sandbox;
    char path[160];
    snprintf(path, sizeof path, "/sandbox?tags=%s&order_by=inserted_at&direction=desc&page_size=50", tag);
    if (send_request(api, CALL_FIND, path, NULL, &answer, error) < 0)
        return -1;
    const json_t *sandboxes = json_object_get(json_object_get(answer, "data"), "sandboxes");
    int found = json_is_array(sandboxes)
                    ? 0
                    : refuse(error, "answer_invalid",
                             "CodeSandbox' answer is no list of sandboxes; check api in [plugin export-codesandbox]");
    json_array_foreach((json_t *)(uintptr_t)sandboxes, index, sandbox)
    {
        if (found == 0 && has_tag(sandbox, tag))
            found = take_id(json_object_get(sandbox, "id"), id, error) < 0 ? -1 : 1;
    }
    json_decref(answer);
    return found;
}

int api_create(struct api *api, const char *body, char id[API_ID_MAX + 1], struct exportd_kit_error *error)
{
    json_t *answer = NULL;
    if (send_request(api, CALL_CREATE, "/sandbox", body, &answer, error) < 0)
        return -1;
    int status = take_id(json_object_get(json_object_get(answer, "data"), "id"), id, error);
    json_decref(answer);
    return status;
}

int api_define(struct api *api, const char *body, char id[API_ID_MAX + 1], struct exportd_kit_error *error)
{
    json_t *answer = NULL;
    if (send_request(api, CALL_DEFINE, "/api/v1/sandboxes/define?environment=server&json=1", body, &answer, error) <
        0)
        return -1;
    int status = take_id(json_object_get(answer, "sandbox_id"), id, error);
    json_decref(answer);
    return status;
}
