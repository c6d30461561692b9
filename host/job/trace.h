/*
 * job/trace.h: the caller's trace, as W3C's Trace Context has it: https://www.w3.org/TR/trace-context/
 *
 * A job carries its request's traceparent unchanged, to its plugin, its callbacks and its answers over NATS, so that
 * what they record joins the caller's trace. The host records no spans of its own, and so makes no parent ids.
 */
#ifndef EXPORTD_JOB_TRACE_H
#define EXPORTD_JOB_TRACE_H

#include <stdbool.h>

#define TRACE_HEADER "traceparent"

/* Whether text is one: version-traceid-parentid-flags in lower-case hex, not all zeroes, and not version ff. Of later
 * versions what goes on after the flags is taken, up to 200 characters in all. */
bool trace_is_parent(const char *text);

#endif
