/*
 * exportd-watch: starts a worker under ptrace and writes down what its plugin tries beyond its grants. For
 * `exportd test`; the sandbox refuses such calls quietly, and an author wants to know of them.
 *
 *   exportd-watch REPORT CACHE GRANTS WORKER PARENT NAME
 *
 * REPORT: a file, one line a call: kind, tab, text (see watch_judge.h), and first "watching" once the worker is in
 * its sandbox. "-": nothing is watched; the worker is only kept readable in /proc for the user that runs it, and
 * then let go. CACHE: the folder that it may write besides its own, or "". GRANTS: "network", or "". What follows is
 * what the host starts a worker with; PARENT becomes this process. It ends as the worker did.
 */
#include "conformance/watch_judge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of linux/ptrace.h, which glibc's own header does not go with. */
struct syscall_info {
    uint8_t op, reserved[3];
    uint32_t arch;
    uint64_t instruction_pointer, stack_pointer;
    uint64_t number, arguments[6];
};

#define OP_ENTRY 1
#define GET_SYSCALL_INFO 0x420e

struct watch {
    struct watch_judge judge;
    pid_t worker;
    bool only_release; /* REPORT is "-" */
    bool begun;
};

/* The call that is about to be made isn't: it answers ENOSYS. */
static int skip_call(pid_t thread)
{
#if defined(__x86_64__)
    const size_t place = 15 * sizeof(long); /* orig_rax in struct user */
    return (int)ptrace(PTRACE_POKEUSER, thread, place, -1L);
#elif defined(__aarch64__)
    int none = -1;
    struct iovec part = {&none, sizeof none};
    return (int)ptrace(PTRACE_SETREGSET, thread, 0x404 /* NT_ARM_SYSTEM_CALL */, &part);
#else
    (void)thread;
    errno = ENOSYS;
    return -1;
#endif
}

/* Returns true where the worker needs no tracer any more. */
static bool on_call(struct watch *watch, pid_t thread)
{
    struct syscall_info info = {0};
    long size = ptrace((enum __ptrace_request)GET_SYSCALL_INFO, thread, sizeof info, &info);
    if (size <= 0 || info.op != OP_ENTRY)
        return false;
    if (info.number == SYS_prctl && info.arguments[0] == PR_SET_DUMPABLE) {
        skip_call(thread); /* else nobody but root could read its memory and its descriptors */
        return watch->only_release;
    }
    if (!watch->begun && info.number == SYS_seccomp && info.arguments[0] == 1 /* SECCOMP_SET_MODE_FILTER */) {
        watch->begun = true;
        watch_judge_begin(&watch->judge, thread);
        return false;
    }
    if (watch->begun)
        watch_judge_call(&watch->judge, thread, (long)info.number, info.arguments);
    return false;
}

/* Ends as the worker did, so that the host's words are about it. */
static int end_as(int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    signal(WTERMSIG(status), SIG_DFL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    raise(WTERMSIG(status));
    return 128 + WTERMSIG(status);
}

static int follow(struct watch *watch)
{
    bool released = false;
    for (;;) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0 && errno == EINTR)
            continue;
        if (thread < 0)
            return 70;
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (thread == watch->worker)
                return end_as(status);
            continue;
        }
        if (!WIFSTOPPED(status) || released)
            continue;
        int number = WSTOPSIG(status), event = status >> 16;
        long deliver = 0;
        if (number == (SIGTRAP | 0x80)) {
            released = on_call(watch, thread);
        } else if (event == PTRACE_EVENT_STOP || number == SIGTRAP) {
            deliver = 0;
        } else {
            deliver = number;
        }
        ptrace(released ? PTRACE_DETACH : PTRACE_SYSCALL, thread, 0, deliver);
    }
}

static void become_worker(char **arguments, int go)
{
    char parent[32], byte;
    snprintf(parent, sizeof parent, "%d", (int)getppid());
    arguments[1] = parent;
    while (read(go, &byte, 1) < 0 && errno == EINTR)
        continue;
    close(go);
    char *program = arguments[0];
    static char name[] = "exportd-worker";
    arguments[0] = name;
    execv(program, arguments);
    _exit(127);
}

static void pass_on(int number)
{
    (void)number; /* the worker is in the same process group, and has its own */
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "exportd-watch is started by exportd test\n");
        return 2;
    }
    struct watch watch = {.only_release = strcmp(argv[1], "-") == 0};
    watch.judge.cache = argv[2];
    watch.judge.network = strcmp(argv[3], "network") == 0;
    watch.judge.report = -1;
    if (!watch.only_release)
        watch.judge.report = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int go[2];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (pipe2(go, O_CLOEXEC) != 0)
        return 70;
    signal(SIGTERM, pass_on);
    signal(SIGINT, SIG_IGN);
    watch.worker = fork();
    if (watch.worker < 0)
        return 70;
    if (watch.worker == 0) {
        signal(SIGTERM, SIG_DFL);
        close(go[1]);
        become_worker(argv + 4, go[0]);
    }
    close(3); /* the connection is the worker's alone */
    close(go[0]);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    if (ptrace(PTRACE_SEIZE, watch.worker, 0, options) == 0) {
        ptrace(PTRACE_INTERRUPT, watch.worker, 0, 0);
    } else if (watch.judge.report >= 0) {
        watch_judge_say(&watch.judge, "refused", "%s", strerror(errno));
    }
    if (write(go[1], "", 1) != 1)
        return 70;
    close(go[1]);
    return follow(&watch);
}
