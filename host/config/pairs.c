#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

const struct config_pair *config_pairs_find(const struct config_pair *pairs, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(pairs[i].key, key))
            return &pairs[i];
    return NULL;
}

static void clear(struct config_pair *pair)
{
    free(pair->key);
    free(pair->value);
    free(pair->place);
}

int config_pairs_put(struct config_pair **pairs, size_t *count, const char *key, const char *value, const char *place)
{
    struct config_pair made = {.key = strdup(key), .value = value ? strdup(value) : NULL, .place = strdup(place)};
    if (!made.key || (value && !made.value) || !made.place) {
        clear(&made);
        return -1;
    }
    for (size_t i = 0; i < *count; i++) {
        if (!strcmp((*pairs)[i].key, key)) {
            clear(&(*pairs)[i]);
            (*pairs)[i] = made;
            return 0;
        }
    }
    struct config_pair *grown = realloc(*pairs, (*count + 1) * sizeof *grown);
    if (!grown) {
        clear(&made);
        return -1;
    }
    grown[(*count)++] = made;
    *pairs = grown;
    return 0;
}

void config_pairs_remove(struct config_pair *pairs, size_t *count, const char *key)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(pairs[i].key, key) != 0)
            continue;
        clear(&pairs[i]);
        memmove(pairs + i, pairs + i + 1, (*count - i - 1) * sizeof *pairs);
        (*count)--;
        return;
    }
}

void config_pairs_free(struct config_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        clear(&pairs[i]);
    free(pairs);
}
