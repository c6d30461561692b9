#include "config/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * EXPORTD_<SECTION>_<KEY>. Names have _ where a plugin's or a task's name has -, so for those it can't be seen where
 * the name ends and the key begins: the sections of conf.d decide, the longest name first, and then the known keys.
 */

#define PREFIX "EXPORTD_"
#define PREFIX_LENGTH (sizeof PREFIX - 1)
#define NAME_MAX_LENGTH 256

static bool begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

/* What Kubernetes sets for a service that is called exportd. */
static bool is_service_link(const char *rest)
{
    return begins(rest, "SERVICE_") || !strcmp(rest, "PORT") || begins(rest, "PORT_");
}

/* "HTTP_LISTEN", "WORKER_MEMORY" */
static void variable_of(const struct config_setting *setting, char *name, size_t size)
{
    const char *section = !strcmp(setting->section, "plugin") ? "worker" : setting->section;
    snprintf(name, size, "%s_%s", section, setting->key);
    for (char *at = name; *at; at++)
        *at = (char)toupper((unsigned char)*at);
}

static void apply(struct config_loader *loader, const char *section, const char *key, const char *value,
                  const char *place)
{
    struct config_source source = {.place = place, .environment = true};
    config_apply(loader, section, key, value, &source);
}

static void apply_to_plugin(struct config_loader *loader, const char *plugin, const char *key, const char *value,
                            const char *place)
{
    char section[NAME_MAX_LENGTH];
    snprintf(section, sizeof section, "plugin %s", plugin);
    apply(loader, section, key, value, place);
}

/* Does rest begin with the name, as variables write it, and a _? Returns what follows, or NULL. */
static const char *after_name(const char *rest, const char *name)
{
    for (; *name; name++, rest++)
        if (*rest != (*name == '-' || *name == '.' ? '_' : toupper((unsigned char)*name)))
            return NULL;
    return *rest == '_' && rest[1] ? rest + 1 : NULL;
}

static const struct config_setting *worker_setting(const char *key)
{
    char lower[NAME_MAX_LENGTH];
    snprintf(lower, sizeof lower, "%s", key);
    for (char *at = lower; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return config_setting_find("plugin", lower);
}

/* The plugin of conf.d with the longest name that rest begins with, or NULL. */
static const struct config_plugin *plugin_of(const struct config *config, const char *rest, const char **key)
{
    const struct config_plugin *found = NULL;
    for (size_t i = 0; i < config->plugin_count; i++) {
        const struct config_plugin *plugin = &config->plugins[i];
        const char *after = plugin->place ? after_name(rest, plugin->name) : NULL;
        if (after && (!found || strlen(plugin->name) > strlen(found->name))) {
            found = plugin;
            *key = after;
        }
    }
    return found;
}

static void take_plugin(struct config_loader *loader, const char *rest, const char *value, const char *place)
{
    struct config *config = loader->config;
    const char *key = NULL;
    const struct config_plugin *plugin = plugin_of(config, rest, &key);
    const struct config_setting *setting = plugin ? worker_setting(key) : NULL;
    if (setting) {
        apply_to_plugin(loader, plugin->name, setting->key, value, place);
        return;
    }
    /* A plugin without a section: a key of the host's at the end tells where its name ends. */
    const char *last = strrchr(rest, '_');
    setting = !plugin && last && last > rest ? worker_setting(last + 1) : NULL;
    if (setting) {
        char *stem = strndup(rest, (size_t)(last - rest));
        char *name = stem ? config_word(stem, false, '_', '-') : NULL;
        if (!name)
            loader->out_of_memory = true;
        else if (config_is_name(name, "-"))
            apply_to_plugin(loader, name, setting->key, value, place);
        free(stem);
        free(name);
    }
    /* One of the plugin's own, perhaps: only its manifest knows. */
    if (config_pairs_put(&config->plugin_environment, &config->plugin_environment_count, rest, value, place))
        loader->out_of_memory = true;
}

static void drop_route(struct config *config, const char *task)
{
    for (size_t i = 0; i < config->route_count; i++) {
        struct config_route *route = &config->routes[i];
        if (strcmp(route->task, task) != 0)
            continue;
        free(route->task);
        free(route->default_value);
        free(route->place);
        memmove(route, route + 1, (config->route_count - i - 1) * sizeof *route);
        config->route_count--;
        return;
    }
}

/* ROUTE_<TASK>_DEFAULT; an empty value takes conf.d's default away. */
static bool take_route(struct config_loader *loader, const char *rest, const char *value, const char *place)
{
    const char *last = strrchr(rest, '_');
    if (!last || last == rest || strcmp(last, "_DEFAULT") != 0)
        return false;
    char *stem = strndup(rest, (size_t)(last - rest));
    char *task = stem ? config_word(stem, false, '_', '-') : NULL;
    for (size_t i = 0; task && i < loader->config->route_count; i++) {
        const char *after = after_name(rest, loader->config->routes[i].task);
        if (after && !strcmp(after, "DEFAULT")) {
            free(task);
            task = strdup(loader->config->routes[i].task);
        }
    }
    char section[NAME_MAX_LENGTH];
    if (!task) {
        loader->out_of_memory = true;
    } else if (!*value) {
        drop_route(loader->config, task);
    } else {
        snprintf(section, sizeof section, "route %s", task);
        apply(loader, section, "default", value, place);
    }
    free(stem);
    free(task);
    return true;
}

static void unknown(struct config_loader *loader, const char *rest, const char *place)
{
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    char nearest[NAME_MAX_LENGTH] = "";
    char(*names)[NAME_MAX_LENGTH] = calloc(count, sizeof *names);
    const char **words = calloc(count, sizeof *words);
    if (names && words) {
        for (size_t i = 0; i < count; i++) {
            variable_of(&settings[i], names[i], sizeof names[i]);
            words[i] = names[i];
        }
        const char *found = config_nearest(rest, words, count);
        if (found)
            snprintf(nearest, sizeof nearest, "%s", found);
    }
    free(names);
    free(words);
    if (*nearest)
        config_problems_add(loader->problems, true, place, "no setting has this name; did you mean " PREFIX "%s?",
                            nearest);
    else
        config_problems_add(loader->problems, true, place,
                            "no setting has this name; it is EXPORTD_<SECTION>_<KEY>, as conf.d calls them");
}

static void take(struct config_loader *loader, const char *rest, const char *value, const char *place)
{
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        char name[NAME_MAX_LENGTH];
        variable_of(&settings[i], name, sizeof name);
        if (!strcmp(rest, name)) {
            bool of_worker = !strcmp(settings[i].section, "plugin");
            apply(loader, of_worker ? "worker" : settings[i].section, settings[i].key, value, place);
            return;
        }
    }
    if (begins(rest, "SECRETS_") && rest[8])
        apply(loader, "secrets", rest + 8, value, place);
    else if (begins(rest, "PLUGIN_") && rest[7])
        take_plugin(loader, rest + 7, value, place);
    else if (!is_service_link(rest) && !(begins(rest, "ROUTE_") && take_route(loader, rest + 6, value, place)))
        unknown(loader, rest, place);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void take_variable(struct config_loader *loader, const char *variable)
{
    const char *equals = strchr(variable, '=');
    size_t length = (size_t)(equals - variable);
    if (length >= NAME_MAX_LENGTH) {
        config_problems_add(loader->problems, true, "environment " PREFIX "…",
                            "a variable's name has %zu bytes, which is no setting's", length);
        return;
    }
    char name[NAME_MAX_LENGTH];
    memcpy(name, variable, length);
    name[length] = '\0';
    char place[NAME_MAX_LENGTH + sizeof "environment "];
    snprintf(place, sizeof place, "environment %s", name);
    take(loader, name + PREFIX_LENGTH, equals + 1, place);
}

/* Names that deployments know. They come after conf.d and before EXPORTD_…; an empty one counts as not there. */
static void take_known_names(struct config_loader *loader)
{
    static const struct {
        const char *name, *section, *key;
    } known[] = {
        {"DATABASE_URL", "store", "url"},
        {"NATS_URL", "nats", "url"},
        {"REDIS_URL", "redis", "url"},
        {"S3_BUCKET", "s3", "bucket"},
        {"S3_ENDPOINT", "s3", "endpoint"},
        {"S3_REGION", "s3", "region"},
        {"REPO_WORKER_API_URL", "upstream", "url"},
        {"REPO_WORKER_API_URL_DEV", "upstream", "url_dev"},
        {"USE_DEV_CLOUDRUN_WORKER", "upstream", "use_dev"},
        {"S3_ACCESS_KEY", "s3", "access_key"},
        {"S3_SECRET_KEY", "s3", "secret_key"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *value = getenv(known[i].name);
        char place[NAME_MAX_LENGTH];
        snprintf(place, sizeof place, "environment %s", known[i].name);
        if (value && *value)
            apply(loader, known[i].section, known[i].key, value, place);
    }
}

void config_apply_environment(struct config_loader *loader, char *const *environment)
{
    take_known_names(loader);
    size_t count = 0;
    size_t total = 0;
    while (environment && environment[total])
        total++;
    const char **ours = calloc(total + 1, sizeof *ours);
    if (!ours) {
        loader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < total; i++)
        if (begins(environment[i], PREFIX) && strchr(environment[i], '='))
            ours[count++] = environment[i];
    qsort(ours, count, sizeof *ours, by_name);
    for (size_t i = 0; i < count; i++)
        take_variable(loader, ours[i]);
    free(ours);
}
