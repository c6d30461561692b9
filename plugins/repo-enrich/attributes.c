/* kinds.h: .gitattributes. */
#include "kinds.h"

#include "languages.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

#define RULES_MAX 200
#define PATTERN_MAX 200
#define GLOB_STEPS 10000 /* of one pattern over one path */

enum said {
    SAID_NOTHING,
    SAID_NO,
    SAID_YES,
};

struct rule {
    char pattern[PATTERN_MAX];
    enum said vendored, generated, documentation, detectable;
    const char *language;
};

struct kind_attributes {
    struct rule rules[RULES_MAX];
    size_t count;
};

/* Where a "**" goes on, one step further: behind the next slash where whole folders are meant, "**" with a slash
 * behind it; else at the next character. NULL at the end. */
static const char *further(const char *at, bool folders)
{
    const char *slash = folders ? strchr(at, '/') : NULL;
    if (folders)
        return slash ? slash + 1 : NULL;
    return *at ? at + 1 : NULL;
}

/* A "*" stops at a slash and "**" doesn't. The last of each alone is gone back to; even so a "**" with several "*"
 * can take the cube of the path's length, which the steps bound. */
static bool glob(const char *pattern, const char *path)
{
    const char *star = NULL, *star_at = NULL, *stars = NULL, *stars_at = NULL, *begin = pattern;
    bool folders = false;
    for (size_t step = 0; step < GLOB_STEPS; step++) {
        if (pattern[0] == '*' && pattern[1] == '*') {
            /* a "**" and its slash stand for nothing, too */
            folders = pattern[2] == '/' && (pattern == begin || pattern[-1] == '/');
            pattern += 2;
            pattern += *pattern == '/';
            stars = pattern;
            stars_at = path;
            star = NULL;
        } else if (*pattern == '*') {
            star = ++pattern;
            star_at = path;
        } else if (*path && (*pattern == *path || (*pattern == '?' && *path != '/'))) {
            pattern++;
            path++;
        } else if (!*pattern && !*path) {
            return true;
        } else if (star && *star_at && *star_at != '/') {
            path = ++star_at;
            pattern = star;
        } else if (stars && (stars_at = further(stars_at, folders))) {
            path = stars_at;
            pattern = stars;
            star = NULL;
        } else {
            return false;
        }
    }
    return false;
}

bool kind_matches(const char *pattern, const char *path)
{
    const char *slash = strchr(pattern, '/'), *name = strrchr(path, '/');
    if (!slash)
        return glob(pattern, name ? name + 1 : path);
    return glob(pattern + (*pattern == '/'), path);
}

/* "linguist-vendored", "-linguist-vendored", "linguist-vendored=false" … */
static void read_attribute(struct rule *rule, const char *word, size_t length)
{
    const char prefix[] = "linguist-";
    bool no = length > 0 && (*word == '-' || *word == '!');
    word += no;
    length -= no;
    if (length < sizeof prefix || strncmp(word, prefix, sizeof prefix - 1) != 0)
        return;
    word += sizeof prefix - 1;
    length -= sizeof prefix - 1;
    const char *value = memchr(word, '=', length);
    size_t name = value ? (size_t)(value - word) : length, value_length = value ? length - name - 1 : 0;
    no = no || (value_length == 5 && strncmp(value + 1, "false", 5) == 0);
    enum said said = no ? SAID_NO : SAID_YES;
    if (name == 8 && strncmp(word, "vendored", name) == 0)
        rule->vendored = said;
    else if (name == 9 && strncmp(word, "generated", name) == 0)
        rule->generated = said;
    else if (name == 13 && strncmp(word, "documentation", name) == 0)
        rule->documentation = said;
    else if (name == 10 && strncmp(word, "detectable", name) == 0)
        rule->detectable = said;
    else if (name == 8 && value && strncmp(word, "language", name) == 0)
        rule->language = language_named(value + 1, value_length);
}

static void read_rule(struct kind_attributes *attributes, const char *line, size_t length)
{
    const char *end = line + length;
    line += strspn(line, " \t");
    if (line >= end)
        return;
    size_t pattern = strcspn(line, " \t\r\n");
    /* Sets of characters and patterns in quotes are rare here, and not read. */
    if (*line == '#' || *line == '"' || pattern >= PATTERN_MAX || memchr(line, '[', pattern) ||
        attributes->count == RULES_MAX)
        return;
    struct rule *rule = &attributes->rules[attributes->count];
    *rule = (struct rule){0};
    memcpy(rule->pattern, line, pattern);
    for (const char *at = line + pattern; at < end;) {
        at += strspn(at, " \t\r");
        size_t word = strcspn(at, " \t\r\n");
        if (word == 0 || at >= end)
            break;
        read_attribute(rule, at, word);
        at += word;
    }
    attributes->count +=
        rule->vendored || rule->generated || rule->documentation || rule->detectable || rule->language;
}

struct kind_attributes *kind_attributes_read(const char *text)
{
    struct kind_attributes *attributes = calloc(1, sizeof *attributes);
    for (const char *line = text; attributes && *line;) {
        size_t length = strcspn(line, "\n");
        read_rule(attributes, line, length);
        line += length + (line[length] == '\n');
    }
    return attributes && attributes->count > 0 ? attributes : kind_attributes_free(attributes);
}

struct kind_attributes *kind_attributes_free(struct kind_attributes *attributes)
{
    free(attributes);
    return NULL;
}

static void decide(enum said said, enum kind meant, enum kind *kind)
{
    if (said == SAID_YES)
        *kind = meant;
    else if (said == SAID_NO && *kind == meant)
        *kind = KIND_OWN;
}

void kind_attributes_apply(const struct kind_attributes *attributes, const char *path, struct kind_said *said)
{
    for (size_t i = 0; attributes && i < attributes->count; i++) {
        const struct rule *rule = &attributes->rules[i];
        if (!kind_matches(rule->pattern, path))
            continue;
        decide(rule->documentation, KIND_DOCUMENTATION, &said->kind);
        decide(rule->generated, KIND_GENERATED, &said->kind);
        decide(rule->vendored, KIND_VENDORED, &said->kind);
        if (rule->generated)
            said->written = rule->generated == SAID_NO;
        if (rule->language)
            said->language = rule->language;
        if (rule->detectable)
            said->detectable = rule->detectable == SAID_YES;
    }
}
