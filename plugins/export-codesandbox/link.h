/*
 * link.h: a sandbox that CodeSandbox makes when somebody opens it: a link that holds the whole project, or, where it
 * is too large for one, a page with a form.
 */
#ifndef EXPORT_CODESANDBOX_LINK_H
#define EXPORT_CODESANDBOX_LINK_H

#include <exportd/kit/page.h>
#include <exportd/kit/project.h>
#include <jansson.h>

struct link {
    char *parameters; /* the project, compressed */
    char *query;      /* of the editor's address: which file it opens */
    char *url;        /* NULL: the project is too large for a link */
    char *embed_url;  /* NULL: as above */
    char *action;     /* where the form is posted to */
};

/* Fills link, which is zeroed. json: what the define API takes; web: CodeSandbox' address; max_length: of a link.
 * Returns 0, or -1 with error filled. */
int link_make(struct link *link, const struct exportd_project *project, const char *json, const char *web,
              size_t max_length, struct exportd_kit_error *error);

/* Writes the fields of the form; context: the link. For struct exportd_page. */
void link_fields(FILE *out, void *context);

void link_clear(struct link *link);

#endif
