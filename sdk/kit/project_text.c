/* exportd/kit/project.h: titles, commands, and what is text. */
#include "project_parts.h"

#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <stdlib.h>
#include <string.h>

static int is_line_end(uint32_t code_point)
{
    return code_point == '\n' || code_point == '\t' || code_point == 0x2028 || code_point == 0x2029;
}

char *exportd_project_title(const json_t *repro, size_t max_bytes)
{
    char *title = exportd_text_plain(exportd_repro_string(repro, "title", ""));
    char *out = title;
    const char *at = title;
    int pending = 0;
    while (at && *at) {
        const char *before = at;
        uint32_t code_point = exportd_text_next(&at);
        size_t length = (size_t)(at - before);
        if (code_point == ' ' || is_line_end(code_point)) {
            pending = out > title;
            continue;
        }
        if ((size_t)(out - title) + (size_t)pending + length > max_bytes)
            break;
        if (pending)
            *out++ = ' ';
        pending = 0;
        memmove(out, before, length);
        out += length;
    }
    if (title)
        *out = '\0';
    return title;
}

char *exportd_project_test_pattern(const char *path)
{
    char *pattern = malloc(2 * strlen(path) + 2);
    char *out = pattern;
    if (!pattern)
        return NULL;
    if (*path == '-') /* no option */
        *out++ = '/';
    for (; *path; path++) {
        if (strchr("[](){}+*?^$|\\", *path))
            *out++ = '\\';
        *out++ = *path;
    }
    *out = '\0';
    return pattern;
}

char *exportd_project_shell_word(const char *text)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:@%+,=";
    size_t length = strlen(text);
    char *word = malloc(4 * length + 3);
    char *out = word;
    if (!word)
        return NULL;
    if (length > 0 && strspn(text, safe) == length) {
        memcpy(word, text, length + 1);
        return word;
    }
    *out++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') {
            memcpy(out, "'\\''", 4);
            out += 4;
        } else {
            *out++ = *text;
        }
    }
    memcpy(out, "'", 2);
    return word;
}

int exportd_project_is_text(const char *content, size_t size_bytes)
{
    const char *at = content;
    if (memchr(content, '\0', size_bytes))
        return 0;
    while (*at) {
        const char *before = at;
        if ((unsigned char)*at < 0x80)
            at++;
        else if (exportd_text_next(&at) == 0xFFFD && at - before == 1)
            return 0;
    }
    return 1;
}
