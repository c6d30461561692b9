/* The bench's job: does nothing, at once. */
#include <exportd/plugin.h>

static enum exportd_status noop(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "noop", .summary = "Does nothing", .schema = EXPORTD_JSON({"additionalProperties" : true}), .run = noop},
    {0},
};

EXPORTD_PLUGIN(.name = "noop", .version = "1.0.0", .summary = "Does nothing, for the bench", .licence = "MIT",
               .tasks = tasks)
