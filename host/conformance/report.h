/*
 * conformance/report.h: the lines of a conformance run, printed as they come, or kept for --json.
 */
#ifndef EXPORTD_CONFORMANCE_REPORT_H
#define EXPORTD_CONFORMANCE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum report_verdict { REPORT_OK, REPORT_FAILED, REPORT_SKIPPED };

struct report {
    bool json;
    FILE *out;
    json_t *checks;
    bool stopped;
    int counts[3]; /* by verdict */
};

void report_begin(struct report *report, bool json, FILE *out);

/* check: its name, as "loads"; route: which it was tried on, or NULL. The text says what was found; of a failure:
 * what, where, and the mend; of a skipped one: why. */
void report_add(struct report *report, enum report_verdict verdict, const char *check, const char *route,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Says that the run was broken off; what is added from then on is not. It counts as a failure. */
void report_stop(struct report *report);

/* The summary, and with --json all of it. Returns whether nothing failed. */
bool report_end(struct report *report, const char *file, const char *plugin);

#endif
