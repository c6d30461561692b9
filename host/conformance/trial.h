/*
 * conformance/trial.h: a plugin's worker that jobs are tried in, one at a time, each call waiting for the end.
 *
 * The worker, its sandbox and its limits are those of the host. A worker that ended is replaced by the next job. One
 * thread; runs a loop of its own.
 */
#ifndef EXPORTD_CONFORMANCE_TRIAL_H
#define EXPORTD_CONFORMANCE_TRIAL_H

#include "artifact/artifact.h"
#include "worker/process.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Told while a job runs; either may be NULL. */
struct trial_listener {
    void *client;
    void (*log)(void *client, enum exportd_log_level level, const char *text);
    void (*progress)(void *client, double fraction, const char *stage);
};

struct trial_options {
    struct worker_spec spec; /* work_folder and, with a launcher, program are the trial's to set */
    const char *scratch;     /* a folder of the caller's, for workers and artifacts */
    const char *launcher;    /* shell words that the worker is started with, as "valgrind --quiet"; NULL: none */
    bool launcher_stays;     /* as the worker's parent; else it becomes the worker */
    bool unwatched;          /* no limits of time or memory: a person looks on */
    bool *interrupted;       /* set to true by SIGINT, which also ends the job; may be NULL */
    struct artifact_limits artifacts;
};

struct trial_job {
    const char *route;
    const char *data; /* JSON text */
    size_t data_length;
    const char
        *workspace; /* a folder in scratch that becomes the job's, and is moved away for it; NULL: an empty one */
    int64_t cancel_after_ms; /* cancelled after that long; 0: never */
};

/* Cleared with trial_end_clear(). */
struct trial_end {
    enum exportd_status status;
    struct error error;  /* unless EXPORTD_OK */
    bool crashed;        /* the worker was lost in the middle, or killed */
    bool cancelled;      /* cancel_after_ms came before the end */
    bool started;        /* false: the plugin could not be started, error says why */
    int64_t duration_ms; /* of a cancelled job: from the cancel to the end */
    json_t *result;      /* an object, or NULL */
    json_t *artifacts;   /* as artifact_collect() makes them, or NULL */
};

struct trial;

struct trial *trial_new(const struct trial_options *options);
/* Stops the worker. What it left in its folder goes to *left (new string, or NULL; left may be NULL). */
void trial_free(struct trial *trial, char **left);

/* Who is told from now on; copied; NULL: nobody. */
void trial_listen(struct trial *trial, const struct trial_listener *listener);

void trial_run(struct trial *trial, const struct trial_job *job, struct trial_end *end);
void trial_end_clear(struct trial_end *end);

/* Where the last job's artifacts lie; removed by the next job. */
const char *trial_artifacts_folder(const struct trial *trial);

/* Of the worker that ran the last job, while it lives; 0: it is gone. */
int trial_pid(const struct trial *trial);

#endif
