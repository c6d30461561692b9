/*
 * options.h: what a request and conf.d ask of a report. A request's option beats conf.d's.
 */
#ifndef EXPORT_PDF_OPTIONS_H
#define EXPORT_PDF_OPTIONS_H

#include <exportd/plugin.h>

enum report_section {
    SECTION_SUMMARY = 1u << 0,
    SECTION_DESCRIPTION = 1u << 1,
    SECTION_STEPS = 1u << 2,
    SECTION_RUNS = 1u << 3,
    SECTION_SCREENSHOTS = 1u << 4,
    SECTION_TEST = 1u << 5,
    SECTION_PROJECT = 1u << 6,
    SECTION_ALL = (1u << 7) - 1,
};

struct report_options {
    double page_width, page_height; /* in points */
    uint32_t colour;                /* 0xRRGGBB */
    unsigned int sections;          /* enum report_section */
    long max_runs, max_steps, max_code_lines;
    const char *title;        /* or NULL: the repro's */
    const char *prepared_for; /* or NULL */
    const char *organisation; /* or NULL */
};

/* Reads conf.d's options; the strings are borrowed from the host. Returns 0, or -1 with a sentence in message. */
int options_of_plugin(struct exportd_job *self, struct report_options *options, char *message, size_t message_size);

/* Lays a request's options over them; the strings are borrowed from data. Returns 0, or -1 with a sentence. */
int options_of_request(const json_t *data, struct report_options *options, char *message, size_t message_size);

#endif
