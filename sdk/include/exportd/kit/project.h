/*
 * exportd/kit/project.h: a repro as a Node project that somebody can run.
 *
 * One builder for every export that hands out a project: all files of the repro, the test at test.path, package.json
 * with @playwright/test pinned to the one exact version that reproduced the bug, a Playwright config, README.md. What
 * the repro brings is kept: its package.json (byte for byte where nothing had to change), its config, its lock file.
 * Files of the repro whose names the export needs for its own are put aside in the folder EXPORTD_PROJECT_KEPT.
 *
 * Use: exportd_project_new(), exportd_project_readme() and files of the export's own by exportd_bundle_add_own(),
 * then exportd_bundle_finish(), then read project->bundle.
 */
#ifndef EXPORTD_KIT_PROJECT_H
#define EXPORTD_KIT_PROJECT_H

#include <exportd/kit/bundle.h>
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXPORTD_PROJECT_KEPT "exportd-kept"
#define EXPORTD_PROJECT_SCREENSHOTS "screenshots"

struct exportd_project_options {
    const char *playwright_version; /* stands in for the repro's; NULL or "": the repro's */
    const char *const
        *reserved;      /* paths of files that the export makes besides README.md, ended by NULL; may be NULL */
    int screenshots;    /* put the screenshots in a folder */
    size_t max_files;   /* 0: the bundle's default */
    uint64_t max_bytes; /* 0: the bundle's default */
    /* Called now and then with the files taken and all files; nonzero stops. May be NULL. */
    int (*step)(void *context, size_t done, size_t all);
    void *context;
};

struct exportd_project {
    struct exportd_bundle *bundle;
    char name[64];               /* "repro-" and the bug's id, [a-z0-9-]: for folders, files, packages, images */
    char playwright_version[64]; /* exact, such as "1.65.1" */
    char playwright_from[64];    /* where that stood, for people */
    char test_path[EXPORTD_BUNDLE_PATH_MAX + 1];
    char config_path[64];    /* of the Playwright config */
    int config_made;         /* the repro had none */
    int npm_ci;              /* there is a lock file that fits package.json */
    int install_needs_files; /* npm install needs more of the project than package.json and the lock file */
    size_t kept;             /* files put aside in EXPORTD_PROJECT_KEPT */
    size_t screenshots;
};

/* Builds the project. Returns it (free it with exportd_project_free()), or NULL with error filled: "repro_invalid",
 * "repro_unsafe", "repro_too_large", "playwright_version_unknown", "unsupported_framework", "cancelled",
 * "out_of_memory". */
struct exportd_project *exportd_project_new(const json_t *repro, const struct exportd_project_options *options,
                                            struct exportd_kit_error *error);

/* Frees the project and its bundle. NULL is fine. Returns NULL. */
struct exportd_project *exportd_project_free(struct exportd_project *project);

/* Adds README.md: title, how to run (Markdown, the export's own), steps, what was seen, environment, link. Returns 0,
 * or -1 with error filled. */
int exportd_project_readme(struct exportd_project *project, const json_t *repro, const char *how_to_run,
                           struct exportd_kit_error *error);

/* A name for files made of a repro: prefix and the bug's id, else the repro's id, in [a-z0-9-]. */
void exportd_project_name(const json_t *repro, const char *prefix, char *out, size_t out_size);

/* The repro's title as one line for people: without terminal escapes and line ends, at most max_bytes. A new string
 * (free it), or NULL when out of memory. */
char *exportd_project_title(const json_t *repro, size_t max_bytes);

/* Nonzero for an exact semantic version, "1.2.3" or "1.2.3-beta.1", without build metadata, of at most 48 bytes. */
int exportd_project_is_exact_version(const char *version);

/* Which image a project runs in. Strings are borrowed; NULL: not given. */
struct exportd_project_image {
    const char *plugin;   /* whose section in conf.d says registry, for messages */
    const char *registry; /* where Playwright's image lies, such as "mcr.microsoft.com" */
    const char *image;    /* the whole reference, instead of registry and distro */
    const char *distro;   /* of Playwright's image; else by the version */
};

/* Writes the reference of the image to out: the one that is given, where it fits the Playwright version, else
 * Playwright's own of that version. Returns 0, or -1 with error filled ("option_invalid"). */
int exportd_project_image_choose(const char *version, const struct exportd_project_image *wanted, char *out,
                                 size_t out_size, struct exportd_kit_error *error);

/* The test's path as `playwright test` takes it, which is a regular expression. A new string (free it), or NULL when
 * out of memory. */
char *exportd_project_test_pattern(const char *path);

/* Text as one word of a POSIX shell: as it is where nothing in it means anything there, else in single quotes. A new
 * string (free it), or NULL when out of memory. */
char *exportd_project_shell_word(const char *text);

/* Nonzero for text: well-formed UTF-8 without a NUL. */
int exportd_project_is_text(const char *content, size_t size_bytes);

#ifdef __cplusplus
}
#endif
#endif
