/*
 * forge.h: what the forges beside GitHub share: calls of a JSON API, and the sentences for their refusals.
 */
#ifndef EXPORT_PR_FORGE_H
#define EXPORT_PR_FORGE_H

#include "pull.h"

/* One call. path: below the API's address. body: sent as JSON, or NULL; taken. Returns the status, with *answer a new
 * reference (or NULL where the answer is no JSON); or -1 with error filled where the service can't be reached, limits
 * the rate (exportd_retry_after() was called), or fails itself (5xx). */
int forge_call(const struct pull *pull, const struct remote *remote, const char *method, const char *path,
               json_t *body, json_t **answer, struct exportd_kit_error *error);

/* The sentence for a status that wasn't hoped for. doing: "open the merge request". answer: borrowed. Returns -1. */
int forge_refused(const struct remote *remote, int status, const json_t *answer, const char *doing,
                  struct exportd_kit_error *error);

/* Adds a sentence to the outcome's note. */
void forge_note(struct pull_outcome *outcome, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The branch belongs to somebody else. Returns -1. */
int forge_branch_taken(const struct pull *pull, struct exportd_kit_error *error);

/* Opens the merge or pull request for outcome->branch, which is there, or finds it. */
int gitlab_open(const struct pull *pull, const struct remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error);
int gitea_open(const struct pull *pull, const struct remote *remote, struct pull_outcome *outcome,
               struct exportd_kit_error *error);

#endif
