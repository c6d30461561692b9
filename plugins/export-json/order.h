/*
 * order.h: the order of keys in a report.
 *
 * Known keys come in the order of the repro's documentation, all others behind them by their bytes, at every depth;
 * so that the order never depends on that of the input.
 */
#ifndef EXPORT_JSON_ORDER_H
#define EXPORT_JSON_ORDER_H

#include <jansson.h>

/* A known key and those inside it (of the object, or of each object of an array). Ended by one without a key. */
struct order {
    const char *key;
    const struct order *inside;
};

/* The order of exportd.repro/1. */
extern const struct order order_of_repro[];

/* A new value with every object's keys in order; other values are shared with the original. order: NULL where no key
 * is known. Returns NULL when out of memory. */
json_t *order_apply(const json_t *value, const struct order *order);

#endif
