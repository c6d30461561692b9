/*
 * forge.h: what the forges beside GitHub share: the sentences for their refusals.
 */
#ifndef EXPORT_PR_FORGE_H
#define EXPORT_PR_FORGE_H

#include "pull.h"

#include <exportd/kit/forge.h>

/* The sentence for a status that wasn't hoped for. doing: "open the merge request". answer: borrowed. Returns -1. */
int forge_refused(const struct exportd_remote *remote, int status, const json_t *answer, const char *doing,
                  struct exportd_kit_error *error);

/* Adds a sentence to the outcome's note. */
void forge_note(struct pull_outcome *outcome, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The branch belongs to somebody else. Returns -1. */
int forge_branch_taken(const struct pull *pull, struct exportd_kit_error *error);

/* Opens the merge or pull request for outcome->branch, which is there, or finds it. */
int gitlab_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error);
int gitea_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
               struct exportd_kit_error *error);

#endif
