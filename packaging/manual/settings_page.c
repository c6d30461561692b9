#include "config/internal.h"
#include "manual.h"
#include "mdoc.h"

#include <stdlib.h>
#include <string.h>

/* "From 1 to 100." in the setting's own unit, or nothing. */
static void bounds(const struct config_setting *setting, FILE *out)
{
    char least[64], most[64];
    switch (setting->kind) {
    case CONFIG_KIND_INTEGER:
        snprintf(least, sizeof least, "%lld", (long long)setting->minimum);
        snprintf(most, sizeof most, "%lld", (long long)setting->maximum);
        break;
    case CONFIG_KIND_DURATION:
        config_format_duration(setting->minimum, least, sizeof least);
        config_format_duration(setting->maximum, most, sizeof most);
        break;
    case CONFIG_KIND_SIZE:
        config_format_size(setting->minimum, least, sizeof least);
        config_format_size(setting->maximum, most, sizeof most);
        break;
    default:
        return;
    }
    fprintf(out, "From %s to %s.\n", least, most);
}

static void entry(const struct config_setting *setting, FILE *out)
{
    fprintf(out, ".It Cm %s No = Ar", setting->key);
    mdoc_argument(out, setting->type);
    fputc('\n', out);
    mdoc_text(out, setting->help);
    bounds(setting, out);
    if (*setting->default_text) {
        fputs("Default:\n.Ql", out);
        mdoc_argument(out, setting->default_text);
        fputs(" .\n", out);
    }
    if (config_setting_needs_start(setting))
        fputs("A change takes effect at the next start.\n", out);
}

/* Returns how many settings the section has. */
static size_t section(const char *name, FILE *out)
{
    size_t count, written = 0;
    const struct config_setting *settings = config_settings(&count);
    const char *in_table = strcmp(name, "worker") == 0 ? "plugin" : name;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(settings[i].section, in_table) != 0)
            continue;
        if (written++ == 0)
            fputs(".Bl -tag -width Ds\n", out);
        entry(&settings[i], out);
    }
    if (written > 0)
        fputs(".El\n", out);
    return written;
}

int manual_settings(const char *template_path, FILE *out)
{
    FILE *template = fopen(template_path, "r");
    size_t count, written = 0;
    config_settings(&count);
    int failed = -1;
    char *line = NULL;
    size_t size = 0;
    if (!template) {
        perror(template_path);
        return -1;
    }
    while (getline(&line, &size, template) >= 0) {
        char name[64];
        if (sscanf(line, "@SECTION %63[a-z0-9]@", name) != 1) {
            fputs(line, out);
            continue;
        }
        size_t of_section = section(name, out);
        if (of_section == 0) {
            fprintf(stderr, "%s: the table of settings has no section %s\n", template_path, name);
            goto out;
        }
        written += of_section;
    }
    if (written == count)
        failed = 0;
    else
        fprintf(stderr,
                "%s names sections with %zu of the table's %zu settings; give each section a line @SECTION NAME@\n",
                template_path, written, count);
out:
    free(line);
    fclose(template);
    return failed;
}
