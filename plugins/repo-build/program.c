/* program.h: runs one program. */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 100
#define GRACE_MS 2000   /* from SIGTERM to SIGKILL */
#define LINGER_MS 200   /* for what it left in the pipe when it ended */
#define HALFWAY_MS 60e3 /* a step that takes so long shows half of its progress */

int64_t program_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tell(const struct program *program, int64_t began_ms)
{
    double taken = (double)(program_now_ms() - began_ms);
    exportd_progress(program->job, program->from + (program->to - program->from) * taken / (taken + HALFWAY_MS),
                     output_last(program->output));
}

/* Returns 1 where the pipe has come to its end, 0 where there is nothing now. */
static int read_pipe(const struct program *program, int pipe, int64_t began_ms)
{
    char bytes[16384];
    ssize_t got = 0;
    for (int i = 0; i < 64 && (got = read(pipe, bytes, sizeof bytes)) > 0; i++)
        output_take(program->output, bytes, (size_t)got);
    tell(program, began_ms); /* also where nothing came: the worker drops what follows too soon */
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* The program's file by the PATH that it gets: a new string, or NULL. */
static char *find_program(const struct program *program)
{
    const char *path = "/usr/bin:/bin", *name = program->arguments[0];
    for (char *const *entry = program->environment; *entry; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0)
            path = *entry + 5;
    while (*path) {
        char *file = NULL;
        size_t length = strcspn(path, ":");
        if (asprintf(&file, "%.*s/%s", (int)length, path, name) >= 0 && access(file, X_OK) == 0)
            return file;
        free(file);
        path += length;
        path += *path == ':';
    }
    return NULL;
}

static int spawn(const struct program *program, const char *file, int out, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failed = posix_spawn_file_actions_init(&actions);
    if (failed)
        return failed;
    failed = posix_spawnattr_init(&attributes);
    if (!failed) {
        failed = posix_spawnattr_setflags(&attributes,
                                          POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        failed = failed ? failed : posix_spawnattr_setpgroup(&attributes, 0);
        failed = failed ? failed : posix_spawnattr_setsigmask(&attributes, &none);
        failed = failed ? failed : posix_spawnattr_setsigdefault(&attributes, &all);
        failed = failed ? failed : posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, out, 1);
        failed = failed ? failed : posix_spawn_file_actions_adddup2(&actions, out, 2);
        failed = failed ? failed : posix_spawn_file_actions_addchdir_np(&actions, program->folder);
        failed =
            failed ? failed : posix_spawn(pid, file, &actions, &attributes, program->arguments, program->environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return failed;
}

static int has_ended(pid_t pid, struct program_result *result)
{
    int status;
    pid_t ended = waitpid(pid, &status, WNOHANG);
    if (ended != pid)
        return ended < 0 && errno != EINTR;
    if (result->end == PROGRAM_EXITED && WIFSIGNALED(status))
        result->end = PROGRAM_KILLED;
    result->code = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
    return 1;
}

/* Whether it is to stop, and why. */
static enum program_end must_end(const struct program *program)
{
    return exportd_cancelled(program->job)         ? PROGRAM_CANCELLED
           : program_now_ms() >= program->until_ms ? PROGRAM_OUT_OF_TIME
                                                   : PROGRAM_EXITED;
}

static void attend(const struct program *program, pid_t pid, int pipe, struct program_result *result)
{
    int64_t began_ms = program_now_ms(), kill_ms = 0;
    int at_end = 0;
    while (!has_ended(pid, result)) {
        struct pollfd wait = {.fd = at_end ? -1 : pipe, .events = POLLIN};
        poll(&wait, 1, at_end ? POLL_MS / 10 : POLL_MS);
        at_end = at_end || read_pipe(program, pipe, began_ms);
        if (result->end == PROGRAM_EXITED && (result->end = must_end(program)) != PROGRAM_EXITED) {
            kill(-pid, SIGTERM);
            kill_ms = program_now_ms() + GRACE_MS;
        } else if (kill_ms && program_now_ms() >= kill_ms) {
            kill(-pid, SIGKILL);
            kill_ms = 0;
        }
    }
    kill(-pid, SIGKILL); /* what it left running, as far as it stayed in the group */
    for (int64_t until_ms = program_now_ms() + LINGER_MS; !at_end && program_now_ms() < until_ms;) {
        struct pollfd wait = {.fd = pipe, .events = POLLIN};
        if (poll(&wait, 1, POLL_MS / 4) <= 0)
            break;
        at_end = read_pipe(program, pipe, began_ms);
    }
    result->duration_ms = program_now_ms() - began_ms;
}

int program_run(const struct program *program, struct program_result *result, struct exportd_kit_error *error)
{
    int ends[2];
    pid_t pid = 0;
    *result = (struct program_result){0};
    char *file = find_program(program);
    if (!file)
        return exportd_kit_fail(error, "builder_missing", 0,
                                "the repository builds with %s, which this host has not got; install it, or name its "
                                "folder in path of [plugin repo-build]",
                                program->arguments[0]);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        free(file);
        return exportd_kit_fail(error, "build_failed", 1, "%s can't be started: %s", program->arguments[0],
                                strerror(errno));
    }
    int failed = spawn(program, file, ends[1], &pid);
    free(file);
    close(ends[1]);
    if (failed == EPERM)
        failed = exportd_kit_fail(error, "grant_missing", 0,
                                  "no program may be started here; set exec = yes in [plugin repo-build]");
    else if (failed)
        failed = exportd_kit_fail(error, "build_failed", 1, "%s can't be started: %s", program->arguments[0],
                                  strerror(failed));
    if (!failed) {
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        attend(program, pid, ends[0], result);
    }
    close(ends[0]);
    return failed ? -1 : 0;
}
