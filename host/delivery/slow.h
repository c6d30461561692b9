/*
 * delivery/slow.h: which receivers let the host wait. They get fewer of the deliveries under way, so that the others
 * are not held up. A receiver is the origin of a callback URL: its scheme, name and port.
 */
#ifndef EXPORTD_DELIVERY_SLOW_H
#define EXPORTD_DELIVERY_SLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOW_MAX 64 /* the newest are remembered */

struct slow_receivers {
    struct {
        char *origin;
        int64_t until_ns;
    } items[SLOW_MAX];
    size_t next;
};

/* How many bytes of url name the receiver. */
size_t slow_origin_length(const char *url);
bool slow_same_origin(const char *url, const char *other);

/* A delivery timed out: for a minute the receiver counts as slow, or until slow_forget(). */
void slow_note(struct slow_receivers *slow, const char *url, int64_t now_ns);
void slow_forget(struct slow_receivers *slow, const char *url);
bool slow_has(const struct slow_receivers *slow, const char *url, int64_t now_ns);

/* Frees what it remembers. */
void slow_clear(struct slow_receivers *slow);

#endif
