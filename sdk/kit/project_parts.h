/*
 * project_parts.h: the parts of the project builder, inside the kit.
 */
#ifndef EXPORTD_KIT_PROJECT_PARTS_H
#define EXPORTD_KIT_PROJECT_PARTS_H

#include <exportd/kit/project.h>

#define PROJECT_TEST_PACKAGE "@playwright/test"

/* Fills error; returns -1. */
int project_refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int project_out_of_memory(struct exportd_kit_error *error);

/* Reads the repro's package.json (text may be NULL: a new one is made), finds the Playwright version, pins and
 * merges, and adds package.json to the bundle. lock: the text of its lock file, or NULL. Returns 0, or -1. */
int project_package(struct exportd_project *project, const json_t *repro, const char *text, const char *lock,
                    const char *version_option, struct exportd_kit_error *error);

/* Finds the repro's Playwright config, or adds one. Returns 0, or -1. */
int project_config(struct exportd_project *project, const json_t *repro, int is_module,
                   struct exportd_kit_error *error);

/* Sets project->playwright_version and _from. package: the parsed package.json, or NULL. Returns 0, or -1. */
int project_version(struct exportd_project *project, const json_t *repro, const json_t *package, const char *lock,
                    const char *version_option, struct exportd_kit_error *error);

#endif
