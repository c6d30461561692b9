/* For exportd test: names an artifact that lies outside its workspace. */
#include <exportd/plugin.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    exportd_artifact(job, "/etc/hostname", "hostname.txt", "text/plain");
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-artifact", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-artifact", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
