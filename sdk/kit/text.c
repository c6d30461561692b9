/* exportd/kit/text.h: UTF-8 and terminal escapes. */
#include <exportd/kit/text.h>

#include <stdlib.h>
#include <string.h>

#define REPLACEMENT 0xFFFDu
#define ESCAPE 0x1Bu
#define BELL 0x07u
#define C1_CSI 0x9Bu
#define C1_STRING_TERMINATOR 0x9Cu

uint32_t exportd_text_next(const char **cursor)
{
    const unsigned char *bytes = (const unsigned char *)*cursor;
    uint32_t code_point;
    uint32_t smallest;
    int more;

    if (bytes[0] == 0)
        return 0;
    if (bytes[0] < 0x80) {
        *cursor += 1;
        return bytes[0];
    }
    if (bytes[0] >= 0xC2 && bytes[0] <= 0xDF) {
        code_point = bytes[0] & 0x1Fu;
        more = 1;
        smallest = 0x80;
    } else if (bytes[0] >= 0xE0 && bytes[0] <= 0xEF) {
        code_point = bytes[0] & 0x0Fu;
        more = 2;
        smallest = 0x800;
    } else if (bytes[0] >= 0xF0 && bytes[0] <= 0xF4) {
        code_point = bytes[0] & 0x07u;
        more = 3;
        smallest = 0x10000;
    } else {
        *cursor += 1;
        return REPLACEMENT;
    }
    for (int i = 1; i <= more; i++) {
        if ((bytes[i] & 0xC0u) != 0x80) { /* the NUL ends here too */
            *cursor += 1;
            return REPLACEMENT;
        }
        code_point = code_point << 6 | (bytes[i] & 0x3Fu);
    }
    if (code_point < smallest || code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF)) {
        *cursor += 1;
        return REPLACEMENT;
    }
    *cursor += more + 1;
    return code_point;
}

size_t exportd_text_encode(uint32_t code_point, char out[4])
{
    if (code_point > 0x10FFFF || (code_point >= 0xD800 && code_point <= 0xDFFF))
        code_point = REPLACEMENT;
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0u | code_point >> 6);
        out[1] = (char)(0x80u | (code_point & 0x3Fu));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0u | code_point >> 12);
        out[1] = (char)(0x80u | (code_point >> 6 & 0x3Fu));
        out[2] = (char)(0x80u | (code_point & 0x3Fu));
        return 3;
    }
    out[0] = (char)(0xF0u | code_point >> 18);
    out[1] = (char)(0x80u | (code_point >> 12 & 0x3Fu));
    out[2] = (char)(0x80u | (code_point >> 6 & 0x3Fu));
    out[3] = (char)(0x80u | (code_point & 0x3Fu));
    return 4;
}

/* Past the parameters, intermediates and final byte of a CSI sequence; a byte that has no place in one ends it. */
static const char *skip_csi(const char *text)
{
    while (*text >= 0x20 && *text <= 0x3F)
        text++;
    if (*text >= 0x40 && *text <= 0x7E)
        text++;
    return text;
}

/* Past an OSC, DCS, SOS, PM or APC string: it ends with BEL or ST. One that never ends takes only its line; *ended
 * says which it was. */
static const char *skip_string(const char *text, int *ended)
{
    *ended = 0;
    while (*text && *text != '\n') {
        const char *before = text;
        uint32_t code_point = exportd_text_next(&text);
        if (code_point == BELL || code_point == C1_STRING_TERMINATOR) {
            *ended = 1;
            return text;
        }
        if (code_point == ESCAPE) {
            *ended = *text == '\\';
            return *ended ? text + 1 : before;
        }
    }
    return text;
}

/* Past a string that a C1 control begins. Text that was decoded wrongly is full of those (a quotation mark becomes
 * U+009D), so without an end it was no string, and only the control goes. */
static const char *skip_c1_string(const char *text)
{
    int ended;
    const char *after = skip_string(text, &ended);
    return ended ? after : text;
}

/* Past the escape sequence whose ESC was just read. */
static const char *skip_escape(const char *text)
{
    int ended;
    if (*text == '[')
        return skip_csi(text + 1);
    if (*text && strchr("]PX^_", *text))
        return skip_string(text + 1, &ended);
    while (*text >= 0x20 && *text <= 0x2F)
        text++;
    if (*text >= 0x30 && *text <= 0x7E)
        text++;
    return text;
}

char *exportd_text_plain(const char *text)
{
    size_t length = strlen(text);
    if (length > (SIZE_MAX - 1) / 3)
        return NULL;
    /* An ill-formed byte grows to the three of U+FFFD; most texts have none, so count first. */
    size_t needed = 1;
    for (size_t i = 0; i < length; i++)
        needed += (unsigned char)text[i] >= 0x80 ? 3 : 1;
    char *plain = malloc(needed);
    if (!plain)
        return NULL;

    char *out = plain;
    while (*text) {
        uint32_t code_point = exportd_text_next(&text);
        if (code_point == ESCAPE)
            text = skip_escape(text);
        else if (code_point == C1_CSI)
            text = skip_csi(text);
        else if (code_point == 0x90 || code_point == 0x98 || (code_point >= 0x9D && code_point <= 0x9F))
            text = skip_c1_string(text);
        else if (code_point == '\n' || code_point == '\t' ||
                 (code_point >= 0x20 && (code_point < 0x7F || code_point > 0x9F)))
            out += exportd_text_encode(code_point, out);
    }
    *out = '\0';
    return plain;
}
