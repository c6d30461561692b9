/* submodules.h: what .gitmodules says. */
#include "submodules.h"

#include "source.h"
#include "tree.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_BYTES 2000

/* One line of git's configuration, as far as submodules need it: [submodule "name"] and key = value. */
struct reader {
    const char *at;
    int in_submodule;
    char name[VALUE_BYTES];
    char key[64];
    char value[VALUE_BYTES];
};

static void skip_blanks(struct reader *reader)
{
    while (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\r')
        reader->at++;
}

static void skip_line(struct reader *reader)
{
    reader->at += strcspn(reader->at, "\n");
    reader->at += *reader->at == '\n';
}

/* A backslash makes the next character an ordinary one. */
static void read_quoted(struct reader *reader, char *out, size_t size, const char *ends)
{
    size_t length = 0, kept = 0;
    int quoted = 0;
    for (; *reader->at && *reader->at != '\n' && (quoted || !strchr(ends, *reader->at)); reader->at++) {
        char letter = *reader->at;
        if (letter == '"') {
            quoted = !quoted;
            continue;
        }
        if (letter == '\\' && reader->at[1] && reader->at[1] != '\n')
            letter = *++reader->at;
        if (length + 1 < size)
            out[length++] = letter;
        if (quoted || !isspace((unsigned char)letter))
            kept = length;
    }
    out[kept] = '\0';
}

static void read_section(struct reader *reader)
{
    static const char word[] = "submodule";
    reader->at++;
    skip_blanks(reader);
    reader->in_submodule = strncasecmp(reader->at, word, sizeof word - 1) == 0;
    reader->at += reader->in_submodule ? sizeof word - 1 : 0;
    skip_blanks(reader);
    reader->in_submodule = reader->in_submodule && *reader->at == '"';
    read_quoted(reader, reader->name, sizeof reader->name, "]");
    reader->at += *reader->at == ']';
}

/* The next key of a submodule. Returns 0 at the end. */
static int read_next(struct reader *reader)
{
    while (*reader->at) {
        skip_blanks(reader);
        if (*reader->at == '[') {
            read_section(reader);
            continue;
        }
        size_t length = strcspn(reader->at, " \t\r\n=#;");
        snprintf(reader->key, sizeof reader->key, "%.*s", (int)(length < 63 ? length : 63), reader->at);
        reader->at += length;
        skip_blanks(reader);
        if (length == 0 || *reader->at != '=') {
            skip_line(reader);
            continue;
        }
        reader->at++;
        skip_blanks(reader);
        read_quoted(reader, reader->value, sizeof reader->value, "#;");
        skip_line(reader);
        if (reader->in_submodule)
            return 1;
    }
    return 0;
}

static int has_dots(const char *name)
{
    for (const char *at = name; *at; at += *at != '\0') {
        size_t length = strcspn(at, "/\\");
        if (length == 2 && memcmp(at, "..", 2) == 0)
            return 1;
        at += length;
    }
    return 0;
}

/* Looks one path up in .gitmodules. The last word counts, as with git. */
static void find(const char *text, const char *path, char *name, char *url)
{
    struct reader reader = {.at = text};
    *name = *url = '\0';
    while (read_next(&reader))
        if (strcasecmp(reader.key, "path") == 0 && strcmp(reader.value, path) == 0)
            memcpy(name, reader.name, VALUE_BYTES);
    reader = (struct reader){.at = text};
    while (*name && read_next(&reader))
        if (strcasecmp(reader.key, "url") == 0 && strcmp(reader.name, name) == 0)
            memcpy(url, reader.value, VALUE_BYTES);
}

static void refuse(json_t *submodule, const char *reason)
{
    json_object_set_new(submodule, "state", json_string("refused"));
    json_object_set_new(submodule, "reason", json_string(reason));
}

void submodules_name(json_t *list, size_t first, const char *prefix, const char *base, git_repository *repository,
                     const git_oid *tree)
{
    size_t skipped = *prefix ? strlen(prefix) + 1 : 0;
    char *text = first < json_array_size(list) ? tree_gitmodules(repository, tree) : NULL;
    for (size_t i = first; i < json_array_size(list); i++) {
        json_t *submodule = json_array_get(list, i);
        const char *path = json_string_value(json_object_get(submodule, "path"));
        char name[VALUE_BYTES], url[VALUE_BYTES];
        find(text ? text : "", path + skipped, name, url);
        char *beside = *url ? source_beside(base, url) : NULL;
        if (*url && !strchr(url, '@')) /* what stands before it may be a secret */
            json_object_set_new(submodule, "url", json_string(beside ? beside : url));
        if (!*url)
            refuse(submodule, ".gitmodules names no address for it");
        else if (has_dots(name))
            refuse(submodule, "its name in .gitmodules leads out of its folder");
        else if (!beside)
            refuse(submodule, "its address leads above the server's top");
        else if (*beside == '/' || strncasecmp(beside, "file:", 5) == 0)
            refuse(submodule, "its address is a path on this machine");
        else if (strchr(url, '@'))
            refuse(submodule, "its address is one for ssh, or has a user in it");
        free(beside);
    }
    free(text);
}
