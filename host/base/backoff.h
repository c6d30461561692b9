/*
 * base/backoff.h: how long to wait before something is tried again.
 */
#ifndef EXPORTD_BASE_BACKOFF_H
#define EXPORTD_BASE_BACKOFF_H

#include <stdint.h>

/* The wait after so many attempts, in milliseconds: first_ms doubled each time, up to most_ms, and then anything
 * between half of that and all of it, so that what failed together doesn't come back together. */
int64_t backoff_wait_ms(int64_t first_ms, int64_t most_ms, int attempts);

#endif
