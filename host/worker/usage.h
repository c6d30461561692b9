/*
 * worker/usage.h: what a worker takes of the machine, as /proc has it.
 */
#ifndef EXPORTD_WORKER_USAGE_H
#define EXPORTD_WORKER_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Resident memory of a process, and, where asked, of all that descend from it; 0 where it is gone. */
int64_t usage_resident_bytes(int pid, bool with_descendants);

#endif
