/* toml.h: a small reader. */
#include "toml.h"

#include <exportd/kit/text.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 40
#define WORD_MAX 64 /* of a number or a date */

struct toml {
    const char *at, *end;
    size_t line;
    char *scratch; /* as large as the text: a string is never longer than it is written */
    int depth;
};

static json_t *read_value(struct toml *toml);

static bool eat(struct toml *toml, const char *text)
{
    size_t length = strlen(text);
    if ((size_t)(toml->end - toml->at) < length || memcmp(toml->at, text, length) != 0)
        return false;
    toml->at += length;
    return true;
}

static void skip_blanks(struct toml *toml)
{
    while (toml->at < toml->end && (*toml->at == ' ' || *toml->at == '\t'))
        toml->at++;
}

static void skip_comment(struct toml *toml)
{
    if (toml->at < toml->end && *toml->at == '#') {
        const char *end = memchr(toml->at, '\n', (size_t)(toml->end - toml->at));
        toml->at = end ? end : toml->end;
    }
}

/* Blanks, comments and line ends. */
static void skip_lines(struct toml *toml)
{
    for (;;) {
        skip_blanks(toml);
        skip_comment(toml);
        if (eat(toml, "\r\n") || eat(toml, "\n"))
            toml->line++;
        else
            return;
    }
}

static bool at_line_end(struct toml *toml)
{
    skip_blanks(toml);
    skip_comment(toml);
    return toml->at == toml->end || *toml->at == '\n' || (*toml->at == '\r' && toml->at + 1 < toml->end);
}

/* \uXXXX and \UXXXXXXXX. */
static bool read_code_point(struct toml *toml, size_t digits, size_t *length)
{
    char hex[9] = "";
    if ((size_t)(toml->end - toml->at) < digits)
        return false;
    memcpy(hex, toml->at, digits);
    if (strspn(hex, "0123456789abcdefABCDEF") != digits)
        return false;
    toml->at += digits;
    unsigned long code_point = strtoul(hex, NULL, 16);
    if (code_point == 0 || code_point > 0x10FFFF || (code_point >= 0xD800 && code_point < 0xE000))
        return false;
    *length += exportd_text_encode((uint32_t)code_point, toml->scratch + *length);
    return true;
}

static bool read_escape(struct toml *toml, bool lines, size_t *length)
{
    static const char from[] = "btnfr\"\\e", to[] = "\b\t\n\f\r\"\\\033";
    if (toml->at == toml->end)
        return false;
    char next = *toml->at++;
    const char *known = next ? strchr(from, next) : NULL;
    if (known) {
        toml->scratch[(*length)++] = to[known - from];
        return true;
    }
    if (next == 'u' || next == 'U')
        return read_code_point(toml, next == 'u' ? 4 : 8, length);
    if (!lines || !strchr(" \t\r\n", next))
        return false;
    /* A line that is to go on: all blanks behind it go. */
    toml->line += next == '\n';
    for (; toml->at < toml->end && strchr(" \t\r\n", *toml->at) && *toml->at; toml->at++)
        toml->line += *toml->at == '\n';
    return true;
}

/* Any of the four forms of a string, into scratch. */
static bool read_string(struct toml *toml, size_t *length)
{
    static const char *const quotes[] = {"\"\"\"", "'''", "\"", "'"};
    size_t form = 0;
    *length = 0;
    while (form < 4 && !eat(toml, quotes[form]))
        form++;
    if (form == 4)
        return false;
    bool lines = form < 2, literal = form % 2 == 1;
    if (lines && (eat(toml, "\r\n") || eat(toml, "\n")))
        toml->line++;
    while (toml->at < toml->end) {
        if (eat(toml, quotes[form])) {
            while (lines && eat(toml, quotes[form + 2])) /* up to two of its quotes may stand at its end */
                toml->scratch[(*length)++] = *quotes[form];
            return true;
        }
        char next = *toml->at++;
        if (next == '\n') {
            if (!lines)
                return false;
            toml->line++;
        }
        if (next == '\\' && !literal) {
            if (!read_escape(toml, lines, length))
                return false;
        } else {
            toml->scratch[(*length)++] = next;
        }
    }
    return false;
}

static json_t *string_of(const char *bytes, size_t length)
{
    json_t *value = json_stringn(bytes, length);
    return value ? value : json_string("\xef\xbf\xbd"); /* no UTF-8 */
}

/* One part of a dotted key, into scratch with a NUL. */
static bool read_key(struct toml *toml, size_t *length)
{
    static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    *length = 0;
    if (toml->at < toml->end && (*toml->at == '"' || *toml->at == '\'')) {
        if (!read_string(toml, length))
            return false;
    } else {
        *length = strspn(toml->at, bare); /* it ends at the NUL behind the text */
        if (*length == 0)
            return false;
        memcpy(toml->scratch, toml->at, *length);
        toml->at += *length;
    }
    toml->scratch[*length] = '\0';
    return true;
}

/* The table below parent by the key in scratch: of an array of tables the last; made where there is none. */
static json_t *step_into(struct toml *toml, json_t *parent)
{
    json_t *child = json_object_get(parent, toml->scratch);
    if (json_is_array(child))
        child = json_array_get(child, json_array_size(child) - 1);
    if (!child) {
        child = json_object();
        if (json_object_set_new(parent, toml->scratch, child) != 0)
            return NULL; /* no UTF-8 */
    }
    return json_is_object(child) ? child : NULL;
}

/* key = value, the key dotted or not. */
static bool read_pair(struct toml *toml, json_t *table)
{
    size_t length;
    int steps = 0;
    if (!read_key(toml, &length))
        return false;
    for (skip_blanks(toml); eat(toml, "."); skip_blanks(toml)) {
        table = step_into(toml, table);
        skip_blanks(toml);
        if (!table || ++steps > DEPTH_MAX || !read_key(toml, &length))
            return false;
    }
    char *key = strdup(toml->scratch);
    bool fine = key && eat(toml, "=");
    skip_blanks(toml);
    json_t *value = fine ? read_value(toml) : NULL;
    fine = value && json_object_set_new(table, key, value) == 0;
    free(key);
    return fine;
}

static json_t *read_array(struct toml *toml)
{
    json_t *array = json_array();
    for (skip_lines(toml); array && !eat(toml, "]"); skip_lines(toml)) {
        json_t *value = read_value(toml);
        if (!value || json_array_append_new(array, value) != 0)
            goto bad;
        skip_lines(toml);
        if (eat(toml, ","))
            continue;
        if (!eat(toml, "]"))
            goto bad;
        break;
    }
    return array;
bad:
    json_decref(array);
    return NULL;
}

static json_t *read_inline_table(struct toml *toml)
{
    json_t *table = json_object();
    for (skip_lines(toml); table && !eat(toml, "}"); skip_lines(toml)) {
        if (!read_pair(toml, table))
            goto bad;
        skip_lines(toml);
        if (eat(toml, ","))
            continue;
        if (!eat(toml, "}"))
            goto bad;
        break;
    }
    return table;
bad:
    json_decref(table);
    return NULL;
}

/* As a pattern of digits, "0", and other characters. */
static bool begins_like(const char *text, const char *pattern)
{
    for (; *pattern; pattern++, text++)
        if (*pattern == '0' ? *text < '0' || *text > '9' : *text != *pattern)
            return false;
    return true;
}

/* The length of a number or a date, in which one blank may stand in front of the time. It ends at the NUL behind the
 * text. */
static size_t word_length(const char *text)
{
    static const char letters[] = "0123456789+-_.:eEaAbBcCdDfFxXoOTtZzinINF";
    size_t length = strspn(text, letters);
    if (length == 10 && begins_like(text, "0000-00-00 00:"))
        length += 1 + strspn(text + length + 1, letters);
    return length;
}

/* A number, or a date as it is written. */
static json_t *read_word(struct toml *toml)
{
    char word[WORD_MAX], digits[WORD_MAX];
    size_t length = word_length(toml->at), count = 0;
    if (length == 0 || length >= sizeof word)
        return NULL;
    memcpy(word, toml->at, length);
    word[length] = '\0';
    toml->at += length;
    for (size_t i = 0; i < length; i++)
        if (word[i] != '_')
            digits[count++] = word[i];
    digits[count] = '\0';
    size_t sign = *digits == '-' || *digits == '+';
    if (count > sign && count <= sign + 18 && digits[sign + strspn(digits + sign, "0123456789")] == '\0')
        return json_integer(strtoll(digits, NULL, 10));
    return json_string(word);
}

static json_t *read_value(struct toml *toml)
{
    json_t *value = NULL;
    size_t length;
    if (toml->at == toml->end || ++toml->depth > DEPTH_MAX)
        return NULL;
    if (*toml->at == '"' || *toml->at == '\'')
        value = read_string(toml, &length) ? string_of(toml->scratch, length) : NULL;
    else if (eat(toml, "["))
        value = read_array(toml);
    else if (eat(toml, "{"))
        value = read_inline_table(toml);
    else if (eat(toml, "true"))
        value = json_true();
    else if (eat(toml, "false"))
        value = json_false();
    else
        value = read_word(toml);
    toml->depth--;
    return value;
}

/* [a.b] and [[a.b]], behind the brackets. */
static json_t *read_header(struct toml *toml, json_t *table, bool of_array)
{
    size_t length;
    int steps = 0;
    skip_blanks(toml);
    if (!read_key(toml, &length))
        return NULL;
    for (skip_blanks(toml); eat(toml, "."); skip_blanks(toml)) {
        table = step_into(toml, table);
        skip_blanks(toml);
        if (!table || ++steps > DEPTH_MAX || !read_key(toml, &length))
            return NULL;
    }
    if (!of_array) {
        table = step_into(toml, table);
        return eat(toml, "]") ? table : NULL;
    }
    json_t *array = json_object_get(table, toml->scratch);
    if (!array && json_object_set_new(table, toml->scratch, json_array()) == 0)
        array = json_object_get(table, toml->scratch);
    if (!json_is_array(array) || json_array_append_new(array, json_object()) != 0)
        return NULL;
    return eat(toml, "]]") ? json_array_get(array, json_array_size(array) - 1) : NULL;
}

json_t *toml_read(const char *text, size_t size, size_t *line)
{
    struct toml toml = {.at = text, .end = text + size, .line = 1, .scratch = malloc(size + 8)};
    json_t *root = toml.scratch ? json_object() : NULL, *table = root;
    *line = 0;
    eat(&toml, "\xef\xbb\xbf");
    for (skip_lines(&toml); root && *line == 0 && toml.at < toml.end; skip_lines(&toml)) {
        bool fine;
        if (eat(&toml, "[[")) {
            table = read_header(&toml, root, true);
            fine = table != NULL;
        } else if (eat(&toml, "[")) {
            table = read_header(&toml, root, false);
            fine = table != NULL;
        } else {
            fine = read_pair(&toml, table);
        }
        if (!fine || !at_line_end(&toml))
            *line = toml.line;
    }
    free(toml.scratch);
    return root;
}
