#include "plugin/pipeline.h"

#include "base/memory.h"
#include "job/schema.h"

#include <stdlib.h>
#include <string.h>

static bool is_taken(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->route_count; i++)
        if (strcmp(catalog->routes[i]->name, name) == 0 || strcmp(catalog->routes[i]->task, name) == 0)
            return true;
    return false;
}

static bool is_pipeline(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->pipeline_count; i++)
        if (strcmp(config->pipelines[i].name, name) == 0)
            return true;
    return false;
}

/* For those who look: all options of all steps, and an object for each step. The steps themselves check. */
static json_t *make_schema(const struct route *route)
{
    json_t *properties = json_object();
    for (size_t i = 0; i < route->step_count; i++) {
        json_t *own = json_object_get(route->steps[i]->schema, "properties");
        json_object_update_missing(properties, own);
        json_object_set_new(properties, route->steps[i]->name,
                            json_pack("{s:s, s:s, s:b}", "type", "object", "description",
                                      "options for this step alone", "additionalProperties", 1));
    }
    return json_pack("{s:s, s:o}", "type", "object", "properties", properties);
}

static struct route *make_route(const struct catalog *catalog, const struct config_pipeline *pipeline,
                                struct config_problems *problems)
{
    struct route *route = memory_zeroed(1, sizeof *route);
    route->steps = memory_zeroed(pipeline->steps.count, sizeof *route->steps);
    for (size_t i = 0; i < pipeline->steps.count; i++) {
        const char *name = pipeline->steps.items[i];
        struct error error = {0};
        bool nested = is_pipeline(catalog->config, name);
        const struct route *step = nested ? NULL : catalog_route(catalog, name, NULL, &error);
        if (nested)
            config_problems_add(problems, false, pipeline->place,
                                "[pipeline %s]: the step %s is a pipeline itself; name its steps instead",
                                pipeline->name, name);
        else if (!step)
            config_problems_add(problems, true, pipeline->place, "[pipeline %s] is left out: %s", pipeline->name,
                                error.message);
        else if (!step->plugin->enabled)
            config_problems_add(problems, true, pipeline->place,
                                "[pipeline %s] is left out: the plugin %s of its step %s is disabled", pipeline->name,
                                step->plugin->name, name);
        if (!step || !step->plugin->enabled) {
            free(route->steps);
            free(route);
            return NULL;
        }
        route->steps[route->step_count++] = step;
        route->needs_repro = route->needs_repro || step->needs_repro;
    }
    route->name = memory_text(pipeline->name);
    route->task = memory_text(pipeline->name);
    route->summary = memory_text(pipeline->summary ? pipeline->summary : "A pipeline");
    route->schema = make_schema(route);
    route->plugin = route->steps[0]->plugin;
    route->given = pipeline->options;
    return route;
}

static bool is_known(const struct route *route, const char *key);

static json_t *options_of(const struct route *step, const json_t *given, const json_t *data, const char *where,
                          struct error *error);

/* Held against each step's schema, but for what a request still has to give. */
static void check_given(const struct route *route, const struct config_pipeline *pipeline,
                        struct config_problems *problems)
{
    const char *key;
    json_t *value;
    json_object_foreach(pipeline->options, key, value)
    {
        if (!is_known(route, key))
            config_problems_add(problems, false, pipeline->options_place,
                                "[pipeline %s] options: no step has an option \"%.100s\"", pipeline->name, key);
    }
    for (size_t i = 0; pipeline->options && i < route->step_count; i++) {
        struct route step = *route->steps[i];
        struct error error = {0};
        step.schema = json_copy(step.schema);
        json_object_del(step.schema, "required");
        json_decref(options_of(&step, NULL, pipeline->options, "options", &error));
        json_decref(step.schema);
        if (error_is_set(&error))
            config_problems_add(problems, false, pipeline->options_place, "[pipeline %s] %s", pipeline->name,
                                error.message);
    }
}

void pipeline_add_routes(struct catalog *catalog, struct config_problems *problems)
{
    for (size_t i = 0; i < catalog->config->pipeline_count; i++) {
        const struct config_pipeline *pipeline = &catalog->config->pipelines[i];
        struct route *route = NULL;
        if (!pipeline->steps.count)
            config_problems_add(problems, false, "conf.d",
                                "[pipeline %s] has no steps; name the routes it is made of", pipeline->name);
        else if (is_taken(catalog, pipeline->name))
            config_problems_add(problems, false, pipeline->place,
                                "[pipeline %s]: a plugin offers a route of that name; choose another",
                                pipeline->name);
        else
            route = make_route(catalog, pipeline, problems);
        if (!route)
            continue;
        check_given(route, pipeline, problems);
        catalog->routes = memory_resized(catalog->routes, catalog->route_count + 1, sizeof(struct route *));
        catalog->routes[catalog->route_count++] = route;
    }
}

static const struct route *find_enabled(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->route_count; i++)
        if (strcmp(catalog->routes[i]->name, name) == 0 && !catalog->routes[i]->steps &&
            catalog->routes[i]->plugin->enabled)
            return catalog->routes[i];
    return NULL;
}

/* Of an implied pipeline; NULL where there is none to make. */
static struct route *make_implied(const struct catalog *catalog, const struct route *last)
{
    const struct route *first = last->plugin->enabled ? find_enabled(catalog, last->after) : NULL;
    if (!first || first->after)
        return NULL;
    struct route *route = memory_zeroed(1, sizeof *route);
    route->steps = memory_zeroed(2, sizeof *route->steps);
    route->steps[0] = first;
    route->steps[1] = last;
    route->step_count = 2;
    route->implied = true;
    route->name = memory_text(last->name);
    route->task = memory_text(last->task);
    route->option = memory_text(last->option);
    route->value = memory_text(last->value);
    route->summary = memory_text(last->summary);
    route->needs_repro = first->needs_repro || last->needs_repro;
    route->schema = make_schema(route);
    route->plugin = first->plugin;
    return route;
}

/* Without what has to come first it could only fail: it isn't offered, and its jobs wait. */
static void leave_out(struct catalog *catalog, const struct route *last, struct config_problems *problems)
{
    const struct config_plugin *section = config_find_plugin(catalog->config, last->plugin->name);
    config_problems_add(problems, true, section && section->place ? section->place : last->plugin->path,
                        "the task %s of the plugin %s is left out: %s has to come first, and no plugin offers it",
                        last->name, last->plugin->name, last->after);
}

void pipeline_imply(struct catalog *catalog, struct config_problems *problems)
{
    struct route **routes = memory_zeroed(catalog->route_count, sizeof(struct route *));
    size_t count = 0;
    for (size_t i = 0; i < catalog->route_count; i++) {
        struct route *last = catalog->routes[i];
        if (!last->after || !last->plugin->enabled) {
            routes[count++] = last;
            continue;
        }
        catalog->inner = memory_resized(catalog->inner, catalog->inner_count + 1, sizeof(struct route *));
        catalog->inner[catalog->inner_count++] = last;
        struct route *route = make_implied(catalog, last);
        if (route)
            routes[count++] = route;
        else
            leave_out(catalog, last, problems);
    }
    free(catalog->routes);
    catalog->routes = routes;
    catalog->route_count = count;
}

static bool takes(const struct route *step, const char *option)
{
    return json_object_get(json_object_get(step->schema, "properties"), option) != NULL;
}

static bool is_known(const struct route *route, const char *key)
{
    for (size_t i = 0; i < route->step_count; i++)
        if (strcmp(route->steps[i]->name, key) == 0 || takes(route->steps[i], key) ||
            json_is_true(json_object_get(route->steps[i]->schema, "additionalProperties")))
            return true;
    return false;
}

/* What data says for a step: options that it takes, then those in an object of its name. */
static void add_options(json_t *options, const struct route *step, const json_t *data)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)data, key, value)
    {
        if (takes(step, key))
            json_object_set(options, key, value);
    }
    json_object_update(options, json_object_get(data, step->name));
}

/* The request's above the pipeline's own. Returns a new object, or NULL with error set. */
static json_t *options_of(const struct route *step, const json_t *given, const json_t *data, const char *where,
                          struct error *error)
{
    json_t *options = json_object();
    const json_t *own = json_object_get(data, step->name);
    if (own && !json_is_object(own))
        error_set(error, "options_invalid", false, "%s/%s: must be an object with the options of that step", where,
                  step->name);
    add_options(options, step, given);
    add_options(options, step, data);
    if (step->option && !json_object_get(options, step->option))
        json_object_set_new(options, step->option, json_string(step->value));
    char *pointer = memory_format("%s/%s", where, step->name);
    if (!error_is_set(error))
        schema_apply(step->schema, options, pointer, error);
    free(pointer);
    if (!error_is_set(error))
        return options;
    json_decref(options);
    return NULL;
}

int pipeline_check_data(const struct route *route, json_t *data, const char *where, struct error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(data, key, value)
    {
        if (!is_known(route, key))
            return error_set(error, "options_invalid", false, "%s/%.100s: no step of %s has such an option", where,
                             key, route->name);
    }
    json_t *steps = json_array(), *routes = json_array();
    for (size_t i = 0; i < route->step_count; i++) {
        json_t *options = options_of(route->steps[i], route->given, data, where, error);
        if (!options) {
            json_decref(steps);
            json_decref(routes);
            return -1;
        }
        json_array_append_new(steps, options);
        json_array_append_new(routes, json_string(route->steps[i]->name));
    }
    json_object_clear(data);
    json_object_set_new(data, "steps", steps);
    json_object_set_new(data, "routes", routes);
    return 0;
}

bool pipeline_made(const char *data, size_t length)
{
    static const char beginning[] = "{\"steps\":[";
    if (length < sizeof beginning || strncmp(data, beginning, sizeof beginning - 1) != 0)
        return false; /* nearly all: no need to parse it */
    json_t *object = json_loadb(data, length, 0, NULL);
    bool made = json_is_array(json_object_get(object, "routes"));
    json_decref(object);
    return made;
}

/* Which of the stored steps a step of today's is: the one of its name, the second where it is the second of that
 * name. Returns its options, borrowed, or NULL. */
static json_t *stored_options(const struct route *route, const json_t *data, size_t step)
{
    json_t *steps = json_object_get(data, "steps"), *routes = json_object_get(data, "routes");
    const char *name = route->steps[step]->name;
    size_t before = 0, index;
    json_t *stored;
    if (!routes) /* stored by a version that kept no names */
        return json_array_size(steps) == route->step_count ? json_array_get(steps, step) : NULL;
    for (size_t i = 0; i < step; i++)
        before += strcmp(route->steps[i]->name, name) == 0 ? 1 : 0;
    json_array_foreach(routes, index, stored)
    {
        if (json_is_string(stored) && strcmp(json_string_value(stored), name) == 0 && before-- == 0)
            return json_array_get(steps, index);
    }
    return NULL;
}

/* The pipeline may be another than the one that the job was accepted for, or there was none of that name then.
 * Returns a new object, or NULL with error set. */
static json_t *todays_options(const struct route *route, const json_t *data, size_t step, struct error *error)
{
    struct error cause = {0};
    json_t *stored = stored_options(route, data, step), *own = NULL;
    if (json_is_object(stored))
        return json_copy(stored);
    if (json_object_get(data, "routes") || !json_is_array(json_object_get(data, "steps"))) {
        json_t *given = json_object_get(data, "routes") ? json_object() : json_copy((json_t *)(uintptr_t)data);
        json_object_del(given, "repro");
        json_object_del(given, "repro_id");
        own = options_of(route->steps[step], route->given, given, "data", &cause);
        json_decref(given);
    }
    if (!own)
        error_set(error, "pipeline_changed", false,
                  "the pipeline %s has another step %s since this job was accepted%s%s; hand the job in again",
                  route->name, route->steps[step]->name, error_is_set(&cause) ? ": " : "", cause.message);
    return own;
}

char *pipeline_step_data(const struct route *route, const json_t *data, size_t step, json_t *previous,
                         struct error *error)
{
    json_t *own = todays_options(route, data, step, error);
    if (!own)
        return NULL;
    if (route->steps[step]->needs_repro)
        json_object_set(own, "repro", json_object_get(data, "repro"));
    if (previous)
        json_object_set(own, "previous", previous);
    char *text = json_dumps(own, JSON_COMPACT);
    json_decref(own);
    if (!text)
        error_set(error, "out_of_memory", true, "out of memory");
    return text;
}

static bool has_name(const json_t *artifacts, const char *name)
{
    size_t index;
    const json_t *entry;
    json_array_foreach(artifacts, index, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0)
            return true;
    }
    return false;
}

/* The file is the later step's now. */
static void drop_path(json_t *artifacts, const char *path)
{
    for (size_t i = json_array_size(artifacts); i-- > 0;)
        if (strcmp(json_string_value(json_object_get(json_array_get(artifacts, i), "path")), path) == 0)
            json_array_remove(artifacts, i);
}

/* A new string: the name, with the step's before it, and a number before that, until nobody has it. */
static char *free_name(const json_t *artifacts, const char *step, const char *name)
{
    char *candidate = memory_text(name);
    for (int number = 1; has_name(artifacts, candidate); number++) {
        free(candidate);
        candidate = number > 1 ? memory_format("%s-%d-%s", step, number, name) : memory_format("%s-%s", step, name);
        for (char *at = candidate; *at; at++)
            *at = *at == '/' ? '-' : *at;
    }
    return candidate;
}

void pipeline_add_artifacts(json_t *all, const char *step, const json_t *artifacts)
{
    size_t index;
    json_t *entry;
    json_array_foreach(artifacts, index, entry)
    {
        json_t *copy = json_deep_copy(entry);
        drop_path(all, json_string_value(json_object_get(entry, "path")));
        char *name = free_name(all, step, json_string_value(json_object_get(entry, "name")));
        json_object_set_new(copy, "name", json_string(name));
        json_array_append_new(all, copy);
        free(name);
    }
}
