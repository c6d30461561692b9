/*
 * base/log.h: the program's log, lines on standard error.
 *
 * One layer writes it: commands, and the host's stages where nobody is left to return an error to. Library code
 * returns errors and logs nothing. Text: "2026-… WARNING http: …"; or one JSON object a line. Loop thread only.
 */
#ifndef EXPORTD_BASE_LOG_H
#define EXPORTD_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* Before the first line; the defaults are INFO and text. */
void log_setup(enum log_level least, bool json);

bool log_wants(enum log_level level);

/* part: "http", "worker" …; job: its id, or NULL. Control characters in the text are escaped. */
void log_write(enum log_level level, const char *part, const char *job, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
