/*
 * delivery/answer.h: what callers are told about the end of a job, and over which channel.
 *
 * HTTP callers get the callback of the contract; NATS callers get export.completed, export.failed, task.completed or
 * task.failed. A task with a callbackUrl gets both.
 */
#ifndef EXPORTD_DELIVERY_ANSWER_H
#define EXPORTD_DELIVERY_ANSWER_H

#include "config/config.h"
#include "job/job.h"
#include "store/store.h"

#include <jansson.h>

/* How a job ended. Strings are borrowed. */
struct answer_end {
    bool completed;
    const char *result; /* JSON object; where completed */
    const char *error_code, *error_message;
    bool retryable;
    int attempts;
    int64_t started_at_ms, finished_at_ms;
};

/* The callback's body, as a new object. */
json_t *answer_body(const struct job *job, const struct answer_end *end);

/* The messages that tell the job's caller, as a new list, not yet in any store; NULL where nobody wants to know. */
struct store_delivery *answer_deliveries(const struct job *job, const struct answer_end *end,
                                         const struct config *config);

/* The body of one export.progress, as a new text; NULL for jobs of other doors. */
char *answer_progress(const struct job *job, double fraction, const char *stage);

#endif
