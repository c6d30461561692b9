#include "config/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One call of config_check_plugin(). */
struct check {
    const struct config *config;
    const char *name;
    const struct config_plugin *plugin; /* NULL: conf.d has no section */
    const struct config_worker *worker;
    const struct config_plugin_option *options;
    size_t option_count;
    struct config_problems *problems;
};

/* Where the plugin's section stands, or where it would. */
static const char *section_place(const struct check *check)
{
    if (check->plugin && check->plugin->place)
        return check->plugin->place;
    return check->config->folder ? check->config->folder : "environment";
}

static const char *setting_place(const struct check *check, const char *key)
{
    char section[256];
    snprintf(section, sizeof section, "plugin %s", check->name);
    const char *place = config_place(check->config, section, key);
    if (!place)
        place = config_place(check->config, "worker", key);
    return place ? place : section_place(check);
}

static int normalise(enum exportd_option_type type, const char *text, char **value, struct config_why *why)
{
    int64_t number;
    bool yes;
    int length = 0;
    *value = NULL;
    switch (type) {
    case EXPORTD_INTEGER:
        if (config_parse_integer(text, &number))
            return config_refuse(why, "is \"%.80s\"; write a whole number", text);
        length = asprintf(value, "%" PRId64, number);
        break;
    case EXPORTD_BOOLEAN:
        if (config_parse_boolean(text, &yes))
            return config_refuse(why, "is \"%.80s\"; write yes or no", text);
        *value = strdup(yes ? "yes" : "no");
        break;
    case EXPORTD_DURATION:
        if (config_parse_duration(text, &number))
            return config_refuse(why, "is \"%.80s\"; write a duration with its unit, such as 30s, 5m or 250ms", text);
        length = asprintf(value, "%" PRId64, number);
        break;
    case EXPORTD_SIZE:
        if (config_parse_size(text, &number))
            return config_refuse(why, "is \"%.80s\"; write a size such as 64K, 10M or 1G", text);
        length = asprintf(value, "%" PRId64, number);
        break;
    case EXPORTD_PATH:
        if (*text && config_check_path(text, true, why))
            return -1;
        *value = strdup(text);
        break;
    case EXPORTD_STRING:
        *value = strdup(text);
        break;
    default:
        return config_refuse(why, "has a type (%d) that this host doesn't know; install a newer one", (int)type);
    }
    if (length < 0 || !*value) {
        *value = NULL;
        return config_refuse(why, "can't be kept: out of memory");
    }
    return 0;
}

static char variable_letter(char letter)
{
    return (char)(letter == '-' || letter == '.' ? '_' : toupper((unsigned char)letter));
}

/* What follows the plugin's name in a variable's, or NULL: "EXPORT_PDF_PAGE" and export-pdf make "PAGE". */
static const char *after_plugin(const char *variable, const char *name)
{
    for (; *name; name++, variable++)
        if (*variable != variable_letter(*name))
            return NULL;
    return *variable == '_' && variable[1] ? variable + 1 : NULL;
}

static bool names_option(const char *variable, const char *option)
{
    for (; *option && *variable == variable_letter(*option); option++)
        variable++;
    return !*option && !*variable;
}

/* Another plugin whose name is longer has the better claim: one of conf.d, or (guessed) one of the environment alone.
 */
static bool is_another_plugins(const struct check *check, const char *variable, bool guessed)
{
    for (size_t i = 0; i < check->config->plugin_count; i++) {
        const struct config_plugin *plugin = &check->config->plugins[i];
        if ((plugin->place || guessed) && strlen(plugin->name) > strlen(check->name) &&
            after_plugin(variable, plugin->name))
            return true;
    }
    return false;
}

/* The environment's value for the option, else conf.d's, else NULL. */
static const struct config_pair *given_value(const struct check *check, const char *option, bool *of_environment)
{
    *of_environment = true;
    for (size_t i = 0; i < check->config->plugin_environment_count; i++) {
        const struct config_pair *pair = &check->config->plugin_environment[i];
        const char *rest = after_plugin(pair->key, check->name);
        if (rest && names_option(rest, option) && !is_another_plugins(check, pair->key, false))
            return pair;
    }
    *of_environment = false;
    return check->plugin ? config_pairs_find(check->plugin->options, check->plugin->option_count, option) : NULL;
}

static void check_default(const struct check *check, const struct config_plugin_option *option, char **value)
{
    struct config_why why;
    if (option->default_value) {
        if (normalise(option->type, option->default_value, value, &why))
            config_problems_add(
                check->problems, false, section_place(check),
                "the default of \"%s\" in plugin %s %s; the plugin's author has to mend it, or give the "
                "key a value here",
                option->name, check->name, why.text);
    } else if (option->required) {
        config_problems_add(check->problems, false, section_place(check),
                            "[plugin %s] needs the key \"%s\"%s%s; add it to the section", check->name, option->name,
                            option->help ? ": " : "", option->help ? option->help : "");
    }
}

static void check_option(const struct check *check, const struct config_plugin_option *option, char **value)
{
    if (config_setting_find("plugin", option->name)) {
        config_problems_add(
            check->problems, false, section_place(check),
            "plugin %s has an option \"%s\", but that is a key of the host's; the plugin's author has "
            "to rename it",
            check->name, option->name);
        return;
    }
    bool of_environment;
    const struct config_pair *pair = given_value(check, option->name, &of_environment);
    if (!pair) {
        check_default(check, option, value);
        return;
    }
    struct config_why why;
    char *expanded = NULL;
    bool literal;
    /* conf.d's values were expanded as they were read. */
    if (of_environment && config_expand(pair->value, false, &expanded, &literal, &why)) {
        config_problems_add(check->problems, false, pair->place, "\"%s\" in [plugin %s] %s", option->name,
                            check->name, why.text);
        return;
    }
    const char *text = expanded ? expanded : pair->value;
    bool needs_value = option->required || (option->type != EXPORTD_STRING && option->type != EXPORTD_PATH);
    if (!*text && needs_value)
        config_problems_add(check->problems, false, pair->place, "\"%s\" in [plugin %s] is empty, but needs a value",
                            option->name, check->name);
    else if (normalise(option->type, text, value, &why))
        config_problems_add(check->problems, false, pair->place, "\"%s\" in [plugin %s] %s", option->name,
                            check->name, why.text);
    free(expanded);
}

static bool is_declared(const struct check *check, const char *key)
{
    for (size_t i = 0; i < check->option_count; i++)
        if (!strcmp(check->options[i].name, key))
            return true;
    return false;
}

static const char *nearest_key(const struct check *check, const char *key)
{
    const char **names = calloc(check->option_count + CONFIG_KEYS_MAX, sizeof *names);
    if (!names)
        return NULL;
    for (size_t i = 0; i < check->option_count; i++)
        names[i] = check->options[i].name;
    size_t count = check->option_count + config_setting_keys("plugin", names + check->option_count);
    const char *nearest = config_nearest(key, names, count);
    free(names);
    return nearest;
}

static void check_unknown_keys(const struct check *check)
{
    for (size_t i = 0; check->plugin && i < check->plugin->option_count; i++) {
        const struct config_pair *pair = &check->plugin->options[i];
        if (is_declared(check, pair->key))
            continue;
        const char *nearest = nearest_key(check, pair->key);
        if (nearest)
            config_problems_add(check->problems, false, pair->place,
                                "unknown key \"%s\" in [plugin %s]; did you mean \"%s\"?", pair->key, check->name,
                                nearest);
        else
            config_problems_add(check->problems, false, pair->place,
                                "unknown key \"%s\" in [plugin %s]; exportd inspect %s lists the keys that it has",
                                pair->key, check->name, check->name);
    }
}

static bool names_any_option(const struct check *check, const char *rest)
{
    for (size_t i = 0; i < check->option_count; i++)
        if (names_option(rest, check->options[i].name))
            return true;
    return false;
}

/* A variable for a plugin without a section may be another's: EXPORT_PDF_PAGE is no key of a plugin called export. */
static void check_unknown_variables(const struct check *check)
{
    for (size_t i = 0; i < check->config->plugin_environment_count; i++) {
        const struct config_pair *pair = &check->config->plugin_environment[i];
        const char *rest = after_plugin(pair->key, check->name);
        if (!rest || is_another_plugins(check, pair->key, true) || names_any_option(check, rest))
            continue;
        char *word = config_word(rest, false, '-', '_');
        if (!word)
            continue;
        const char *nearest = config_setting_find("plugin", word) ? NULL : nearest_key(check, word);
        if (nearest)
            config_problems_add(check->problems, true, pair->place,
                                "[plugin %s] has no key \"%s\"; did you mean \"%s\"?", check->name, word, nearest);
        else if (check->plugin && check->plugin->place)
            config_problems_add(check->problems, true, pair->place, "[plugin %s] has no key \"%s\"", check->name,
                                word);
        free(word);
    }
}

static void check_secrets(const struct check *check, const char *const *asked)
{
    const struct config_list *granted = &check->worker->secrets;
    char name[256];
    for (size_t i = 0; i < granted->count; i++)
        if (!config_granted_secret(granted->items[i], name, sizeof name) && !config_secret(check->config, name))
            config_problems_add(
                check->problems, false, setting_place(check, "secrets"),
                "[plugin %s] is granted the secret %s, which is not there; add it to [secrets], or set "
                "the environment variable %s",
                check->name, name, name);
    for (; asked && *asked; asked++) {
        bool found = false;
        for (size_t i = 0; i < granted->count && !found; i++) {
            config_granted_secret(granted->items[i], name, sizeof name);
            found = !strcmp(name, *asked);
        }
        if (!found)
            config_problems_add(
                check->problems, true, section_place(check),
                "plugin %s asks for the secret %s, which isn't granted; where its jobs need it, add it "
                "to secrets = in [plugin %s]",
                check->name, *asked, check->name);
    }
}

/* Whoever wrote the key with another value has decided. */
static void check_grant(const struct check *check, bool asked, bool given, const char *key, const char *yes,
                        const char *no)
{
    char section[256];
    snprintf(section, sizeof section, "plugin %s", check->name);
    if (asked && !given && !config_place(check->config, section, key))
        config_problems_add(check->problems, true, section_place(check),
                            "plugin %s asks for %s, which isn't granted; where its jobs need it, write %s in "
                            "[plugin %s], else %s",
                            check->name, key, yes, check->name, no);
}

int config_check_plugin(const struct config *config, const char *plugin_name,
                        const struct config_plugin_option *options, size_t option_count,
                        const char *const *secrets_asked, uint32_t grants_asked, char **values,
                        struct config_problems *problems)
{
    struct check check = {
        .config = config,
        .name = plugin_name,
        .plugin = config_find_plugin(config, plugin_name),
        .worker = config_worker_of(config, plugin_name),
        .options = options,
        .option_count = option_count,
        .problems = problems,
    };
    size_t errors_before = problems->errors;
    for (size_t i = 0; i < option_count; i++) {
        values[i] = NULL;
        check_option(&check, &options[i], &values[i]);
    }
    check_unknown_keys(&check);
    check_unknown_variables(&check);
    check_secrets(&check, secrets_asked);
    check_grant(&check, (grants_asked & EXPORTD_GRANT_NETWORK) != 0, check.worker->network, "network",
                "network = yes", "network = no");
    check_grant(&check, (grants_asked & EXPORTD_GRANT_EXEC) != 0, check.worker->exec, "exec", "exec = yes",
                "exec = no");
    check_grant(&check, (grants_asked & EXPORTD_GRANT_CACHE) != 0, check.worker->cache[0] != '\0', "cache",
                "cache = NAME", "an empty cache =");
    if (problems->errors == errors_before)
        return 0;
    for (size_t i = 0; i < option_count; i++) {
        free(values[i]);
        values[i] = NULL;
    }
    return -1;
}
