#include "plugin/forward.h"

#include "base/memory.h"
#include "upstream/client.h"

#include <string.h>

static bool goes_there(const struct config_list *tasks, const struct route *route)
{
    for (size_t i = 0; i < tasks->count; i++)
        if (strcmp(tasks->items[i], route->task) == 0 || strcmp(tasks->items[i], route->name) == 0)
            return true;
    return false;
}

static bool is_offered(const struct catalog *catalog, const char *task)
{
    for (size_t i = 0; i < catalog->route_count; i++)
        if (strcmp(catalog->routes[i]->task, task) == 0 || strcmp(catalog->routes[i]->name, task) == 0)
            return true;
    return false;
}

/* Whatever is asked of it, the other host checks. */
static void add_route(struct catalog *catalog, const char *task)
{
    struct route *route = memory_zeroed(1, sizeof *route);
    route->name = memory_text(task);
    route->task = memory_text(task);
    route->summary = memory_text("Done by the host of [upstream]");
    route->schema = json_pack("{s:s, s:b, s:{}}", "type", "object", "additionalProperties", 1, "properties");
    route->plugin = catalog->upstream;
    route->forward = true;
    catalog->routes = memory_resized(catalog->routes, catalog->route_count + 1, sizeof(struct route *));
    catalog->routes[catalog->route_count++] = route;
}

/* It stands for the other host where a plugin is asked for its settings. */
static void make_stand_in(struct catalog *catalog)
{
    const struct config_upstream *upstream = &catalog->config->upstream;
    catalog->upstream = memory_zeroed(1, sizeof *catalog->upstream);
    catalog->upstream->name = memory_text("upstream");
    catalog->upstream->enabled = true;
    catalog->upstream_settings = catalog->config->worker;
    catalog->upstream_settings.workers = upstream->concurrency;
    catalog->upstream_settings.limit = 0;
    catalog->upstream->settings = &catalog->upstream_settings;
}

void forward_add_routes(struct catalog *catalog)
{
    const struct config_upstream *upstream = &catalog->config->upstream;
    bool there = upstream_url(catalog->config)[0] != '\0';
    if (!there && !upstream->simulate)
        return;
    make_stand_in(catalog);
    for (size_t i = 0; there && i < catalog->route_count; i++)
        catalog->routes[i]->forward = goes_there(&upstream->tasks, catalog->routes[i]);
    for (size_t i = 0; i < upstream->tasks.count; i++)
        if (!strchr(upstream->tasks.items[i], '/') && !is_offered(catalog, upstream->tasks.items[i]))
            add_route(catalog, upstream->tasks.items[i]);
}

json_t *forward_data(const struct route *route, const json_t *data)
{
    if (!route->steps)
        return json_copy((json_t *)(uintptr_t)data);
    json_t *all = json_object(), *repro = json_object_get(data, "repro");
    for (size_t i = 0; i < route->step_count; i++)
        json_object_set(all, route->steps[i]->name, json_array_get(json_object_get(data, "steps"), i));
    if (repro)
        json_object_set(all, "repro", repro);
    return all;
}
