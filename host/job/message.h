/*
 * job/message.h: from a NATS message to a job, or to a dead letter.
 *
 * export.request: {"export_id", "repro_id", "export_type", "options": {…}}, and, beyond the contract, an inline
 * "repro" instead of the repro_id. export_type is a task or any route's name. Callers send the contract's options
 * (repo_url, branch_name, platform, format) all at once: those that the route doesn't know, and those that are null,
 * count as not sent. Other options are held against the route's schema, as in the HTTP shape.
 *
 * task.request: the HTTP shape (job/request.h).
 *
 * A message that can't become a job becomes a dead letter: a failed job without a route that keeps the message as it
 * came, so that it can be seen, and read again when what it lacked is there.
 */
#ifndef EXPORTD_JOB_MESSAGE_H
#define EXPORTD_JOB_MESSAGE_H

#include "base/error.h"
#include "job/job.h"
#include "plugin/catalog.h"

#include <stdbool.h>
#include <stddef.h>

#define MESSAGE_EXPORT_REQUEST "export.request"
#define MESSAGE_TASK_REQUEST "task.request"

/* All borrowed. */
struct message {
    const char *subject;
    const char *bytes;
    size_t length;
    const char *reply; /* JetStream's, which tells one message from another over all its redeliveries; or NULL */
};

/* Makes the job for a message; *route is where it goes. NULL with error set: what HTTP would answer, or
 * message_too_large. */
struct job *message_read(const struct catalog *catalog, const struct message *message, const struct route **route,
                         struct error *error);

/* Makes the dead letter for a message, because of error: a finished job to hand to dispatch_refuse(). It goes by the
 * id that the message names, where that can be used and made_id is false; else by one that is the same for every
 * redelivery, or new where there are none. Never NULL. */
struct job *message_dead(const struct catalog *catalog, const struct message *message, const struct error *error,
                         bool made_id);

/* Whether a job is a dead letter, so that it must be read again before it can run. */
bool message_is_dead(const struct job *job);

/* Reads a dead letter's message again, by today's catalog: a job whose task, route and data it can take over. NULL
 * with error set. */
struct job *message_revive(const struct catalog *catalog, const struct job *dead, struct error *error);

#endif
