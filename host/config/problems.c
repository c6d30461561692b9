#include "config/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int config_refuse(struct config_why *why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->text, sizeof why->text, format, arguments);
    va_end(arguments);
    return -1;
}

void config_problems_add(struct config_problems *problems, bool warning, const char *place, const char *format, ...)
{
    /* An error counts even where there is no memory left to say which. */
    if (!warning)
        problems->errors++;
    char *message = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&message, format, arguments);
    va_end(arguments);
    char *place_copy = strdup(place);
    struct config_problem *items = realloc(problems->items, (problems->count + 1) * sizeof *items);
    if (items)
        problems->items = items;
    if (length < 0 || !place_copy || !items) {
        if (length >= 0)
            free(message);
        free(place_copy);
        return;
    }
    items[problems->count++] = (struct config_problem){.warning = warning, .place = place_copy, .message = message};
}

void config_problems_clear(struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        free(problems->items[i].place);
        free(problems->items[i].message);
    }
    free(problems->items);
    memset(problems, 0, sizeof *problems);
}
