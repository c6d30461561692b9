/* keys.h: open addressing; a digest is its own hash. */
#include "keys.h"

#include <stdlib.h>
#include <string.h>

struct key_slot {
    unsigned char key[KEY_BYTES];
    uint64_t value;
    uint64_t used;
};

static struct key_slot *slot_of(const struct keys *keys, const unsigned char key[KEY_BYTES])
{
    uint64_t place;
    memcpy(&place, key, sizeof place);
    for (size_t i = (size_t)place & (keys->capacity - 1);; i = (i + 1) & (keys->capacity - 1)) {
        struct key_slot *slot = &keys->slots[i];
        if (!slot->used || memcmp(slot->key, key, KEY_BYTES) == 0)
            return slot;
    }
}

uint64_t *keys_find(const struct keys *keys, const unsigned char key[KEY_BYTES])
{
    struct key_slot *slot = keys->count > 0 ? slot_of(keys, key) : NULL;
    return slot && slot->used ? &slot->value : NULL;
}

static int grow(struct keys *keys)
{
    struct keys larger = {.capacity = keys->capacity ? 2 * keys->capacity : 1024, .count = keys->count};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return -1;
    for (size_t i = 0; i < keys->capacity; i++)
        if (keys->slots[i].used)
            *slot_of(&larger, keys->slots[i].key) = keys->slots[i];
    free(keys->slots);
    *keys = larger;
    return 0;
}

int keys_put(struct keys *keys, const unsigned char key[KEY_BYTES], uint64_t value)
{
    if (3 * (keys->count + 1) > 2 * keys->capacity && grow(keys) != 0)
        return -1;
    struct key_slot *slot = slot_of(keys, key);
    keys->count += !slot->used;
    memcpy(slot->key, key, KEY_BYTES);
    slot->value = value;
    slot->used = 1;
    return 0;
}

void keys_clear(struct keys *keys)
{
    free(keys->slots);
    *keys = (struct keys){0};
}
