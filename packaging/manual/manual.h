/*
 * manual.h: what make-manual writes. Whatever it says of a setting comes from the host's one table
 * (host/config/settings.c), and of a plugin from its manifest, so that a page can't say another thing than the
 * program.
 */
#ifndef EXPORTD_MANUAL_MANUAL_H
#define EXPORTD_MANUAL_MANUAL_H

#include "plugin/catalog.h"

#include <stdio.h>

/* exportd.conf(5): the template with each line "@SECTION name@" replaced by that section's settings. Returns 0, or -1
 * with a message on standard error: the template can't be read, or passes a section of the table over, or names one
 * that isn't there. */
int manual_settings(const char *template_path, FILE *out);

/* exportd-plugin-NAME(7). */
void manual_plugin(const struct catalog *catalog, const struct plugin *plugin, FILE *out);

/* What conf.d says of a section of the table ("http"; "worker"): each setting with its help above it and its default,
 * commented out. Returns 0, or -1: there is no such section. */
int manual_conf(const char *section, FILE *out);

/* The same for [plugin NAME]: what every plugin has, then its own. */
void manual_conf_plugin(const struct plugin *plugin, FILE *out);

/* How a type of a plugin's own setting (enum exportd_option_type) is called. */
const char *manual_type_name(json_int_t type);

#endif
