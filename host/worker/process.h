/*
 * worker/process.h: one worker process, from the host's side.
 *
 * Starts exportd-worker, configures it, hands it one job at a time, holds it to its limits (time, memory, what it may
 * say), and turns whatever it does, or however it dies, into one call of finished() per job. A worker that broke a
 * rule is killed with all that it started. Loop thread only.
 */
#ifndef EXPORTD_WORKER_PROCESS_H
#define EXPORTD_WORKER_PROCESS_H

#include "base/error.h"

#include <exportd/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define WORKER_AHEAD_MAX 8   /* jobs that a worker is sent while it has one */
#define WORKER_STAGE_MAX 201 /* of a progress' text, with its NUL */

struct worker_process;

/* What a worker is started with. Borrowed for as long as the worker lives. */
struct worker_spec {
    const char *name;    /* the plugin's, for messages */
    const char *program; /* the path of exportd-worker */
    const char *plugin_path;
    const char *original_path; /* plugin_path is a copy of this; a probe looks at its owner and mode; or NULL */
    json_t *options, *secrets; /* objects of text */
    json_t *read;              /* array of paths */
    const char *work_folder;   /* a folder for this worker is made in it; NULL: a probe, which needs none */
    bool probe;                /* ask for the manifest, then end */
    bool sandbox;
    const char *cache_folder; /* one that stays, made where it isn't there; NULL: none */
    bool network, exec;
    int64_t memory_bytes, file_bytes;
    int64_t timeout_ms, grace_ms;
    int64_t max_result_bytes;
};

/* What a worker is to do. Borrowed for the call that hands it over. */
struct worker_job {
    uint64_t lease;
    const char *id;
    const char *route;
    const char *trace; /* the caller's traceparent, or NULL */
    int attempt;
    const char *data; /* JSON text */
    size_t data_length;
    const char *workspace; /* a folder that becomes the job's, and is moved away for it; NULL: an empty one */
};

/* How a job ended in the worker. Borrowed for the call. */
struct worker_outcome {
    uint64_t lease;
    enum exportd_status status;
    struct error error;     /* unless EXPORTD_OK */
    int64_t retry_after_ms; /* with EXPORTD_RETRY: no sooner; 0: it does not say */
    bool crashed;           /* the worker is lost: error says how */
    const char *result;     /* JSON text of an object that was checked, or NULL */
    size_t result_length;
    json_t *artifacts;  /* array of {path, name, media_type}, or NULL; unchecked but for its shape */
    const char *folder; /* of the job's workspace, where it used one, else NULL; whoever gets the call removes it */
};

struct worker_events {
    /* Loaded and initialised. manifest and sandbox are borrowed. */
    void (*ready)(void *client, struct worker_process *worker, json_t *manifest, json_t *sandbox);
    /* Before ready(): the plugin can't be used. gone() follows. */
    void (*refused)(void *client, struct worker_process *worker, const struct error *error);
    void (*log)(void *client, struct worker_process *worker, enum exportd_log_level level, const char *text);
    void (*progress)(void *client, struct worker_process *worker, double fraction, const char *stage);
    /* The job that worker_process_run() started is over. The worker takes another unless worker_process_is_usable()
     * denies it. */
    void (*finished)(void *client, struct worker_process *worker, const struct worker_outcome *outcome);
    /* A job that was sent ahead was not begun, and is not this worker's any more. Never called where none is. */
    void (*returned)(void *client, struct worker_process *worker, uint64_t lease);
    /* The process is gone, and this was the last call; error says how where it wasn't asked to, else it is empty. */
    void (*gone)(void *client, struct worker_process *worker, const struct error *error);
};

/* Starts a worker. events and client must outlive it. NULL with error set where no process can be made. */
struct worker_process *worker_process_start(uv_loop_t *loop, const struct worker_spec *spec,
                                            const struct worker_events *events, void *client, struct error *error);

/* Hands it a job; may be called before ready(). Its data is copied where the pipe is full. Only when idle, or where
 * there is room ahead: then the job, which can't bring a workspace, is begun after those before it, or returned(). */
void worker_process_run(struct worker_process *worker, const struct worker_job *job);

/* How many jobs it takes beside the one that it has: some where its last ones were short. */
int worker_process_room_ahead(const struct worker_process *worker);

/* Asks the current job to stop: SIGTERM, after grace_ms SIGKILL. code and message become its error. */
void worker_process_interrupt(struct worker_process *worker, const char *code, bool retryable, const char *message);

/* The same for a job that may have been sent ahead; one that was not begun is returned() at once. */
void worker_process_interrupt_job(struct worker_process *worker, uint64_t lease, const char *code, bool retryable,
                                  const char *message);
bool worker_process_has(const struct worker_process *worker, uint64_t lease); /* now, or ahead */

/* Ends an idle worker (SIGTERM, then SIGKILL), or kills at once. gone() follows. */
void worker_process_stop(struct worker_process *worker, bool at_once);

/* Looks at its deadline and memory; call it some times a second. */
void worker_process_watch(struct worker_process *worker);

bool worker_process_is_idle(const struct worker_process *worker);
bool worker_process_is_usable(const struct worker_process *worker); /* idle, and not about to end */
uint64_t worker_process_lease(const struct worker_process *worker);
int worker_process_jobs(const struct worker_process *worker);              /* that it has finished */
int64_t worker_process_idle_since_ns(const struct worker_process *worker); /* clock_monotonic_ns(); 0 while busy */
int64_t worker_process_resident_bytes(const struct worker_process *worker);
const char *worker_process_folder(const struct worker_process *worker); /* its own; whoever gets gone() removes it */
int worker_process_pid(const struct worker_process *worker);

#endif
