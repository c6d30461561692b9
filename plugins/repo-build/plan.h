/*
 * plan.h: how a repository builds, found out from its files.
 *
 * In this order: a package.json with the script (by its lock file npm, pnpm or yarn), CMakeLists.txt, configure, a
 * makefile. The request may name one, or, where conf.d allows it, a command of its own.
 */
#ifndef REPO_BUILD_PLAN_H
#define REPO_BUILD_PLAN_H

#include <exportd/kit/checkout.h>
#include <stdbool.h>

#define PLAN_STEPS_MAX 4
#define PLAN_ARGUMENTS_MAX 8

enum plan_system { PLAN_NONE, PLAN_NPM, PLAN_PNPM, PLAN_YARN, PLAN_CMAKE, PLAN_MAKE, PLAN_COMMAND };

struct plan_step {
    char *arguments[PLAN_ARGUMENTS_MAX + 1]; /* the program's name first; ended by NULL */
    bool needs_network;                      /* unless all that it wants is there */
    bool optional;                           /* its failure is a note */
};

struct plan {
    enum plan_system system;
    struct plan_step steps[PLAN_STEPS_MAX];
    size_t step_count;
    char *build_folder;   /* absolute: where cmake builds; else NULL */
    char *install_folder; /* absolute: where the last step installs; else NULL */
};

struct plan_wish {
    const char *system;  /* by its name, or NULL: find out */
    const char *script;  /* of package.json */
    const char *command; /* for the shell, or NULL */
    bool install;        /* the dependencies that package.json names, where they aren't there */
    bool has_modules;    /* its node_modules lie in the repository */
    int jobs;            /* at once */
    const char *workspace;
};

/* The name of a system, as in the request. */
const char *plan_system_name(enum plan_system system);

/* Returns 0, or -1 with error filled: "build_unknown" (with what was looked for), "package_invalid",
 * "option_invalid", "out_of_memory". Clear it with plan_clear() in either case. */
int plan_make(const struct exportd_checkout *checkout, const struct plan_wish *wish, struct plan *plan,
              struct exportd_kit_error *error);
void plan_clear(struct plan *plan);

/* A step as one writes it in a shell, cut where out is too small. Returns out. */
const char *plan_text(const struct plan_step *step, char *out, size_t size);

#endif
