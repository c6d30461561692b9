/*
 * worker/cause.h: sentences for the ways in which a worker ends.
 */
#ifndef EXPORTD_WORKER_CAUSE_H
#define EXPORTD_WORKER_CAUSE_H

#include "base/error.h"
#include "worker/process.h"
#include "worker/wire.h"

#include <stdbool.h>
#include <stdint.h>

struct cause_facts {
    const struct worker_spec *spec;
    bool loaded; /* READY had come */
    bool in_job;
    int exit_code;
    int signal; /* 0: it exited */
    bool has_crash;
    struct wire_crash crash;
    const char *last_words; /* the end of its standard error, or "" */
};

/* Fills error (worker_crashed, worker_exited, worker_memory) for a worker that ended by itself. */
void cause_describe(const struct cause_facts *facts, struct error *error);

#endif
