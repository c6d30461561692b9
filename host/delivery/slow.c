#include "delivery/slow.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define SLOW_NS 60000000000LL

size_t slow_origin_length(const char *url)
{
    const char *authority = strstr(url, "://");
    size_t before = authority ? (size_t)(authority - url) + 3 : 0;
    return before + strcspn(url + before, "/?#");
}

bool slow_same_origin(const char *url, const char *other)
{
    size_t length = slow_origin_length(url);
    return slow_origin_length(other) == length && strncmp(url, other, length) == 0;
}

static size_t find(const struct slow_receivers *slow, const char *url)
{
    size_t i = 0;
    while (i < SLOW_MAX && (!slow->items[i].origin || !slow_same_origin(slow->items[i].origin, url)))
        i++;
    return i;
}

void slow_note(struct slow_receivers *slow, const char *url, int64_t now_ns)
{
    size_t i = find(slow, url);
    if (i == SLOW_MAX) {
        i = slow->next;
        slow->next = (slow->next + 1) % SLOW_MAX;
        free(slow->items[i].origin);
        slow->items[i].origin = memory_bytes(url, slow_origin_length(url));
    }
    slow->items[i].until_ns = now_ns + SLOW_NS;
}

void slow_forget(struct slow_receivers *slow, const char *url)
{
    size_t i = find(slow, url);
    if (i < SLOW_MAX)
        slow->items[i].until_ns = 0;
}

bool slow_has(const struct slow_receivers *slow, const char *url, int64_t now_ns)
{
    size_t i = find(slow, url);
    return i < SLOW_MAX && slow->items[i].until_ns > now_ns;
}

void slow_clear(struct slow_receivers *slow)
{
    for (size_t i = 0; i < SLOW_MAX; i++)
        free(slow->items[i].origin);
}
