/*
 * context.h: the files that make a project a Docker build context.
 */
#ifndef EXPORT_DOCKER_CONTEXT_H
#define EXPORT_DOCKER_CONTEXT_H

#include <exportd/kit/project.h>
#include <jansson.h>

/* What a request and conf.d ask for. Strings are borrowed; NULL: not given. */
struct context_options {
    const char *registry;     /* where Playwright's image lies, such as "mcr.microsoft.com" */
    const char *npm_registry; /* for npm install in the image */
    const char *image;        /* the whole reference, instead of registry and distro */
    const char *distro;       /* of Playwright's image */
    const json_t *command;    /* argument list that runs instead of the test */
    int repeat;               /* how often the test runs */
    int offline;              /* no network while the test runs */
};

struct context {
    char image[320];
    const char *results; /* the folder beside docker-compose.yml that results go to */
};

/* Paths that a context's own files need, and such as would change what docker, compose or buildah do with the context
 * (.env, other compose files, Containerfile …); ended by NULL. For struct exportd_project_options. */
extern const char *const context_reserved[];

/* Checks the options and chooses the image for project's Playwright version. Returns 0, or -1 with error filled. */
int context_prepare(struct context *context, const struct exportd_project *project,
                    const struct context_options *options, struct exportd_kit_error *error);

/* Adds Dockerfile, docker-compose.yml, .dockerignore, the folder for results and README.md to the project's bundle.
 * Returns 0, or -1 with error filled. */
int context_add(const struct context *context, struct exportd_project *project, const json_t *repro,
                const struct context_options *options, struct exportd_kit_error *error);

#endif
