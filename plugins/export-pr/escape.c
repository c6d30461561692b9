/* escape.h: lines, code, links, names. */
#include "escape.h"

#include <ctype.h>
#include <exportd/kit/text.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZERO_WIDTH_SPACE "\xE2\x80\x8B"

static int turns_direction(uint32_t letter)
{
    return (letter >= 0x202A && letter <= 0x202E) || (letter >= 0x2066 && letter <= 0x2069);
}

char *escape_clean(const char *text, size_t max_characters)
{
    char *plain = exportd_text_plain(text);
    char *out = plain;
    size_t count = 0;
    const char *at = plain;
    while (plain && *at && count < max_characters) {
        const char *before = at;
        uint32_t letter = exportd_text_next(&at);
        if (turns_direction(letter))
            continue;
        memmove(out, before, (size_t)(at - before));
        out += at - before;
        count++;
    }
    int cut = plain && *at;
    if (out)
        *out = '\0';
    if (!cut)
        return plain;
    char *whole = NULL;
    int length = asprintf(&whole, "%s…", plain);
    free(plain);
    return length < 0 ? NULL : whole;
}

/* What is written to, and what came before. */
struct line {
    FILE *out;
    char before; /* the last byte of the text; ' ' at the start */
    int empty;
};

/* Nonzero where at begins something that a forge would make a mention or a reference of; *length: of its sign. */
static int is_reference(const struct line *line, const char *at, size_t *length)
{
    int in_word = isalnum((unsigned char)line->before) || line->before == '_';
    *length = 1;
    if (*at == '@')
        return !in_word && (isalnum((unsigned char)at[1]) || at[1] == '_');
    if (*at == '#' || *at == '!')
        return isdigit((unsigned char)at[1]) != 0;
    *length = 3;
    return !in_word && strncasecmp(at, "gh-", 3) == 0 && isdigit((unsigned char)at[3]);
}

/* The next character without line breaks, tabs as one space; NULL where nothing is to be written. */
static const char *next_of_line(struct line *line, const char *at)
{
    if (*at != '\n' && *at != '\t' && *at != ' ')
        return at;
    return line->before == ' ' ? NULL : " ";
}

char *escape_title(const char *text, size_t max_characters)
{
    char *written = NULL;
    size_t size_bytes;
    char *clean = escape_clean(text, max_characters);
    struct line line = {.out = clean ? open_memstream(&written, &size_bytes) : NULL, .before = ' '};
    for (const char *at = clean; line.out && *at; at++) {
        size_t length;
        const char *shown = next_of_line(&line, at);
        if (!shown)
            continue;
        if (is_reference(&line, at, &length)) {
            fwrite(at, 1, length, line.out);
            fputs(ZERO_WIDTH_SPACE, line.out);
            at += length - 1;
        } else if (strncmp(at, "://", 3) == 0) {
            fputs(":" ZERO_WIDTH_SPACE, line.out);
        } else {
            fputc(*shown, line.out);
        }
        line.before = *shown == ' ' ? ' ' : *at;
    }
    free(clean);
    if (!line.out || fclose(line.out) != 0) {
        free(written);
        return NULL;
    }
    for (size_t end = strlen(written); end > 0 && written[end - 1] == ' '; end--)
        written[end - 1] = '\0';
    return written;
}

static void put_character(struct line *line, const char *at)
{
    static const char backslashed[] = "\\`*_[]|~$^";
    static const char block_starts[] = "#-+=/"; /* of a heading, a list, a quick action */
    if (*at == '<')
        fputs("&lt;", line->out);
    else if (*at == '>')
        fputs("&gt;", line->out);
    else if (*at == '&')
        fputs("&amp;", line->out);
    else if (strncmp(at, "://", 3) == 0)
        fputs("&#58;", line->out);
    else if (*at == '.' && (line->before == 'w' || line->before == 'W'))
        fputs("&#46;", line->out); /* www. */
    else if (strchr(backslashed, *at) || (line->empty && strchr(block_starts, *at)))
        fprintf(line->out, "\\%c", *at);
    else
        fputc(*at, line->out);
}

char *escape_line(const char *text)
{
    char *written = NULL;
    size_t size_bytes;
    char *clean = escape_clean(text, SIZE_MAX);
    struct line line = {.out = clean ? open_memstream(&written, &size_bytes) : NULL, .before = ' ', .empty = 1};
    int digits = 1; /* nothing but digits so far: "1." would begin a list */
    for (const char *at = clean; line.out && *at; at++) {
        size_t length;
        const char *shown = next_of_line(&line, at);
        if (!shown)
            continue;
        int reference = is_reference(&line, at, &length);
        if (digits && !line.empty && (*at == '.' || *at == ')'))
            fputc('\\', line.out);
        put_character(&line, *shown == ' ' ? " " : at);
        if (reference) {
            fwrite(at + 1, 1, length - 1, line.out);
            fputs("&#8203;", line.out);
            at += length - 1;
        }
        digits = digits && isdigit((unsigned char)*at);
        line.before = *shown == ' ' ? ' ' : *at;
        line.empty = 0;
    }
    free(clean);
    if (!line.out || fclose(line.out) != 0) {
        free(written);
        return NULL;
    }
    return written;
}

static size_t longest_row(const char *text, char letter)
{
    size_t longest = 0;
    size_t row = 0;
    for (; *text; text++) {
        row = *text == letter ? row + 1 : 0;
        longest = row > longest ? row : longest;
    }
    return longest;
}

char *escape_code(const char *text)
{
    char *written = NULL;
    char *clean = escape_clean(text, SIZE_MAX);
    if (!clean || !*clean)
        return clean;
    for (char *at = clean; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    size_t ticks = longest_row(clean, '`') + 1;
    char *fence = malloc(ticks + 1);
    if (fence) {
        memset(fence, '`', ticks);
        fence[ticks] = '\0';
        const char *space = ticks > 1 || *clean == ' ' ? " " : "";
        if (asprintf(&written, "%s%s%s%s%s", fence, space, clean, space, fence) < 0)
            written = NULL;
    }
    free(fence);
    free(clean);
    return written;
}

char *escape_block(const char *text, const char *language)
{
    char *written = NULL;
    char *clean = escape_clean(text, SIZE_MAX);
    size_t ticks = clean ? longest_row(clean, '`') + 1 : 0;
    if (ticks < 3)
        ticks = 3;
    char *fence = clean ? malloc(ticks + 1) : NULL;
    if (fence) {
        memset(fence, '`', ticks);
        fence[ticks] = '\0';
        size_t length = strlen(clean);
        const char *newline = length && clean[length - 1] == '\n' ? "" : "\n";
        if (asprintf(&written, "%s%s\n%s%s%s", fence, language, clean, newline, fence) < 0)
            written = NULL;
    }
    free(fence);
    free(clean);
    return written;
}

char *escape_link(const char *url)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!$&'()*+,;=%";
    char *written = NULL;
    size_t size_bytes;
    if (strncasecmp(url, "https://", 8) != 0 && strncasecmp(url, "http://", 7) != 0)
        return escape_line(url);
    FILE *out = open_memstream(&written, &size_bytes);
    if (!out)
        return NULL;
    fputc('<', out);
    for (; *url; url++) {
        if (strchr(safe, *url))
            fputc(*url, out);
        else
            fprintf(out, "%%%02X", (unsigned int)(unsigned char)*url);
    }
    fputc('>', out);
    if (fclose(out) == 0)
        return written;
    free(written);
    return NULL;
}

char *escape_shell(const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/+,:@%=";
    size_t length = strlen(word);
    if (length && strspn(word, safe) == length)
        return strdup(word);
    char *quoted = malloc(4 * length + 3);
    char *out = quoted;
    if (!quoted)
        return NULL;
    *out++ = '\'';
    for (; *word; word++) {
        if (*word == '\'') {
            memcpy(out, "'\\''", 4);
            out += 4;
        } else {
            *out++ = *word;
        }
    }
    *out++ = '\'';
    *out = '\0';
    return quoted;
}

char *escape_name(const char *text)
{
    char *clean = escape_clean(text, 100);
    char *out = clean;
    for (const char *at = clean; clean && *at; at++) {
        unsigned char byte = (unsigned char)*at;
        char letter = byte >= 0x80 || isalnum(byte) || strchr("._-", byte) ? *at : '-';
        int again = out > clean && out[-1] == letter;
        if ((letter == '.' && (out == clean || again)) || (letter == '-' && again))
            continue;
        *out++ = letter;
    }
    while (out && out > clean && out[-1] == '.')
        out--;
    if (out)
        *out = '\0';
    return clean;
}
