/* order.h: the order of keys in a report. */
#include "order.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct order order_of_bug[] = {{"id", 0},     {"url", 0},         {"severity", 0},
                                            {"labels", 0}, {"reported_at", 0}, {0}};
static const struct order order_of_step[] = {{"action", 0}, {"expected", 0}, {"actual", 0}, {0}};
static const struct order order_of_test[] = {{"path", 0}, {"framework", 0}, {"language", 0}, {"code", 0}, {0}};
static const struct order order_of_file[] = {{"path", 0}, {"content", 0}, {"encoding", 0}, {0}};
static const struct order order_of_environment[] = {{"browser", 0}, {"browser_version", 0}, {"os", 0},
                                                    {"node", 0},    {"playwright", 0},      {0}};
static const struct order order_of_stability[] = {{"score", 0}, {"runs", 0}, {"reproduced", 0}, {0}};
static const struct order order_of_check[] = {{"name", 0}, {"status", 0}, {"detail", 0}, {0}};
static const struct order order_of_validation[] = {{"status", 0}, {"checks", order_of_check}, {0}};
static const struct order order_of_run[] = {{"index", 0},       {"status", 0}, {"started_at", 0},
                                            {"duration_ms", 0}, {"error", 0},  {0}};
static const struct order order_of_screenshot[] = {{"name", 0},     {"media_type", 0}, {"content", 0},
                                                   {"encoding", 0}, {"artifact", 0},   {0}};

const struct order order_of_repro[] = {
    {"schema", 0},
    {"id", 0},
    {"title", 0},
    {"description", 0},
    {"bug", order_of_bug},
    {"steps", order_of_step},
    {"test", order_of_test},
    {"files", order_of_file},
    {"dependencies", 0},
    {"environment", order_of_environment},
    {"stability", order_of_stability},
    {"validation", order_of_validation},
    {"runs", order_of_run},
    {"screenshots", order_of_screenshot},
    {"created_at", 0},
    {0},
};

static const struct order *find(const struct order *order, const char *key)
{
    for (; order && order->key; order++)
        if (strcmp(order->key, key) == 0)
            return order;
    return NULL;
}

static int by_bytes(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static int set(json_t *ordered, const json_t *object, const char *key, const struct order *inside)
{
    const json_t *value = json_object_get(object, key);
    return value ? json_object_set_new_nocheck(ordered, key, order_apply(value, inside)) : 0;
}

static json_t *apply_to_object(const json_t *object, const struct order *order)
{
    size_t count = 0;
    int failed = 0;
    const char *key;
    json_t *value;
    json_t *ordered = json_object();
    const char **others = malloc((json_object_size(object) + 1) * sizeof *others);
    if (!ordered || !others)
        goto fail;
    for (const struct order *known = order; known && known->key; known++)
        failed |= set(ordered, object, known->key, known->inside) < 0;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!find(order, key))
            others[count++] = key;
    }
    qsort(others, count, sizeof *others, by_bytes);
    for (size_t i = 0; i < count; i++)
        failed |= set(ordered, object, others[i], NULL) < 0;
    if (failed)
        goto fail;
    free(others);
    return ordered;
fail:
    free(others);
    json_decref(ordered);
    return NULL;
}

json_t *order_apply(const json_t *value, const struct order *order)
{
    size_t index;
    json_t *element;
    if (json_is_object(value))
        return apply_to_object(value, order);
    if (!json_is_array(value))
        return json_incref((json_t *)(uintptr_t)value);
    json_t *ordered = json_array();
    json_array_foreach((json_t *)(uintptr_t)value, index, element)
    {
        if (json_array_append_new(ordered, order_apply(element, order)) < 0) {
            json_decref(ordered);
            return NULL;
        }
    }
    return ordered;
}
