/*
 * Jobs with data that nobody should send, and somebody will.
 */
#include "base/clock.h"
#include "conformance/conformance.h"
#include "conformance/sample.h"

#include <string.h>

#define FAULTS_MOST 5
#define TIME_LIMIT_MS 300000 /* of one route */

struct row {
    struct conformance *conformance;
    const struct route *route;
    struct first_job *first;
    struct trial *trial;
    int64_t began_ns;
    int tried, refused, done, faults;
    bool late;
};

static int try_data(void *client, const char *what, json_t *data)
{
    struct row *row = client;
    struct trial_end end = {0};
    struct error error = {0};
    row->late = clock_monotonic_ns() - row->began_ns > TIME_LIMIT_MS * 1000000LL;
    if (row->late)
        return 1;
    if (conformance_job(row->conformance, row->trial, row->route, data, 0, &end, &error) != 0) {
        row->refused++;
        return 0;
    }
    row->tried++;
    row->done += end.status == EXPORTD_OK;
    if (end.duration_ms > row->first->slowest_ms) {
        json_decref(row->first->slowest);
        row->first->slowest = json_incref(data);
        row->first->slowest_ms = end.duration_ms;
    }
    bool hung = strcmp(end.error.code, "worker_timeout") == 0;
    if (hung || end.crashed) {
        row->faults++;
        report_add(&row->conformance->report, REPORT_FAILED, "hostile", row->route->name, "%s: %s%s", what,
                   end.error.message, hung ? "" : "; check what the request holds before it is used");
    }
    trial_end_clear(&end);
    return row->faults >= FAULTS_MOST;
}

void check_hostile(struct conformance *conformance, const struct route *route, struct first_job *first)
{
    struct report *report = &conformance->report;
    if (!first->usable) {
        report_add(report, REPORT_SKIPPED, "hostile", route->name, "its first job says why: %s", first->ended);
        return;
    }
    struct trial_options options = conformance_trial(conformance);
    struct row row = {.conformance = conformance,
                      .route = route,
                      .first = first,
                      .trial = trial_new(&options),
                      .began_ns = clock_monotonic_ns()};
    json_t *base = conformance_data(conformance, route);
    sample_hostile(route, base, try_data, &row);
    json_decref(base);
    trial_free(row.trial, NULL);
    if (row.faults == 0)
        report_add(report, REPORT_OK, "hostile", route->name,
                   "%d inputs (empty, huge, of wrong types, leading out): %d done, %d failed clearly; %d more were "
                   "refused by the host%s",
                   row.tried, row.done, row.tried - row.done, row.refused,
                   row.late ? "; stopped after 5 minutes, before all were tried" : "");
}
