/*
 * Whether the host takes the plugin at all: its file, its manifest, its section of conf.d, its routes.
 */
#include "conformance/conformance.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOADS "loads"
#define MANIFEST "manifest"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static bool is_one_line(const char *text)
{
    return *text && !strpbrk(text, "\r\n\t\033");
}

/* Returns how many faults it wrote. */
static int check_schema(struct report *report, const char *route, const json_t *schema)
{
    int faults = 0;
    const char *name;
    json_t *property;
    const json_t *properties = json_object_get(schema, "properties");
    json_object_foreach((json_t *)(uintptr_t)properties, name, property)
    {
        if (json_object_get(property, "type") || json_object_get(property, "enum") ||
            json_object_get(property, "const"))
            continue;
        report_add(report, REPORT_FAILED, MANIFEST, route,
                   "its schema lets the option \"%.64s\" be anything; say its \"type\", or its values by \"enum\"",
                   name);
        faults++;
    }
    size_t index;
    json_t *required;
    json_array_foreach(json_object_get(schema, "required"), index, required)
    {
        const char *wanted = json_string_value(required);
        if (wanted && json_object_get(properties, wanted))
            continue;
        report_add(report, REPORT_FAILED, MANIFEST, route,
                   "its schema requires \"%.64s\", which is not among its properties; add it there",
                   wanted ? wanted : "(no text)");
        faults++;
    }
    return faults;
}

static int check_texts(struct report *report, const json_t *manifest)
{
    static const struct {
        const char *key, *mend;
    } wanted[] = {
        {"version", "set .version, as \"1.0.0\""},
        {"summary", "set .summary: one line that says what it is for"},
        {"licence", "set .licence: an SPDX id, as \"MIT\""},
    };
    int faults = 0;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (is_one_line(text_of(manifest, wanted[i].key)))
            continue;
        report_add(report, REPORT_FAILED, MANIFEST, NULL, "its %s is missing, or no single line; %s", wanted[i].key,
                   wanted[i].mend);
        faults++;
    }
    size_t index, other;
    json_t *option, *twin;
    json_array_foreach(json_object_get(manifest, "options"), index, option)
    {
        if (!is_one_line(text_of(option, "help"))) {
            report_add(report, REPORT_FAILED, MANIFEST, NULL,
                       "its conf.d key \"%.64s\" has no help; say in one line what it sets", text_of(option, "name"));
            faults++;
        }
        json_array_foreach(json_object_get(manifest, "options"), other, twin)
        {
            if (other <= index || strcmp(text_of(option, "name"), text_of(twin, "name")) != 0)
                continue;
            report_add(report, REPORT_FAILED, MANIFEST, NULL,
                       "it declares the conf.d key \"%.64s\" twice; remove one", text_of(option, "name"));
            faults++;
        }
    }
    return faults;
}

static void check_manifest(struct conformance *conformance)
{
    struct report *report = &conformance->report;
    const json_t *manifest = conformance->plugin->manifest;
    const json_t *abi = json_object_get(manifest, "abi");
    int faults = check_texts(report, manifest);
    size_t properties = 0;
    for (size_t i = 0; i < conformance->catalog->route_count; i++) {
        const struct route *route = conformance->catalog->routes[i];
        faults += check_schema(report, route->name, route->schema);
        properties += json_object_size(json_object_get(route->schema, "properties"));
        if (!is_one_line(route->summary)) {
            report_add(report, REPORT_FAILED, MANIFEST, route->name,
                       "its summary is missing, or no single line; set .summary of the task");
            faults++;
        }
    }
    if (faults == 0)
        report_add(report, REPORT_OK, MANIFEST, NULL,
                   "%s %s, ABI %d.%d, %zu routes with %zu options, %zu conf.d keys", conformance->plugin->name,
                   text_of(manifest, "version"), (int)json_integer_value(json_array_get(abi, 0)),
                   (int)json_integer_value(json_array_get(abi, 1)), conformance->catalog->route_count, properties,
                   json_array_size(json_object_get(manifest, "options")));
}

/* Only what is about this plugin's section: the rest is exportd check's. */
static void check_settings(struct conformance *conformance, const struct config_problems *problems)
{
    struct report *report = &conformance->report;
    int warnings = 0;
    for (size_t i = 0; i < problems->count; i++) {
        warnings += problems->items[i].warning;
        if (!problems->items[i].warning)
            report_add(report, REPORT_FAILED, "settings", NULL, "%s: %s", problems->items[i].place,
                       problems->items[i].message);
    }
    if (problems->errors > 0)
        return;
    bool has_section = config_find_plugin(conformance->config, conformance->plugin->name) != NULL;
    report_add(report, REPORT_OK, "settings", NULL, "%s%s%s",
               has_section ? "its section of conf.d is in order" : "no section in conf.d: its defaults are",
               warnings ? "; not granted all that it asks for: " : "", warnings ? problems->items[0].message : "");
}

static bool clash(const struct route *left, const struct route *right)
{
    return strcmp(left->name, right->name) == 0 ||
           (strcmp(left->task, right->task) == 0 &&
            (!left->option || !right->option || strcmp(left->option, right->option) != 0));
}

static void check_free(struct conformance *conformance)
{
    struct report *report = &conformance->report;
    struct config_problems problems = {0};
    struct error error = {0};
    const char *folder = conformance->config->host.plugins;
    if (access(folder, R_OK | X_OK) != 0) {
        report_add(report, REPORT_SKIPPED, "routes", NULL,
                   "there is no folder of other plugins (%s) to hold its routes against", folder);
        return;
    }
    struct catalog *others = catalog_load(conformance->config, NULL, &problems, &error);
    int faults = 0;
    size_t compared = 0;
    for (size_t i = 0; others && i < others->plugin_count; i++)
        compared += strcmp(others->plugins[i]->name, conformance->plugin->name) != 0;
    for (size_t i = 0; others && i < conformance->catalog->route_count; i++) {
        const struct route *own = conformance->catalog->routes[i];
        for (size_t j = 0; j < others->route_count; j++) {
            const struct route *other = others->routes[j];
            if (!other->plugin->path || other->steps || !clash(own, other) ||
                strcmp(other->plugin->name, conformance->plugin->name) == 0)
                continue;
            report_add(
                report, REPORT_FAILED, "routes", own->name,
                "it clashes with \"%s\" of %s; give the task another name, or a selecting option that %s has too",
                other->name, other->plugin->path, other->name);
            faults++;
        }
    }
    if (!others)
        report_add(report, REPORT_SKIPPED, "routes", NULL, "the other plugins can't be read: %s", error.message);
    else if (faults == 0)
        report_add(report, REPORT_OK, "routes", NULL, "free beside the %zu other plugins of %s", compared, folder);
    catalog_free(others);
    config_problems_clear(&problems);
}

bool check_load(struct conformance *conformance)
{
    struct report *report = &conformance->report;
    struct config_problems problems = {0};
    struct error error = {0};
    conformance->catalog = catalog_load(conformance->config, conformance->file, &problems, &error);
    if (conformance->catalog && conformance->catalog->failure_count > 0)
        error = conformance->catalog->failures[0].error;
    if (!conformance->catalog || error_is_set(&error)) {
        /* It could be mapped, and what it says of itself is wrong. */
        bool mapped = strcmp(error.code, "plugin_invalid") == 0 || strcmp(error.code, "plugin_route_taken") == 0;
        if (mapped)
            report_add(report, REPORT_OK, LOADS, NULL, "its block and its ABI are right");
        report_add(report, REPORT_FAILED, mapped ? MANIFEST : LOADS, NULL, "%s (%s)", error.message, error.code);
        config_problems_clear(&problems);
        return false;
    }
    conformance->plugin = conformance->catalog->plugins[0];
    bool whole = conformance->catalog->landlock_abi > 0 && conformance->catalog->seccomp;
    report_add(report, REPORT_OK, LOADS, NULL, "%s",
               !conformance->plugin->spec.sandbox ? "without a sandbox: [host] sandbox is off"
               : whole                            ? "in the sandbox"
                                                  : "this kernel lacks a part of the sandbox");
    check_manifest(conformance);
    check_settings(conformance, &problems);
    check_free(conformance);
    bool usable = problems.errors == 0;
    config_problems_clear(&problems);
    return usable;
}
