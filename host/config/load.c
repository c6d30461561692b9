#include "config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Sections that conf.d may have; those of the second kind carry a name: [plugin export-pdf]. */
static const char *const section_words[] = {"host",   "http",    "store",  "nats",    "redis",
                                            "s3",     "jobs",    "repros", "webhook", "upstream",
                                            "worker", "secrets", "plugin", "route",   "pipeline"};
#define SECTION_COUNT (sizeof section_words / sizeof *section_words)

static bool takes_name(const char *word)
{
    return !strcmp(word, "plugin") || !strcmp(word, "route") || !strcmp(word, "pipeline");
}

/* [plugin export-pdf]: *name points behind the first space, or at the end. word has CONFIG_LINE_MAX + 1 bytes. */
static void split_section(const char *section, char *word, const char **name)
{
    size_t length = strcspn(section, " ");
    if (length > CONFIG_LINE_MAX)
        length = CONFIG_LINE_MAX;
    memcpy(word, section, length);
    word[length] = '\0';
    *name = section[length] == ' ' ? section + length + 1 : section + length;
}

static bool is_section_word(const char *word)
{
    for (size_t i = 0; i < SECTION_COUNT; i++)
        if (!strcmp(word, section_words[i]))
            return true;
    return false;
}

static int unknown_section(struct config_loader *loader, const char *section, const char *word, const char *name,
                           const char *place)
{
    const char *nearest = config_nearest(word, section_words, SECTION_COUNT);
    if (nearest && takes_name(nearest))
        config_problems_add(loader->problems, false, place, "unknown section [%s]; did you mean [%s %s]?", section,
                            nearest, *name ? name : "NAME");
    else if (nearest)
        config_problems_add(loader->problems, false, place, "unknown section [%s]; did you mean [%s]?", section,
                            nearest);
    else
        config_problems_add(
            loader->problems, false, place,
            "unknown section [%s]; there are [host], [http], [store], [nats], [redis], [s3], [jobs], "
            "[repros], [webhook], [upstream], [worker], [secrets], [plugin NAME], [route TASK] and [pipeline TASK]",
            section);
    return -1;
}

static int check_section(struct config_loader *loader, const char *section, const char *place)
{
    char word[CONFIG_LINE_MAX + 1];
    const char *name;
    split_section(section, word, &name);
    if (!is_section_word(word))
        return unknown_section(loader, section, word, name, place);
    if (takes_name(word) && !*name) {
        config_problems_add(loader->problems, false, place, "[%s] needs a name; write %s", word,
                            !strcmp(word, "plugin")  ? "[plugin export-pdf]"
                            : !strcmp(word, "route") ? "[route report]"
                                                     : "[pipeline process-with-repo]");
        return -1;
    }
    if (!takes_name(word) && *name) {
        config_problems_add(loader->problems, false, place, "unknown section [%s]; did you mean [%s]?", section,
                            word);
        return -1;
    }
    if (!strcmp(word, "plugin") && !config_is_name(name, "-")) {
        config_problems_add(loader->problems, false, place,
                            "[%s] is no plugin's name; it has lower-case letters, digits and - only", section);
        return -1;
    }
    if ((!strcmp(word, "route") || !strcmp(word, "pipeline")) && !config_is_name(name, "-_.")) {
        config_problems_add(loader->problems, false, place,
                            "[%s] is no task's name; it has lower-case letters, digits, -, _ and . only", section);
        return -1;
    }
    return 0;
}

static int take_section(void *user, const char *section, const char *place)
{
    struct config_loader *loader = user;
    if (check_section(loader, section, place))
        return -1;
    const struct config_pair *first = config_pairs_find(loader->sections, loader->section_count, section);
    if (first) {
        config_problems_add(loader->problems, false, place,
                            "duplicate section [%s]; it stands at %s already: put both into one", section,
                            first->place);
        return 0;
    }
    if (config_pairs_put(&loader->sections, &loader->section_count, section, NULL, place))
        loader->out_of_memory = true;
    if (!strncmp(section, "plugin ", 7) && !config_plugin_make(loader->config, section + 7, place))
        loader->out_of_memory = true;
    return 0;
}

static void unknown_key(struct config_loader *loader, const char *section, const char *rows, const char *key,
                        const char *place)
{
    const char *names[CONFIG_KEYS_MAX];
    size_t count = config_setting_keys(rows, names);
    const char *nearest = config_nearest(key, names, count);
    size_t total;
    const struct config_setting *settings = config_settings(&total);
    const char *elsewhere = NULL;
    for (size_t i = 0; i < total && !elsewhere; i++)
        if (!strcmp(settings[i].key, key))
            elsewhere = !strcmp(settings[i].section, "plugin") ? "worker" : settings[i].section;
    if (nearest && elsewhere)
        config_problems_add(loader->problems, false, place,
                            "unknown key \"%s\" in [%s]; did you mean \"%s\"? (there is one in [%s], too)", key,
                            section, nearest, elsewhere);
    else if (nearest)
        config_problems_add(loader->problems, false, place, "unknown key \"%s\" in [%s]; did you mean \"%s\"?", key,
                            section, nearest);
    else if (elsewhere)
        config_problems_add(loader->problems, false, place, "unknown key \"%s\" in [%s]; it belongs to [%s]", key,
                            section, elsewhere);
    else
        config_problems_add(loader->problems, false, place,
                            "unknown key \"%s\" in [%s]; the shipped conf.d lists the keys that exist", key, section);
}

/* Notes where the key was given. -1: it was given before, in conf.d. */
static int note_place(struct config_loader *loader, const char *section, const char *key,
                      const struct config_source *source)
{
    const char *first = config_place(loader->config, section, key);
    if (first && !source->environment) {
        config_problems_add(loader->problems, false, source->place,
                            "duplicate key \"%s\" in [%s]; it is given at %s already: keep one", key, section, first);
        return -1;
    }
    char *name;
    if (asprintf(&name, "%s.%s", section, key) < 0) {
        loader->out_of_memory = true;
        return 0;
    }
    if (config_pairs_put(&loader->config->given, &loader->config->given_count, name, NULL, source->place))
        loader->out_of_memory = true;
    free(name);
    return 0;
}

/* The value behind ${} and file:, or NULL where it was refused. */
static char *expanded(struct config_loader *loader, const char *section, const char *key, const char *raw,
                      bool secret, const struct config_source *source)
{
    struct config_why why;
    char *value = NULL;
    bool literal = false;
    size_t length = strlen(raw);
    if (!source->environment && length >= 2 && (raw[0] == '"' || raw[0] == '\'') && raw[length - 1] == raw[0]) {
        config_problems_add(loader->problems, false, source->place,
                            "\"%s\" in [%s] is in quotes, which would be part of it; write it without", key, section);
        return NULL;
    }
    if (config_expand(raw, !source->environment, &value, &literal, &why)) {
        config_problems_add(loader->problems, false, source->place, "\"%s\" in [%s] %s", key, section, why.text);
        return NULL;
    }
    if (!config_is_utf8(value, strlen(value))) {
        config_problems_add(loader->problems, false, source->place, "\"%s\" in [%s] is no valid UTF-8", key, section);
        free(value);
        return NULL;
    }
    if (secret && literal && *value && source->world_readable)
        config_problems_add(
            loader->problems, true, source->place,
            "everybody may read the secret \"%s\" in this file; give it as file:PATH or ${NAME}, or run "
            "chmod o-r on the file",
            key);
    if (!secret && literal && !source->environment && strstr(raw, " #"))
        config_problems_add(loader->problems, true, source->place,
                            "\"%s\" in [%s] holds \" #\", which is part of the value; a comment after a value begins "
                            "with ;",
                            key, section);
    return value;
}

static void apply_setting(struct config_loader *loader, const struct config_setting *setting, void *base,
                          const char *section, const char *raw, const struct config_source *source)
{
    if (note_place(loader, section, setting->key, source))
        return;
    char *value = expanded(loader, section, setting->key, raw, config_kind_is_secret(setting->kind), source);
    struct config_why why;
    if (value && config_value_set(setting, base, value, &why))
        config_problems_add(loader->problems, false, source->place, "\"%s\" in [%s] %s", setting->key, section,
                            why.text);
    free(value);
}

static void apply_option(struct config_loader *loader, struct config_plugin *plugin, const char *section,
                         const char *key, const char *raw, const struct config_source *source)
{
    if (note_place(loader, section, key, source))
        return;
    char *value = expanded(loader, section, key, raw, false, source);
    if (value && config_pairs_put(&plugin->options, &plugin->option_count, key, value, source->place))
        loader->out_of_memory = true;
    free(value);
}

static void apply_secret(struct config_loader *loader, const char *key, const char *raw,
                         const struct config_source *source)
{
    if (!config_is_secret_name(key)) {
        config_problems_add(loader->problems, false, source->place,
                            "\"%s\" in [secrets] is no name of a secret; it has letters, digits and _ only, as "
                            "GITHUB_TOKEN has",
                            key);
        return;
    }
    if (note_place(loader, "secrets", key, source))
        return;
    char *value = expanded(loader, "secrets", key, raw, true, source);
    if (value && config_pairs_put(&loader->config->secrets, &loader->config->secret_count, key, value, source->place))
        loader->out_of_memory = true;
    free(value);
}

static struct config_route *make_route(struct config *config, const char *task)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (!strcmp(config->routes[i].task, task))
            return &config->routes[i];
    struct config_route *grown = realloc(config->routes, (config->route_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    config->routes = grown;
    grown[config->route_count] = (struct config_route){.task = strdup(task)};
    if (!grown[config->route_count].task)
        return NULL;
    return &grown[config->route_count++];
}

static void apply_route(struct config_loader *loader, const char *section, const char *task, const char *key,
                        const char *raw, const struct config_source *source)
{
    if (strcmp(key, "default") != 0) {
        config_problems_add(loader->problems, false, source->place,
                            "unknown key \"%s\" in [%s]; did you mean \"default\"?", key, section);
        return;
    }
    if (note_place(loader, section, key, source))
        return;
    char *value = expanded(loader, section, key, raw, false, source);
    if (!value)
        return;
    if (!config_is_name(value, "-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
        config_problems_add(loader->problems, false, source->place,
                            "\"default\" in [%s] %s; write the selector's value, such as pdf", section,
                            *value ? "has characters that no route has" : "is empty, but needs a value");
        free(value);
        return;
    }
    struct config_route *route = make_route(loader->config, task);
    char *place = strdup(source->place);
    if (!route || !place) {
        loader->out_of_memory = true;
        free(value);
        free(place);
        return;
    }
    free(route->default_value);
    free(route->place);
    route->default_value = value;
    route->place = place;
}

static struct config_pipeline *make_pipeline(struct config *config, const char *name)
{
    for (size_t i = 0; i < config->pipeline_count; i++)
        if (!strcmp(config->pipelines[i].name, name))
            return &config->pipelines[i];
    struct config_pipeline *grown = realloc(config->pipelines, (config->pipeline_count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    config->pipelines = grown;
    grown[config->pipeline_count] = (struct config_pipeline){.name = strdup(name)};
    if (!grown[config->pipeline_count].name)
        return NULL;
    return &grown[config->pipeline_count++];
}

static void set_steps(struct config_loader *loader, struct config_pipeline *pipeline, const char *section,
                      const char *value, const char *place)
{
    struct config_list steps;
    if (config_list_split(value, &steps)) {
        loader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < steps.count; i++) {
        if (config_is_name(steps.items[i], "-_./"))
            continue;
        config_problems_add(
            loader->problems, false, place,
            "\"steps\" in [%s] has \"%.80s\", which is no route; write names such as acquire-user-repo", section,
            steps.items[i]);
    }
    if (steps.count == 0)
        config_problems_add(loader->problems, false, place,
                            "\"steps\" in [%s] is empty; name the routes that it is made of, in their order",
                            section);
    pipeline->steps = steps;
    pipeline->place = strdup(place);
    loader->out_of_memory = loader->out_of_memory || !pipeline->place;
}

static void set_options(struct config_loader *loader, struct config_pipeline *pipeline, const char *section,
                        const char *value, const char *place)
{
    json_error_t where;
    json_decref(pipeline->options);
    pipeline->options = json_loads(value, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(pipeline->options))
        config_problems_add(loader->problems, false, place,
                            "\"options\" in [%s] must be a JSON object%s%s, such as {\"history\": true}", section,
                            pipeline->options ? "" : ": ", pipeline->options ? "" : where.text);
    free(pipeline->options_place);
    pipeline->options_place = strdup(place);
    loader->out_of_memory = loader->out_of_memory || !pipeline->options_place;
}

static void apply_pipeline(struct config_loader *loader, const char *section, const char *name, const char *key,
                           const char *raw, const struct config_source *source)
{
    static const char *const keys[] = {"steps", "summary", "options"};
    if (strcmp(key, keys[0]) != 0 && strcmp(key, keys[1]) != 0 && strcmp(key, keys[2]) != 0) {
        const char *nearest = config_nearest(key, keys, 3);
        config_problems_add(loader->problems, false, source->place,
                            "unknown key \"%s\" in [%s]; did you mean \"%s\"?", key, section,
                            nearest ? nearest : keys[0]);
        return;
    }
    if (note_place(loader, section, key, source))
        return;
    char *value = expanded(loader, section, key, raw, false, source);
    struct config_pipeline *pipeline = value ? make_pipeline(loader->config, name) : NULL;
    if (value && !pipeline)
        loader->out_of_memory = true;
    else if (value && !strcmp(key, "steps"))
        set_steps(loader, pipeline, section, value, source->place);
    else if (value && !strcmp(key, "options"))
        set_options(loader, pipeline, section, value, source->place);
    else if (value) {
        free(pipeline->summary);
        pipeline->summary = value;
        return;
    }
    free(value);
}

void config_apply(struct config_loader *loader, const char *section, const char *key, const char *raw,
                  const struct config_source *source)
{
    char word[CONFIG_LINE_MAX + 1];
    const char *name;
    split_section(section, word, &name);
    if (!strcmp(word, "secrets")) {
        apply_secret(loader, key, raw, source);
        return;
    }
    if (!strcmp(word, "route")) {
        apply_route(loader, section, name, key, raw, source);
        return;
    }
    if (!strcmp(word, "pipeline")) {
        apply_pipeline(loader, section, name, key, raw, source);
        return;
    }
    bool of_worker = !strcmp(word, "worker");
    bool of_plugin = !strcmp(word, "plugin");
    const char *rows = of_worker || of_plugin ? "plugin" : word;
    const struct config_setting *setting = config_setting_find(rows, key);
    struct config_plugin *plugin = of_plugin ? config_plugin_make(loader->config, name, NULL) : NULL;
    if (of_plugin && !plugin)
        loader->out_of_memory = true;
    else if (setting)
        apply_setting(loader, setting,
                      plugin      ? (void *)&plugin->worker
                      : of_worker ? (void *)&loader->config->worker
                                  : (void *)loader->config,
                      section, raw, source);
    else if (plugin)
        apply_option(loader, plugin, section, key, raw, source);
    else
        unknown_key(loader, section, rows, key, source->place);
}

static void take_pair(void *user, const char *section, const char *key, const char *value,
                      const struct config_source *source)
{
    config_apply(user, section, key, value, source);
}

/* -1: a default that can't be taken, which is want of memory. */
static int apply_defaults(struct config_loader *loader)
{
    int result = 0;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        struct config_why why;
        bool of_worker = !strcmp(settings[i].section, "plugin");
        if (config_value_set(&settings[i], of_worker ? (void *)&loader->config->worker : (void *)loader->config,
                             settings[i].default_text, &why)) {
            config_problems_add(loader->problems, false, "default", "\"%s\" in [%s] %s", settings[i].key,
                                settings[i].section, why.text);
            result = -1;
        }
    }
    return result;
}

int config_load(const char *folder, struct config **out, struct config_problems *problems)
{
    struct config_loader loader = {.problems = problems};
    struct config_reader_calls calls = {.section = take_section, .pair = take_pair, .user = &loader};
    size_t errors_before = problems->errors;
    loader.config = calloc(1, sizeof *loader.config);
    if (!loader.config) {
        config_problems_add(problems, false, folder ? folder : "environment", "out of memory");
        return -1;
    }
    /* Without its defaults the rest has nothing to stand on. */
    if (apply_defaults(&loader)) {
        config_free(loader.config);
        return -1;
    }
    if (folder) {
        loader.config->folder = strdup(folder);
        loader.out_of_memory = !loader.config->folder;
        config_read_folder(folder, &calls, problems);
    }
    config_apply_environment(&loader, environ);
    config_finish(&loader);
    if (loader.out_of_memory)
        config_problems_add(problems, false, folder ? folder : "environment", "out of memory");
    config_pairs_free(loader.sections, loader.section_count);
    if (problems->errors > errors_before) {
        config_free(loader.config);
        return -1;
    }
    *out = loader.config;
    return 0;
}
