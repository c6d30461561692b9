/*
 * charts.h: figures drawn from numbers.
 */
#ifndef EXPORT_PDF_CHARTS_H
#define EXPORT_PDF_CHARTS_H

#include "flow.h"

#define CHART_RUNS_MAX 300

/* A ring that is filled by score (0 to 1), with the percentage in it. */
void chart_gauge(struct document *document, double x, double y, double radius, double score, uint32_t colour);

/* One bar for each run: as high as it took, in the colour of its status. Flows. */
void chart_runs(struct document *document, const json_t *runs);

/* What a status is drawn in: of a run, a check or the validation as a whole. */
uint32_t status_colour(const struct document *document, const char *status);

/* A small filled label. Returns its width. */
double draw_chip(struct document *document, const char *label, double x, double y, uint32_t colour);

/* A colour mixed with white; strength 0 is white. */
uint32_t tint(uint32_t colour, double strength);

/* "840 ms", "2.6 s", "3 min 20 s". */
void format_duration(double duration_ms, char *out, size_t out_size);

#endif
