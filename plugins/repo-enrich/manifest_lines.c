/* manifest.h: what is read line by line: requirements.txt, setup.cfg, go.mod, Gemfile, build.gradle, CMakeLists.txt.
 */
#include "manifest.h"

#include "value.h"

#include <ctype.h>
#include <string.h>

static bool starts(struct manifest_part line, const char *with)
{
    size_t length = strlen(with);
    return line.length >= length && memcmp(line.at, with, length) == 0;
}

static struct manifest_part trim(struct manifest_part part)
{
    while (part.length > 0 && strchr(" \t\r", *part.at)) {
        part.at++;
        part.length--;
    }
    while (part.length > 0 && strchr(" \t\r\\,", part.at[part.length - 1]))
        part.length--;
    return part;
}

static struct manifest_part skip(struct manifest_part part, size_t bytes)
{
    return trim((struct manifest_part){part.at + bytes, part.length - bytes});
}

/* Cuts at the first of a word. */
static struct manifest_part before(struct manifest_part part, const char *word)
{
    const char *at = memmem(part.at, part.length, word, strlen(word));
    return at ? trim((struct manifest_part){part.at, (size_t)(at - part.at)}) : part;
}

/* What stands in the first quotes, of either kind; *rest: behind them. Empty where there are none. */
static struct manifest_part quoted(struct manifest_part part, struct manifest_part *rest)
{
    const char *end = part.at + part.length, *from = part.at;
    while (from < end && *from != '"' && *from != '\'')
        from++;
    const char *to = from < end ? memchr(from + 1, *from, (size_t)(end - from - 1)) : NULL;
    *rest = to ? (struct manifest_part){to + 1, (size_t)(end - to - 1)} : (struct manifest_part){end, 0};
    return to ? (struct manifest_part){from + 1, (size_t)(to - from - 1)} : (struct manifest_part){end, 0};
}

/* A word of the part, that its blanks end; *rest: behind it. */
static struct manifest_part word_of(struct manifest_part part, struct manifest_part *rest)
{
    size_t length = 0;
    while (length < part.length && !strchr(" \t", part.at[length]))
        length++;
    *rest = skip(part, length);
    return (struct manifest_part){part.at, length};
}

void manifest_add_python(struct manifest *manifest, struct manifest_part text, const char *scope)
{
    size_t length = 0;
    text = trim(before(before(text, ";"), " --hash"));
    while (length < text.length && (isalnum((unsigned char)text.at[length]) || strchr("._-", text.at[length])) &&
           text.at[length])
        length++;
    struct manifest_part name = {text.at, length}, rest = skip(text, length);
    if (rest.length > 0 && *rest.at == '[') {
        const char *end = memchr(rest.at, ']', rest.length);
        rest = end ? skip(rest, (size_t)(end + 1 - rest.at)) : (struct manifest_part){rest.at, 0};
    }
    if (rest.length >= 2 && *rest.at == '(' && rest.at[rest.length - 1] == ')')
        rest = trim((struct manifest_part){rest.at + 1, rest.length - 2});
    if (rest.length == 0 || strchr("=<>!~@", *rest.at))
        manifest_add(manifest, name, rest, scope);
}

void manifest_read_requirements(struct manifest *manifest, const char *text, size_t size)
{
    const char *cursor = text, *name = strrchr(manifest->file, '/');
    const char *scope = "runtime";
    struct manifest_part line;
    (void)size;
    name = name ? name + 1 : manifest->file;
    if (strcasestr(name, "dev") || strcasestr(name, "doc") || strcasestr(name, "lint"))
        scope = "development";
    else if (strcasestr(name, "test"))
        scope = "test";
    while (manifest_next_line(&cursor, &line)) {
        line = before(line, " #");
        if (starts(line, "-e ") || starts(line, "--editable ")) {
            const char *egg = memmem(line.at, line.length, "#egg=", 5);
            if (egg)
                manifest_add(manifest, skip(line, (size_t)(egg + 5 - line.at)), skip(before(line, "#egg="), 3),
                             scope);
        } else if (line.length > 0 && isalnum((unsigned char)*line.at) &&
                   (!memmem(line.at, line.length, "://", 3) || memchr(line.at, '@', line.length))) {
            manifest_add_python(manifest, line, scope); /* an address alone has no name */
        }
    }
}

void manifest_read_setup_cfg(struct manifest *manifest, const char *text, size_t size)
{
    const char *cursor = text;
    const char *scope = NULL; /* of the list that goes on */
    bool metadata = false, options = false, extras = false;
    struct manifest_part line;
    (void)size;
    for (const char *start = cursor; manifest_next_line(&cursor, &line); start = cursor) {
        bool indented = *start == ' ' || *start == '\t';
        const char *equals = memchr(line.at, '=', line.length);
        if (line.length == 0 || *line.at == '#' || *line.at == ';')
            continue;
        if (*line.at == '[' && !indented) {
            metadata = starts(line, "[metadata]");
            options = starts(line, "[options]");
            extras = starts(line, "[options.extras_require]");
            scope = NULL;
        } else if (indented) {
            if (scope)
                manifest_add_python(manifest, before(line, " #"), scope);
        } else if (equals) {
            struct manifest_part value = skip(line, (size_t)(equals + 1 - line.at));
            char short_value[MANIFEST_TEXT_MAX + 1] = "";
            memcpy(short_value, value.at, value.length < MANIFEST_TEXT_MAX ? value.length : MANIFEST_TEXT_MAX);
            scope = extras                                        ? "optional"
                    : options && starts(line, "install_requires") ? "runtime"
                    : options && starts(line, "setup_requires")   ? "build"
                    : options && starts(line, "tests_require")    ? "test"
                                                                  : NULL;
            if (scope && value.length > 0)
                manifest_add_python(manifest, before(value, " #"), scope);
            if (metadata && starts(line, "name"))
                manifest_set(manifest, "name", short_value);
            else if (metadata && starts(line, "version"))
                manifest_set(manifest, "version", short_value);
            else if (metadata && starts(line, "license ="))
                manifest_set(manifest, "licence", short_value);
        }
    }
}

void manifest_read_go(struct manifest *manifest, const char *text, size_t size)
{
    const char *cursor = text;
    bool block = false;
    struct manifest_part line, rest;
    (void)size;
    while (manifest_next_line(&cursor, &line)) {
        bool indirect = memmem(line.at, line.length, "// indirect", 11) != NULL;
        line = before(line, "//");
        if (starts(line, "module ")) {
            struct manifest_part unquoted = quoted(line, &rest);
            struct manifest_part name = unquoted.length > 0 ? unquoted : skip(line, 7);
            json_object_set_new(manifest->object, "name", value_text(name.at, name.length, MANIFEST_TEXT_MAX));
        } else if (starts(line, "require (") || starts(line, "require(")) {
            block = true;
        } else if (block && starts(line, ")")) {
            block = false;
        } else if (block || starts(line, "require ")) {
            struct manifest_part name = word_of(block ? line : skip(line, 7), &rest);
            manifest_add(manifest, name, rest, indirect ? "indirect" : "runtime");
        }
    }
}

void manifest_read_gemfile(struct manifest *manifest, const char *text, size_t size)
{
    const char *cursor = text, *scope = "runtime";
    struct manifest_part line, rest;
    (void)size;
    while (manifest_next_line(&cursor, &line)) {
        if (starts(line, "group ")) {
            scope = memmem(line.at, line.length, ":test", 5) && !memmem(line.at, line.length, ":dev", 4)
                        ? "test"
                        : "development";
        } else if (starts(line, "end")) {
            scope = "runtime";
        } else if (starts(line, "gem ") || starts(line, "gem(")) {
            struct manifest_part name = quoted(line, &rest), version = {rest.at, 0};
            struct manifest_part behind = trim(rest);
            if (behind.length > 1 && *behind.at == ',') {
                behind = skip(behind, 1);
                if (behind.length > 0 && (*behind.at == '"' || *behind.at == '\''))
                    version = quoted(behind, &rest);
            }
            manifest_add(manifest, name, version, scope);
        }
    }
}

/* What stands in quotes behind a key and its ":" or "=": group: "g". Empty where there is none. */
static struct manifest_part value_of(struct manifest_part line, const char *key)
{
    const char *at = line.at, *end = line.at + line.length;
    size_t length = strlen(key);
    struct manifest_part none = {line.at, 0}, rest;
    for (; (at = memmem(at, (size_t)(end - at), key, length)); at += length) {
        struct manifest_part behind = skip((struct manifest_part){at, (size_t)(end - at)}, length);
        if ((at > line.at && isalnum((unsigned char)at[-1])) || behind.length == 0 || !strchr(":=", *behind.at))
            continue;
        behind = skip(behind, 1);
        return behind.length > 0 && strchr("\"'", *behind.at) ? quoted(behind, &rest) : none;
    }
    return none;
}

/* group: "g", name: "n", version: "1", as Gradle's maps are written, or group = "g", … in Kotlin. */
static bool add_map(struct manifest *manifest, struct manifest_part line, const char *scope)
{
    char both[2 * MANIFEST_TEXT_MAX + 2];
    struct manifest_part group = value_of(line, "group"), name = value_of(line, "name");
    if (group.length == 0 || name.length == 0 || group.length + name.length + 2 > sizeof both)
        return false;
    memcpy(both, group.at, group.length);
    both[group.length] = ':';
    memcpy(both + group.length + 1, name.at, name.length);
    manifest_add(manifest, (struct manifest_part){both, group.length + 1 + name.length}, value_of(line, "version"),
                 scope);
    return true;
}

static void add_notation(struct manifest *manifest, struct manifest_part line, const char *scope)
{
    struct manifest_part rest, what = quoted(line, &rest);
    const char *first = memchr(what.at, ':', what.length);
    const char *second = first ? memchr(first + 1, ':', (size_t)(what.at + what.length - first - 1)) : NULL;
    size_t name = second ? (size_t)(second - what.at) : what.length;
    if (first)
        manifest_add(manifest, (struct manifest_part){what.at, name},
                     second ? skip(what, name + 1) : (struct manifest_part){what.at, 0}, scope);
}

void manifest_read_gradle(struct manifest *manifest, const char *text, size_t size)
{
    static const struct {
        const char *word, *scope;
    } words[] = {
        {"testImplementation", "test"},
        {"testRuntimeOnly", "test"},
        {"testCompile", "test"},
        {"androidTestImplementation", "test"},
        {"implementation", "runtime"},
        {"api", "runtime"},
        {"compileOnly", "provided"},
        {"runtimeOnly", "runtime"},
        {"compile", "runtime"},
        {"annotationProcessor", "build"},
        {"kapt", "build"},
        {"classpath", "build"},
    };
    const char *cursor = text;
    struct manifest_part line;
    (void)size;
    while (manifest_next_line(&cursor, &line)) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            size_t length = strlen(words[i].word);
            if (!starts(line, words[i].word) || line.length <= length || !strchr(" ('\"", line.at[length]))
                continue;
            if (!add_map(manifest, skip(line, length), words[i].scope))
                add_notation(manifest, line, words[i].scope);
            break;
        }
    }
}

/* find_package(Name 1.2 …) and project(name VERSION 1.2). */
void manifest_read_cmake(struct manifest *manifest, const char *text, size_t size)
{
    const char *cursor = text;
    struct manifest_part line, rest, more;
    (void)size;
    while (manifest_next_line(&cursor, &line)) {
        bool package = line.length > 13 && value_begins(line.at, "find_package(");
        bool project = line.length > 8 && value_begins(line.at, "project(");
        if (!package && !project)
            continue;
        line = before(skip(line, package ? 13 : 8), ")");
        struct manifest_part name = word_of(line, &rest), next = word_of(rest, &more);
        if (name.length == 0 || memchr(name.at, '$', name.length))
            continue;
        if (package) {
            bool version = next.length > 0 && isdigit((unsigned char)*next.at);
            manifest_add(manifest, name, version ? next : (struct manifest_part){name.at, 0}, "build");
            continue;
        }
        json_object_set_new(manifest->object, "name", value_text(name.at, name.length, MANIFEST_TEXT_MAX));
        const char *version = memmem(rest.at, rest.length, "VERSION ", 8);
        if (version) {
            next = word_of(skip(rest, (size_t)(version + 8 - rest.at)), &more);
            json_object_set_new(manifest->object, "version", value_text(next.at, next.length, MANIFEST_TEXT_MAX));
        }
    }
}
