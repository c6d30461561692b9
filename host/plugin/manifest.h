/*
 * plugin/manifest.h: from the manifest that a probe told to a plugin and its routes in the catalog.
 */
#ifndef EXPORTD_PLUGIN_MANIFEST_H
#define EXPORTD_PLUGIN_MANIFEST_H

#include "plugin/catalog.h"

/* Checks a manifest (a stranger's words) and adds the plugin and its routes. copy: what its workers are to load, or
 * NULL: path itself. Returns 0; -1 with error set where the
 * plugin must be put aside, and then the catalog is as before. Mistakes in its section of conf.d go to problems, and
 * disable it where they are errors. */
int manifest_add(struct catalog *catalog, const char *path, const char *copy, json_t *manifest,
                 struct config_problems *problems, struct error *error);

void manifest_free_plugin(struct plugin *plugin);
void manifest_free_route(struct route *route);

#endif
