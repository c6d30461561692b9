/*
 * worker/crash.h: says how a plugin crashed.
 *
 * Handlers for the fatal signals, on a stack of their own, send one CRASH frame and then let the signal have its way.
 * So the job's error can tell a stack overflow or spent memory from a plain bad pointer.
 */
#ifndef EXPORTD_WORKER_CRASH_H
#define EXPORTD_WORKER_CRASH_H

#include <stdint.h>

/* Installs the handlers. fd: where the frames go. Call before the sandbox closes /proc. */
void crash_install(int fd);

/* The lease that a crash from now on belongs to. */
void crash_set_lease(uint64_t lease);

#endif
