#include "plugin/catalog.h"

static json_t *routes_of(const struct catalog *catalog, const struct plugin *plugin)
{
    json_t *routes = json_array();
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        const char *after = route->implied ? route->steps[0]->name : NULL;
        if (catalog_owner(route) == plugin && (!route->steps || route->implied))
            json_array_append_new(routes, json_pack("{s:s, s:s, s:s*, s:b, s:O}", "route", route->name, "summary",
                                                    route->summary, "after", after, "needsRepro",
                                                    (int)route->needs_repro, "options", route->schema));
    }
    return routes;
}

static json_t *pipelines_of(const struct catalog *catalog)
{
    json_t *pipelines = json_array();
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        json_t *steps = json_array();
        for (size_t j = 0; j < route->step_count; j++)
            json_array_append_new(steps, json_string(route->steps[j]->name));
        if (route->steps && !route->implied)
            json_array_append_new(pipelines, json_pack("{s:s, s:s, s:O, s:b, s:O}", "route", route->name, "summary",
                                                       route->summary, "steps", steps, "needsRepro",
                                                       (int)route->needs_repro, "options", route->schema));
        json_decref(steps);
    }
    return pipelines;
}

json_t *catalog_to_json(const struct catalog *catalog)
{
    json_t *plugins = json_array();
    json_t *failures = json_array();
    for (size_t i = 0; i < catalog->plugin_count; i++) {
        const struct plugin *plugin = catalog->plugins[i];
        json_t *object = json_object();
        static const char *const copied[] = {"name", "version", "summary", "licence",
                                             "sdk",  "abi",     "grants",  "secrets"};
        for (size_t j = 0; j < sizeof copied / sizeof copied[0]; j++)
            json_object_set(object, copied[j], json_object_get(plugin->manifest, copied[j]));
        json_object_set_new(object, "enabled", json_boolean(plugin->enabled));
        json_object_set_new(object, "file", json_string(plugin->path));
        json_object_set_new(object, "routes", routes_of(catalog, plugin));
        json_object_set(object, "settings", json_object_get(plugin->manifest, "options"));
        json_array_append_new(plugins, object);
    }
    for (size_t i = 0; i < catalog->failure_count; i++)
        json_array_append_new(failures, json_pack("{s:s, s:s, s:s}", "file", catalog->failures[i].path, "code",
                                                  catalog->failures[i].error.code, "error",
                                                  catalog->failures[i].error.message));
    return json_pack("{s:o, s:o, s:o}", "plugins", plugins, "pipelines", pipelines_of(catalog), "failures", failures);
}
