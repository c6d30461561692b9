/* For exportd test: puts the time of day into its result. */
#include <exportd/plugin.h>

#include <time.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    *result = json_pack("{s:I}", "made_at", (json_int_t)time(NULL));
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-clock", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-clock", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
