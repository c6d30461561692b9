/*
 * tools.h: what a repository is built, tested, checked and packed with, as far as files' names and beginnings tell:
 * test frameworks, package managers, build tools, CI, containers.
 */
#ifndef REPO_ENRICH_TOOLS_H
#define REPO_ENRICH_TOOLS_H

#include <jansson.h>
#include <stddef.h>

/* Arrays of objects, new references: {"name", "from"} of the first three, {"name", "files"} of the others. */
struct tools {
    json_t *test_frameworks, *package_managers, *build_tools, *ci, *containers;
};

/* Makes them, empty. Returns 0, or -1 when out of memory. */
int tools_init(struct tools *tools);
void tools_clear(struct tools *tools);

/* Takes what a file's path tells. */
void tools_see_path(struct tools *tools, const char *path, const char *name);

/* Takes what a source file's beginning tells about tests; language as languages.h names it. */
void tools_see_source(struct tools *tools, const char *path, const char *language, const char *content, size_t size);

/* Takes what a dependency tells: a package's name in its ecosystem, declared in file. */
void tools_see_dependency(struct tools *tools, const char *ecosystem, const char *package, const char *file);

/* Gives the GitHub workflow in path its name: the text of the file is read for it. */
void tools_name_workflow(struct tools *tools, const char *path, const char *text);

#endif
