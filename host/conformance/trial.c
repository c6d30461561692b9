#include "conformance/trial.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCH_MS 50

struct trial {
    struct trial_options options;
    struct trial_listener listener;
    struct worker_spec spec;
    char *work_folder, *artifacts_folder, *script;
    uv_loop_t loop;
    uv_timer_t watch, cancel;
    uv_signal_t interrupt;
    struct worker_process *worker; /* or NULL */
    struct trial_end *end;         /* of the job that runs, or NULL */
    bool ready, finished, stopping;
    struct error start_error; /* why the plugin could not be started */
    int64_t began_ns, cancelled_ns;
    uint64_t lease;
    char *left;
};

static void on_ready(void *client, struct worker_process *worker, json_t *manifest, json_t *sandbox)
{
    struct trial *trial = client;
    (void)worker;
    (void)manifest;
    (void)sandbox;
    trial->ready = true;
}

static void on_refused(void *client, struct worker_process *worker, const struct error *error)
{
    struct trial *trial = client;
    (void)worker;
    trial->start_error = *error;
}

static void on_log(void *client, struct worker_process *worker, enum exportd_log_level level, const char *text)
{
    const struct trial_listener *listener = &((struct trial *)client)->listener;
    (void)worker;
    if (listener->log)
        listener->log(listener->client, level, text);
}

static void on_progress(void *client, struct worker_process *worker, double fraction, const char *stage)
{
    const struct trial_listener *listener = &((struct trial *)client)->listener;
    (void)worker;
    if (listener->progress)
        listener->progress(listener->client, fraction, stage);
}

static void take_result(struct trial *trial, const struct worker_outcome *outcome)
{
    struct trial_end *end = trial->end;
    end->result = outcome->result ? json_loadb(outcome->result, outcome->result_length, 0, NULL) : json_object();
    if (json_array_size(outcome->artifacts) == 0)
        return;
    struct error error = {0};
    end->artifacts = artifact_collect(outcome->folder, outcome->artifacts, trial->artifacts_folder, "",
                                      &trial->options.artifacts, &error);
    if (error_is_set(&error)) {
        end->status = EXPORTD_FAIL;
        end->error = error;
    }
}

static void on_finished(void *client, struct worker_process *worker, const struct worker_outcome *outcome)
{
    struct trial *trial = client;
    struct trial_end *end = trial->end;
    int64_t since_ns = trial->cancelled_ns ? trial->cancelled_ns : trial->began_ns;
    trial->finished = true;
    end->status = outcome->status;
    end->error = outcome->error;
    end->crashed = outcome->crashed;
    end->started = trial->ready;
    end->duration_ms = (clock_monotonic_ns() - since_ns) / 1000000;
    if (!trial->ready && error_is_set(&trial->start_error))
        end->error = trial->start_error;
    if (outcome->status == EXPORTD_OK)
        take_result(trial, outcome);
    if (outcome->folder)
        tree_remove(outcome->folder);
    (void)worker;
}

static bool is_of_a_job(const char *name)
{
    return strncmp(name, "job-", 4) == 0;
}

/* What lies in a worker's folder and is no job's goes to trial->left. */
static void note_left(struct trial *trial, const char *folder)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || is_of_a_job(entry->d_name))
            continue;
        char *longer = trial->left ? memory_format("%s, %s", trial->left, entry->d_name) : memory_text(entry->d_name);
        free(trial->left);
        trial->left = longer;
        if (strlen(longer) > 200)
            break;
    }
    if (entries)
        closedir(entries);
}

static void on_gone(void *client, struct worker_process *worker, const struct error *error)
{
    struct trial *trial = client;
    (void)error;
    note_left(trial, worker_process_folder(worker));
    tree_remove(worker_process_folder(worker));
    trial->worker = NULL;
    trial->ready = false;
}

static const struct worker_events events = {
    .ready = on_ready,
    .refused = on_refused,
    .log = on_log,
    .progress = on_progress,
    .finished = on_finished,
    .gone = on_gone,
};

static void on_watch(uv_timer_t *timer)
{
    struct trial *trial = timer->data;
    if (trial->worker && !trial->options.unwatched)
        worker_process_watch(trial->worker);
    /* A signal that comes right before the worker waits for its next job is not seen: it is told again. */
    if (trial->worker && trial->stopping)
        worker_process_stop(trial->worker, false);
}

static void on_cancel(uv_timer_t *timer)
{
    struct trial *trial = timer->data;
    if (!trial->worker || trial->finished)
        return;
    if (!trial->ready) { /* it has not begun */
        uv_timer_start(timer, on_cancel, 10, 0);
        return;
    }
    trial->cancelled_ns = clock_monotonic_ns();
    trial->end->cancelled = true;
    worker_process_interrupt(trial->worker, "cancelled", false, "the job was cancelled");
}

/* Ctrl-C belongs to the person at the debugger: it goes to the launcher; without one, the job is cancelled. */
static void on_interrupt(uv_signal_t *handle, int number)
{
    struct trial *trial = handle->data;
    if (trial->options.interrupted)
        *trial->options.interrupted = true;
    if (!trial->worker)
        return;
    if (trial->options.unwatched && trial->options.launcher)
        kill(worker_process_pid(trial->worker), number);
    else
        worker_process_interrupt(trial->worker, "cancelled", false, "the job was interrupted");
}

/* A launcher is started through a small script: the host starts a worker by one program's name alone. */
static char *write_script(const struct trial *trial)
{
    char *path = memory_format("%s/start-worker", trial->options.scratch);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        if (fd >= 0)
            close(fd);
        free(path);
        return NULL;
    }
    /* valgrind lets nobody raise the limit that it was started with, and the worker sets its own. */
    fprintf(file, "#!/bin/bash\nulimit -S -n %d\nexec %s '%s' \"%s\" \"$2\"\n", trial->options.spec.exec ? 4096 : 512,
            trial->options.launcher, trial->options.spec.program, trial->options.launcher_stays ? "$$" : "$1");
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        free(path);
        return NULL;
    }
    return path;
}

struct trial *trial_new(const struct trial_options *options)
{
    struct trial *trial = memory_zeroed(1, sizeof *trial);
    trial->options = *options;
    trial->spec = options->spec;
    trial->work_folder = memory_format("%s/work", options->scratch);
    trial->artifacts_folder = memory_format("%s/artifacts", options->scratch);
    mkdir(trial->work_folder, 0700);
    trial->spec.work_folder = trial->work_folder;
    if (options->launcher && (trial->script = write_script(trial)))
        trial->spec.program = trial->script;
    uv_loop_init(&trial->loop);
    uv_timer_init(&trial->loop, &trial->watch);
    uv_timer_init(&trial->loop, &trial->cancel);
    uv_signal_init(&trial->loop, &trial->interrupt);
    trial->watch.data = trial->cancel.data = trial->interrupt.data = trial;
    uv_timer_start(&trial->watch, on_watch, WATCH_MS, WATCH_MS);
    uv_signal_start(&trial->interrupt, on_interrupt, SIGINT);
    return trial;
}

void trial_listen(struct trial *trial, const struct trial_listener *listener)
{
    trial->listener = listener ? *listener : (struct trial_listener){0};
}

static void stop_worker(struct trial *trial)
{
    if (!trial->worker)
        return;
    trial->stopping = true;
    worker_process_stop(trial->worker, false);
    while (trial->worker)
        uv_run(&trial->loop, UV_RUN_ONCE);
    trial->stopping = false;
}

void trial_free(struct trial *trial, char **left)
{
    if (!trial)
        return;
    stop_worker(trial);
    uv_close((uv_handle_t *)&trial->watch, NULL);
    uv_close((uv_handle_t *)&trial->cancel, NULL);
    uv_close((uv_handle_t *)&trial->interrupt, NULL);
    uv_run(&trial->loop, UV_RUN_DEFAULT);
    uv_loop_close(&trial->loop);
    tree_remove(trial->work_folder);
    tree_remove(trial->artifacts_folder);
    if (left)
        *left = trial->left;
    else
        free(trial->left);
    free(trial->work_folder);
    free(trial->artifacts_folder);
    free(trial->script);
    free(trial);
}

void trial_run(struct trial *trial, const struct trial_job *job, struct trial_end *end)
{
    struct worker_job order = {.lease = ++trial->lease,
                               .id = "test",
                               .route = job->route,
                               .attempt = 1,
                               .data = job->data,
                               .data_length = job->data_length,
                               .workspace = job->workspace};
    memset(end, 0, sizeof *end);
    tree_remove(trial->artifacts_folder);
    if (trial->worker && !worker_process_is_usable(trial->worker))
        stop_worker(trial);
    trial->end = end;
    trial->finished = false;
    trial->cancelled_ns = 0;
    error_clear(&trial->start_error);
    if (!trial->worker)
        trial->worker = worker_process_start(&trial->loop, &trial->spec, &events, trial, &end->error);
    if (!trial->worker) {
        end->status = EXPORTD_FAIL;
        return;
    }
    trial->began_ns = clock_monotonic_ns();
    if (job->cancel_after_ms > 0)
        uv_timer_start(&trial->cancel, on_cancel, (uint64_t)job->cancel_after_ms, 0);
    worker_process_run(trial->worker, &order);
    while (!trial->finished)
        uv_run(&trial->loop, UV_RUN_ONCE);
    uv_timer_stop(&trial->cancel);
    trial->end = NULL;
}

void trial_end_clear(struct trial_end *end)
{
    json_decref(end->result);
    json_decref(end->artifacts);
    memset(end, 0, sizeof *end);
}

const char *trial_artifacts_folder(const struct trial *trial)
{
    return trial->artifacts_folder;
}

int trial_pid(const struct trial *trial)
{
    return trial->worker ? worker_process_pid(trial->worker) : 0;
}
