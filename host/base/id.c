#include "base/id.h"

#include "base/clock.h"

#include <sodium.h>
#include <string.h>
#include <uuid/uuid.h>

#define POOL_IDS 64
#define COUNTER_MAX 0xfff

/* The kernel is asked for the randomness of many at a time. */
static void randomize(unsigned char *uuid)
{
    static _Thread_local unsigned char pool[POOL_IDS][sizeof(uuid_t)];
    static _Thread_local int left;
    if (left == 0) {
        randombytes_buf(pool, sizeof pool);
        left = POOL_IDS;
    }
    memcpy(uuid, pool[--left], sizeof(uuid_t));
}

/* RFC 9562, 6.2, method 1: the 12 bits behind the time count within a millisecond, from a random number below half of
 * what they can hold. An index of them grows at its end alone, and its pages are full. */
static int64_t count_on(unsigned random, unsigned *count)
{
    static _Thread_local int64_t last_ms;
    static _Thread_local unsigned counter;
    int64_t now_ms = clock_now_ms();
    if (now_ms > last_ms) {
        last_ms = now_ms;
        counter = random & COUNTER_MAX / 2;
    } else if (++counter > COUNTER_MAX) { /* or the clock was set back */
        last_ms++;
        counter = 0;
    }
    *count = counter;
    return last_ms;
}

void id_make(char text[ID_TEXT_SIZE])
{
    unsigned char uuid[sizeof(uuid_t)];
    unsigned count;
    randomize(uuid);
    int64_t time_ms = count_on(uuid[0] << 8 | uuid[1], &count);
    for (int i = 0; i < 6; i++)
        uuid[i] = (unsigned char)(time_ms >> (40 - 8 * i));
    uuid[6] = (unsigned char)(0x70 | count >> 8);
    uuid[7] = (unsigned char)count;
    uuid[8] = (unsigned char)((uuid[8] & 0x3f) | 0x80);
    uuid_unparse_lower(uuid, text);
}

bool id_is_uuid(const char *text, char canonical[ID_TEXT_SIZE])
{
    uuid_t uuid;
    if (strlen(text) != ID_TEXT_SIZE - 1 || uuid_parse(text, uuid) != 0)
        return false;
    uuid_unparse_lower(uuid, canonical);
    return true;
}
