#include "mdoc.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define COLUMNS_MAX 70

/* What shows as another character unless it is spelt. */
static const char *spelling(char character, bool literal)
{
    switch (character) {
    case '\\':
        return "\\e";
    case '~':
        return "\\(ti";
    case '^':
        return "\\(ha";
    case '`':
        return "\\(ga";
    case '\'':
        return literal ? "\\(aq" : NULL;
    case '-':
        return literal ? "\\-" : NULL;
    case '"':
        return literal ? "\\(dq" : NULL;
    default:
        return NULL;
    }
}

/* Writes one character and returns its length in bytes. */
static size_t put_character(FILE *out, const char *text, bool literal)
{
    unsigned char first = (unsigned char)text[0];
    size_t length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (length == 1) {
        const char *spelt = spelling(text[0], literal);
        if (spelt)
            fputs(spelt, out);
        else
            fputc(text[0], out);
        return 1;
    }
    uint32_t code = first & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return i; /* no UTF-8: left out */
        code = code << 6 | ((unsigned char)text[i] & 0x3f);
    }
    fprintf(out, "\\[u%04X]", (unsigned)code);
    return length;
}

static void put(FILE *out, const char *text, size_t length, bool literal)
{
    for (size_t i = 0; i < length;)
        i += put_character(out, text + i, literal);
}

static bool ends_sentence(const char *word, size_t length)
{
    while (length > 1 && strchr(")\"'", word[length - 1]))
        length--;
    return length > 1 && strchr(".!?", word[length - 1]);
}

void mdoc_text(FILE *out, const char *text)
{
    if (!text || !*text)
        return;
    size_t column = 0;
    bool ended = false;
    for (const char *word = text + strspn(text, " \n"); *word;) {
        size_t length = strcspn(word, " \n");
        if (column > 0 && ((ended && !islower((unsigned char)*word)) || column + 1 + length > COLUMNS_MAX)) {
            fputc('\n', out);
            column = 0;
        }
        if (column > 0)
            fputc(' ', out);
        else if (*word == '.' || *word == '\'')
            fputs("\\&", out);
        put(out, word, length, false);
        column += length + 1;
        ended = ends_sentence(word, length);
        word += length;
        word += strspn(word, " \n");
    }
    fputs(ended ? "\n" : ".\n", out);
}

void mdoc_argument(FILE *out, const char *text)
{
    fputs(" \"\\&", out);
    put(out, text, strlen(text), true);
    fputs("\\&\"", out);
}

void mdoc_head(FILE *out, const char *name, const char *section, const char *summary)
{
    fputs(".Dd November 22, 2026\n.Dt ", out);
    for (const char *c = name; *c; c++)
        fputc(toupper((unsigned char)*c), out);
    fprintf(out, " %s\n.Os\n.Sh NAME\n.Nm %s\n.Nd ", section, name);
    put(out, summary, strlen(summary), false);
    fputc('\n', out);
}
