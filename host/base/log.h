/*
 * base/log.h: the program's log, lines on standard error.
 *
 * One layer writes it: commands, and the host's stages where nobody is left to return an error to. Library code
 * returns errors and logs nothing. Text: "2026-… warning http: … [job ID, attempt 2]"; or one JSON object a line; or,
 * where standard error is systemd's journal, text with the priority before it that sd-daemon(3) describes, and
 * without a time of its own. Loop thread only.
 */
#ifndef EXPORTD_BASE_LOG_H
#define EXPORTD_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

/* Before the first line; the defaults are INFO and text. Forgets the levels of parts. */
void log_setup(enum log_level least, bool json);

/* Other levels for single parts: each "nats:debug". What can't be read is left out: log_part_is_good() tells before.
 */
void log_set_parts(char *const *parts, size_t count);

/* Whether text is "part:level". */
bool log_part_is_good(const char *text);

/* part: "http", "worker" …; job: its id, or NULL. Control characters in the text are escaped. */
void log_write(enum log_level level, const char *part, const char *job, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* About one attempt of a job. */
void log_attempt(enum log_level level, const char *part, const char *job, int attempt, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
