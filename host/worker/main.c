/*
 * exportd-worker: the process that maps a plugin. exportd starts it; nobody else has use for it.
 *
 * A program of its own, and not a command of exportd, so that a worker carries neither the host's libraries nor their
 * start-up time: it needs jansson, libltdl and libseccomp.
 */
#include "worker/runtime.h"
#include "worker/turn.h"
#include "worker/wire.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef EXPORTD_SANITIZED
/* The runtime's own handlers say how a plugin crashed, and the leak check can't run behind the seccomp filter. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0:detect_leaks=0:"
           "allow_user_segv_handler=1:use_sigaltstack=0:allocator_may_return_null=1:symbolize=0";
}
#endif

int main(int argc, char **argv)
{
    struct stat status;
    if (fstat(WIRE_FD, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        fprintf(
            stderr,
            "exportd-worker is started by exportd; to try a plugin, use: exportd run ROUTE, or exportd test FILE\n");
        return 2;
    }
    if (sched_getscheduler(0) == SCHED_OTHER) /* what a plugin does doesn't push the host aside when it wakes up */
        sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc > 1 && getppid() != (pid_t)strtol(argv[1], NULL, 10))
        return 0;                        /* the host died in between */
    fcntl(WIRE_FD, F_SETFD, FD_CLOEXEC); /* what a plugin starts has no business there */
    close_range(TURN_FD + 1, ~0u, 0);
    return runtime_main(WIRE_FD);
}
