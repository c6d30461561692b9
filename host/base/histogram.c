#include "base/histogram.h"

#include <inttypes.h>

struct bounds {
    double values[HISTOGRAM_BOUNDS_MAX];
    int count;
};

static const struct bounds all_bounds[] = {
    [HISTOGRAM_SECONDS] = {{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}, 16},
    [HISTOGRAM_COMMITS] = {{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10}, 13},
    [HISTOGRAM_COUNTS] = {{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096}, 12},
};

void histogram_add(struct histogram *histogram, double value)
{
    const struct bounds *bounds = &all_bounds[histogram->kind];
    int bucket = 0;
    while (bucket < bounds->count && value > bounds->values[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum += value;
}

void histogram_write(const struct histogram *histogram, FILE *out, const char *name, const char *labels)
{
    const struct bounds *bounds = &all_bounds[histogram->kind];
    const char *comma = labels[0] ? "," : "", *open = labels[0] ? "{" : "", *close = labels[0] ? "}" : "";
    uint64_t sum = 0;
    for (int i = 0; i < bounds->count; i++) {
        sum += histogram->buckets[i];
        fprintf(out, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, labels, comma, bounds->values[i], sum);
    }
    sum += histogram->buckets[bounds->count];
    fprintf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, comma, sum);
    fprintf(out, "%s_sum%s%s%s %.9g\n", name, open, labels, close, histogram->sum);
    fprintf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, labels, close, sum);
}
