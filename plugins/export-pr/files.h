/*
 * files.h: the files of a pull request, at paths that are safe in a repository.
 */
#ifndef EXPORT_PR_FILES_H
#define EXPORT_PR_FILES_H

#include "pull.h"

/* Where they go. */
struct files_place {
    char *folder; /* before every path of the repro's own, "" for the repository's top */
    char *path;   /* of the test */
};

/* Finds it by the request's path, conf.d's templates and the repro's test.path. Returns 0, or -1 with error filled.
 */
int files_place_find(struct files_place *place, struct exportd_job *job, const json_t *data, const json_t *values,
                     struct exportd_kit_error *error);
void files_place_clear(struct files_place *place);

/* Fills pull->bundle and pull->test_path: the test, and with the option files the repro's files. Returns 0, or -1
 * with error filled. */
int files_collect(struct pull *pull, const struct files_place *place, const json_t *data, const json_t *repro,
                  struct exportd_kit_error *error);

#endif
