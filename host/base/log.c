#include "base/log.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    enum log_level least;
    bool json;
} settings = {LOG_LEVEL_INFO, false};

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_setup(enum log_level least, bool json)
{
    settings.least = least;
    settings.json = json;
}

bool log_wants(enum log_level level)
{
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

void log_write(enum log_level level, const char *part, const char *job, const char *format, ...)
{
    if (level < settings.least)
        return;
    char message[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    char time[CLOCK_TEXT_MAX];
    clock_format(clock_now_ms(), time);
    char line[8192];
    if (settings.json) {
        json_t *text = json_string(message);
        json_t *entry = json_pack("{s:s, s:s, s:s, s:s*, s:o}", "time", time, "level", level_names[level], "part",
                                  part, "job", job, "message", text ? text : json_string("(not UTF-8)"));
        char *dump = json_dumps(entry, JSON_COMPACT);
        snprintf(line, sizeof line, "%s\n", dump ? dump : "{}");
        free(dump);
        json_decref(entry);
    } else {
        make_printable(message);
        snprintf(line, sizeof line, "%s %-7s %s: %s%s%s%s\n", time, level_names[level], part, message,
                 job ? " [job " : "", job ? job : "", job ? "]" : "");
    }
    write_line(line);
}
