/*
 * worker/keeper.h: with the exec grant, a process between host and worker that sees to it that all which the worker
 * starts ends with it.
 *
 * The process that the host started becomes the keeper, and the worker its child: the first process of a PID
 * namespace of its own where the kernel allows one. The keeper maps no plugin. It passes SIGTERM on; when the worker
 * ends, for whatever reason, it kills what is left and ends as the worker did. SIGUSR1, from the host or by the
 * host's death, makes it kill the worker too.
 */
#ifndef EXPORTD_WORKER_KEEPER_H
#define EXPORTD_WORKER_KEEPER_H

#include <stdbool.h>

/* Returns in the worker. Where no process can be made, in the one that called. Before the sandbox, with one thread.
 * True where /proc shows the worker's own processes alone, so that it may be read; build tools want it. network:
 * whether it is granted; without, a namespace of its own, where there is nothing to be seen or reached. */
bool keeper_start(bool network);

#endif
