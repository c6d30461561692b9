/*
 * job/job.h: the record of a job, as it goes down the road and as the store keeps it.
 *
 * Times are milliseconds since the epoch, 0 for "not yet". Strings are UTF-8 and owned by the record.
 */
#ifndef EXPORTD_JOB_JOB_H
#define EXPORTD_JOB_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOB_ID_MAX 200
#define JOB_HASH_BYTES 32

enum job_state {
    JOB_PENDING = 0, /* waiting for a worker, or for run_at */
    JOB_RUNNING = 1,
    JOB_COMPLETED = 2,
    JOB_FAILED = 3,
    JOB_CANCELLED = 4,
};
#define JOB_STATE_COUNT 5

/* Who handed a job in, and so how its end is told. */
enum job_door {
    JOB_DOOR_HTTP = 0,   /* and the command line: callbacks, if any */
    JOB_DOOR_TASK = 1,   /* NATS task.request: task.completed and task.failed */
    JOB_DOOR_EXPORT = 2, /* NATS export.request: export.completed and export.failed; kept in step in exports */
};

struct job {
    int64_t sequence; /* the store's own number, in the order of acceptance */
    char *id;
    char *task;  /* "report" */
    char *route; /* "report/pdf" */
    enum job_state state;
    int priority;      /* higher first; -100 to 100 */
    int64_t run_at_ms; /* not before; 0: at once */
    int attempts;      /* that ended, or the current one */
    int losses;        /* how often the host died while it ran */
    int max_attempts;
    int64_t lease; /* of the last start */
    bool cancel_requested;
    int64_t created_at_ms, started_at_ms, finished_at_ms;
    unsigned char body_hash[JOB_HASH_BYTES]; /* of the request, for "the same body" */
    char *data;                              /* JSON object, compact */
    size_t data_length;
    enum job_door door;
    char *origin;       /* JOB_DOOR_EXPORT: the request as it came, a compact JSON object; else NULL */
    char *callback_url; /* or NULL */
    char *trace;        /* the request's traceparent (trace.h), or NULL */
    char *result;       /* JSON object, or NULL */
    char *error_code;   /* or NULL */
    char *error_message;
};

struct job *job_new(void);
void job_free(struct job *job); /* takes NULL */

const char *job_state_name(enum job_state state); /* "pending" … */
int job_state_parse(const char *name);            /* or -1 */
bool job_is_finished(enum job_state state);

/* How a job looks to callers of GET /jobs/ID, as a new object: jobId, task, route, status, times as RFC 3339,
 * attempts, result or error and errorCode. with_data: its data too. */
json_t *job_to_json(const struct job *job, bool with_data);

#endif
