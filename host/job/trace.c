#include "job/trace.h"

#include <stddef.h>
#include <string.h>

#define PARENT_LENGTH 55 /* of version 00: 2 + 1 + 32 + 1 + 16 + 1 + 2 */
#define PARENT_MAX 200

static bool is_hex(const char *text, size_t length, bool all_zeroes_too)
{
    bool zeroes = true;
    for (size_t i = 0; i < length; i++) {
        if (!strchr("0123456789abcdef", text[i]))
            return false;
        zeroes = zeroes && text[i] == '0';
    }
    return all_zeroes_too || !zeroes;
}

bool trace_is_parent(const char *text)
{
    size_t length = strnlen(text, PARENT_MAX + 1);
    if (length < PARENT_LENGTH || length > PARENT_MAX || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    if (!is_hex(text, 2, true) || !is_hex(text + 3, 32, false) || !is_hex(text + 36, 16, false) ||
        !is_hex(text + 53, 2, true) || memcmp(text, "ff", 2) == 0)
        return false;
    if (length == PARENT_LENGTH)
        return true;
    for (const char *c = text + PARENT_LENGTH; *c; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    return memcmp(text, "00", 2) != 0 && text[PARENT_LENGTH] == '-';
}
