/*
 * body.h: the words of a pull request.
 */
#ifndef EXPORT_PR_BODY_H
#define EXPORT_PR_BODY_H

#include <exportd/kit/bundle.h>
#include <jansson.h>

#define BODY_MAX_BYTES 60000 /* GitHub takes 65,536 characters */

/* Where the test ends up. */
struct body_place {
    const char *test_path;
    const char *folder; /* that it is run from, "" for the repository's top */
    const char *branch;
};

/* Fills the template of that file (NULL or "": the one that is built in) from the repro; texts that are too long for
 * a forge are cut. Returns Markdown (free it), or NULL with error filled. */
char *body_make(const char *template_file, const json_t *repro, const struct body_place *place,
                struct exportd_kit_error *error);

/* Fills a template of one line: a path or a branch's name (values by escape_name()), or a title (escape_title()).
 * key: conf.d's, for messages. */
char *body_name(const char *template_, const char *key, const json_t *values, struct exportd_kit_error *error);
char *body_title(const char *template_, const char *key, const json_t *values, struct exportd_kit_error *error);

#endif
