/*
 * readme.h: what a project says of itself on StackBlitz: .stackblitzrc, and how to run it there and elsewhere.
 */
#ifndef EXPORT_STACKBLITZ_README_H
#define EXPORT_STACKBLITZ_README_H

#include <exportd/kit/page.h>
#include <exportd/kit/project.h>
#include <jansson.h>

/* Commands for a shell, made for one project. */
struct ways {
    const char *start; /* what StackBlitz runs; borrowed */
    char *docker;
    char *here;      /* on a machine with Node.js */
    size_t not_text; /* files that StackBlitz can't take */
};

/* Fills ways, which is zeroed. image: Playwright's. Returns 0, or -1 with error filled. */
int ways_prepare(struct ways *ways, const struct exportd_project *project, const json_t *repro, const char *image,
                 const char *start, struct exportd_kit_error *error);

void ways_clear(struct ways *ways);

/* Adds .stackblitzrc and README.md to the project, which is not finished. Returns 0, or -1 with error filled. */
int readme_add(struct exportd_project *project, const json_t *repro, const struct ways *ways,
               struct exportd_kit_error *error);

/* The same words for the page: sections[5], ended by one without a heading. Strings are borrowed from ways. */
void readme_sections(const struct ways *ways, struct exportd_page_section sections[5]);

#endif
