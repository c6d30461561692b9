#include "base/id.h"

#include "base/clock.h"

#include <sodium.h>
#include <string.h>
#include <uuid/uuid.h>

#define POOL_IDS 64

/* The kernel is asked for the randomness of many at a time. */
static void randomize(uuid_t uuid)
{
    static _Thread_local unsigned char pool[POOL_IDS][sizeof(uuid_t)];
    static _Thread_local int left;
    if (left == 0) {
        randombytes_buf(pool, sizeof pool);
        left = POOL_IDS;
    }
    memcpy(uuid, pool[--left], sizeof(uuid_t));
}

void id_make(char text[ID_TEXT_SIZE])
{
    uuid_t uuid;
    int64_t now_ms = clock_now_ms();
    randomize(uuid);
    for (int i = 0; i < 6; i++)
        uuid[i] = (unsigned char)(now_ms >> (40 - 8 * i));
    uuid[6] = (unsigned char)((uuid[6] & 0x0f) | 0x70);
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
