/*
 * What a reload can't change: threads and connections stand on it.
 */
#include "config/internal.h"

#include <stdio.h>
#include <string.h>

int config_carry(struct config *config, const struct config *running, struct config_problems *problems)
{
    size_t count;
    bool carried = false;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_setting *setting = &settings[i];
        if (!config_setting_needs_start(setting) || config_value_equal(setting, config, running))
            continue;
        const char *place = config_place(config, setting->section, setting->key);
        config_problems_add(
            problems, true, place ? place : "default",
            "\"%s\" in [%s] is not what this host was started with; it takes effect at the next start", setting->key,
            setting->section);
        if (config_value_copy(setting, config, running) != 0)
            return -1;
        carried = true;
    }
    if (carried) /* a loopback address that isn't taken excuses no missing token */
        config_check_together(config, problems);
    return 0;
}
