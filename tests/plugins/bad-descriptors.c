/* For exportd test: leaves a descriptor open in each job. */
#include <exportd/plugin.h>

#include <fcntl.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return open("/dev/null", O_RDONLY) < 0 ? exportd_fail(job, "no_descriptor", 1, "none is left") : EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-descriptors", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-descriptors", .version = "1.0.0", .summary = "Works badly", .licence = "MIT",
               .tasks = tasks)
