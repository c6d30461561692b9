#include "config/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Ascending; the formatters take the largest that divides. */
static const struct unit duration_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
static const struct unit size_units[] = {
    {"", 1}, {"K", 1024}, {"M", 1024LL * 1024}, {"G", 1024LL * 1024 * 1024}, {"T", 1024LL * 1024 * 1024 * 1024},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Reads digits; *end points behind them. -1: none, or too many. */
static int digits(const char *text, const char **end, int64_t *value)
{
    if (*text < '0' || *text > '9')
        return -1;
    char *stop;
    errno = 0;
    long long number = strtoll(text, &stop, 10);
    if (errno)
        return -1;
    *end = stop;
    *value = number;
    return 0;
}

static int with_unit(const char *text, const struct unit *units, size_t count, bool any_case, int64_t *value)
{
    const char *end;
    int64_t number;
    if (digits(text, &end, &number))
        return -1;
    for (size_t i = 0; i < count; i++) {
        if ((any_case ? strcasecmp(end, units[i].name) : strcmp(end, units[i].name)) != 0)
            continue;
        if (number > INT64_MAX / units[i].factor)
            return -1;
        *value = number * units[i].factor;
        return 0;
    }
    return -1;
}

int config_parse_duration(const char *text, int64_t *milliseconds)
{
    if (!strcmp(text, "0")) {
        *milliseconds = 0;
        return 0;
    }
    return with_unit(text, duration_units, COUNT(duration_units), false, milliseconds);
}

int config_parse_size(const char *text, int64_t *bytes)
{
    return with_unit(text, size_units, COUNT(size_units), true, bytes);
}

int config_parse_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    const char *end;
    int64_t number;
    if (digits(text + (negative ? 1 : 0), &end, &number) || *end)
        return -1;
    *value = negative ? -number : number;
    return 0;
}

int config_parse_boolean(const char *text, bool *value)
{
    static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
    for (size_t i = 0; i < COUNT(words); i++) {
        for (size_t j = 0; j < 2; j++) {
            if (!strcasecmp(text, words[i][j])) {
                *value = j == 1;
                return 0;
            }
        }
    }
    return -1;
}

static void format(int64_t value, const struct unit *units, size_t count, char *text, size_t size)
{
    const struct unit *unit = &units[0];
    for (size_t i = 0; i < count && value > 0; i++)
        if (value % units[i].factor == 0)
            unit = &units[i];
    snprintf(text, size, "%" PRId64 "%s", value / unit->factor, unit->name);
}

void config_format_duration(int64_t milliseconds, char *text, size_t size)
{
    format(milliseconds, duration_units, COUNT(duration_units), text, size);
}

void config_format_size(int64_t bytes, char *text, size_t size)
{
    format(bytes, size_units, COUNT(size_units), text, size);
}
