/* For exportd test: fails and does not say why. */
#include <exportd/plugin.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return EXPORTD_FAIL;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-mute", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-mute", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
