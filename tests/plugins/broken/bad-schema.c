#include <exportd/plugin.h>

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    return (void)job, (void)data, (void)result, EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-schema", .schema = EXPORTD_JSON({"properties" : {"a" : {"patternX" : 1}}}), .run = run}, {0}};
EXPORTD_PLUGIN(.name = "bad-schema", .version = "1", .summary = "Its schema has an unknown keyword", .licence = "MIT",
               .tasks = tasks)
