#include "config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_plugin(struct config_plugin *plugin)
{
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(settings[i].section, "plugin"))
            config_value_free(&settings[i], &plugin->worker);
    config_pairs_free(plugin->options, plugin->option_count);
    free(plugin->name);
    free(plugin->place);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        bool of_worker = !strcmp(settings[i].section, "plugin");
        config_value_free(&settings[i], of_worker ? (void *)&config->worker : (void *)config);
    }
    for (size_t i = 0; i < config->plugin_count; i++)
        free_plugin(&config->plugins[i]);
    free(config->plugins);
    for (size_t i = 0; i < config->route_count; i++) {
        free(config->routes[i].task);
        free(config->routes[i].default_value);
        free(config->routes[i].place);
    }
    free(config->routes);
    for (size_t i = 0; i < config->pipeline_count; i++) {
        free(config->pipelines[i].name);
        free(config->pipelines[i].summary);
        free(config->pipelines[i].place);
        free(config->pipelines[i].options_place);
        json_decref(config->pipelines[i].options);
        config_list_free(&config->pipelines[i].steps);
    }
    free(config->pipelines);
    config_pairs_free(config->secrets, config->secret_count);
    config_pairs_free(config->plugin_environment, config->plugin_environment_count);
    config_pairs_free(config->given, config->given_count);
    free(config->host.log_level_name);
    free(config->folder);
    free(config);
}

const struct config_plugin *config_find_plugin(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->plugin_count; i++)
        if (!strcmp(config->plugins[i].name, name))
            return &config->plugins[i];
    return NULL;
}

const struct config_worker *config_worker_of(const struct config *config, const char *plugin_name)
{
    const struct config_plugin *plugin = config_find_plugin(config, plugin_name);
    return plugin ? &plugin->worker : &config->worker;
}

struct config_plugin *config_plugin_make(struct config *config, const char *name, const char *place)
{
    for (size_t i = 0; i < config->plugin_count; i++)
        if (!strcmp(config->plugins[i].name, name))
            return &config->plugins[i];
    struct config_plugin made = {.name = strdup(name), .place = place ? strdup(place) : NULL};
    struct config_plugin *grown = realloc(config->plugins, (config->plugin_count + 1) * sizeof *grown);
    if (grown)
        config->plugins = grown;
    if (!grown || !made.name || (place && !made.place)) {
        free(made.name);
        free(made.place);
        return NULL;
    }
    grown[config->plugin_count] = made;
    return &grown[config->plugin_count++];
}

const char *config_place(const struct config *config, const char *section, const char *key)
{
    size_t length = strlen(section);
    for (size_t i = 0; i < config->given_count; i++) {
        const char *name = config->given[i].key;
        if (!strncmp(name, section, length) && name[length] == '.' && !strcmp(name + length + 1, key))
            return config->given[i].place;
    }
    return NULL;
}

bool config_granted_secret(const char *item, char *name, size_t size)
{
    size_t length = strlen(item);
    bool optional = length > 0 && item[length - 1] == '?';
    snprintf(name, size, "%.*s", (int)(length - optional), item);
    return optional;
}

const char *config_secret(const struct config *config, const char *name)
{
    const struct config_pair *pair = config_pairs_find(config->secrets, config->secret_count, name);
    const char *value = pair && *pair->value ? pair->value : getenv(name);
    return value && *value ? value : NULL;
}
