#include "config/internal.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* One file on its way through inih, which tells no line numbers: they are counted as it asks for lines. */
struct reader {
    const char *path;
    const char *next; /* what inih has not asked for yet */
    const char *end;
    unsigned line;
    char section[CONFIG_LINE_MAX + 1]; /* inih cuts its own at 49 bytes */
    bool in_section;                   /* one that was accepted */
    bool section_seen;
    bool world_readable;
    const struct config_reader_calls *calls;
    struct config_problems *problems;
};

static char *place_of(const struct reader *reader)
{
    char *place;
    return asprintf(&place, "%s:%u", reader->path, reader->line) < 0 ? NULL : place;
}

static void report(const struct reader *reader, const char *message)
{
    char *place = place_of(reader);
    config_problems_add(reader->problems, false, place ? place : reader->path, "%s", message);
    free(place);
}

static void enter_section(struct reader *reader)
{
    char *place = place_of(reader);
    reader->section_seen = true;
    if (!place)
        report(reader, "can't be read: out of memory");
    reader->in_section = place && !reader->calls->section(reader->calls->user, reader->section, place);
    free(place);
}

/* inih's fgets: the next line, or an empty one in the place of a line that was refused. */
static char *next_line(char *buffer, int size, void *stream)
{
    struct reader *reader = stream;
    if (reader->next >= reader->end)
        return NULL;
    const char *text = reader->next;
    const char *newline = memchr(text, '\n', (size_t)(reader->end - text));
    const char *stop = newline ? newline : reader->end;
    size_t length = (size_t)(stop - text);
    reader->next = newline ? newline + 1 : reader->end;
    reader->line++;
    if (stop > text && stop[-1] == '\r')
        length--;

    struct config_why why;
    char section[CONFIG_LINE_MAX + 1];
    enum config_line kind = config_line_classify(text, length, section, &why);
    if (kind == CONFIG_LINE_PAIR && (size_t)size < length + 2) {
        config_refuse(&why, "this line has %zu bytes, and the INI library would cut it at %d; make it shorter",
                      length, size - 2);
        kind = CONFIG_LINE_BAD;
    }
    if (kind == CONFIG_LINE_BAD) {
        report(reader, why.text);
        /* The keys below a head that can't be read belong to no one knows what. */
        if (text[0] == '[') {
            reader->in_section = false;
            reader->section_seen = true;
        }
    } else if (kind == CONFIG_LINE_SECTION) {
        memcpy(reader->section, section, sizeof section);
        enter_section(reader);
    }
    /* inih never sees heads: with its own idea of sections gone, nothing of it can be cut. */
    if (kind != CONFIG_LINE_PAIR)
        length = 0;
    memcpy(buffer, text, length);
    buffer[length] = '\n';
    buffer[length + 1] = '\0';
    return buffer;
}

static int take_pair(void *user, const char *section, const char *key, const char *value)
{
    (void)section;
    struct reader *reader = user;
    if (!reader->section_seen)
        report(reader, "this key stands before any section; write the section's head above it, such as [http]");
    if (!reader->in_section)
        return 1;
    char *place = place_of(reader);
    if (!place)
        return 0;
    struct config_source source = {.place = place, .world_readable = reader->world_readable};
    reader->calls->pair(reader->calls->user, reader->section, key, value, &source);
    free(place);
    return 1;
}

static void read_conf(const char *path, const struct config_reader_calls *calls, struct config_problems *problems)
{
    struct config_why why;
    char *text = NULL;
    size_t length = 0;
    bool writable = false;
    struct reader reader = {.path = path, .calls = calls, .problems = problems};
    if (config_read_file(path, CONFIG_FILE_MAX, &text, &length, &reader.world_readable, &writable, &why)) {
        config_problems_add(problems, false, path, "%s; mend or remove it", why.text);
        return;
    }
    if (writable)
        config_problems_add(problems, true, path, "everybody may write this file; run: chmod o-w %s", path);

    reader.next = text;
    reader.end = text + length;
    const char *nul = memchr(text, '\0', length);
    if (nul) {
        for (const char *at = text; at < nul; at++)
            if (*at == '\n')
                reader.line++;
        reader.line++;
        report(&reader, "this line holds a NUL byte, so the file is no text file; save it as UTF-8");
    } else if (length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        reader.line = 1;
        report(&reader, "the file begins with a byte order mark; save it as UTF-8 without one");
    } else if (ini_parse_stream(next_line, &reader, take_pair, &reader) != 0) {
        /* Every line was looked at before; what is left is memory. */
        report(&reader, "can't be read: out of memory, or a line that the INI library refuses");
    }
    free(text);
}

static int is_conf(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 5 && !strcmp(entry->d_name + length - 5, ".conf");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

void config_read_folder(const char *folder, const struct config_reader_calls *calls, struct config_problems *problems)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_conf, by_name);
    if (count < 0) {
        const char *mend = errno == ENOENT    ? "make it, or name another with -c"
                           : errno == ENOTDIR ? "name the folder, not a file, with -c"
                                              : "give this user leave to read it";
        config_problems_add(problems, false, folder, "the folder of the configuration can't be read: %s; %s",
                            strerror(errno), mend);
        return;
    }
    struct stat status;
    if (!stat(folder, &status) && (status.st_mode & S_IWOTH) && !(status.st_mode & S_ISVTX))
        config_problems_add(problems, true, folder, "everybody may write this folder; run: chmod o-w %s", folder);
    size_t length = strlen(folder);
    const char *slash = length > 0 && folder[length - 1] == '/' ? "" : "/";
    for (int i = 0; i < count; i++) {
        char *path;
        if (asprintf(&path, "%s%s%s", folder, slash, entries[i]->d_name) < 0) {
            config_problems_add(problems, false, folder, "can't be read: out of memory");
        } else {
            read_conf(path, calls, problems);
            free(path);
        }
        free(entries[i]);
    }
    free(entries);
}
