/* licence.h: a licence's text, and what manifests and headers say. */
#include "licence.h"

#include "licence_texts.h"
#include "value.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NOTICE_BYTES 4096 /* of a source file in which a notice stands */
#define FILES_MAX 20
#define HEADERS_MAX 20

bool licence_is_file(const char *path)
{
    static const char *const names[] = {"LICENSE", "LICENCE", "COPYING", "UNLICENSE", "MIT-LICENSE"};
    static const char *const not_texts[] = {".js", ".py",   ".go",  ".rs",  ".c",   ".h",
                                            ".ts", ".json", ".png", ".svg", ".html"};
    for (size_t i = 0; i < sizeof not_texts / sizeof *not_texts; i++)
        if (value_ends(path, not_texts[i]))
            return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t length = strlen(names[i]);
        if (value_begins(path, names[i]) && (!path[length] || strchr(".-_", path[length])))
            return strchr(path, '/') == NULL;
    }
    return false;
}

/* Lower case, words between single blanks and one around all, "licence" spelt "license". A new string, or NULL. */
static char *normalize(const char *text, size_t size)
{
    char *out = malloc(size + 3);
    size_t length = 0;
    if (!out)
        return NULL;
    out[length++] = ' ';
    for (size_t i = 0; i < size; i++) {
        char letter = (char)tolower((unsigned char)text[i]);
        bool taken = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
        if (taken)
            out[length++] = letter;
        else if (out[length - 1] != ' ')
            out[length++] = ' ';
    }
    if (out[length - 1] != ' ')
        out[length++] = ' ';
    out[length] = '\0';
    for (char *at = out; (at = strstr(at, "licence")); at += 7)
        at[5] = 's';
    return out;
}

static size_t count_words(const char *text, size_t length)
{
    size_t words = 0;
    for (size_t i = 1; i < length; i++)
        words += text[i - 1] == ' ' && text[i] != ' ';
    return words;
}

/* A phrase as whole words, from a place on: where it begins, or NULL. */
static char *find_phrase(char *from, const char *phrase)
{
    size_t length = strlen(phrase);
    for (char *at = from; (at = strstr(at, phrase)); at++)
        if (at[-1] == ' ' && at[length] == ' ')
            return at;
    return NULL;
}

/* What may not stand beside a short licence: it would change what the licence says. */
static bool restricts(const char *rest)
{
    static const char *const words[] = {" not ",           " no ",         " neither ",   " never ",
                                        " except ",        " unless ",     " only ",      " without ",
                                        " must ",          " shall ",      " provided ",  " prohibited ",
                                        " noncommercial ", " commercial ", " forbidden ", " however "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(rest, words[i]))
            return true;
    return false;
}

static bool is_short(const struct licence_text *licence, const char *text)
{
    char *rest = strdup(text), *at = rest ? rest + 1 : NULL;
    bool fits = rest != NULL;
    for (size_t i = 0; fits && licence->phrases[i]; i++) {
        char *found = find_phrase(at, licence->phrases[i]);
        fits = found != NULL;
        if (found) {
            at = found + strlen(licence->phrases[i]);
            memset(found, ' ', strlen(licence->phrases[i]));
        }
    }
    char *title = fits ? find_phrase(rest + 1, "mit no attribution") : NULL;
    if (title)
        memset(title, ' ', strlen("mit no attribution"));
    fits = fits && count_words(rest, strlen(rest)) <= licence->extra_words && !restricts(rest);
    free(rest);
    return fits;
}

static bool is_long(const struct licence_text *licence, char *text)
{
    size_t words = count_words(text, strlen(text));
    if (words < licence->least_words || words > licence->most_words || strstr(text, " commons clause "))
        return false;
    char *at = text + 1;
    for (size_t i = 0; at && licence->phrases[i]; i++) {
        at = find_phrase(at, licence->phrases[i]);
        at = at ? at + strlen(licence->phrases[i]) : NULL;
    }
    return at != NULL;
}

const char *licence_of_text(const char *text, size_t size)
{
    char *normal = normalize(text, size < LICENCE_BYTES ? size : LICENCE_BYTES);
    const char *spdx = NULL;
    for (size_t i = 0; normal && !spdx && i < licence_texts_count; i++) {
        const struct licence_text *licence = &licence_texts[i];
        if (licence->least_words ? is_long(licence, normal) : is_short(licence, normal))
            spdx = licence->spdx;
    }
    free(normal);
    return spdx;
}

void licence_see_file(struct licence_evidence *evidence, const char *path, const char *text, size_t size)
{
    const char *spdx = size < LICENCE_BYTES ? licence_of_text(text, size) : NULL;
    if (!evidence->files)
        evidence->files = json_array();
    if (json_array_size(evidence->files) < FILES_MAX)
        json_array_append_new(evidence->files,
                              json_pack("{s:o, s:s}", "file", value_path(path), "spdx", spdx ? spdx : "NOASSERTION"));
}

static void see_header(struct licence_evidence *evidence, const char *at, size_t size)
{
    char line[128], expression[128];
    size_t length = 0;
    while (length < size && length < sizeof line - 1 && at[length] && !strchr("\r\n*<#\"'`\\,;", at[length]))
        length++;
    memcpy(line, at, length);
    line[length] = '\0';
    licence_expression(line, expression, sizeof expression);
    if (!*expression)
        return;
    if (!evidence->headers)
        evidence->headers = json_object();
    json_int_t count = json_integer_value(json_object_get(evidence->headers, expression));
    if (count > 0 || json_object_size(evidence->headers) < HEADERS_MAX)
        json_object_set_new(evidence->headers, expression, json_integer(count + 1));
}

void licence_see_source(struct licence_evidence *evidence, const char *content, size_t size)
{
    static const char tag[] = "SPDX-License-Identifier:";
    size = size < NOTICE_BYTES ? size : NOTICE_BYTES;
    const char *at = memmem(content, size, tag, sizeof tag - 1);
    if (at) {
        at += sizeof tag - 1;
        see_header(evidence, at, (size_t)(content + size - at));
    }
    if (!memmem(content, size, "GNU", 3) || !memmem(content, size, "icense", 6))
        return;
    char *normal = normalize(content, size);
    if (normal && strstr(normal, " general public license ")) {
        if (strstr(normal, " any later version "))
            evidence->later++;
        else if (strstr(normal, " version 2 only ") || strstr(normal, " under the terms of version 2 of ") ||
                 strstr(normal, " version 3 only ") || strstr(normal, " under the terms of version 3 of "))
            evidence->only++;
    }
    free(normal);
}

void licence_clear(struct licence_evidence *evidence)
{
    json_decref(evidence->files);
    json_decref(evidence->headers);
    *evidence = (struct licence_evidence){0};
}
