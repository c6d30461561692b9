#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Whether the bytes are the beginning of a character whose rest was cut off. */
static bool is_cut(const unsigned char *bytes, size_t length)
{
    size_t wanted = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : bytes[0] >= 0xc0 ? 2 : 1;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return false;
    return length < wanted;
}

/* The length of the well-formed character (RFC 3629) at the beginning of bytes; 0: there is none. */
static size_t character_length(const unsigned char *bytes, size_t length)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t i = 0; i < 4 && i < length; i++) {
        if ((bytes[0] & forms[i].mask) != forms[i].lead)
            continue;
        uint32_t value = bytes[0] & (unsigned char)~forms[i].mask;
        for (size_t j = 1; j <= i; j++) {
            if ((bytes[j] & 0xc0) != 0x80)
                return 0;
            value = value << 6 | (bytes[j] & 0x3f);
        }
        return value < forms[i].least || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ? 0 : i + 1;
    }
    return 0;
}

void utf8_copy(char *out, size_t size, const char *text, size_t length)
{
    size_t left = strnlen(text, length), filled = 0;
    while (left > 0) {
        size_t bytes = character_length((const unsigned char *)text, left);
        size_t taken = bytes ? bytes : 1;
        if (filled + taken >= size || (!bytes && is_cut((const unsigned char *)text, left)))
            break;
        memmove(out + filled, bytes ? text : "?", taken);
        filled += taken;
        text += taken;
        left -= taken;
    }
    out[filled] = '\0';
}

void utf8_trim(char *text)
{
    size_t length = strlen(text), start = length;
    while (start > 0 && length - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xc0 &&
        character_length((unsigned char *)text + start - 1, length - start + 1) == 0)
        text[start - 1] = '\0';
}
