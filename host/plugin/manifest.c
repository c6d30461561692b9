#include "plugin/manifest.h"

#include "base/memory.h"
#include "job/schema.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LENGTH 64

static bool is_name(const char *text)
{
    if (!text || !*text || strlen(text) > NAME_MAX_LENGTH)
        return false;
    for (const char *c = text; *c; c++)
        if (!isascii((unsigned char)*c) ||
            !(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-' || *c == '_'))
            return false;
    return true;
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

void manifest_free_route(struct route *route)
{
    if (!route)
        return;
    free(route->name);
    free(route->task);
    free(route->option);
    free(route->value);
    free(route->summary);
    free(route->after);
    json_decref(route->schema);
    free(route->steps);
    free(route);
}

void manifest_free_plugin(struct plugin *plugin)
{
    if (!plugin)
        return;
    json_decref(plugin->spec.secrets);
    json_decref(plugin->spec.read);
    json_decref(plugin->option_values);
    json_decref(plugin->manifest);
    free(plugin->name);
    free(plugin->path);
    free(plugin->copy);
    free(plugin->cache_folder);
    free(plugin);
}

static json_t *parse_schema(const json_t *task, struct error *error)
{
    const char *text = text_of(task, "schema");
    json_error_t where;
    json_t *schema = text ? json_loads(text, JSON_REJECT_DUPLICATES, &where)
                          : json_pack("{s:s, s:{}}", "type", "object", "properties");
    if (!schema) {
        error_set(error, "plugin_invalid", false, "the schema of its task \"%s\" is no JSON: %s at column %d",
                  text_of(task, "task"), where.text, where.column);
        return NULL;
    }
    if (schema_check(schema, error) != 0) {
        json_decref(schema);
        return NULL;
    }
    /* The host's own members of data are no options. */
    json_t *properties = json_object_get(schema, "properties");
    static const char *const reserved[] = {"repro", "repro_id", "previous"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (json_object_get(properties, reserved[i]))
            error_set(error, "plugin_invalid", false, "its schema names \"%s\", which belongs to the host",
                      reserved[i]);
    const char *option = text_of(task, "option");
    if (!properties)
        json_object_set_new(schema, "properties", json_object());
    if (option && !json_object_get(json_object_get(schema, "properties"), option))
        json_object_set_new(json_object_get(schema, "properties"), option,
                            json_pack("{s:s, s:s}", "type", "string", "const", text_of(task, "value")));
    if (error_is_set(error)) {
        json_decref(schema);
        return NULL;
    }
    return schema;
}

static struct route *make_route(struct plugin *plugin, const json_t *task, struct error *error)
{
    const char *type = text_of(task, "task");
    const char *option = text_of(task, "option");
    const char *value = text_of(task, "value");
    const char *after = text_of(task, "after");
    if (!is_name(type) || (option && !is_name(option)) || (value && !is_name(value)) || !option != !value) {
        error_set(
            error, "plugin_invalid", false,
            "a task's name, option and value may hold a-z 0-9 - _ only, and option and value go together (\"%.64s\")",
            type ? type : "");
        return NULL;
    }
    json_t *schema = parse_schema(task, error);
    if (!schema)
        return NULL;
    struct route *route = memory_zeroed(1, sizeof *route);
    route->task = memory_text(type);
    route->option = memory_text(option);
    route->value = memory_text(value);
    route->name = value ? memory_format("%s/%s", type, value) : memory_text(type);
    route->summary = memory_text(text_of(task, "summary") ? text_of(task, "summary") : "");
    route->schema = schema;
    route->after = memory_text(after);
    route->needs_repro = json_is_true(json_object_get(task, "needs_repro"));
    route->plugin = plugin;
    return route;
}

static int check_clash(const struct catalog *catalog, const struct route *route, const char *path,
                       struct error *error)
{
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *other = catalog->routes[i];
        if (strcmp(other->name, route->name) == 0 ||
            (strcmp(other->task, route->task) == 0 &&
             (!other->option || !route->option || strcmp(other->option, route->option) != 0)))
            return error_set(error, "plugin_route_taken", false,
                             "%s: its route \"%s\" clashes with \"%s\" of %s; remove one of the two", path,
                             route->name, other->name, other->plugin->path);
    }
    return 0;
}

static size_t read_options(const json_t *manifest, struct config_plugin_option *options, size_t most)
{
    size_t count = 0, index;
    json_t *entry;
    json_array_foreach(json_object_get(manifest, "options"), index, entry)
    {
        if (count == most)
            break;
        json_int_t type = json_integer_value(json_object_get(entry, "type"));
        options[count++] = (struct config_plugin_option){
            .name = text_of(entry, "name"),
            .type = type >= EXPORTD_STRING && type <= EXPORTD_PATH ? (enum exportd_option_type)type : EXPORTD_STRING,
            .default_value = text_of(entry, "default"),
            .help = text_of(entry, "help") ? text_of(entry, "help") : "",
            .required = json_is_true(json_object_get(entry, "required")),
        };
    }
    return count;
}

static bool has_text(const json_t *array, const char *text)
{
    size_t index;
    json_t *entry;
    json_array_foreach(array, index, entry)
    {
        if (json_is_string(entry) && strcmp(json_string_value(entry), text) == 0)
            return true;
    }
    return false;
}

/* Holds the section against the manifest; fills the plugin's options, secrets and readable paths. */
static void configure(struct catalog *catalog, struct plugin *plugin, struct config_problems *problems)
{
    enum { OPTIONS_MAX = 128, SECRETS_MAX = 64 };
    struct config_plugin_option options[OPTIONS_MAX];
    const char *secrets[SECRETS_MAX + 1] = {NULL};
    char *values[OPTIONS_MAX] = {NULL};
    const struct config *config = catalog->config;
    size_t count = read_options(plugin->manifest, options, OPTIONS_MAX);
    json_t *asked = json_object_get(plugin->manifest, "secrets");
    for (size_t i = 0; i < json_array_size(asked) && i < SECRETS_MAX; i++)
        secrets[i] = json_string_value(json_array_get(asked, i));
    json_t *grants = json_object_get(plugin->manifest, "grants");
    uint32_t wanted = (has_text(grants, "network") ? EXPORTD_GRANT_NETWORK : 0u) |
                      (has_text(grants, "exec") ? EXPORTD_GRANT_EXEC : 0u) |
                      (has_text(grants, "cache") ? EXPORTD_GRANT_CACHE : 0u);

    plugin->settings = config_worker_of(config, plugin->name);
    plugin->enabled = plugin->settings->enabled;
    plugin->option_values = json_object();
    plugin->spec.secrets = json_object();
    plugin->spec.read = json_array();
    if (config_check_plugin(config, plugin->name, options, count, secrets, wanted, values, problems) != 0)
        plugin->enabled = false;
    for (size_t i = 0; i < count; i++) {
        if (values[i])
            json_object_set_new(plugin->option_values, options[i].name, json_string(values[i]));
        if (values[i] && options[i].type == EXPORTD_PATH && values[i][0])
            json_array_append_new(plugin->spec.read, json_string(values[i]));
        free(values[i]);
    }
    for (size_t i = 0; i < plugin->settings->secrets.count; i++) {
        char name[256];
        config_granted_secret(plugin->settings->secrets.items[i], name, sizeof name);
        const char *value = config_secret(config, name);
        if (value)
            json_object_set_new(plugin->spec.secrets, name, json_string(value));
    }
    for (size_t i = 0; i < plugin->settings->read.count; i++)
        json_array_append_new(plugin->spec.read, json_string(plugin->settings->read.items[i]));
}

static void make_spec(const struct catalog *catalog, struct plugin *plugin)
{
    const struct config_worker *settings = plugin->settings;
    struct worker_spec *spec = &plugin->spec;
    spec->name = plugin->name;
    spec->program = catalog->worker_program;
    spec->plugin_path = plugin->copy ? plugin->copy : plugin->path;
    spec->original_path = plugin->copy ? plugin->path : NULL;
    spec->options = plugin->option_values;
    spec->sandbox = catalog->config->host.sandbox != CONFIG_SANDBOX_OFF;
    spec->network = settings->network;
    spec->exec = settings->exec;
    if (settings->cache[0])
        spec->cache_folder = plugin->cache_folder =
            memory_format("%s/cache/%s", catalog->config->host.state, settings->cache);
    spec->memory_bytes = settings->memory_bytes;
    spec->file_bytes = settings->disk_bytes;
    spec->timeout_ms = settings->timeout_ms;
    spec->grace_ms = settings->grace_ms;
    spec->max_result_bytes = catalog->config->jobs.max_result_bytes;
}

static int add_routes(struct catalog *catalog, struct plugin *plugin, struct error *error)
{
    size_t first = catalog->route_count, index;
    json_t *task;
    json_array_foreach(json_object_get(plugin->manifest, "tasks"), index, task)
    {
        struct route *route = make_route(plugin, task, error);
        if (!route || check_clash(catalog, route, plugin->path, error) != 0) {
            manifest_free_route(route);
            while (catalog->route_count > first)
                manifest_free_route(catalog->routes[--catalog->route_count]);
            return -1;
        }
        catalog->routes = memory_resized(catalog->routes, catalog->route_count + 1, sizeof(struct route *));
        catalog->routes[catalog->route_count++] = route;
    }
    return 0;
}

int manifest_add(struct catalog *catalog, const char *path, const char *copy, json_t *manifest,
                 struct config_problems *problems, struct error *error)
{
    const char *name = text_of(manifest, "name");
    if (!is_name(name))
        return error_set(error, "plugin_invalid", false, "%s: its name may hold a-z 0-9 - _ only", path);
    const struct plugin *namesake = catalog_plugin(catalog, name);
    if (namesake)
        return error_set(error, "plugin_name_taken", false,
                         "%s: it calls itself \"%s\", and so does %s; remove one of the two", path, name,
                         namesake->path);
    struct plugin *plugin = memory_zeroed(1, sizeof *plugin);
    plugin->name = memory_text(name);
    plugin->path = memory_text(path);
    plugin->copy = copy ? memory_text(copy) : NULL;
    plugin->manifest = json_incref(manifest);
    if (add_routes(catalog, plugin, error) != 0) {
        manifest_free_plugin(plugin);
        return -1;
    }
    configure(catalog, plugin, problems);
    make_spec(catalog, plugin);
    catalog->plugins = memory_resized(catalog->plugins, catalog->plugin_count + 1, sizeof(struct plugin *));
    catalog->plugins[catalog->plugin_count++] = plugin;
    return 0;
}
