/*
 * exportd check: every mistake that serve would find, the servers that the configuration names included.
 */
#include "artifact/s3.h"
#include "base/memory.h"
#include "command/command.h"
#include "nats/door.h"
#include "redis/board.h"
#include "upstream/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_sections(const struct config *config, const struct catalog *catalog,
                           struct config_problems *problems)
{
    for (size_t i = 0; i < config->plugin_count; i++) {
        const struct config_plugin *section = &config->plugins[i];
        if (!section->place || catalog_plugin(catalog, section->name))
            continue;
        config_problems_add(problems, true, section->place,
                            "[plugin %s]: there is no such plugin in %s; install it, or remove the section",
                            section->name, config->host.plugins);
    }
    for (size_t i = 0; i < config->route_count; i++) {
        const struct config_route *route = &config->routes[i];
        struct error error = {0};
        char *name = memory_format("%s/%s", route->task, route->default_value);
        if (!catalog_route(catalog, name, NULL, &error))
            config_problems_add(problems, true, route->place, "[route %s]: no plugin offers %s", route->task, name);
        free(name);
    }
}

/* A line for people about a server that answered, or a problem at the setting that names it. Takes what it says. */
static void note_engine(FILE *out, const struct config *config, const char *section, const char *key, char *says,
                        const struct error *error, struct config_problems *problems)
{
    const char *place = config_place(config, section, key);
    if (error_is_set(error))
        config_problems_add(problems, false, place ? place : section, "%s", error->message);
    else
        fprintf(out, "%s: %s\n", section, says ? says : "it answers");
    free(says);
}

/* Asks the servers that the configuration names. Returns a new text, a line for each that answered. */
static char *check_engines(const struct config *config, struct config_problems *problems)
{
    char *text = NULL, *says = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    struct store_options options = command_store_options(config);
    struct error error = {0};
    store_check(&options, &says, &error);
    note_engine(out, config, "store", "url", says, &error, problems);
    if (config->nats.url[0]) {
        error_clear(&error);
        says = NULL;
        nats_check(config, &says, &error);
        if (says)
            says[strcspn(says, "\n")] = '\0';
        note_engine(out, config, "nats", "url", says, &error, problems);
    }
    if (config->redis.url[0]) {
        error_clear(&error);
        board_check(&config->redis, &error);
        note_engine(out, config, "redis", "url", NULL, &error, problems);
    }
    if (upstream_url(config)[0]) {
        error_clear(&error);
        upstream_check(config, &error);
        if (upstream_warning(config)) {
            const char *place = config_place(config, "upstream", "url");
            config_problems_add(problems, true, place ? place : "upstream", "%s", upstream_warning(config));
        }
        note_engine(out, config, "upstream", "url", memory_format("%s lives", upstream_url(config)), &error,
                    problems);
    }
    if (config->s3.bucket[0]) {
        error_clear(&error);
        s3_check(&config->s3, &error);
        note_engine(out, config, "s3", "bucket", memory_format("the bucket %s is there", config->s3.bucket), &error,
                    problems);
    }
    fclose(out);
    return text;
}

/* The names of granted secrets that may be missing and that are there, or aren't: " A, B", or "" (free it). */
static char *list_secrets(const struct config *config, const struct config_worker *settings, bool there)
{
    char *text = memory_text("");
    char name[256];
    for (size_t i = 0; i < settings->secrets.count; i++) {
        if (!config_granted_secret(settings->secrets.items[i], name, sizeof name) ||
            (config_secret(config, name) != NULL) != there)
            continue;
        char *longer = memory_format("%s%s %s", text, *text ? "," : "", name);
        free(text);
        text = longer;
    }
    return text;
}

/* A line for each plugin that could do more with a secret that isn't set. */
static void print_secrets(const struct config *config, const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->plugin_count; i++) {
        const struct plugin *plugin = catalog->plugins[i];
        char *there = list_secrets(config, plugin->settings, true);
        char *missing = list_secrets(config, plugin->settings, false);
        if (plugin->enabled && *missing)
            printf("%s: not set:%s%s%s\n", plugin->name, missing, *there ? "; set:" : "", there);
        free(there);
        free(missing);
    }
}

int command_check(int count, char **arguments)
{
    static const char usage[] =
        "usage: exportd check [-c DIR] [--json]\n\n"
        "Finds every mistake in the configuration, the environment and the plugins. Exit: 0 none, 1 some.\n";
    struct command_options options;
    struct config_problems problems = {0};
    struct config *config = NULL;
    struct catalog *catalog = NULL;
    struct error error = {0};
    char *engines = NULL;
    int code = command_parse(count, arguments, "cj", usage, &options);
    if (code < 0)
        code = command_no_operand(&options, count, arguments, usage);
    if (code >= 0)
        return code;
    if (command_read_config(options.conf_folder, &config, &problems) == 0)
        catalog = catalog_load(config, NULL, &problems, &error);
    if (catalog)
        check_sections(config, catalog, &problems);
    for (size_t i = 0; catalog && i < catalog->failure_count; i++)
        config_problems_add(&problems, false, catalog->failures[i].path, "%s", catalog->failures[i].error.message);
    if (error_is_set(&error))
        config_problems_add(&problems, false, "plugins", "%s", error.message);
    if (catalog && catalog->sandbox_known && (catalog->landlock_abi == 0 || !catalog->seccomp))
        config_problems_add(&problems, config->host.sandbox != CONFIG_SANDBOX_REQUIRED, "sandbox",
                            "this kernel has no %s%s", catalog->landlock_abi == 0 ? "Landlock" : "seccomp filters",
                            config->host.sandbox == CONFIG_SANDBOX_REQUIRED ? ", and [host] sandbox is required"
                                                                            : "");
    if (config)
        engines = check_engines(config, &problems);
    if (options.json) {
        json_t *list = json_array();
        for (size_t i = 0; i < problems.count; i++)
            json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "level",
                                                  problems.items[i].warning ? "warning" : "error", "place",
                                                  problems.items[i].place, "message", problems.items[i].message));
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(list);
    } else {
        command_print_problems(&problems, true);
        if (problems.errors == 0 && catalog) {
            fputs(engines ? engines : "", stdout);
            print_secrets(config, catalog);
            printf("ok: %zu plugins, %zu routes; sandbox: Landlock %s, seccomp %s\n", catalog->plugin_count,
                   catalog->route_count, catalog->landlock_abi ? "yes" : "no", catalog->seccomp ? "yes" : "no");
        }
    }
    free(engines);
    code = problems.errors > 0 ? EXIT_JOB_FAILED : 0;
    config_problems_clear(&problems);
    catalog_free(catalog);
    config_free(config);
    return code;
}
