/*
 * fault.h: what went wrong, filled where it is known.
 */
#ifndef REPO_CLONE_FAULT_H
#define REPO_CLONE_FAULT_H

#include <exportd/kit/bundle.h>

/* Fills error from code, whether it is worth another try, and a sentence. Returns -1. */
int fault_set(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for want of memory. */
int fault_memory(struct exportd_kit_error *error);

#endif
