/* Calls itself noop, as another does. */
#include <exportd/plugin.h>

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    return (void)job, (void)data, (void)result, EXPORTD_OK;
}

static const struct exportd_task tasks[] = {{.task = "same-name", .run = run}, {0}};
EXPORTD_PLUGIN(.name = "noop", .version = "1", .summary = "Has another's name", .licence = "MIT", .tasks = tasks)
