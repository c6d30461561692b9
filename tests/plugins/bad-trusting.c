/* For exportd test: believes what the request says. */
#include <exportd/plugin.h>

#include <string.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    /* steps is an array of objects in every repro that its author saw. */
    const json_t *steps = json_object_get(json_object_get(data, "repro"), "steps");
    const char *action = json_string_value(json_object_get(json_array_get(steps, 0), "action"));
    *result = json_pack("{s:I}", "length", (json_int_t)strlen(action));
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-trusting", .summary = "Works badly", .flags = EXPORTD_NEEDS_REPRO, .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-trusting", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
