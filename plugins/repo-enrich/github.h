/*
 * github.h: what GitHub's API knows of a repository that lies there.
 */
#ifndef REPO_ENRICH_GITHUB_H
#define REPO_ENRICH_GITHUB_H

#include <exportd/kit/checkout.h>

/* The "github" of the document: stars, forks, topics and so on. JSON's null where conf.d doesn't let it be asked,
 * where the repository lies elsewhere, and, with a sentence added to notes, where GitHub doesn't tell: what is known
 * without it is worth having. NULL with error filled: "cancelled", "out_of_memory". */
json_t *github_ask(struct exportd_job *job, const struct exportd_checkout *checkout, json_t *notes,
                   struct exportd_kit_error *error);

#endif
