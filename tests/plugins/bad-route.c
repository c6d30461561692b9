/* For exportd test: offers the route of another plugin. */
#include <exportd/plugin.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "noop", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-route", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
