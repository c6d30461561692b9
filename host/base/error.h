/*
 * base/error.h: the one error type of the program.
 *
 * An error is filled where the fault is known and printed by one layer. The first error wins: setting one that is
 * set already changes nothing, so a cause is never hidden by its consequences. The message says what failed,
 * where, and what to do about it, in a sentence.
 */
#ifndef EXPORTD_BASE_ERROR_H
#define EXPORTD_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>

#define ERROR_CODE_MAX 64
#define ERROR_MESSAGE_MAX 2048

struct error {
    char code[ERROR_CODE_MAX]; /* for programs: "worker_crashed"; "" while nothing has failed */
    bool retryable;
    char message[ERROR_MESSAGE_MAX]; /* for people; UTF-8 */
};

/* Fills error unless it is NULL or set already. Returns -1, so that callers can write return error_set(…). */
int error_set(struct error *error, const char *code, bool retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts text in front of the message: "conf.d/http.conf:3: …". */
void error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool error_is_set(const struct error *error);
void error_clear(struct error *error);

#endif
