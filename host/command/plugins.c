/*
 * exportd plugins, inspect, check.
 */
#include "artifact/s3.h"
#include "base/memory.h"
#include "command/command.h"
#include "nats/door.h"
#include "redis/board.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static char *routes_text(const struct catalog *catalog, const struct plugin *plugin)
{
    char *text = memory_text("");
    for (size_t i = 0; i < catalog->route_count; i++) {
        if (catalog->routes[i]->plugin != plugin)
            continue;
        char *longer = memory_format("%s%s%s", text, *text ? ", " : "", catalog->routes[i]->name);
        free(text);
        text = longer;
    }
    return text;
}

static struct catalog *load(const struct command_options *options, struct config **config, const char *only_file,
                            struct config_problems *problems)
{
    struct error error = {0};
    *config = command_load_config(options->conf_folder, true);
    struct catalog *catalog = *config ? catalog_load(*config, only_file, problems, &error) : NULL;
    if (*config && !catalog) {
        command_print_error(&error);
        config_free(*config);
    }
    return catalog;
}

static void print_failures(const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->failure_count; i++)
        fprintf(stderr, "exportd: %s\n", catalog->failures[i].error.message);
}

int command_plugins(int count, char **arguments)
{
    static const char usage[] = "usage: exportd plugins [-c DIR] [--json]\n\nLists the plugins, their routes, and "
                                "those that can't be used.\n";
    struct command_options options;
    struct config_problems problems = {0};
    struct config *config;
    int code = command_parse(count, arguments, "cj", usage, &options);
    if (code < 0)
        code = command_no_operand(&options, count, arguments, usage);
    if (code >= 0)
        return code;
    struct catalog *catalog = load(&options, &config, NULL, &problems);
    if (!catalog)
        return EXIT_WRONG_USE;
    if (options.json) {
        json_t *all = catalog_to_json(catalog);
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(all);
    } else {
        static const char *const heads[] = {"PLUGIN", "VERSION", "ROUTES", "ENABLED", "SUMMARY"};
        struct table *table = table_new(heads, 5);
        for (size_t i = 0; i < catalog->plugin_count; i++) {
            const struct plugin *plugin = catalog->plugins[i];
            char *routes = routes_text(catalog, plugin);
            const char *cells[] = {plugin->name, text_of(plugin->manifest, "version"), routes,
                                   plugin->enabled ? "yes" : "no", text_of(plugin->manifest, "summary")};
            table_add(table, cells);
            free(routes);
        }
        table_print(table, stdout);
        table_free(table);
        print_failures(catalog);
    }
    code = catalog->failure_count > 0 ? EXIT_JOB_FAILED : 0;
    config_problems_clear(&problems);
    catalog_free(catalog);
    config_free(config);
    return code;
}

static void print_schema_option(const char *name, const json_t *schema, int indent)
{
    const json_t *choices = json_object_get(schema, "enum");
    const json_t *fallback = json_object_get(schema, "default");
    char *choices_text = choices ? json_dumps(choices, JSON_COMPACT) : NULL;
    char *default_text = fallback ? json_dumps(fallback, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    printf("%*s%-20s %s%s%s%s%s\n", indent, "", name, text_of(schema, "type"), choices_text ? " " : "",
           choices_text ? choices_text : "", default_text ? ", default " : "", default_text ? default_text : "");
    if (text_of(schema, "description")[0])
        printf("%*s%-20s %s\n", indent, "", "", text_of(schema, "description"));
    free(choices_text);
    free(default_text);
}

static void print_routes(const struct catalog *catalog, const struct plugin *plugin)
{
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        if (route->plugin != plugin)
            continue;
        printf("\nroute %s\n    %s\n", route->name, route->summary);
        if (route->option)
            printf("    taken where \"task\" is \"%s\" and \"%s\" is \"%s\"\n", route->task, route->option,
                   route->value);
        if (route->needs_repro)
            printf("    needs a repro\n");
        const char *name;
        json_t *schema;
        json_t *properties = json_object_get(route->schema, "properties");
        bool first = true;
        json_object_foreach(properties, name, schema)
        {
            if (route->option && strcmp(name, route->option) == 0)
                continue;
            if (first)
                printf("    options:\n");
            first = false;
            print_schema_option(name, schema, 8);
        }
    }
}

static void print_settings(const struct plugin *plugin)
{
    static const char *const types[] = {"text", "integer", "yes/no", "duration", "size", "path"};
    const json_t *options = json_object_get(plugin->manifest, "options");
    size_t index;
    json_t *option;
    if (json_array_size(options) > 0)
        printf("\nkeys of [plugin %s] in conf.d, beside those of every plugin:\n", plugin->name);
    json_array_foreach(options, index, option)
    {
        json_int_t type = json_integer_value(json_object_get(option, "type"));
        printf("        %-20s %s%s%s%s\n", text_of(option, "name"), type >= 0 && type < 6 ? types[type] : "text",
               text_of(option, "default")[0] ? ", default " : "", text_of(option, "default"),
               json_is_true(json_object_get(option, "required")) ? ", required" : "");
        printf("        %-20s %s\n", "", text_of(option, "help"));
    }
}

static void print_list(const char *label, const json_t *array)
{
    printf("%-10s", label);
    for (size_t i = 0; i < json_array_size(array); i++)
        printf("%s%s", i ? ", " : "", json_string_value(json_array_get(array, i)));
    printf("%s\n", json_array_size(array) ? "" : "none");
}

static void print_secrets(const struct config *config, const struct config_worker *settings)
{
    char name[256];
    for (size_t i = 0; i < settings->secrets.count; i++) {
        config_granted_secret(settings->secrets.items[i], name, sizeof name);
        printf("%-10s%s %s\n", i == 0 ? "gets" : "", name, config_secret(config, name) ? "" : "(not set)");
    }
}

static void print_plugin(const struct catalog *catalog, const struct plugin *plugin)
{
    const struct config_worker *settings = plugin->settings;
    printf("%s %s\n%s\n\n", plugin->name, text_of(plugin->manifest, "version"), text_of(plugin->manifest, "summary"));
    printf("%-10s%s\n%-10s%s\n%-10s%s\n", "file", plugin->path, "licence", text_of(plugin->manifest, "licence"),
           "SDK", text_of(plugin->manifest, "sdk"));
    print_list("asks for", json_object_get(plugin->manifest, "grants"));
    print_list("secrets", json_object_get(plugin->manifest, "secrets"));
    print_secrets(catalog->config, settings);
    printf("%-10snetwork %s, exec %s, cache %s, memory %lld MB, timeout %g s, workers %d%s\n", "granted",
           settings->network ? "yes" : "no", settings->exec ? "yes" : "no",
           settings->cache[0] ? settings->cache : "no", (long long)(settings->memory_bytes >> 20),
           (double)settings->timeout_ms / 1000, (int)settings->workers, plugin->enabled ? "" : ", DISABLED");
    print_routes(catalog, plugin);
    print_settings(plugin);
}

int command_inspect(int count, char **arguments)
{
    static const char usage[] = "usage: exportd inspect [-c DIR] [--json] NAME-or-FILE\n\n"
                                "Shows a plugin, by its name or its .so file: version, routes, options, grants.\n";
    struct command_options options;
    struct config_problems problems = {0};
    struct config *config;
    int code = command_parse(count, arguments, "cj", usage, &options);
    if (code >= 0)
        return code;
    if (options.first_operand + 1 != count) {
        fprintf(stderr, "exportd inspect: name one plugin\n%s", usage);
        return EXIT_WRONG_USE;
    }
    const char *name = arguments[options.first_operand];
    bool is_file = strchr(name, '/') || strstr(name, ".so");
    struct catalog *catalog = load(&options, &config, is_file ? name : NULL, &problems);
    if (!catalog)
        return EXIT_WRONG_USE;
    const struct plugin *plugin =
        is_file ? (catalog->plugin_count ? catalog->plugins[0] : NULL) : catalog_plugin(catalog, name);
    code = 0;
    if (plugin && options.json) {
        json_t *all = catalog_to_json(catalog);
        size_t index;
        json_t *object;
        json_array_foreach(json_object_get(all, "plugins"), index, object)
        {
            if (strcmp(text_of(object, "name"), plugin->name) == 0)
                json_dumpf(object, stdout, JSON_INDENT(2));
        }
        putchar('\n');
        json_decref(all);
    } else if (plugin) {
        print_plugin(catalog, plugin);
    } else {
        if (is_file)
            print_failures(catalog);
        else
            fprintf(stderr, "exportd: there is no plugin \"%s\" in %s; exportd plugins lists them\n", name,
                    config->host.plugins);
        code = EXIT_JOB_FAILED;
    }
    config_problems_clear(&problems);
    catalog_free(catalog);
    config_free(config);
    return code;
}

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
    if (config->s3.bucket[0]) {
        error_clear(&error);
        s3_check(&config->s3, &error);
        note_engine(out, config, "s3", "bucket", memory_format("the bucket %s is there", config->s3.bucket), &error,
                    problems);
    }
    fclose(out);
    return text;
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
    const char *folder = options.conf_folder;
    if (!folder && access(EXPORTD_CONF_DIR, F_OK) == 0)
        folder = EXPORTD_CONF_DIR;
    if (config_load(folder, &config, &problems) == 0)
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
        if (problems.errors == 0 && catalog)
            printf("%sok: %zu plugins, %zu routes; sandbox: Landlock %s, seccomp %s\n", engines ? engines : "",
                   catalog->plugin_count, catalog->route_count, catalog->landlock_abi ? "yes" : "no",
                   catalog->seccomp ? "yes" : "no");
    }
    free(engines);
    code = problems.errors > 0 ? EXIT_JOB_FAILED : 0;
    config_problems_clear(&problems);
    catalog_free(catalog);
    config_free(config);
    return code;
}
