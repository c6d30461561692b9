#include "worker/internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/tree.h"
#include "worker/cause.h"
#include "worker/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEPER_LIMIT_NS 2000000000LL /* for the keeper to end its own */
#define START_LIMIT_NS 20000000000LL /* to READY */
#define SAID_MAX ((int64_t)64 << 20) /* on standard error, by one worker between two jobs */
#define BURY_WAIT_NS 1000000000LL    /* from its exit to the end of its pipe */
#define NAME_COUNTER_TEXT_MAX 64
#define LIE_LIMIT_NS 5000000000LL    /* after its time, with one that says that it has begun another job since */
#define AHEAD_PATIENCE_NS 50000000LL /* with a job that others wait for in the same worker */

/* SIGKILL for a worker that may start processes goes through its keeper, who kills them all; see worker/keeper.h. */
static void kill_all(struct worker_process *worker, int number)
{
    if (worker->exited || worker->state == DEAD)
        return;
    if (number == SIGKILL && worker->spec->exec && !worker->keeper_told) {
        worker->keeper_told = true;
        worker->kill_ns = clock_monotonic_ns() + KEEPER_LIMIT_NS;
        uv_process_kill(&worker->process, SIGUSR1);
        return;
    }
    /* It leads a process group of its own. */
    if (kill(-worker->process.pid, number) != 0)
        uv_process_kill(&worker->process, number);
}

void worker_end_for(struct worker_process *worker, const char *code, const char *message)
{
    error_set(&worker->verdict, code, true, "the plugin %s %s", worker->spec->name, message);
    worker->state = ENDING;
    kill_all(worker, SIGKILL);
    /* A keeper takes a moment, and what is said meanwhile doesn't count. */
    worker->condemned = worker->condemned || worker->spec->exec;
}

void worker_condemn(struct worker_process *worker, const char *code, const char *message)
{
    worker->condemned = true;
    worker_end_for(worker, code, message);
}

/* An outcome of a worker that has to end before it is told. */
struct held_outcome {
    struct worker_outcome outcome;
    char *result, *folder;
};

/* What a program wrote goes on changing until it is gone, and the next job must not meet it. */
static void hold_outcome(struct worker_process *worker, const struct worker_outcome *outcome)
{
    struct held_outcome *held = memory_zeroed(1, sizeof *held);
    held->outcome = *outcome;
    held->outcome.result = held->result =
        outcome->result ? memory_bytes(outcome->result, outcome->result_length) : NULL;
    held->outcome.folder = held->folder = memory_text(outcome->folder);
    json_incref(held->outcome.artifacts);
    worker->held = held;
    worker->deadline_ns = 0;
    worker->kill_ns = 0;
    worker_process_stop(worker, false);
}

/* The workspace outlives the worker's own folder: whoever gets the call removes it. */
static void tell_held_outcome(struct worker_process *worker)
{
    struct held_outcome *held = worker->held;
    char *aside = memory_format("%s.done", worker->folder);
    worker->held = NULL;
    if (held->folder && rename(held->folder, aside) == 0)
        held->outcome.folder = aside;
    worker_tell_outcome(worker, &held->outcome);
    json_decref(held->outcome.artifacts);
    free(held->result);
    free(held->folder);
    free(held);
    free(aside);
}

void worker_finish_job(struct worker_process *worker, struct worker_outcome *outcome)
{
    if (worker->spec->exec)
        hold_outcome(worker, outcome);
    else
        worker_tell_outcome(worker, outcome);
}

void worker_release(struct worker_process *worker)
{
    if (--worker->open_handles > 0)
        return;
    worker_unshare_turns(worker->turns);
    free(worker->folder);
    free(worker->input);
    free(worker->output);
    free(worker);
}

static void on_closed(uv_handle_t *handle)
{
    worker_release(handle->data);
}

/* Fills the verdict of a worker that ended by itself. */
static void judge_end(struct worker_process *worker)
{
    bool expected = worker->state == ENDING || (worker->spec->probe && worker->state == READY);
    if (error_is_set(&worker->verdict) || (expected && !worker->lease))
        return;
    struct cause_facts facts = {
        .spec = worker->spec,
        .loaded = worker->state != STARTING,
        .in_job = worker->lease != 0,
        .exit_code = (int)worker->exit_code,
        .signal = worker->exit_signal,
        .has_crash = worker->has_crash && worker->crash.signal == worker->exit_signal,
        .crash = worker->crash,
        .last_words = worker->last_words,
    };
    cause_describe(&facts, &worker->verdict);
}

/* Both the exit was seen and the pipe is read to its end, so that what it sent just before (a result, a crash note)
 * still counts. */
static void bury(struct worker_process *worker)
{
    if (worker->state == DEAD || !worker->exited || uv_is_active((uv_handle_t *)&worker->pipe))
        return;
    uint64_t returned[WORKER_SENT_MAX];
    int returned_count = worker_take_back(worker, returned);
    if (!worker->held)
        judge_end(worker);
    worker->state = DEAD;
    if (worker->held) {
        tell_held_outcome(worker);
    }
    while (worker->lease) { /* one, unless it lied about what it had begun */
        struct worker_outcome outcome = {.status = worker->verdict.retryable ? EXPORTD_RETRY : EXPORTD_FAIL,
                                         .error = worker->verdict,
                                         .crashed = true};
        char *folder = worker->moved_in ? worker_job_folder(worker) : NULL;
        outcome.folder = folder;
        worker_tell_outcome(worker, &outcome);
        free(folder);
    }
    worker_tell_returned(worker, returned, returned_count);
    worker->events->gone(worker->client, worker, &worker->verdict);
    uv_close((uv_handle_t *)&worker->process, on_closed);
    uv_close((uv_handle_t *)&worker->pipe, on_closed);
    uv_close((uv_handle_t *)&worker->speech, on_closed);
}

static void on_process_exit(uv_process_t *process, int64_t exit_code, int number)
{
    struct worker_process *worker = process->data;
    /* Whatever it had started in its group goes with it. */
    kill(-process->pid, SIGKILL);
    worker->exited = true;
    worker->bury_ns = clock_monotonic_ns() + BURY_WAIT_NS;
    worker->exit_code = exit_code;
    worker->exit_signal = number;
    bury(worker);
}

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)handle;
    (void)suggested;
    /* Each read is used up before the loop's next: one buffer serves all workers of a loop. A reload probes plugins
     * on a loop of its own, on another thread. */
    static _Thread_local char shared[65536];
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct worker_process *worker = stream->data;
    if (count > 0) {
        worker_take_bytes(worker, buffer->base, (size_t)count);
        return;
    }
    if (count == 0)
        return;
    uv_read_stop(stream);
    if (!worker->exited && worker->state != ENDING && !worker->spec->probe) {
        /* It closed its end but lives on, or is about to exit: a moment decides, see worker_process_watch(). */
        worker->kill_ns = clock_monotonic_ns() + 300000000;
    }
    bury(worker);
}

static void on_speech(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    struct worker_process *worker = stream->data;
    if (count < 0) {
        uv_read_stop(stream);
        return;
    }
    worker->said_bytes += count;
    if (worker->said_bytes > SAID_MAX && worker->state != ENDING) {
        worker_end_for(worker, "worker_flooded", "wrote more than 64 MB to its standard error");
        return;
    }
    /* The last words of a process that dies say why: an assertion, a C++ exception, a sanitizer. */
    const char *bytes = buffer->base;
    size_t length = (size_t)count;
    if (length > LAST_WORDS_MAX - 1) {
        bytes += length - (LAST_WORDS_MAX - 1);
        length = LAST_WORDS_MAX - 1;
    }
    if (worker->last_words_length + length > LAST_WORDS_MAX - 1) {
        size_t drop = worker->last_words_length + length - (LAST_WORDS_MAX - 1);
        memmove(worker->last_words, worker->last_words + drop, worker->last_words_length - drop);
        worker->last_words_length -= drop;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)bytes[i];
        worker->last_words[worker->last_words_length++] = (char)(c < 0x20 || c >= 0x7f ? ' ' : c);
    }
    worker->last_words[worker->last_words_length] = '\0';
}

/* The worker's whole environment: nothing of the host's but what makes output reproducible. */
static void make_environment(char *storage[], const char *folder)
{
    int count = 0;
    storage[count++] = memory_text("PATH=/usr/local/bin:/usr/bin:/bin");
    storage[count++] = memory_text("LANG=C.UTF-8");
    storage[count++] = memory_text("LD_BIND_NOW=1"); /* libltdl binds lazily */
    storage[count++] = memory_format("HOME=%s", folder ? folder : "/nonexistent");
    storage[count++] = memory_format("TMPDIR=%s", folder ? folder : "/nonexistent");
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    if (epoch)
        storage[count++] = memory_format("SOURCE_DATE_EPOCH=%s", epoch);
    storage[count] = NULL;
}

static char *make_folder(const struct worker_spec *spec, struct error *error)
{
    static unsigned counter; /* loop thread only; makes names unique within this process */
    char *folder = memory_format("%s/%s-%d-%u", spec->work_folder, spec->name, (int)getpid(), ++counter);
    if (mkdir(folder, 0700) == 0) {
        tree_spread(folder);
        return folder;
    }
    error_set(error, "workspace_failed", true, "%s can't be made: %s", folder, strerror(errno));
    free(folder);
    return NULL;
}

/* Both, and the folder that caches lie in, stay from then on. */
static int make_cache(const struct worker_spec *spec, struct error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s", spec->cache_folder);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0700);
    *slash = '/';
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    return error_set(error, "workspace_failed", true, "the cache %s can't be made: %s", path, strerror(errno));
}

struct worker_process *worker_process_start(uv_loop_t *loop, const struct worker_spec *spec,
                                            const struct worker_events *events, void *client, struct error *error)
{
    char *folder = NULL;
    if (spec->work_folder && spec->cache_folder && make_cache(spec, error) != 0)
        return NULL;
    if (spec->work_folder && !(folder = make_folder(spec, error)))
        return NULL;
    struct worker_process *worker = memory_zeroed(1, sizeof *worker);
    worker->spec = spec;
    worker->events = events;
    worker->client = client;
    worker->folder = folder;
    worker->started_ns = worker->idle_since_ns = clock_monotonic_ns();
    uv_pipe_init(loop, &worker->pipe, 0);
    uv_pipe_init(loop, &worker->speech, 0);
    worker->process.data = worker->pipe.data = worker->speech.data = worker;
    worker->open_handles = 3;

    char *environment[8];
    make_environment(environment, folder);
    char parent[NAME_COUNTER_TEXT_MAX];
    snprintf(parent, sizeof parent, "%d", (int)getpid());
    char *arguments[] = {(char *)(uintptr_t) "exportd-worker", parent, (char *)(uintptr_t)spec->name, NULL};
    int turns_fd = -1;
    worker->turns = spec->probe ? NULL : worker_share_turns(&turns_fd);
    uv_stdio_container_t stdio[5] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&worker->speech},
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&worker->pipe},
        {.flags = UV_INHERIT_FD, .data.fd = turns_fd},
    };
    uv_process_options_t options = {
        .exit_cb = on_process_exit,
        .file = spec->program,
        .args = arguments,
        .env = environment,
        .flags = UV_PROCESS_DETACHED, /* a process group of its own */
        .stdio_count = turns_fd >= 0 ? 5 : 4,
        .stdio = stdio,
    };
    int failed = uv_spawn(loop, &worker->process, &options);
    if (turns_fd >= 0)
        close(turns_fd);
    for (char **entry = environment; *entry; entry++)
        free(*entry);
    if (failed) {
        error_set(error, "worker_start", true, "the worker %s can't be started: %s", spec->program,
                  uv_strerror(failed));
        worker->state = DEAD;
        uv_close((uv_handle_t *)&worker->process, on_closed);
        uv_close((uv_handle_t *)&worker->pipe, on_closed);
        uv_close((uv_handle_t *)&worker->speech, on_closed);
        if (folder)
            rmdir(folder);
        return NULL;
    }
    uv_read_start((uv_stream_t *)&worker->pipe, allocate, on_read);
    uv_read_start((uv_stream_t *)&worker->speech, allocate, on_speech);
    worker_send_configuration(worker);
    return worker;
}

/* On one file system: nothing is copied. */
static int move_in(struct worker_process *worker, const char *workspace)
{
    char *path = worker_job_folder(worker);
    worker->moved_in = rename(workspace, path) == 0;
    if (!worker->moved_in) {
        char message[600];
        snprintf(message, sizeof message, "could not be given the workspace %s: %s", workspace, strerror(errno));
        worker_condemn(worker, "workspace_failed", message);
    }
    free(path);
    return worker->moved_in ? 0 : -1;
}

void worker_process_run(struct worker_process *worker, const struct worker_job *job)
{
    struct sent_job sent = {.lease = job->lease, .turn = ++worker->last_turn, .salt = (uint32_t)uv_hrtime()};
    if (worker->lease != 0) {
        worker->ahead[worker->ahead_count++] = sent;
    } else {
        worker->given = sent.turn;
        worker->recalled = false;
        worker->last_words_length = 0;
        worker->last_words[0] = '\0';
        if (worker->turns)
            turns_give(worker->turns, sent.turn);
        worker_make_current(worker, &sent);
    }
    if (job->workspace && move_in(worker, job->workspace) != 0)
        return;
    worker_send_start(worker, &sent, job);
}

void worker_process_interrupt(struct worker_process *worker, const char *code, bool retryable, const char *message)
{
    if (worker->state == ENDING || worker->state == DEAD)
        return;
    error_set(&worker->verdict, code, retryable, "%s", message);
    worker->state = ENDING;
    worker->kill_ns = clock_monotonic_ns() + worker->spec->grace_ms * 1000000;
    kill_all(worker, SIGTERM);
}

void worker_process_stop(struct worker_process *worker, bool at_once)
{
    if (worker->state == DEAD)
        return;
    worker->state = ENDING;
    if (worker->kill_ns == 0)
        worker->kill_ns = clock_monotonic_ns() + worker->spec->grace_ms * 1000000;
    kill_all(worker, at_once ? SIGKILL : SIGTERM);
}

static int64_t resident_bytes(const struct worker_process *worker)
{
    /* With the exec grant, the process that the host knows is only the one that waits for the plugin's. */
    return usage_resident_bytes(worker->process.pid, worker->spec->exec);
}

/* What it started may have kept its end of the pair when it died: then there is no end to be read. */
static void stop_waiting_for_pipe(struct worker_process *worker)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&worker->pipe, &fd) == 0)
        shutdown(fd, SHUT_RDWR);
}

void worker_process_watch(struct worker_process *worker)
{
    int64_t now_ns = clock_monotonic_ns();
    if (worker->state == DEAD)
        return;
    if (worker->exited) {
        if (now_ns >= worker->bury_ns)
            stop_waiting_for_pipe(worker);
        return;
    }
    if (worker->kill_ns && now_ns >= worker->kill_ns) {
        worker->kill_ns = 0;
        if (worker->state != ENDING)
            worker_condemn(worker, "worker_disconnected", "closed its connection with the host");
        else
            kill_all(worker, SIGKILL);
        return;
    }
    if (worker->state == ENDING)
        return;
    if (worker->state == STARTING && now_ns - worker->started_ns > START_LIMIT_NS) {
        worker_condemn(worker, "worker_timeout", "was not loaded within 20 s");
        return;
    }
    if (worker->lease == 0)
        return;
    worker->resident_bytes = resident_bytes(worker);
    if (worker->spec->memory_bytes > 0 && worker->resident_bytes > worker->spec->memory_bytes) {
        char message[200];
        snprintf(message, sizeof message,
                 "used more memory (%lld MB) than its limit of %lld MB; raise [plugin %s] memory",
                 (long long)(worker->resident_bytes >> 20), (long long)(worker->spec->memory_bytes >> 20),
                 worker->spec->name);
        worker_end_for(worker, "worker_memory", message);
    } else if (worker->deadline_ns && now_ns >= worker->deadline_ns) {
        char message[256];
        snprintf(message, sizeof message,
                 "the plugin %s ran longer than its timeout of %.3g s; raise [plugin %s] timeout", worker->spec->name,
                 (double)worker->spec->timeout_ms / 1000, worker->spec->name);
        worker_process_interrupt_job(worker, worker->lease, "worker_timeout", true, message);
        if (worker->deadline_ns && now_ns >= worker->deadline_ns + LIE_LIMIT_NS)
            worker_process_interrupt(worker, "worker_timeout", true, message);
    } else if (worker->ahead_count > 0 && !worker->recalled && now_ns - worker->begun_ns > AHEAD_PATIENCE_NS) {
        worker_recall(worker);
    } else {
        worker_watch_folder(worker, now_ns);
    }
}

bool worker_process_is_idle(const struct worker_process *worker)
{
    return worker->lease == 0;
}

bool worker_process_is_usable(const struct worker_process *worker)
{
    return worker->lease == 0 && !worker->exited && (worker->state == STARTING || worker->state == READY) &&
           worker->kill_ns == 0;
}

uint64_t worker_process_lease(const struct worker_process *worker)
{
    return worker->lease;
}

int worker_process_jobs(const struct worker_process *worker)
{
    return worker->jobs;
}

int64_t worker_process_idle_since_ns(const struct worker_process *worker)
{
    return worker->idle_since_ns;
}

int64_t worker_process_resident_bytes(const struct worker_process *worker)
{
    return worker->resident_bytes ? worker->resident_bytes : resident_bytes(worker);
}

int worker_process_pid(const struct worker_process *worker)
{
    return worker->process.pid;
}

const char *worker_process_folder(const struct worker_process *worker)
{
    return worker->folder;
}
