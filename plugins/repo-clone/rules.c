/* rules.h: which paths may get a name on this disk. */
#include "rules.h"

#include <ctype.h>
#include <exportd/kit/text.h>
#include <limits.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <wctype.h>

#define NAME_BYTES 255
#define PATH_BYTES 2048
#define DEPTH_MAX 100
#define NOTES_MAX 100
#define TARGET_BYTES 4095
#define QUOTE_BYTES 220
#define REPLACEMENT 0xFFFDu

struct taken {
    UT_hash_handle hh;
    const char *folded;
    const char *path;
    struct taken *twin; /* the next one that folds the same */
    enum rules_kind kind;
    char text[]; /* folded, then path */
};

struct rules {
    struct rules_limits limits;
    struct rules_counts counts;
    struct taken *taken; /* by the folded path */
    locale_t locale;
    json_t *notes;
};

struct rules *rules_new(const struct rules_limits *limits, json_t *notes)
{
    struct rules *rules = calloc(1, sizeof *rules);
    if (rules) {
        rules->limits = *limits;
        rules->notes = notes;
        rules->locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    }
    return rules;
}

struct rules *rules_free(struct rules *rules)
{
    if (!rules)
        return NULL;
    struct taken *one = rules->taken, *next, *twin;
    HASH_CLEAR(hh, rules->taken);
    for (; one; one = next) {
        next = one->hh.next;
        for (; one; one = twin) {
            twin = one->twin;
            free(one);
        }
    }
    if (rules->locale)
        freelocale(rules->locale);
    free(rules);
    return NULL;
}

void rules_note(const struct rules *rules, const char *format, ...)
{
    char text[768];
    va_list arguments;
    if (json_array_size(rules->notes) >= NOTES_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_array_append_new(rules->notes, json_string(text));
}

struct rules_counts rules_counts(const struct rules *rules)
{
    return rules->counts;
}

static int refuse(struct exportd_kit_error *error, const char *path, const char *why)
{
    char quoted[QUOTE_BYTES];
    return exportd_kit_fail(error, "repository_unsafe", 0, "the path %s %s; the repository was not checked out",
                            exportd_bundle_quote(path, quoted, sizeof quoted), why);
}

static int is_control(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7F && code_point <= 0x9F) || code_point == 0x2028 ||
           code_point == 0x2029;
}

/* Marks that turn the direction of text, so that a name reads as another one. */
static int is_bidirectional(uint32_t code_point)
{
    return (code_point >= 0x202A && code_point <= 0x202E) || (code_point >= 0x2066 && code_point <= 0x2069) ||
           code_point == 0x200E || code_point == 0x200F || code_point == 0x061C;
}

/* What macOS' file system doesn't see in a name. */
static int is_ignored(uint32_t code_point)
{
    return (code_point >= 0x200C && code_point <= 0x200F) || (code_point >= 0x202A && code_point <= 0x202E) ||
           (code_point >= 0x206A && code_point <= 0x206F) || code_point == 0xFEFF;
}

/* One name, or a part of one between backslashes, as the file systems of Windows and macOS read it: without what they
 * ignore, streams, dots and blanks at its end; in any case, or by its short name. */
static int is_dot_git(const char *name, size_t length)
{
    char seen[16];
    size_t count = 0;
    for (const char *at = name; at < name + length && *at != ':';) {
        uint32_t code_point = exportd_text_next(&at);
        if (is_ignored(code_point))
            continue;
        if (count == sizeof seen - 1)
            return 0; /* blanks beyond that make no such name */
        seen[count++] = code_point < 0x80 ? (char)tolower((int)code_point) : '?';
    }
    while (count > 0 && (seen[count - 1] == ' ' || seen[count - 1] == '.'))
        count--;
    seen[count] = '\0';
    return strcmp(seen, ".git") == 0 || strcmp(seen, "git~1") == 0;
}

static int check_characters(const char *path, const char *name, struct exportd_kit_error *error)
{
    while (*name) {
        const char *before = name;
        uint32_t code_point = exportd_text_next(&name);
        if (is_control(code_point))
            return refuse(error, path, "has a control character in it");
        if (is_bidirectional(code_point))
            return refuse(error, path, "has a mark in it that turns the direction of text");
        if (code_point == REPLACEMENT && name - before == 1)
            return refuse(error, path, "is not UTF-8");
    }
    return 0;
}

/* Windows takes a backslash for a slash, so what is between them is looked at as a name of its own. */
static int check_name(const char *path, const char *name, struct exportd_kit_error *error)
{
    size_t length = strlen(name);
    if (length == 0 || strcmp(name, ".") == 0)
        return refuse(error, path, "has a name in it that is none");
    if (length > NAME_BYTES)
        return refuse(error, path, "has a name of over 255 bytes in it");
    if (check_characters(path, name, error) != 0)
        return -1;
    for (const char *part = name;; part++) {
        size_t part_length = strcspn(part, "\\");
        if (part_length == 2 && memcmp(part, "..", 2) == 0)
            return refuse(error, path, "leads out of its folder");
        if (is_dot_git(part, part_length))
            return refuse(error, path, "is one that git keeps for itself (.git)");
        part += part_length;
        if (!*part)
            return 0;
    }
}

static uint32_t fold(uint32_t code_point, locale_t locale)
{
    if (code_point < 0x80 || !locale)
        return code_point < 0x80 ? (uint32_t)tolower((int)code_point) : code_point;
    return (uint32_t)towlower_l(towupper_l((wint_t)code_point, locale), locale);
}

static struct taken *new_taken(const struct rules *rules, const char *path, enum rules_kind kind)
{
    size_t length = strlen(path);
    struct taken *taken = calloc(1, sizeof *taken + 5 * length + 2); /* a folded character may be longer */
    if (!taken)
        return NULL;
    char *out = taken->text;
    for (const char *at = path; *at;)
        out += exportd_text_encode(fold(exportd_text_next(&at), rules->locale), out);
    *out++ = '\0';
    memcpy(out, path, length + 1);
    taken->folded = taken->text;
    taken->path = out;
    taken->kind = kind;
    return taken;
}

/* Another path that case alone tells apart. Files beside files, and folders beside folders, do no harm here. */
static int check_twin(const struct rules *rules, const struct taken *one, const struct taken *other,
                      struct exportd_kit_error *error)
{
    char quoted[2][QUOTE_BYTES];
    exportd_bundle_quote(one->path, quoted[0], sizeof quoted[0]);
    exportd_bundle_quote(other->path, quoted[1], sizeof quoted[1]);
    if (strcmp(one->path, other->path) == 0)
        return exportd_kit_fail(error, "repository_unsafe", 0,
                                "the path %s is there twice; the repository was not checked out", quoted[0]);
    if (one->kind != other->kind || one->kind == RULES_LINK)
        return exportd_kit_fail(
            error, "repository_unsafe", 0,
            "case alone tells %s and %s apart, and one of them is a link or a folder: where case is not "
            "told apart, one leads through the other; the repository was not checked out",
            quoted[0], quoted[1]);
    rules_note(rules, "case alone tells %s and %s apart: they don't fit side by side on Windows or macOS", quoted[0],
               quoted[1]);
    return 0;
}

static int count(struct rules *rules, const char *path, enum rules_kind kind, uint64_t size_bytes,
                 struct exportd_kit_error *error)
{
    const struct rules_limits *limits = &rules->limits;
    struct rules_counts *counts = &rules->counts;
    char quoted[QUOTE_BYTES];
    if (counts->files + counts->folders >= limits->max_files)
        return exportd_kit_fail(
            error, "repository_too_large", 0,
            "the checkout has more than the limit of %llu files and folders; name a subfolder, or raise "
            "max_files in [plugin repo-clone]",
            (unsigned long long)limits->max_files);
    if (size_bytes > limits->max_file)
        return exportd_kit_fail(error, "repository_too_large", 0,
                                "%s has %llu bytes, over the limit of %llu for one file; raise max_file_bytes in "
                                "[plugin repo-clone]",
                                exportd_bundle_quote(path, quoted, sizeof quoted), (unsigned long long)size_bytes,
                                (unsigned long long)limits->max_file);
    if (size_bytes > limits->max_bytes - counts->bytes)
        return exportd_kit_fail(
            error, "repository_too_large", 0,
            "the checkout has more than the limit of %llu bytes; name a subfolder, or raise max_bytes in "
            "[plugin repo-clone]",
            (unsigned long long)limits->max_bytes);
    counts->bytes += size_bytes;
    if (kind == RULES_FOLDER)
        counts->folders++;
    else
        counts->files++;
    return 0;
}

int rules_take(struct rules *rules, const char *path, enum rules_kind kind, uint64_t size_bytes,
               struct exportd_kit_error *error)
{
    size_t depth = 1;
    const char *name = path;
    if (strlen(path) > PATH_BYTES)
        return refuse(error, path, "is over 2,048 bytes long");
    for (const char *at = path; *at; at++)
        if (*at == '/') {
            name = at + 1;
            depth++;
        }
    if (depth > DEPTH_MAX)
        return refuse(error, path, "lies more than 100 folders deep");
    if (check_name(path, name, error) != 0)
        return -1;
    if (count(rules, path, kind, size_bytes, error) != 0)
        return -1;
    struct taken *one = new_taken(rules, path, kind), *other = NULL;
    if (!one)
        return exportd_kit_no_memory(error);
    HASH_FIND_STR(rules->taken, one->folded, other);
    for (const struct taken *twin = other; twin; twin = twin->twin)
        if (check_twin(rules, one, twin, error) != 0) {
            free(one);
            return -1;
        }
    if (other) {
        one->twin = other->twin;
        other->twin = one;
    } else {
        HASH_ADD_KEYPTR(hh, rules->taken, one->folded, strlen(one->folded), one);
    }
    return 0;
}

int rules_has_folder(const struct rules *rules, const char *path)
{
    struct taken *key = new_taken(rules, path, RULES_FOLDER), *found = NULL;
    if (key)
        HASH_FIND_STR(rules->taken, key->folded, found);
    while (found && strcmp(found->path, path) != 0)
        found = found->twin;
    free(key);
    return found && found->kind == RULES_FOLDER;
}

int rules_link_is_safe(const char *path, const char *target, size_t length)
{
    size_t up = 0, down = 0, depth = 0;
    if (length == 0 || length > TARGET_BYTES || memchr(target, '\0', length) || target[0] == '/')
        return 0;
    for (const char *at = path; *at; at++)
        depth += *at == '/';
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)target[i] < 0x20 || target[i] == 0x7F || target[i] == '\\')
            return 0;
    for (size_t at = 0; at <= length;) {
        const char *name = target + at;
        const char *slash = memchr(name, '/', length - at);
        size_t name_length = slash ? (size_t)(slash - name) : length - at;
        at += name_length + 1;
        if (name_length == 0 || (name_length == 1 && *name == '.'))
            continue;
        if (name_length == 2 && memcmp(name, "..", 2) == 0)
            up++;
        else
            down++;
        /* Up again behind a name that may itself be a link: nobody knows from where. */
        if (up > depth || (down > 0 && name_length == 2 && memcmp(name, "..", 2) == 0) ||
            is_dot_git(name, name_length))
            return 0;
    }
    return 1;
}
