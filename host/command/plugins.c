/*
 * exportd plugins, inspect.
 */
#include "base/memory.h"
#include "command/command.h"

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
        const struct route *route = catalog->routes[i];
        if (catalog_owner(route) != plugin || (route->steps && !route->implied))
            continue;
        char *longer = memory_format("%s%s%s", text, *text ? ", " : "", route->name);
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

static void print_pipelines(const struct catalog *catalog)
{
    static const char *const heads[] = {"PIPELINE", "STEPS", "SUMMARY"};
    struct table *table = table_new(heads, 3);
    size_t count = 0;
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        char *steps = memory_text("");
        for (size_t j = 0; j < route->step_count; j++) {
            char *longer = memory_format("%s%s%s", steps, j ? ", " : "", route->steps[j]->name);
            free(steps);
            steps = longer;
        }
        const char *cells[] = {route->name, steps, route->summary};
        bool shown = route->steps && !route->implied;
        if (shown)
            table_add(table, cells);
        count += shown;
        free(steps);
    }
    if (count > 0) {
        putchar('\n');
        table_print(table, stdout);
    }
    table_free(table);
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
        print_pipelines(catalog);
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
        if (route->plugin != plugin || route->steps)
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
