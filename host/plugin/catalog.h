/*
 * plugin/catalog.h: which plugins there are, and which routes they offer.
 *
 * Each *.so in the plugins' folder is probed in a worker process of its own: it tells its manifest and ends. One that
 * can't be loaded, crashes, or clashes with another is put aside with its error, and never stops the others. After
 * the scan the catalog is read-only.
 */
#ifndef EXPORTD_PLUGIN_CATALOG_H
#define EXPORTD_PLUGIN_CATALOG_H

#include "base/error.h"
#include "config/config.h"
#include "worker/process.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct plugin {
    char *name;
    char *path;
    char *copy; /* what its workers load instead; NULL: the file itself */
    json_t *manifest;
    const struct config_worker *settings; /* of its section in conf.d, or [worker] */
    struct worker_spec spec;              /* for its workers; work_folder is set by whoever starts them */
    char *cache_folder;                   /* or NULL */
    json_t *option_values;                /* {name: text}, as plugin.h says; never NULL */
    bool enabled;
};

struct route {
    char *name; /* "report/pdf" */
    char *task;
    char *option; /* or NULL */
    char *value;  /* or NULL */
    char *summary;
    json_t *schema; /* never NULL */
    bool needs_repro;
    struct plugin *plugin;      /* of a pipeline: of its first step */
    const struct route **steps; /* of a pipeline; NULL: it is none */
    size_t step_count;
    const json_t *given; /* of a pipeline: what a request gets where it says nothing; borrowed, or NULL */
    bool implied;        /* a pipeline that no one wrote: the last step's plugin wants the others first (.after) */
    char *after;         /* of a plugin's route: the one that has to come first; or NULL */
    bool forward;        /* to the host of [upstream], if it can be reached */
};

struct catalog_failure {
    char *path;
    struct error error;
};

struct catalog {
    char *worker_program;
    struct plugin **plugins;
    size_t plugin_count;
    struct route **routes; /* by name */
    size_t route_count;
    struct route **inner; /* those that stand behind an implied pipeline of their name */
    size_t inner_count;
    struct catalog_failure *failures;
    size_t failure_count;
    struct plugin *upstream; /* stands for another host, see forward.h; or NULL */
    struct config_worker upstream_settings;
    const struct config *config; /* borrowed */
    int landlock_abi;
    bool seccomp;
    bool sandbox_known; /* a probe has told */
};

/*
 * Probes config->host.plugins (only_file: that one file alone instead) and holds every plugin's section against its
 * manifest: mistakes go to problems. Blocking: runs a loop of its own. Returns a catalog, perhaps an empty one; NULL
 * with error set where there is no worker program or the folder can't be read.
 */
struct catalog *catalog_load(const struct config *config, const char *only_file, struct config_problems *problems,
                             struct error *error);

/*
 * The same for a host that goes on while files are exchanged below it: each file is copied to folder first (which
 * exists, is empty and belongs to the catalog's owner), probed there, and loaded from there by workers, so that what
 * was probed is what runs. Where folder lies on a file system that nothing may be mapped from as code (noexec), the
 * files themselves are used. previous (or NULL): where a file that it knows can't be used now, the plugin from before
 * goes on from its copy, and the failure says so. previous is only read, and nothing of it is kept. Any thread.
 */
struct catalog *catalog_load_copies(const struct config *config, const char *folder, const struct catalog *previous,
                                    struct config_problems *problems, struct error *error);

void catalog_free(struct catalog *catalog);

/* The route for a task type and its data (whose option selects, conf.d's default where it has none), or for a name as
 * "report/pdf" (data may be NULL). NULL with error set: route_unknown, with the routes that exist; route_ambiguous.
 */
const struct route *catalog_route(const struct catalog *catalog, const char *task, const json_t *data,
                                  struct error *error);

/* All that the catalog knows, as a new object: {"plugins": [...], "pipelines": [...], "failures": [{"file", "code",
 * "error"}]}. */
json_t *catalog_to_json(const struct catalog *catalog);

/* The plugin that offers a route: of an implied pipeline the last step's. */
const struct plugin *catalog_owner(const struct route *route);

const struct plugin *catalog_plugin(const struct catalog *catalog, const char *name);

/* Returns the path of exportd-worker: beside this program, or where it was installed (base/program.h). New string. */
char *catalog_worker_program(void);

#endif
