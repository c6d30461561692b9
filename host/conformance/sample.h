/*
 * conformance/sample.h: data to try a task with: the least that its schema takes, a small repro document, and a row
 * of nasty variations of both.
 */
#ifndef EXPORTD_CONFORMANCE_SAMPLE_H
#define EXPORTD_CONFORMANCE_SAMPLE_H

#include "plugin/catalog.h"

#include <jansson.h>
#include <stddef.h>

/* A document of the form exportd.repro/1 with something in each of its members. New. */
json_t *sample_repro(void);

/* Data that the route's schema takes: what is required and has no default is made up, and a repro is in it where the
 * route needs one. New. */
json_t *sample_data(const struct route *route);

/* checkout.c: for a route behind acquire-user-repo, what that one would say (else an empty object), and a workspace
 * with a small repository in it, made anew in scratch (else NULL; NULL too where it can't be written). Both new. */
json_t *sample_previous(const struct route *route);
char *sample_workspace(const struct route *route, const char *scratch);

/* A value that schema takes. New. */
json_t *sample_value(const json_t *schema);

/* Called with each variation: what it is, and the data (borrowed). Returning nonzero ends the row. */
typedef int (*sample_take)(void *client, const char *what, json_t *data);

/* Hostile variations of base, an object as sample_data() makes it. Returns what take() returned last. */
int sample_hostile(const struct route *route, const json_t *base, sample_take take, void *client);

#endif
