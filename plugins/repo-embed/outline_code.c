/*
 * outline.h: definitions, by brackets or by indentation.
 *
 * Strings and comments are followed well enough that a bracket in them doesn't count. What goes wrong (a regular
 * expression with a quote in it) is put right at the line's end, or by a closing bracket at the margin.
 */
#include "outline.h"

#include <string.h>

#define TITLE_LINES 40 /* that are looked through for a definition behind its comment */

static bool begins(const char *text, size_t length, const char *with)
{
    size_t size = strlen(with);
    return length >= size && memcmp(text, with, size) == 0;
}

static const char *skip_blanks(const struct outline_line *line, size_t *length)
{
    const char *at = line->text, *end = line->text + line->length;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    *length = (size_t)(end - at);
    return at;
}

/* A comment, a decorator, an attribute: what stands before a definition. */
static bool is_before_definition(const char *text, size_t length)
{
    static const char *const words[] = {"//",     "/*",  "*",      "#!",    "# ",       "#[",   "@",     "--",
                                        "\"\"\"", "'''", "\"use ", "'use ", "template", "<!--", "<?php", ";;"};
    if (length == 0 || (length == 1 && *text == '#') || (length > 1 && text[0] == '#' && text[1] == '#'))
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins(text, length, words[i]))
            return true;
    return false;
}

/* Marks a definition that begins at the unit by its first line that is none of that. */
static int mark(struct outline *outline, size_t unit, unsigned int level)
{
    const char *first = NULL;
    size_t first_length = 0;
    bool comment = false;
    for (size_t i = unit; i < outline->count && i < unit + TITLE_LINES; i++) {
        struct outline_line line = outline_line_at(outline, i);
        size_t length;
        const char *text = skip_blanks(&line, &length);
        bool ends_comment = memmem(text, length, "*/", 2) != NULL;
        if (!first && length > 0) {
            first = text;
            first_length = length;
        }
        if (!comment && begins(text, length, "/*"))
            comment = true;
        if (!comment && !is_before_definition(text, length))
            return outline_add_mark(outline, unit, text, length, level);
        comment = comment && !ends_comment;
    }
    return first ? outline_add_mark(outline, unit, first, first_length, level) : 0;
}

/* What the reader of brackets is in the middle of. */
struct lexer {
    int depth;
    char quote;   /* the string's, or 0 */
    bool comment; /* a block comment's */
};

/* Reads one line on. Strings in single and double quotes end with it. */
static void read_line(struct lexer *lexer, const char *text, size_t length)
{
    const char *end = text + length;
    for (const char *at = text; at < end; at++) {
        if (lexer->comment) {
            if (*at == '*' && at + 1 < end && at[1] == '/') {
                lexer->comment = false;
                at++;
            }
        } else if (lexer->quote) {
            if (*at == '\\')
                at++;
            else if (*at == lexer->quote)
                lexer->quote = 0;
        } else if (*at == '/' && at + 1 < end && at[1] == '/') {
            break;
        } else if (*at == '/' && at + 1 < end && at[1] == '*') {
            lexer->comment = true;
            at++;
        } else if (*at == '"' || *at == '`') {
            lexer->quote = *at;
        } else if (*at == '\'') {
            /* A character, not a Rust lifetime and no apostrophe: its other quote is near. */
            const char *other = memchr(at + 1, '\'', (size_t)(end - at - 1));
            if (other)
                lexer->quote = '\'';
        } else if (*at == '{') {
            lexer->depth++;
        } else if (*at == '}' && lexer->depth > 0) {
            lexer->depth--;
        }
    }
    if (lexer->quote != '`')
        lexer->quote = 0;
}

int outline_braces(struct outline *outline)
{
    struct lexer lexer = {0};
    bool open = true; /* what stood before is complete: a new definition may begin */
    for (size_t i = 0; i < outline->count; i++) {
        struct outline_line line = outline_line_at(outline, i);
        size_t length;
        const char *text = skip_blanks(&line, &length);
        bool whole = outline->units[i].rank != RANK_INSIDE, closer = length > 0 && strchr("})]", *text);
        if (whole && line.indent == 0 && length > 0 && *text == '}')
            lexer = (struct lexer){.depth = 1}; /* at the margin: whatever was misread before, this ends it */
        bool free = !lexer.comment && !lexer.quote && length > 0 && whole && !closer;
        bool behind = open || outline->units[i].rank == RANK_BLANK;
        int depth = lexer.depth;
        if (free && behind && depth <= 1) {
            outline->units[i].rank = depth == 0 ? RANK_SECTION : RANK_MEMBER;
            if (mark(outline, i, (unsigned int)depth + 1) != 0)
                return -1;
        }
        read_line(&lexer, text, length);
        if (length > 0)
            open = closer && *text == '}' && lexer.depth <= 1 && lexer.depth < depth;
    }
    return 0;
}

/* What closes or goes on with the definition above, at the margin though it stands. */
static bool is_closing(const char *text, size_t length)
{
    static const char *const words[] = {"end",    "fi",      "done",   "esac",   "else", "elif", "elsif",
                                        "except", "finally", "rescue", "ensure", "then", "EOF"};
    if (length == 0 || strchr(")]}", *text))
        return true;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t size = strlen(words[i]);
        if (begins(text, length, words[i]) && (length == size || strchr(" :;,.)(", text[size])))
            return true;
    }
    return false;
}

/* Follows Python's strings of three quotes over lines. */
static const char *follow_quotes(const char *quote, const char *text, size_t length)
{
    const char *at = text, *end = text + length;
    while (at < end) {
        if (quote) {
            const char *closed = memmem(at, (size_t)(end - at), quote, 3);
            if (!closed)
                return quote;
            at = closed + 3;
            quote = NULL;
            continue;
        }
        const char *twice = memmem(at, (size_t)(end - at), "\"\"\"", 3);
        const char *once = memmem(at, (size_t)(end - at), "'''", 3);
        if (!twice && !once)
            return NULL;
        bool first = twice && (!once || twice < once);
        quote = first ? "\"\"\"" : "'''";
        at = (first ? twice : once) + 3;
    }
    return quote;
}

int outline_indents(struct outline *outline)
{
    const char *quote = NULL;
    size_t step = 0; /* the first indentation that is seen: of members */
    bool behind = true;
    for (size_t i = 0; i < outline->count; i++) {
        struct outline_line line = outline_line_at(outline, i);
        size_t length;
        const char *text = skip_blanks(&line, &length);
        bool whole = outline->units[i].rank != RANK_INSIDE;
        bool after_blank = outline->units[i].rank == RANK_BLANK;
        if (length > 0 && !quote && whole && !is_closing(text, length)) {
            step = step == 0 && line.indent > 0 ? line.indent : step;
            bool top = line.indent == 0 && (behind || after_blank || *text == '[');
            bool member = line.indent > 0 && line.indent == step && after_blank;
            if (top || member)
                outline->units[i].rank = top ? RANK_SECTION : RANK_MEMBER;
            if ((top || member) && mark(outline, i, top ? 1 : 2) != 0)
                return -1;
        }
        quote = follow_quotes(quote, text, length);
        if (length > 0)
            behind = line.indent > 0 || is_closing(text, length);
    }
    return 0;
}
