#include "base/log.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX 64
#define PART_NAME_MAX 64

struct part {
    char name[PART_NAME_MAX];
    enum log_level least;
};

static struct {
    enum log_level least;
    bool json, journal;
    struct part parts[PARTS_MAX];
    size_t part_count;
} settings = {.least = LOG_LEVEL_INFO};

static const char *const level_names[] = {"debug", "info", "warning", "error"};
static const int priorities[] = {7, 6, 4, 3}; /* syslog's */

/* systemd names the device and the inode that standard error has where it is the journal. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;
    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &status) == 0 &&
           status.st_dev == (dev_t)device && status.st_ino == (ino_t)inode;
}

void log_setup(enum log_level least, bool json)
{
    settings.least = least;
    settings.json = json;
    settings.journal = is_journal();
    settings.part_count = 0;
}

static bool read_part(const char *text, struct part *part)
{
    size_t length = strcspn(text, ":");
    if (length == 0 || length >= sizeof part->name || text[length] != ':')
        return false;
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text + length + 1, level_names[i]) == 0) {
            snprintf(part->name, sizeof part->name, "%.*s", (int)length, text);
            part->least = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_part_is_good(const char *text)
{
    struct part part;
    return read_part(text, &part);
}

void log_set_parts(char *const *parts, size_t count)
{
    for (size_t i = 0; i < count && settings.part_count < PARTS_MAX; i++)
        if (read_part(parts[i], &settings.parts[settings.part_count]))
            settings.part_count++;
}

static bool is_wanted(enum log_level level, const char *part)
{
    for (size_t i = 0; i < settings.part_count; i++)
        if (strcmp(settings.parts[i].name, part) == 0)
            return level >= settings.parts[i].least;
    return level >= settings.least;
}

/* A log is read in terminals: what a job says must not move the cursor or begin a line of its own. */
static void make_printable(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

static void write_line(const char *line)
{
    size_t length = strlen(line);
    if (write(STDERR_FILENO, line, length) < 0) {
        /* Nobody reads: there is no one left to tell. */
    }
}

static void format_json(enum log_level level, const char *part, const char *job, int attempt, const char *message,
                        char *line, size_t size)
{
    char time[CLOCK_TEXT_MAX];
    json_t *text = json_string(message);
    json_t *entry =
        json_pack("{s:s, s:s, s:s, s:s*, s:o*, s:o}", "time", clock_format(clock_now_ms(), time), "level",
                  level_names[level], "part", part, "job", job, "attempt", attempt > 0 ? json_integer(attempt) : NULL,
                  "message", text ? text : json_string("(not UTF-8)"));
    char *dump = json_dumps(entry, JSON_COMPACT);
    snprintf(line, size, "%s\n", dump ? dump : "{}");
    free(dump);
    json_decref(entry);
}

static void format_text(enum log_level level, const char *part, const char *job, int attempt, char *message,
                        char *line, size_t size)
{
    char time[CLOCK_TEXT_MAX], head[CLOCK_TEXT_MAX + 16], tail[300] = "";
    make_printable(message);
    if (settings.journal)
        snprintf(head, sizeof head, "<%d>", priorities[level]);
    else
        snprintf(head, sizeof head, "%s %-7s ", clock_format(clock_now_ms(), time), level_names[level]);
    if (job && attempt > 0)
        snprintf(tail, sizeof tail, " [job %s, attempt %d]", job, attempt);
    else if (job)
        snprintf(tail, sizeof tail, " [job %s]", job);
    snprintf(line, size, "%s%s: %s%s\n", head, part, message, tail);
}

static void write_message(enum log_level level, const char *part, const char *job, int attempt, char *message)
{
    char line[8192];
    if (settings.json)
        format_json(level, part, job, attempt, message, line, sizeof line);
    else
        format_text(level, part, job, attempt, message, line, sizeof line);
    write_line(line);
}

void log_write(enum log_level level, const char *part, const char *job, const char *format, ...)
{
    char message[4096];
    va_list arguments;
    if (!is_wanted(level, part))
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_message(level, part, job, 0, message);
}

void log_attempt(enum log_level level, const char *part, const char *job, int attempt, const char *format, ...)
{
    char message[4096];
    va_list arguments;
    if (!is_wanted(level, part))
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    write_message(level, part, job, attempt, message);
}
