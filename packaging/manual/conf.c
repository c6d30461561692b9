#include "config/config.h"
#include "manual.h"

#include <stdbool.h>
#include <string.h>

#define COLUMNS_MAX 118

/* help as comments, and below them the key with its default, commented out. */
static void entry(const char *help, const char *key, const char *value, FILE *out)
{
    size_t column = 0;
    bool stop = !*help || help[strlen(help) - 1] != '.';
    fputc('\n', out);
    for (const char *word = help; *word;) {
        size_t length = strcspn(word, " ");
        size_t with_stop = length + (stop && !word[length]);
        if (column > 0 && column + 1 + with_stop > COLUMNS_MAX) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column > 0 ? " " : "# ", (int)length, word);
        word += length;
        word += strspn(word, " ");
    }
    fprintf(out, "%s\n# %s =%s%s\n", stop ? "." : "", key, *value ? " " : "", value);
}

static int table(const char *section, FILE *out)
{
    size_t count, written = 0;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(settings[i].section, section) != 0)
            continue;
        entry(settings[i].help, settings[i].key, settings[i].default_text, out);
        written++;
    }
    return written > 0 ? 0 : -1;
}

int manual_conf(const char *section, FILE *out)
{
    fprintf(out, "[%s]\n", section);
    return table(strcmp(section, "worker") == 0 ? "plugin" : section, out);
}

void manual_conf_plugin(const struct plugin *plugin, FILE *out)
{
    size_t index;
    json_t *option;
    fprintf(out, "[plugin %s]\n", plugin->name);
    table("plugin", out);
    json_array_foreach(json_object_get(plugin->manifest, "options"), index, option)
    {
        const char *help = json_string_value(json_object_get(option, "help"));
        const char *value = json_string_value(json_object_get(option, "default"));
        entry(help ? help : "", json_string_value(json_object_get(option, "name")), value ? value : "", out);
    }
}
