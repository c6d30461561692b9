/* value.h: strings and lists with bounds. */
#include "value.h"

#include <exportd/kit/text.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PATH_MAX_BYTES 4096

static bool is_blank(uint32_t code_point)
{
    return code_point == ' ' || (code_point >= '\t' && code_point <= '\r') || code_point == 0x85 ||
           code_point == 0xA0 || (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 ||
           code_point == 0x2029 || code_point == 0x3000;
}

static bool is_hidden(uint32_t code_point)
{
    return code_point < ' ' || (code_point >= 0x7F && code_point < 0xA0) || code_point == 0xAD ||
           (code_point >= 0x200B && code_point <= 0x200F) || (code_point >= 0x202A && code_point <= 0x202E) ||
           (code_point >= 0x2060 && code_point <= 0x206F) || code_point == 0xFEFF || code_point == 0x061C;
}

json_t *value_text(const char *bytes, size_t size, size_t max_bytes)
{
    size_t looked_at = size < 16 * max_bytes + 64 ? size : 16 * max_bytes + 64;
    char *copy = malloc(looked_at + 1), *out = malloc(max_bytes + 8);
    json_t *value = NULL;
    if (copy && out) {
        size_t length = 0;
        bool blank = false, cut = false;
        const char *cursor = copy;
        memcpy(copy, bytes, looked_at);
        copy[looked_at] = '\0';
        for (size_t i = 0; i < looked_at; i++)
            if (!copy[i])
                copy[i] = ' ';
        for (uint32_t next; (next = exportd_text_next(&cursor)) != 0;) {
            char encoded[4];
            if (is_blank(next)) {
                blank = length > 0;
                continue;
            }
            if (is_hidden(next))
                continue;
            size_t bytes_more = exportd_text_encode(next, encoded);
            cut = length + bytes_more + blank > max_bytes;
            if (cut)
                break;
            if (blank)
                out[length++] = ' ';
            blank = false;
            memcpy(out + length, encoded, bytes_more);
            length += bytes_more;
        }
        if (cut || looked_at < size) {
            memcpy(out + length, "\xe2\x80\xa6", 3);
            length += 3;
        }
        value = json_stringn(out, length);
    }
    free(copy);
    free(out);
    return value;
}

json_t *value_string(const char *text, size_t max_bytes)
{
    json_t *value = text ? value_text(text, strlen(text), max_bytes) : NULL;
    if (value && json_string_length(value) > 0)
        return value;
    json_decref(value);
    return json_null();
}

json_t *value_path(const char *path)
{
    json_t *value = json_string(path);
    return value ? value : value_text(path, strlen(path), PATH_MAX_BYTES);
}

int value_list_add(struct value_list *list, const char *text)
{
    if (list->count == VALUE_LIST_MAX) {
        list->cut = true;
        return 0;
    }
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 16;
        char **items = reallocarray(list->items, capacity, sizeof *items);
        if (!items)
            return -1;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count] = strdup(text);
    return list->items[list->count] ? (list->count++, 0) : -1;
}

void value_list_clear(struct value_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct value_list){0};
}

bool value_begins(const char *text, const char *with)
{
    return strncasecmp(text, with, strlen(with)) == 0;
}

bool value_ends(const char *text, const char *with)
{
    size_t length = strlen(text), end = strlen(with);
    return length >= end && strcasecmp(text + length - end, with) == 0;
}

bool value_is_one_of(const char *text, size_t length, const char *words)
{
    for (const char *at = words; *at;) {
        size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, text, length) == 0)
            return true;
        at += word;
        at += strspn(at, " ");
    }
    return false;
}
