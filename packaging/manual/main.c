/*
 * make-manual: writes the pages of the manual, and the comments of conf.d, to standard output. A program of the
 * build; it isn't installed.
 *
 *   make-manual settings TEMPLATE   exportd.conf(5)
 *   make-manual plugin FILE.so      exportd-plugin-NAME(7)
 *   make-manual conf SECTION        what conf.d says of a section, or, for a FILE.so, of [plugin NAME]
 */
#include "config/config.h"
#include "manual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is there when the pages are made says nothing in them. */
static int forget_environment(void)
{
    static const char *const kept[] = {"PATH",         "TMPDIR",        "LD_LIBRARY_PATH",
                                       "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    enum { KEPT = sizeof kept / sizeof kept[0] };
    char *values[KEPT] = {NULL};
    for (size_t i = 0; i < KEPT; i++) {
        const char *value = getenv(kept[i]);
        values[i] = value ? strdup(value) : NULL;
    }
    int failed = clearenv();
    for (size_t i = 0; i < KEPT; i++) {
        if (values[i] && setenv(kept[i], values[i], 1) != 0)
            failed = -1;
        free(values[i]);
    }
    return failed;
}

static int of_plugin(const char *file, bool conf)
{
    struct config_problems problems = {0};
    struct error error = {0};
    struct config *config = NULL;
    struct catalog *catalog = NULL;
    int failed = -1;
    if (forget_environment() == 0 && config_load(NULL, &config, &problems) == 0) {
        config->host.sandbox = CONFIG_SANDBOX_OFF; /* of this project's own plugins; a build machine may have none */
        catalog = catalog_load(config, file, &problems, &error);
    }
    if (catalog && catalog->plugin_count == 1) {
        failed = 0;
        if (conf)
            manual_conf_plugin(catalog->plugins[0], stdout);
        else
            manual_plugin(catalog, catalog->plugins[0], stdout);
    } else {
        const char *why = catalog && catalog->failure_count > 0 ? catalog->failures[0].error.message : error.message;
        fprintf(stderr, "make-manual: %s: %s\n", file, *why ? why : "can't be loaded");
    }
    catalog_free(catalog);
    config_free(config);
    config_problems_clear(&problems);
    return failed;
}

int main(int count, char **arguments)
{
    const char *mode = count == 3 ? arguments[1] : "";
    int failed = -1;
    if (strcmp(mode, "settings") == 0) {
        failed = manual_settings(arguments[2], stdout);
    } else if (strcmp(mode, "plugin") == 0) {
        failed = of_plugin(arguments[2], false);
    } else if (strcmp(mode, "conf") == 0 && strchr(arguments[2], '/')) {
        failed = of_plugin(arguments[2], true);
    } else if (strcmp(mode, "conf") == 0) {
        failed = manual_conf(arguments[2], stdout);
        if (failed)
            fprintf(stderr, "make-manual: the table of settings has no section \"%s\"\n", arguments[2]);
    } else {
        fprintf(stderr, "usage: make-manual settings TEMPLATE | plugin FILE.so | conf SECTION-or-FILE.so\n");
        return 2;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("make-manual: standard output");
        failed = -1;
    }
    return failed ? 1 : 0;
}
