/*
 * base/histogram.h: how often a measure lay below which bound, for /metrics.
 */
#ifndef EXPORTD_BASE_HISTOGRAM_H
#define EXPORTD_BASE_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

#define HISTOGRAM_BOUNDS_MAX 18

enum histogram_kind {
    HISTOGRAM_SECONDS, /* of jobs: 5 ms to an hour */
    HISTOGRAM_COMMITS, /* of transactions: 100 us to 10 s */
    HISTOGRAM_COUNTS,  /* 1 to 4,096 things */
};

/* All zeroes is an empty one of HISTOGRAM_SECONDS. */
struct histogram {
    enum histogram_kind kind;
    uint64_t buckets[HISTOGRAM_BOUNDS_MAX + 1]; /* each by itself; the last: beyond all bounds */
    double sum;
};

void histogram_add(struct histogram *histogram, double value);

/* Lines in Prometheus' text format: NAME_bucket{LABELS,le="…"}, NAME_sum and NAME_count. labels: "" or
 * "route=\"docker\"". */
void histogram_write(const struct histogram *histogram, FILE *out, const char *name, const char *labels);

#endif
