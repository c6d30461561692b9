/* exportd/kit/bundle.h: the rules of one path. */
#include "bundle_path.h"

#include <ctype.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#define REPLACEMENT 0xFFFDu
#define QUOTE_MAX 200

/* Marks that turn the direction of text, so that a name reads as another one. */
static int is_bidirectional(uint32_t code_point)
{
    return (code_point >= 0x202A && code_point <= 0x202E) || (code_point >= 0x2066 && code_point <= 0x2069) ||
           code_point == 0x200E || code_point == 0x200F || code_point == 0x061C;
}

static int is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F) || code_point == 0x2028 ||
           code_point == 0x2029;
}

const char *exportd_bundle_quote(const char *text, char *out, size_t out_size)
{
    static const char cut[] = "…\"";
    size_t length = 0;
    if (out_size < sizeof cut + 1) {
        if (out_size)
            out[0] = '\0';
        return out;
    }
    out[length++] = '"';
    while (*text) {
        char piece[16];
        size_t piece_length;
        const char *before = text;
        uint32_t code_point = exportd_text_next(&text);
        if (is_control(code_point) || is_bidirectional(code_point) ||
            (code_point == REPLACEMENT && text - before == 1))
            piece_length = (size_t)snprintf(piece, sizeof piece, "\\u{%X}",
                                            text - before == 1 ? (unsigned char)*before : code_point);
        else if (code_point == '"' || code_point == '\\')
            piece_length = (size_t)snprintf(piece, sizeof piece, "\\%c", (int)code_point);
        else
            piece_length = exportd_text_encode(code_point, piece);
        if (length + piece_length + sizeof cut > out_size) {
            memcpy(out + length, cut, sizeof cut);
            return out;
        }
        memcpy(out + length, piece, piece_length);
        length += piece_length;
    }
    out[length++] = '"';
    out[length] = '\0';
    return out;
}

static int refuse(struct exportd_kit_error *error, const char *path, const char *why)
{
    char quoted[QUOTE_MAX];
    error->code = "repro_unsafe";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message, "the path %s %s",
             exportd_bundle_quote(path, quoted, sizeof quoted), why);
    return -1;
}

static int check_characters(const char *path, struct exportd_kit_error *error)
{
    for (const char *at = path; *at;) {
        const char *before = at;
        uint32_t code_point = exportd_text_next(&at);
        if (is_control(code_point))
            return refuse(error, path, "has a control character in it; rename the file");
        if (is_bidirectional(code_point))
            return refuse(error, path, "has a mark in it that turns the direction of text; rename the file");
        if (code_point == REPLACEMENT && at - before == 1)
            return refuse(error, path, "is not UTF-8; rename the file");
    }
    return 0;
}

static int check_segment(const char *path, const char *segment, size_t length, struct exportd_kit_error *error)
{
    if (length == 2 && memcmp(segment, "..", 2) == 0)
        return refuse(error, path, "leads out of its folder with \"..\"; name it below the repro's folder");
    if (length > EXPORTD_BUNDLE_SEGMENT_MAX)
        return refuse(error, path, "has a name of over 255 bytes in it; shorten it");
    if (length == 4 && strncasecmp(segment, ".git", 4) == 0)
        return refuse(error, path, "lies in a .git folder, whose hooks and settings git would run; leave it out");
    return 0;
}

int exportd_bundle_safe_path(const char *path, char out[EXPORTD_BUNDLE_PATH_MAX + 1], struct exportd_kit_error *error)
{
    size_t length = 0;
    const char *at = path;
    if (!*path)
        return refuse(error, path, "is empty; give the file a name");
    if (strlen(path) > EXPORTD_BUNDLE_PATH_MAX)
        return refuse(error, path, "is over 1024 bytes long; shorten it");
    if (check_characters(path, error) < 0)
        return -1;
    if (*path == '/' || *path == '\\' || (isalpha((unsigned char)path[0]) && path[1] == ':'))
        return refuse(error, path, "is absolute; name it relative to the repro's folder");
    while (*at) {
        size_t segment = strcspn(at, "/\\");
        if (segment == 0 || (segment == 1 && *at == '.')) {
            at += segment + (at[segment] != '\0');
            if (!*at)
                return refuse(error, path, "is a folder, not a file; leave it out or name a file in it");
            continue;
        }
        if (check_segment(path, at, segment, error) < 0)
            return -1;
        if (length)
            out[length++] = '/';
        memcpy(out + length, at, segment);
        length += segment;
        at += segment;
        if (*at && !*++at)
            return refuse(error, path, "is a folder, not a file; leave it out or name a file in it");
    }
    out[length] = '\0';
    return strcmp(path, out) != 0;
}

/* Without the locale only ASCII folds. */
static uint32_t fold(uint32_t code_point, locale_t locale)
{
    if (code_point < 0x80)
        return (uint32_t)tolower((int)code_point);
    if (!locale)
        return code_point;
    return (uint32_t)towlower_l(towupper_l((wint_t)code_point, locale), locale);
}

char *exportd_path_fold(const char *path, locale_t locale)
{
    char *folded = malloc(4 * strlen(path) + 1);
    char *out = folded;
    if (!folded)
        return NULL;
    while (*path)
        out += exportd_text_encode(fold(exportd_text_next(&path), locale), out);
    *out = '\0';
    return folded;
}
