/*
 * survey.h: one walk over a repository's files: languages, the largest files, and all that other modules make of
 * names and beginnings.
 */
#ifndef REPO_ENRICH_SURVEY_H
#define REPO_ENRICH_SURVEY_H

#include "kinds.h"
#include "licence.h"
#include "tools.h"
#include "value.h"

#include <exportd/kit/checkout.h>

#define SURVEY_LARGEST 10
#define SURVEY_LANGUAGES_MAX 400

struct survey_language {
    const char *name;
    uint64_t bytes, files;
};

struct survey_file {
    char *path;
    uint64_t bytes;
};

struct survey {
    struct exportd_job *job;
    const struct exportd_checkout *checkout;
    struct exportd_kit_error *error;
    struct kind_attributes *attributes;
    struct tools tools;
    struct licence_evidence licence;
    struct value_list licences, manifests, workflows; /* paths; manifests: those nearest to the top first */
    struct survey_file readme;
    int readme_rank;
    uint64_t files, bytes, vendored, generated, documentation;
    struct survey_language languages[SURVEY_LANGUAGES_MAX];
    size_t language_count;
    struct survey_file largest[SURVEY_LARGEST]; /* the largest first */
    size_t largest_count;
};

/* Walks. Returns 0, or -1 with error filled: "cancelled", "workspace_failed", "out_of_memory". Clear it in either
 * case. */
int survey_run(struct survey *survey, struct exportd_job *job, const struct exportd_checkout *checkout,
               struct exportd_kit_error *error);
void survey_clear(struct survey *survey);

/* {"count", "bytes", "vendored", "generated", "documentation", "largest": [{"path", "bytes"}]}. */
json_t *survey_files(const struct survey *survey);

/* [{"name", "bytes", "files", "percent"}], the largest first. */
json_t *survey_languages(struct survey *survey);

#endif
