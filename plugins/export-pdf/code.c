/* code.h: source code in colour. */
#include "code.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COLOUR_KEYWORD 0x7A3E9D
#define COLOUR_STRING 0x2F6F4F
#define COLOUR_NUMBER 0xA8522A
#define COLOUR_COMMENT 0x7B8794
#define COLOUR_CALL 0x2B5C8A
#define TAB_COLUMNS 4

enum family { FAMILY_C, FAMILY_HASH, FAMILY_PLAIN };

/* What the last token was: after a value "/" divides, after a dot no word is a keyword. */
enum before { BEFORE_OTHER, BEFORE_VALUE, BEFORE_DOT };

struct scanner {
    const struct document *document;
    struct text *text;
    const char *at, *end;
    enum family family;
    enum before before;
};

static enum family family_of(const char *language)
{
    static const char *const c_like[] = {
        "javascript", "js",  "jsx", "mjs",    "cjs", "typescript", "ts",    "tsx",  "json", "java", "kotlin", "c",
        "cpp",        "c++", "cs",  "csharp", "go",  "rust",       "swift", "dart", "php",  "scss", "jsonc"};
    static const char *const hash_like[] = {"python", "py",   "ruby", "rb",   "sh",   "bash",      "shell",
                                            "zsh",    "yaml", "yml",  "toml", "perl", "dockerfile"};
    for (size_t i = 0; i < sizeof c_like / sizeof *c_like; i++)
        if (strcasecmp(language, c_like[i]) == 0)
            return FAMILY_C;
    for (size_t i = 0; i < sizeof hash_like / sizeof *hash_like; i++)
        if (strcasecmp(language, hash_like[i]) == 0)
            return FAMILY_HASH;
    return FAMILY_PLAIN;
}

static int compare_words(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static int is_keyword(const char *word, size_t length)
{
    static const char *const words[] = {
        "abstract",  "as",       "async",      "await",     "break",     "case",     "catch",    "class",
        "const",     "continue", "debugger",   "declare",   "def",       "default",  "delete",   "do",
        "elif",      "else",     "enum",       "except",    "export",    "extends",  "false",    "final",
        "finally",   "fn",       "for",        "from",      "func",      "function", "if",       "implements",
        "import",    "in",       "instanceof", "interface", "is",        "lambda",   "let",      "match",
        "namespace", "new",      "nil",        "None",      "not",       "null",     "of",       "or",
        "package",   "pass",     "private",    "protected", "public",    "raise",    "readonly", "return",
        "satisfies", "self",     "static",     "struct",    "super",     "switch",   "this",     "throw",
        "true",      "try",      "type",       "typeof",    "undefined", "use",      "var",      "void",
        "while",     "with",     "yield"};
    char copy[16];
    if (length >= sizeof copy)
        return 0;
    snprintf(copy, sizeof copy, "%.*s", (int)length, word);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (compare_words(copy, &words[i]) == 0)
            return 1;
    return 0;
}

/* Appends bytes in a colour, tabs as spaces. */
static void emit(struct scanner *scanner, const char *bytes, size_t length, uint32_t colour)
{
    struct text_style style = style_of(scanner->document, KIND_CODE);
    const char *end = bytes + length;
    style.colour = colour;
    while (bytes < end) {
        const char *tab = memchr(bytes, '\t', (size_t)(end - bytes));
        const char *stop = tab ? tab : end;
        text_add(scanner->text, bytes, (size_t)(stop - bytes), &style);
        if (tab)
            text_add(scanner->text, "    ", TAB_COLUMNS, &style);
        bytes = tab ? tab + 1 : end;
    }
}

/* NOLINTBEGIN(clang-analyzer-core.*): the analyser doesn't see that all between at and end is set */
/* Past a string that begins at start with its quote; one that is not closed ends with its line, but a template goes
 * on. */
static const char *skip_string(const char *start, const char *end)
{
    const char quote = *start;
    const char *at = start + 1;
    while (at < end && *at != quote) {
        if (*at == '\\' && at + 1 < end)
            at++;
        else if (*at == '\n' && quote != '`')
            return at;
        at++;
    }
    return at < end ? at + 1 : end;
}

/* Past a regular expression, or NULL where this is none. */
static const char *skip_regex(const char *start, const char *end)
{
    int in_class = 0;
    for (const char *at = start + 1; at < end && *at != '\n'; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '[')
            in_class = 1;
        else if (*at == ']')
            in_class = 0;
        else if (*at == '/' && !in_class) {
            at++;
            while (at < end && isalpha((unsigned char)*at))
                at++;
            return at;
        }
    }
    return NULL;
}

static const char *line_end(const char *at, const char *end)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    return newline ? newline : end;
}

/* Scans a comment, a string or a regular expression. Returns whether there was one. */
static int scan_quoted(struct scanner *scanner)
{
    const char *start = scanner->at;
    const char *end = scanner->end;
    const char *stop = NULL;
    uint32_t colour = COLOUR_STRING;

    if ((scanner->family == FAMILY_C && end - start >= 2 && start[0] == '/' && start[1] == '/') ||
        (scanner->family == FAMILY_HASH && *start == '#')) {
        stop = line_end(start, end);
        colour = COLOUR_COMMENT;
    } else if (scanner->family == FAMILY_C && end - start >= 2 && start[0] == '/' && start[1] == '*') {
        const char *close = memmem(start + 2, (size_t)(end - start - 2), "*/", 2);
        stop = close ? close + 2 : end;
        colour = COLOUR_COMMENT;
    } else if (*start == '"' || *start == '\'' || (*start == '`' && scanner->family == FAMILY_C)) {
        stop = skip_string(start, end);
    } else if (*start == '/' && scanner->family == FAMILY_C && scanner->before == BEFORE_OTHER) {
        stop = skip_regex(start, end);
    }
    if (!stop)
        return 0;
    emit(scanner, start, (size_t)(stop - start), colour);
    if (colour == COLOUR_STRING)
        scanner->before = BEFORE_VALUE;
    scanner->at = stop;
    return 1;
}

static int is_word(unsigned char byte)
{
    return isalnum(byte) || byte == '_' || byte == '$' || byte >= 0x80;
}

static void scan_word(struct scanner *scanner)
{
    const char *start = scanner->at;
    const char *stop = start;
    uint32_t colour = scanner->document->palette.ink;
    const int number = isdigit((unsigned char)*start);

    while (stop < scanner->end && (is_word((unsigned char)*stop) || (number && *stop == '.')))
        stop++;
    const size_t length = (size_t)(stop - start);
    const int member = scanner->before == BEFORE_DOT;
    scanner->before = BEFORE_VALUE;
    if (number) {
        colour = COLOUR_NUMBER;
    } else if (!member && is_keyword(start, length)) {
        colour = COLOUR_KEYWORD;
        scanner->before = BEFORE_OTHER;
    } else if (stop < scanner->end && *stop == '(') {
        colour = COLOUR_CALL;
    }
    emit(scanner, start, length, colour);
    scanner->at = stop;
}
/* NOLINTEND(clang-analyzer-core.*) */

void code_highlight(const struct document *document, struct text *text, const char *code, size_t length,
                    const char *language)
{
    struct scanner scanner = {document, text, code, code + length, family_of(language), BEFORE_OTHER};
    if (scanner.family == FAMILY_PLAIN) {
        emit(&scanner, code, length, document->palette.ink);
        return;
    }
    while (scanner.at < scanner.end) {
        if (scan_quoted(&scanner))
            continue;
        if (is_word((unsigned char)*scanner.at)) {
            scan_word(&scanner);
            continue;
        }
        if (!isspace((unsigned char)*scanner.at))
            scanner.before = *scanner.at == ')' || *scanner.at == ']' ? BEFORE_VALUE
                             : *scanner.at == '.'                     ? BEFORE_DOT
                                                                      : BEFORE_OTHER;
        emit(&scanner, scanner.at, 1, document->palette.ink);
        scanner.at++;
    }
}

/* How much of code is shown: lines and bytes within the limits. */
static size_t shown_length(const char *code, long max_lines, long *lines)
{
    const char *at = code;
    *lines = 0;
    while (*at && *lines < max_lines && (size_t)(at - code) < CODE_MAX_BYTES) {
        const char *newline = strchrnul(at, '\n');
        ++*lines;
        at = *newline ? newline + 1 : newline;
    }
    return (size_t)(at - code);
}

/* The code point of a control that turns the order of display around (U+202A–U+202E, U+2066–U+2069), or 0. */
static unsigned int bidi_control(const char *code)
{
    const unsigned char *bytes = (const unsigned char *)code;
    if (bytes[0] == 0xE2 && bytes[1] == 0x80 && bytes[2] >= 0xAA && bytes[2] <= 0xAE)
        return 0x2000u + (bytes[2] & 0x3Fu);
    if (bytes[0] == 0xE2 && bytes[1] == 0x81 && bytes[2] >= 0xA6 && bytes[2] <= 0xA9)
        return 0x2040u + (bytes[2] & 0x3Fu);
    return 0;
}

/* A copy in which no line is longer than CODE_LINE_MAX_BYTES, and in which the controls that make code look like
 * other code are written out. Returns NULL when out of memory. */
static char *cut_lines(const char *code, size_t length, size_t *cut_count)
{
    char *copy = malloc(3 * length + 1); /* a control of 3 bytes is written as 8 */
    size_t out = 0;
    size_t column = 0;
    *cut_count = 0;
    for (size_t i = 0; copy && i < length; i++) {
        column = code[i] == '\n' ? 0 : column + 1;
        if (column > CODE_LINE_MAX_BYTES) {
            ++*cut_count;
            while (i < length && ((unsigned char)code[i] & 0xC0) == 0x80)
                i++; /* not amid a character */
            const char *end = memchr(code + i, '\n', length - i);
            i = (end ? (size_t)(end - code) : length) - 1;
            column = 0;
            continue;
        }
        const unsigned int control = bidi_control(code + i);
        if (control) {
            out += (size_t)snprintf(copy + out, 9, "<U+%04X>", control);
            i += 2;
        } else {
            copy[out++] = code[i];
        }
    }
    if (copy)
        copy[out] = '\0';
    return copy;
}

static long count_lines(const char *code)
{
    long lines = 0;
    for (; *code; lines++) {
        code = strchrnul(code, '\n');
        code += *code != '\0';
    }
    return lines;
}

void code_flow(struct document *document, const char *code, const char *language, long max_lines)
{
    struct flow flow = flow_of(document, KIND_CODE);
    struct text text = {0};
    char note[200];
    long lines;
    size_t cut_count;
    size_t length = shown_length(code, max_lines, &lines);
    const size_t left_out_bytes = strlen(code + length);
    const long left_out_lines = count_lines(code + length);

    while (length && code[length - 1] == '\n')
        length--;
    char *shown = cut_lines(code, length, &cut_count);
    if (!shown) {
        document->state = DOCUMENT_FAILED;
        return;
    }
    snprintf(note, sizeof note, "%ld", lines);
    const double gutter = (double)strlen(note) * CODE_SIZE_PT * 0.61 + 12;
    flow.x += gutter;
    flow.width -= gutter;
    flow.number_lines = 1;
    flow.number_from = 1;
    code_highlight(document, &text, shown, strlen(shown), language);
    flow_text(document, &text, &flow);
    if (left_out_lines || cut_count) {
        document_space(document, 4);
        if (left_out_lines)
            snprintf(note, sizeof note, "Left out: %ld more lines (%zu bytes).", left_out_lines, left_out_bytes);
        else
            snprintf(note, sizeof note, "%zu lines longer than %d bytes were cut.", cut_count, CODE_LINE_MAX_BYTES);
        flow_string(document, note, KIND_SOFT);
    }
    text_free(&text);
    free(shown);
}
