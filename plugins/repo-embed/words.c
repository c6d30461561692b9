/* words.h: runs, parts, common words. */
#include "words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum letter { OTHER, LOWER, UPPER, DIGIT, BEYOND };

static enum letter kind_of(unsigned char byte)
{
    if (byte >= 'a' && byte <= 'z')
        return LOWER;
    if (byte >= 'A' && byte <= 'Z')
        return UPPER;
    if (byte >= '0' && byte <= '9')
        return DIGIT;
    return byte >= 0x80 ? BEYOND : OTHER;
}

/* Bytes of a sign that parts words though it is beyond ASCII: U+00A0 to U+00BF, U+2000 to U+207F, U+3000 to U+303F.
 */
static size_t separator(const char *at, const char *end)
{
    const unsigned char *byte = (const unsigned char *)at;
    if (end - at >= 2 && byte[0] == 0xC2)
        return 2;
    if (end - at >= 3 && byte[0] == 0xE2 && (byte[1] == 0x80 || byte[1] == 0x81))
        return 3;
    return end - at >= 3 && byte[0] == 0xE3 && byte[1] == 0x80 ? 3 : 0;
}

static size_t character_bytes(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

bool words_run(const char **at, const char *end, struct word *run)
{
    const char *begin = *at;
    size_t skip;
    while (begin < end) {
        enum letter kind = kind_of((unsigned char)*begin);
        if (kind == OTHER)
            begin++;
        else if (kind == BEYOND && (skip = separator(begin, end)))
            begin += skip;
        else
            break;
    }
    const char *here = begin;
    while (here < end) {
        enum letter kind = kind_of((unsigned char)*here);
        size_t bytes = kind == BEYOND ? character_bytes((unsigned char)*here) : 1;
        if (kind == OTHER || (kind == BEYOND && separator(here, end)) || bytes > (size_t)(end - here) ||
            (size_t)(here - begin) + bytes > WORD_MAX)
            break;
        here += bytes;
    }
    if (here == begin && begin < end) /* a character that was cut off */
        here = end;
    *at = here;
    *run = (struct word){begin, (size_t)(here - begin)};
    return here > begin;
}

bool words_part(const struct word *run, size_t *offset, struct word *part)
{
    size_t begin = *offset, here = begin;
    if (begin >= run->length)
        return false;
    const unsigned char *text = (const unsigned char *)run->text;
    enum letter before = kind_of(text[here++]);
    for (; here < run->length; here++) {
        enum letter kind = kind_of(text[here]);
        bool same = kind == before || (before == UPPER && kind == LOWER && here - begin == 1) ||
                    (kind == BEYOND && before != DIGIT) || (before == BEYOND && kind == LOWER);
        /* HTTPServer: the last capital belongs to what follows. */
        if (before == UPPER && kind == LOWER && here - begin > 1) {
            here--;
            break;
        }
        if (!same)
            break;
        before = kind;
    }
    *part = (struct word){run->text + begin, here - begin};
    *offset = here;
    return true;
}

size_t words_lower(const struct word *word, char out[WORD_MAX])
{
    size_t length = word->length < WORD_MAX ? word->length : WORD_MAX;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)word->text[i];
        out[i] = (char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
    }
    return length;
}

static int compare(const void *key, const void *element)
{
    const struct word *word = key;
    const char *const *common = element;
    int order = strncmp(word->text, *common, word->length);
    return order ? order : -(int)((*common)[word->length] != '\0');
}

bool words_is_common(const char *word, size_t length)
{
    static const char *const common[] = {
        "a",      "all",    "also", "an",      "and",    "any",     "are",       "as",       "at",    "be",
        "bool",   "but",    "by",   "can",     "case",   "char",    "class",     "const",    "def",   "do",
        "does",   "else",   "end",  "export",  "false",  "for",     "from",      "function", "has",   "have",
        "how",    "i",      "if",   "import",  "in",     "include", "int",       "into",     "is",    "it",
        "its",    "let",    "may",  "module",  "new",    "nil",     "no",        "none",     "not",   "null",
        "of",     "on",     "or",   "private", "public", "require", "return",    "self",     "so",    "static",
        "string", "struct", "such", "than",    "that",   "the",     "their",     "then",     "there", "these",
        "they",   "this",   "to",   "true",    "type",   "typeof",  "undefined", "use",      "var",   "void",
        "was",    "we",     "were", "what",    "when",   "which",   "while",     "will",     "with",  "would",
        "you",    "your",
    };
    const struct word key = {word, length};
    return length <= 9 && bsearch(&key, common, sizeof common / sizeof *common, sizeof *common, compare);
}
