#include "config/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The length of the well-formed UTF-8 character at text, or 0. No overlong forms, no surrogates. */
static size_t character(const unsigned char *text, size_t length)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || size > length)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool config_is_utf8(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        size_t size = character((const unsigned char *)text + at, length - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

bool config_has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

bool config_is_secret_name(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && *text != '_')
            return false;
    return true;
}

bool config_is_name(const char *text, const char *further)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!islower((unsigned char)*text) && !isdigit((unsigned char)*text) && !strchr(further, *text))
            return false;
    return true;
}

int config_check_path(const char *text, bool absolute, struct config_why *why)
{
    if (config_has_control(text))
        return config_refuse(why, "is a path with a control character in it; take that out");
    if (text[0] == '~')
        return config_refuse(why, "is \"%.80s\", but no shell expands ~ here; write ${HOME}%.80s", text, text + 1);
    if (absolute && text[0] != '/')
        return config_refuse(why, "is \"%.80s\", a relative path; write an absolute one, from / on", text);
    return 0;
}

static bool is_separator(char letter)
{
    return letter == ',' || isspace((unsigned char)letter);
}

int config_list_split(const char *text, struct config_list *list)
{
    struct config_list made = {0};
    while (*text) {
        while (is_separator(*text))
            text++;
        size_t length = 0;
        while (text[length] && !is_separator(text[length]))
            length++;
        if (length == 0)
            break;
        char **items = realloc(made.items, (made.count + 1) * sizeof *items);
        if (!items)
            goto fail;
        made.items = items;
        items[made.count] = strndup(text, length);
        if (!items[made.count])
            goto fail;
        made.count++;
        text += length;
    }
    *list = made;
    return 0;
fail:
    config_list_free(&made);
    return -1;
}

void config_list_free(struct config_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    memset(list, 0, sizeof *list);
}

char *config_word(const char *word, bool upper, char from, char to)
{
    char *copy = strdup(word);
    for (char *at = copy; at && *at; at++) {
        if (*at == from)
            *at = to;
        else
            *at = (char)(upper ? toupper((unsigned char)*at) : tolower((unsigned char)*at));
    }
    return copy;
}
