/*
 * base/clock.h: the time of day in the two forms that the program uses.
 */
#ifndef EXPORTD_BASE_CLOCK_H
#define EXPORTD_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT_MAX 32

/* Milliseconds since the epoch. */
int64_t clock_now_ms(void);

/* Nanoseconds on a clock that never jumps. */
int64_t clock_monotonic_ns(void);

/* RFC 3339 in UTC with milliseconds: 2025-04-27T12:34:56.789Z. Returns text. */
char *clock_format(int64_t time_ms, char text[CLOCK_TEXT_MAX]);

#endif
