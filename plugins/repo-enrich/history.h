/*
 * history.h: who wrote a repository and when, from its commits.
 *
 * Nothing is fetched. The commits are read from the history that lies beside the files (repo/.git), else from the
 * mirror that acquire-user-repo left in the shared cache: the mirror of the repository's own address, from the commit
 * that was acquired, so that nothing is shown but what that step was allowed to fetch.
 */
#ifndef REPO_ENRICH_HISTORY_H
#define REPO_ENRICH_HISTORY_H

#include <exportd/kit/checkout.h>
#include <stdbool.h>

struct history_options {
    struct exportd_job *job;
    size_t max_commits, max_contributors;
    int64_t time_ms; /* for reading commits */
    int64_t wait_ms; /* for a mirror that another job has */
    bool emails;     /* show them */
};

/* Returns the "history" of the document; JSON's null, with a sentence added to notes, where there is none to read;
 * NULL with error filled: "cancelled", "out_of_memory". */
json_t *history_read(const struct exportd_checkout *checkout, const struct history_options *options, json_t *notes,
                     struct exportd_kit_error *error);

#endif
