/* select.h: paths, bytes. */
#include "select.h"

#include <stdint.h>
#include <string.h>

#define LOOK_BYTES 8192
#define ILL_FORMED_PART 10 /* of what is looked at: beyond a tenth it is no text */

const char *select_word(enum select_reason reason)
{
    static const char *const words[SELECT_REASONS] = {"taken",  "vendored", "generated",    "too_large",
                                                      "binary", "empty",    "name_invalid", "over_limit"};
    return words[reason];
}

static bool is_one_of(const char *name, size_t length, const char *const *names)
{
    for (; *names; names++)
        if (strlen(*names) == length && memcmp(*names, name, length) == 0)
            return true;
    return false;
}

static bool ends_with_one_of(const char *name, const char *const *endings)
{
    size_t length = strlen(name);
    for (; *endings; endings++) {
        size_t size = strlen(*endings);
        if (length > size && memcmp(name + length - size, *endings, size) == 0)
            return true;
    }
    return false;
}

enum select_reason select_by_path(const char *path)
{
    static const char *const vendored[] = {"node_modules",
                                           "bower_components",
                                           "jspm_packages",
                                           "vendor",
                                           "third_party",
                                           "third-party",
                                           "Pods",
                                           "Carthage",
                                           ".yarn",
                                           "site-packages",
                                           ".venv",
                                           "venv",
                                           "__pypackages__",
                                           "elm-stuff",
                                           NULL};
    static const char *const generated[] = {"dist",
                                            ".next",
                                            ".nuxt",
                                            "__pycache__",
                                            "coverage",
                                            ".nyc_output",
                                            ".cache",
                                            "_site",
                                            "storybook-static",
                                            ".gradle",
                                            ".parcel-cache",
                                            ".turbo",
                                            ".svelte-kit",
                                            NULL};
    static const char *const names[] = {"package-lock.json",
                                        "npm-shrinkwrap.json",
                                        "yarn.lock",
                                        "pnpm-lock.yaml",
                                        "bun.lock",
                                        "composer.lock",
                                        "Gemfile.lock",
                                        "Cargo.lock",
                                        "poetry.lock",
                                        "Pipfile.lock",
                                        "uv.lock",
                                        "go.sum",
                                        "flake.lock",
                                        "mix.lock",
                                        "pubspec.lock",
                                        "Podfile.lock",
                                        "packages.lock.json",
                                        "gradle.lockfile",
                                        "deno.lock",
                                        NULL};
    static const char *const endings[] = {".min.js", ".min.css", ".min.mjs", ".map",    ".snap",      ".pb.go",
                                          "_pb2.py", ".pb.cc",   ".pb.h",    ".g.dart", ".bundle.js", NULL};
    const char *name = path;
    for (const char *slash; (slash = strchr(name, '/')); name = slash + 1) {
        if (is_one_of(name, (size_t)(slash - name), vendored))
            return SELECT_VENDORED;
        if (is_one_of(name, (size_t)(slash - name), generated))
            return SELECT_GENERATED;
    }
    return is_one_of(name, strlen(name), names) || ends_with_one_of(name, endings) ? SELECT_GENERATED : SELECT_TAKEN;
}

/* Bytes of the well-formed character at text, or 0. RFC 3629. */
static size_t character(const unsigned char *text, size_t left)
{
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t size = first >= 0xC2 && first <= 0xDF   ? 2
                  : (first & 0xF0) == 0xE0         ? 3
                  : first >= 0xF0 && first <= 0xF4 ? 4
                                                   : 0;
    if (size == 0 || size > left)
        return 0;
    unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return size;
}

size_t select_well_formed(const char *text, size_t size_bytes, size_t offset)
{
    const unsigned char *bytes = (const unsigned char *)text;
    while (offset < size_bytes) {
        /* Eight bytes of ASCII at once. */
        uint64_t word;
        if (size_bytes - offset >= sizeof word) {
            memcpy(&word, bytes + offset, sizeof word);
            if (!(word & 0x8080808080808080u)) {
                offset += sizeof word;
                continue;
            }
        }
        size_t size = character(bytes + offset, size_bytes - offset);
        if (size == 0)
            return offset;
        offset += size;
    }
    return size_bytes;
}

static bool says_it_is_generated(const char *text, size_t size_bytes)
{
    static const char *const words[] = {"DO NOT EDIT", "Do not edit", "@generated"};
    size_t length = size_bytes < 1024 ? size_bytes : 1024;
    if (memmem(text, length, words[2], strlen(words[2])))
        return true;
    return memmem(text, length, "enerated", 8) &&
           (memmem(text, length, words[0], strlen(words[0])) || memmem(text, length, words[1], strlen(words[1])));
}

enum select_reason select_by_text(char *text, size_t size_bytes, bool generated_too, size_t *mended)
{
    size_t ill_formed = 0, look = size_bytes < LOOK_BYTES ? size_bytes : LOOK_BYTES;
    *mended = 0;
    if (memchr(text, '\0', size_bytes))
        return SELECT_BINARY;
    for (size_t at = 0; (at = select_well_formed(text, size_bytes, at)) < size_bytes;) {
        ill_formed += at < look;
        if (ill_formed > look / ILL_FORMED_PART)
            return SELECT_BINARY;
        text[at++] = '?';
        ++*mended;
    }
    size_t blank = strspn(text, " \t\r\n\f\v");
    if (blank >= size_bytes)
        return SELECT_EMPTY;
    return !generated_too && says_it_is_generated(text, size_bytes) ? SELECT_GENERATED : SELECT_TAKEN;
}
