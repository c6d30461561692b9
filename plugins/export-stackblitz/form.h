/*
 * form.h: a project as the form that StackBlitz takes a new project by.
 *
 * Names, order and escapes are those of StackBlitz' own SDK (npm @stackblitz/sdk): project[title],
 * project[description], project[template], and project[files][PATH] for each file, in whose PATH "[" and "]" become
 * %5B and %5D.
 */
#ifndef EXPORT_STACKBLITZ_FORM_H
#define EXPORT_STACKBLITZ_FORM_H

#include <exportd/kit/project.h>
#include <jansson.h>
#include <stdio.h>

struct form {
    const struct exportd_project *project; /* finished */
    char *title;
    char *description; /* or NULL */
    char *action;      /* the address with its query */
    size_t files;      /* that are sent */
    uint64_t bytes;    /* of their contents */
    json_t *left_out;  /* [{"path", "reason"}] */
};

/* Fills form, which is zeroed, for a finished project. web: StackBlitz' address. Returns 0, or -1 with error filled.
 */
int form_prepare(struct form *form, const struct exportd_project *project, const json_t *repro, const char *web,
                 struct exportd_kit_error *error);

/* Writes the hidden fields; context: the form. For struct exportd_page. */
void form_fields(FILE *out, void *context);

void form_clear(struct form *form);

#endif
