/*
 * manifest.h: what a repository's packages say of themselves and need: package.json, pyproject.toml, Cargo.toml,
 * go.mod, pom.xml and others. Read, never run: a setup.py or a build.gradle that computes what it needs keeps that to
 * itself.
 */
#ifndef REPO_ENRICH_MANIFEST_H
#define REPO_ENRICH_MANIFEST_H

#include "tools.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define MANIFEST_BYTES ((size_t)2 << 20) /* of which one is read; a larger one is named with a problem */
#define MANIFEST_TEXT_MAX 200            /* bytes of a name, a version, a requirement */

/* One that is being read. */
struct manifest {
    const char *file; /* its path */
    const char *ecosystem;
    json_t *object; /* {"file", "ecosystem", "name", "version", "licence", "dependencies", "truncated"} and, where
                       there is something, "workspaces" and "problem" */
    json_t *dependencies; /* borrowed from it */
    size_t max_dependencies;
    struct tools *tools; /* told of each dependency; or NULL */
};

/* A part of a text. */
struct manifest_part {
    const char *at;
    size_t length;
};

/* Nonzero for a file that manifest_read() knows. */
bool manifest_is(const char *path, const char *name);

/* Reads one (size bytes, a NUL behind them). A new object as above; json null where it says nothing at all; NULL when
 * out of memory. */
json_t *manifest_read(const char *path, const char *name, const char *text, size_t size, size_t max_dependencies,
                      struct tools *tools);

/* For the readers. requirement may be empty. scope: "runtime", "development", "peer", "optional", "build", "test",
 * "provided" or "indirect". */
void manifest_add(struct manifest *manifest, struct manifest_part name, struct manifest_part requirement,
                  const char *scope);
void manifest_add_string(struct manifest *manifest, const char *name, const char *requirement, const char *scope);
void manifest_set(struct manifest *manifest, const char *key, const char *text); /* of NULL: nothing */
void manifest_problem(struct manifest *manifest, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct manifest_part manifest_part(const char *text);

/* Goes from line to line: sets *line to the next one, without its end and the blanks around it. False at the end. */
bool manifest_next_line(const char **cursor, struct manifest_part *line);

/* One reader each: manifest_json.c, manifest_toml.c, manifest_lines.c, manifest_xml.c. */
void manifest_read_npm(struct manifest *manifest, const char *text, size_t size);
void manifest_read_composer(struct manifest *manifest, const char *text, size_t size);
void manifest_read_cargo(struct manifest *manifest, const char *text, size_t size);
void manifest_read_pyproject(struct manifest *manifest, const char *text, size_t size);
void manifest_read_pipfile(struct manifest *manifest, const char *text, size_t size);
void manifest_read_requirements(struct manifest *manifest, const char *text, size_t size);
void manifest_read_setup_cfg(struct manifest *manifest, const char *text, size_t size);
void manifest_read_go(struct manifest *manifest, const char *text, size_t size);
void manifest_read_gemfile(struct manifest *manifest, const char *text, size_t size);
void manifest_read_gradle(struct manifest *manifest, const char *text, size_t size);
void manifest_read_cmake(struct manifest *manifest, const char *text, size_t size);
void manifest_read_maven(struct manifest *manifest, const char *text, size_t size);
void manifest_read_nuget(struct manifest *manifest, const char *text, size_t size);

/* A requirement as PEP 508 has it, "name[extra] >=1.2; marker". */
void manifest_add_python(struct manifest *manifest, struct manifest_part text, const char *scope);

#endif
