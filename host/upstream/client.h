/*
 * upstream/client.h: requests to the host that does some of this one's tasks ([upstream] in conf.d). Loop thread
 * only.
 */
#ifndef EXPORTD_UPSTREAM_CLIENT_H
#define EXPORTD_UPSTREAM_CLIENT_H

#include "base/error.h"
#include "config/config.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct upstream;

/* NULL where conf.d names none (error is not set), or with error set. */
struct upstream *upstream_new(uv_loop_t *loop, const struct config *config, struct error *error);

/* What is under way ends now, as without an answer. */
void upstream_give_up(struct upstream *upstream);

/* Ends what is under way without a call, then calls on_closed(client); the client is freed by then. */
void upstream_close(struct upstream *upstream, void (*on_closed)(void *client), void *client);

/* How a request went. status: 0 where there was no answer, and problem says why. body: the answer's, or NULL where it
 * was no JSON object. Borrowed for the call. */
typedef void (*upstream_answered)(void *client, int status, const json_t *body, const char *problem);

/* POST /process with this body (taken) and traceparent (or NULL), POST /jobs/ID/retry, and DELETE /jobs/ID, whose
 * answer is nobody's. */
void upstream_post(struct upstream *upstream, json_t *body, const char *trace, upstream_answered callback,
                   void *client);
void upstream_retry(struct upstream *upstream, const char *job_id, upstream_answered callback, void *client);
void upstream_delete(struct upstream *upstream, const char *job_id);

/* The address that conf.d chooses of the two, or "". */
const char *upstream_url(const struct config *config);

/* What is to be said where there is no secret to know its callbacks by, so that they are refused; else NULL. */
const char *upstream_warning(const struct config *config);

/* Whether a callback's body carries a signature of the upstream's that is not too old (Standard Webhooks: the headers
 * webhook-id, webhook-timestamp and webhook-signature; any may be NULL). */
bool upstream_signed(const struct config *config, const char *id, const char *timestamp, const char *signatures,
                     const char *body, size_t length);

/* Whether a webhook-timestamp (or NULL) is within five minutes of now. */
bool upstream_is_timely(const char *timestamp);

/* For `exportd check`: asks it whether it lives. Blocking. Returns 0, or -1 with error set. */
int upstream_check(const struct config *config, struct error *error);

#endif
