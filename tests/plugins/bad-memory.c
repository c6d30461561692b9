/* For exportd test: frees nothing that it takes. */
#include <exportd/plugin.h>

#include <string.h>

static char *volatile kept; /* so that no compiler leaves the allocation out */

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    kept = malloc(200000);
    if (!kept)
        return exportd_fail(job, "no_memory", 1, "none is left");
    memset(kept, 1, 200000);
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-memory", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-memory", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
