/*
 * exportd/kit/forge.h: calls of the JSON API of GitHub, GitLab and Gitea. Link libexportd-kit-http beside the kit.
 */
#ifndef EXPORTD_KIT_FORGE_H
#define EXPORTD_KIT_FORGE_H

#include <exportd/kit/http.h>
#include <exportd/kit/remote.h>

#ifdef __cplusplus
extern "C" {
#endif

/* "GitHub", as one says it in a sentence. */
const char *exportd_forge_name(const struct exportd_remote *remote);

/* What it says itself in an answer that isn't what was hoped for, in quotes, or "": out is filled and returned. */
const char *exportd_forge_words(const json_t *answer, char *out, size_t size);

/* One call with the remote's token. path: below the API's address. body: sent as JSON, or NULL; taken. Returns the
 * status, with *answer a new reference (or NULL where the answer is no JSON); or -1 with error filled where the
 * service can't be reached, limits the rate (exportd_retry_after() was called), or fails itself (5xx). */
int exportd_forge_call(struct exportd_job *job, struct exportd_http_client *client,
                       const struct exportd_remote *remote, const char *method, const char *path, json_t *body,
                       json_t **answer, struct exportd_kit_error *error);

#ifdef __cplusplus
}
#endif
#endif
