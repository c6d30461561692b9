#include "base/program.h"
#include "config/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A new path, or NULL: out of memory. */
static char *default_state(void)
{
    char *path = NULL;
    const char *state_home = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    if (geteuid() != 0 && state_home && state_home[0] == '/')
        return asprintf(&path, "%s/exportd", state_home) < 0 ? NULL : path;
    if (geteuid() != 0 && home && home[0] == '/')
        return asprintf(&path, "%s/.local/state/exportd", home) < 0 ? NULL : path;
    /* For a user without a home too: only `serve` needs it, and says so where it can't write there. */
    return strdup("/var/lib/exportd");
}

/* Workers stand in folders of their own, so a path that is relative to where exportd was started must not stay so. */
static void make_absolute(char **path)
{
    char *here = *path && **path && **path != '/' ? getcwd(NULL, 0) : NULL;
    char *whole = NULL;
    if (here && asprintf(&whole, "%s/%s", here, *path) >= 0) {
        free(*path);
        *path = whole;
    }
    free(here);
}

static void machine_defaults(struct config_loader *loader)
{
    struct config_host *host = &loader->config->host;
    if (!*host->state) {
        free(host->state);
        host->state = default_state();
    }
    if (!*host->plugins) {
        free(host->plugins);
        host->plugins = program_file("plugins", EXPORTD_PLUGIN_BELOW, EXPORTD_PLUGIN_DIR);
    }
    make_absolute(&host->state);
    make_absolute(&host->plugins);
    make_absolute(&loader->config->repros.folder);
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    host->log_level_name = strdup(levels[host->log_level]);
    if (!host->state || !host->plugins || !host->log_level_name)
        loader->out_of_memory = true;
}

/* What a plugin's section leaves out comes from [worker]. */
static void inherit(struct config_loader *loader, struct config_plugin *plugin)
{
    char *section;
    if (asprintf(&section, "plugin %s", plugin->name) < 0) {
        loader->out_of_memory = true;
        return;
    }
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++)
        if (!strcmp(settings[i].section, "plugin") && !config_place(loader->config, section, settings[i].key) &&
            config_value_copy(&settings[i], &plugin->worker, &loader->config->worker))
            loader->out_of_memory = true;
    free(section);
}

static void check_listen(const struct config *config, struct config_problems *problems)
{
    const struct config_http *http = &config->http;
    struct config_address address;
    struct config_why why = {""};
    if (!config_parse_listen(http->listen, &address, &why) && !address.loopback && !*http->token) {
        const char *place = config_place(config, "http", "listen");
        config_problems_add(
            problems, false, place ? place : "default",
            "\"listen\" in [http] is %s, which others can reach, and there is no token; give one with "
            "[http] token = file:PATH or EXPORTD_HTTP_TOKEN, or listen on 127.0.0.1",
            http->listen);
    }
}

static void check_backoff(const struct config *config, struct config_problems *problems, const char *section,
                          int64_t first, int64_t most)
{
    if (first <= most)
        return;
    const char *place = config_place(config, section, "backoff_max");
    if (!place)
        place = config_place(config, section, "backoff");
    char first_text[32];
    char most_text[32];
    config_format_duration(first, first_text, sizeof first_text);
    config_format_duration(most, most_text, sizeof most_text);
    config_problems_add(
        problems, false, place ? place : "default",
        "\"backoff\" in [%s] is %s, longer than \"backoff_max\", which is %s; make that the longer one", section,
        first_text, most_text);
}

void config_check_together(const struct config *config, struct config_problems *problems)
{
    check_listen(config, problems);
    check_backoff(config, problems, "jobs", config->jobs.backoff_ms, config->jobs.backoff_max_ms);
    check_backoff(config, problems, "webhook", config->webhook.backoff_ms, config->webhook.backoff_max_ms);
}

void config_finish(struct config_loader *loader)
{
    struct config *config = loader->config;
    machine_defaults(loader);
    for (size_t i = 0; i < config->plugin_count; i++)
        inherit(loader, &config->plugins[i]);
    config_check_together(config, loader->problems);
}
