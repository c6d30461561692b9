/* Offers the route of another. */
#include <exportd/plugin.h>

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    return (void)job, (void)data, (void)result, EXPORTD_OK;
}

static const struct exportd_task tasks[] = {{.task = "noop", .run = run}, {0}};
EXPORTD_PLUGIN(.name = "same-route", .version = "1", .summary = "Has another's route", .licence = "MIT",
               .tasks = tasks)
