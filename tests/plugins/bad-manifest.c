/* For exportd test: no licence, no summary, a schema that lets an option be anything and requires one that isn't
 * there. */
#include <exportd/plugin.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-manifest",
     .summary = "Works",
     .schema = EXPORTD_JSON({"properties" : {"any" : {"description" : "Anything"}}, "required" : ["other"]}),
     .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-manifest", .version = "1.0.0", .summary = "", .tasks = tasks)
