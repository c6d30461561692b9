/*
 * api.h: the three calls that this plugin makes of CodeSandbox.
 *
 * With a key: GET /sandbox?tags=… and POST /sandbox of https://api.codesandbox.io, as its OpenAPI document describes
 * them. Without one: POST /api/v1/sandboxes/define of https://codesandbox.io. The key goes to the first address
 * alone, in a header.
 */
#ifndef EXPORT_CODESANDBOX_API_H
#define EXPORT_CODESANDBOX_API_H

#include <exportd/kit/http.h>
#include <stdint.h>

#define API_ID_MAX 64

struct api_options {
    const char *api; /* addresses, with or without a "/" at the end; borrowed */
    const char *web;
    const char *key; /* NULL: there is none */
    struct exportd_http_options http;
};

struct api {
    struct api_options options;
    struct exportd_http_client *client;
    char *authorization;    /* the header with the key, or NULL */
    int64_t retry_after_ms; /* how long CodeSandbox asked to wait with its last refusal; -1: it did not */
};

/* Opens api, which is zeroed. Returns 0, or -1 with error filled: "key_invalid", "option_invalid" (the key would go
 * out in the clear). */
int api_open(struct api *api, const struct api_options *options, struct exportd_kit_error *error);

void api_close(struct api *api);

/* Looks for a sandbox that has the tag. Returns 1 with its id; 0: there is none; -1 with error filled. */
int api_find(struct api *api, const char *tag, char id[API_ID_MAX + 1], struct exportd_kit_error *error);

/* Makes a sandbox in the key's workspace. Returns 0 with its id, or -1 with error filled. */
int api_create(struct api *api, const char *body, char id[API_ID_MAX + 1], struct exportd_kit_error *error);

/* Makes a sandbox that belongs to nobody. Returns 0 with its id, or -1 with error filled. */
int api_define(struct api *api, const char *body, char id[API_ID_MAX + 1], struct exportd_kit_error *error);

#endif
