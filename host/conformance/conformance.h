/*
 * conformance/conformance.h: a conformance run over one plugin file, as `exportd test FILE.so` makes it.
 *
 * Each file of this folder holds a group of checks; a check adds a line, or one for each route, to the report. The
 * plugin is only ever mapped in workers, with the host's sandbox and limits, and gets no secret and no network unless
 * granted says so.
 */
#ifndef EXPORTD_CONFORMANCE_CONFORMANCE_H
#define EXPORTD_CONFORMANCE_CONFORMANCE_H

#include "conformance/report.h"
#include "conformance/trial.h"
#include "plugin/catalog.h"

#include <jansson.h>
#include <stdbool.h>

#define CONFORMANCE_JOB_LIMIT_MS 60000 /* of one tried job; [plugin NAME] timeout where that is shorter */

struct conformance {
    const struct config *config;
    struct catalog *catalog;     /* of this file alone */
    const struct plugin *plugin; /* NULL until it was loaded */
    const char *file;
    const char *scratch;    /* a folder of this run */
    const char *only_route; /* or NULL: all */
    const json_t *options;  /* an object that goes into each job's data */
    const char *cache;      /* what workers get where a cache is granted: a folder in scratch */
    bool granted;           /* workers get the network and the secrets that conf.d grants */
    bool interrupted;       /* by SIGINT: no further job is run, and nothing more is reported */
    struct report report;
    char artifact_fault[1024]; /* what was wrong with an artifact of any job; "" for nothing */
};

/* The whole run. Returns whether nothing failed. */
bool conformance_run(struct conformance *conformance);

/* For the groups of checks. */

/* The plugin's worker as the checks start it. network and secrets: see granted. */
struct trial_options conformance_trial(struct conformance *conformance);

/* Runs a job with data (borrowed), as the host would. Returns 0, or -1 with error set where the host itself refuses
 * the data. end is to be cleared after 0. */
int conformance_job(struct conformance *conformance, struct trial *trial, const struct route *route,
                    const json_t *data, int64_t cancel_after_ms, struct trial_end *end, struct error *error);

/* Sample data of the route with the person's options in it. New. */
json_t *conformance_data(const struct conformance *conformance, const struct route *route);

/* The launcher (struct trial_options) that starts workers under exportd-watch with this report, see watch.c. New, or
 * NULL where it isn't installed. */
char *conformance_watch(const struct conformance *conformance, const char *report);

/* What a route's first job told, for the checks that follow. */
struct first_job {
    bool usable; /* it neither crashed nor hung, so that further jobs make sense */
    bool done;   /* EXPORTD_OK */
    int64_t duration_ms;
    char ended[300]; /* "done", or the error's code and message */
    json_t *slowest; /* the data of the hostile job that took longest, or NULL */
    int64_t slowest_ms;
};

/* load.c: loads, manifest, settings, routes. Returns whether jobs can be tried. */
bool check_load(struct conformance *conformance);

/* jobs.c */
void check_job(struct conformance *conformance, const struct route *route, struct first_job *first);
void check_options(struct conformance *conformance, const struct route *route, const struct first_job *first);
void check_same(struct conformance *conformance, const struct route *route, const struct first_job *first);
void check_cancel(struct conformance *conformance, const struct route *route, const struct first_job *first);

/* leaks.c: descriptors, memory, files */
void check_leaks(struct conformance *conformance, const struct route *route, const struct first_job *first);

/* hostile.c; notes the slowest job in *first, for check_cancel() */
void check_hostile(struct conformance *conformance, const struct route *route, struct first_job *first);

/* grants.c: grants and workspace, over all routes */
void check_grants(struct conformance *conformance, const struct first_job *firsts);

#endif
