/*
 * files.h: the files that make a project run in a sandbox with a virtual machine.
 */
#ifndef EXPORT_CODESANDBOX_FILES_H
#define EXPORT_CODESANDBOX_FILES_H

#include <exportd/kit/project.h>
#include <jansson.h>

struct files_options {
    const char *image; /* Playwright's, of the project's version */
    const char *title;
    const char *description; /* or NULL */
    int repeat;              /* how often the test runs */
    size_t left_out;         /* files that CodeSandbox can't take this way */
};

/* Paths of files.h' own, and such as would have CodeSandbox choose another environment; ended by NULL. For struct
 * exportd_project_options. */
extern const char *const files_reserved[];

/* Adds .codesandbox/tasks.json, .codesandbox/template.json, .devcontainer/devcontainer.json and README.md to the
 * project, which is not finished. Returns 0, or -1 with error filled. */
int files_add(struct exportd_project *project, const json_t *repro, const struct files_options *options,
              struct exportd_kit_error *error);

#endif
