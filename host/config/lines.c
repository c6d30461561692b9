#include "config/internal.h"

#include <ctype.h>
#include <string.h>

static bool is_comment(char letter)
{
    return letter == ';' || letter == '#';
}

static int check_bytes(const char *text, size_t length, struct config_why *why)
{
    if (length > CONFIG_LINE_MAX)
        return config_refuse(why,
                             "this line has %zu bytes, and would be cut at %d; make it shorter (a long value can "
                             "be given as file:PATH)",
                             length, CONFIG_LINE_MAX);
    if (!config_is_utf8(text, length))
        return config_refuse(why, "this line is no valid UTF-8; save the file as UTF-8");
    for (size_t i = 0; i < length; i++)
        if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
            return config_refuse(why, "this line holds a control character (0x%02x); take it out",
                                 (unsigned)(unsigned char)text[i]);
    return 0;
}

static enum config_line section_head(const char *text, size_t length, char *section, struct config_why *why)
{
    const char *end = memchr(text, ']', length);
    if (!end) {
        config_refuse(why, "this section's head has no ]; write it as [http]");
        return CONFIG_LINE_BAD;
    }
    const char *rest = end + 1;
    while (rest < text + length && isspace((unsigned char)*rest))
        rest++;
    if (rest < text + length && !is_comment(*rest)) {
        config_refuse(why, "something follows the section's head; put it on a line of its own");
        return CONFIG_LINE_BAD;
    }
    /* "[ plugin   x ]" is [plugin x]. */
    size_t filled = 0;
    for (const char *at = text + 1; at < end; at++) {
        if (!isspace((unsigned char)*at))
            section[filled++] = *at;
        else if (filled > 0 && section[filled - 1] != ' ')
            section[filled++] = ' ';
    }
    if (filled > 0 && section[filled - 1] == ' ')
        filled--;
    section[filled] = '\0';
    if (filled == 0) {
        config_refuse(why, "this section has no name; write it as [http]");
        return CONFIG_LINE_BAD;
    }
    return CONFIG_LINE_SECTION;
}

static enum config_line pair(const char *text, size_t length, struct config_why *why)
{
    size_t key = 0;
    while (key < length && text[key] != '=' && text[key] != ':' && !isspace((unsigned char)text[key]))
        key++;
    size_t sign = key;
    while (sign < length && isspace((unsigned char)text[sign]))
        sign++;
    if (key > 0 && sign < length && (text[sign] == '=' || text[sign] == ':'))
        return CONFIG_LINE_PAIR;
    if (key == 0)
        config_refuse(why, "this line names no key before the %c; write key = value", text[0]);
    else
        config_refuse(why,
                      "this line is neither [section] nor key = value: \"%.*s …\"; write \"=\" after \"%.*s\", or # "
                      "in front of a comment",
                      key < 80 ? (int)key : 80, text, key < 80 ? (int)key : 80, text); /* the rest may be secret */
    return CONFIG_LINE_BAD;
}

enum config_line config_line_classify(const char *text, size_t length, char *section, struct config_why *why)
{
    if (check_bytes(text, length, why))
        return CONFIG_LINE_BAD;
    size_t start = 0;
    while (start < length && isspace((unsigned char)text[start]))
        start++;
    if (start == length || is_comment(text[start]))
        return CONFIG_LINE_BLANK;
    if (start > 0) {
        config_refuse(why,
                      "this line begins with white space; a value can't go on over a second line: write it on one "
                      "line, or begin this key at the line's start");
        return CONFIG_LINE_BAD;
    }
    if (text[0] == '[')
        return section_head(text, length, section, why);
    return pair(text, length, why);
}
