/*
 * report.h: what a report says, section by section. Each function draws its section, heading included, or nothing
 * where the repro has nothing for it.
 */
#ifndef EXPORT_PDF_REPORT_H
#define EXPORT_PDF_REPORT_H

#include "document.h"
#include "options.h"

struct report {
    struct document *document;
    const json_t *repro;
    const struct report_options *options;
    const char *title; /* plain, of a bounded length */
};

/* cover.c */
void report_cover(struct report *report);
void report_summary(struct report *report);

/* sections.c */
void report_description(struct report *report);
void report_steps(struct report *report);
void report_screenshots(struct report *report);
void report_test(struct report *report);
void report_project(struct report *report);
void report_missing(struct report *report); /* the characters that no font had */
void report_margins(struct report *report); /* headers, footers and page numbers; call last */

/* runs.c */
void report_runs(struct report *report);

/* A string of the repro without escapes, at most max_bytes long (and then ended by "…"), or NULL where it is missing
 * or memory ran out. Free it. */
char *report_plain(const json_t *repro, const char *path, size_t max_bytes);

/* Copies text without escapes, cut between two characters where it is longer than out. */
void report_copy(char *out, size_t out_size, const char *text);

#endif
