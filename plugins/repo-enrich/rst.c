/* rst.h: inline marks. */
#include "rst.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_MAX 1000 /* bytes between two marks */
#define WORD_MAX 200  /* of a role, and of a word that refers */

/* Text between marks, and where it goes on behind them. */
struct span {
    const char *from, *behind;
    size_t length;
};

static bool is_letter(char byte)
{
    return isalnum((unsigned char)byte) || (unsigned char)byte >= 0x80;
}

/* A mark stands at the beginning of a word, its fellow at the end of one. */
static bool between(const char *text, const char *at, const char *mark, struct span *span)
{
    size_t length = strlen(mark);
    const char *from = at + length;
    if (strncmp(at, mark, length) != 0 || !*from || *from == ' ' || (at > text && is_letter(at[-1])))
        return false;
    const char *end = memmem(from + 1, strnlen(from + 1, SPAN_MAX), mark, length);
    if (!end || end[-1] == ' ')
        return false;
    *span = (struct span){from, end + length, (size_t)(end - from)};
    return true;
}

/* `text`, `text <address>`_, `text`__: the address goes, unless there is nothing else. */
static bool quoted(const char *text, const char *at, struct span *span)
{
    if (!between(text, at, "`", span))
        return false;
    for (int i = 0; i < 2 && *span->behind == '_'; i++)
        span->behind++;
    const char *open = span->from[span->length - 1] == '>' ? memrchr(span->from, '<', span->length) : NULL;
    if (open == span->from)
        *span = (struct span){span->from + 1, span->behind, span->length - 2};
    else if (open && open[-1] == ' ')
        span->length = (size_t)(open - 1 - span->from);
    return true;
}

/* :role:`text`, of which a "~" or "!" in front is for the reader's program. */
static bool in_role(const char *text, const char *at, struct span *span)
{
    size_t length = 1;
    if (*at != ':' || (at > text && is_letter(at[-1])))
        return false;
    while (length < WORD_MAX && at[length] && (is_letter(at[length]) || strchr(":-_.+", at[length])))
        length++;
    if (length < 3 || at[length - 1] != ':' || !quoted(text, at + length, span))
        return false;
    size_t mark = span->length > 1 && (*span->from == '~' || *span->from == '!');
    span->from += mark;
    span->length -= mark;
    return true;
}

/* The "_" or "__" behind a word that refers: none of snake_case, nor of __init__. Returns its length, or 0. */
static size_t reference(const char *text, const char *at)
{
    size_t length = at[0] == '_' ? 1 + (at[1] == '_') : 0;
    const char *word = at;
    if (length == 0 || at == text || !is_letter(at[-1]) || is_letter(at[length]) || at[length] == '_')
        return 0;
    while (word > text && at - word < WORD_MAX && (is_letter(word[-1]) || strchr("-_.+:", word[-1])))
        word--;
    return is_letter(*word) ? length : 0;
}

char *rst_plain(const char *text)
{
    char *plain = malloc(strlen(text) + 1), *out = plain;
    for (const char *at = text; plain && *at;) {
        struct span span;
        size_t mark = reference(text, at);
        if (mark > 0) {
            at += mark;
        } else if (between(text, at, "``", &span) || between(text, at, "**", &span) ||
                   between(text, at, "*", &span) || in_role(text, at, &span) || quoted(text, at, &span)) {
            memcpy(out, span.from, span.length);
            out += span.length;
            at = span.behind;
        } else if (*at == '\\' && at[1]) {
            at++;
            if (*at != ' ')
                *out++ = *at;
            at++;
        } else {
            *out++ = *at++;
        }
    }
    if (plain)
        *out = '\0';
    return plain;
}
