#include "worker/keeper.h"

#include "worker/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_TEXT_MAX 16384

/* Kills its children, as many as one read shows; what they leave behind are its children next time. */
static void kill_children(void)
{
    char path[64], text[CHILDREN_TEXT_MAX];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[count > 0 ? count : 0] = '\0';
    char *end;
    for (char *at = text;; at = end) {
        long pid = strtol(at, &end, 10);
        if (end == at)
            return;
        kill((pid_t)pid, SIGKILL);
    }
}

static void end_as(int status)
{
    for (;;) {
        kill_children();
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            break;
        if (pid == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (WIFSIGNALED(status)) {
        sigset_t none;
        sigemptyset(&none);
        signal(WTERMSIG(status), SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        raise(WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 70);
}

static void keep(pid_t worker, const sigset_t *wanted)
{
    for (;;) {
        int number = sigwaitinfo(wanted, NULL);
        if (number == SIGTERM)
            kill(worker, SIGTERM);
        else if (number == SIGUSR1)
            kill(worker, SIGKILL);
        int status;
        pid_t ended;
        while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
            if (ended == worker)
                end_as(status);
    }
}

/* In a PID namespace of one's own: a /proc that knows no other. */
static bool mount_own_proc(void)
{
    return getpid() == 1 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
}

static void write_map(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, text, strlen(text));
    (void)written; /* without the map, ids are unknown: make can't start a command then, most else can */
    close(fd);
}

/* Namespaces of its own, as far as they may be had. In a new user namespace each id stands for itself. */
static void unshare_all(bool network)
{
    uid_t user = geteuid();
    gid_t group = getegid();
    char text[64];
    int namespaces = CLONE_NEWPID | (user == 0 ? 0 : CLONE_NEWUSER);
    if ((network || unshare(namespaces | CLONE_NEWNET) != 0) && unshare(namespaces) != 0)
        return;
    if (user == 0)
        return;
    write_map("/proc/self/setgroups", "deny");
    snprintf(text, sizeof text, "%u %u 1", (unsigned)user, (unsigned)user);
    write_map("/proc/self/uid_map", text);
    snprintf(text, sizeof text, "%u %u 1", (unsigned)group, (unsigned)group);
    write_map("/proc/self/gid_map", text);
}

bool keeper_start(bool network)
{
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGUSR1);
    sigaddset(&wanted, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wanted, &before);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    /* May be refused: then the keeper still finds them, one by one. */
    unshare_all(network);
    pid_t worker = fork();
    if (worker > 0) {
        close(WIRE_FD);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        signal(SIGTERM, SIG_DFL);
        keep(worker, &wanted);
    }
    bool own_proc = worker == 0 && mount_own_proc();
    if (worker == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    else
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return own_proc;
}
