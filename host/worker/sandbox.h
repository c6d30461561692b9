/*
 * worker/sandbox.h: what a worker may still do once it maps a plugin.
 *
 * Three walls, each on its own: resource limits; Landlock (files, TCP, signals out of the domain); a seccomp filter
 * (system calls). Where the kernel lacks Landlock or seccomp, the worker says so and the host decides. Everything is
 * done by the worker to itself, before the plugin is mapped, and can't be undone.
 */
#ifndef EXPORTD_WORKER_SANDBOX_H
#define EXPORTD_WORKER_SANDBOX_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sandbox_policy {
    const char *workspace;     /* the folder that may be written */
    const char *cache;         /* another one, or NULL */
    const char *plugin_folder; /* readable */
    const char *const *read;   /* further files and folders, ended by NULL */
    bool network;
    bool exec;
    bool own_proc; /* /proc shows the worker's processes alone, and may be read */
    uint64_t memory_bytes;
    uint64_t file_bytes; /* the largest file */
};

struct sandbox_state {
    int landlock_abi; /* 0: not there */
    bool seccomp;
};

/* What this kernel offers, without changing anything. */
struct sandbox_state sandbox_probe(void);

/* Drops privileges, sets the limits, and shuts the doors. Whatever the kernel lacks is left out and shows in *state;
 * -1 with error set means that a wall that is there could not be put up. */
int sandbox_enter(const struct sandbox_policy *policy, struct sandbox_state *state, struct error *error);

/* Resource limits alone, for sandbox = off. */
int sandbox_limit(const struct sandbox_policy *policy, struct error *error);

#endif
