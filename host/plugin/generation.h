/*
 * plugin/generation.h: one configuration and the plugins that were found by it, as one thing that whoever works with
 * it holds.
 *
 * Each reload makes a new generation. Jobs that run, and the workers they run in, hold the one that they began with;
 * when the last of them is over it goes, with its copies of the plugins. Loop thread only.
 */
#ifndef EXPORTD_PLUGIN_GENERATION_H
#define EXPORTD_PLUGIN_GENERATION_H

#include "config/config.h"
#include "plugin/catalog.h"

struct generation {
    struct config *config;
    struct catalog *catalog;
    char *folder; /* of the plugins' copies; removed with it. NULL: none */
    int references;
};

/* Takes all three; held once, for the caller. */
struct generation *generation_new(struct config *config, struct catalog *catalog, char *folder);

/* Returns generation. */
struct generation *generation_hold(struct generation *generation);

/* NULL is fine. */
void generation_release(struct generation *generation);

#endif
