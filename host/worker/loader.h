/*
 * worker/loader.h: opens a plugin's shared object and reads its block.
 *
 * libltdl says "file not found" whatever the cause, so each cause is looked for here and named: see the codes below.
 * Only the worker process links this.
 *
 *   plugin_missing             no such file, or not a regular one
 *   plugin_writable            file or folder may be written by others than their owner
 *   plugin_not_shared_object   no ELF shared object
 *   plugin_architecture        made for another machine
 *   plugin_dependency_missing  a library that it needs isn't there (which)
 *   plugin_symbol_undefined    a symbol that nobody defines (which)
 *   plugin_no_block            no exportd_plugin_block, or one that isn't ours
 *   plugin_abi_too_new, plugin_abi_too_old
 *   plugin_invalid             the block's contents can't be right
 */
#ifndef EXPORTD_WORKER_LOADER_H
#define EXPORTD_WORKER_LOADER_H

#include "base/error.h"

#include <exportd/plugin.h>
#include <stddef.h>

struct loader_plugin {
    struct exportd_plugin plugin; /* a copy: what an older plugin doesn't have is zero */
    struct exportd_task *tasks;   /* copies, task_count of them */
    size_t task_count;
    struct exportd_option *options;
    size_t option_count;
    const char *sdk_version;
    unsigned abi_major, abi_minor;
};

/* Checks who may write the file and its folder, without opening it as a library. Returns 0 or -1 with error set. */
int loader_check_file(const char *path, struct error *error);

/* Maps path with all its symbols bound, and fills *plugin. Returns 0, or -1 with one of the codes above. The object
 * stays mapped until the process ends. */
int loader_open(const char *path, struct loader_plugin *plugin, struct error *error);

/* The manifest as a new JSON object: name, version, summary, licence, sdk, abi, tasks[], options[], grants[],
 * secrets[]. */
json_t *loader_manifest(const struct loader_plugin *plugin);

#endif
