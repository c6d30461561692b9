/* For exportd test: writes outside its workspace. */
#include <exportd/plugin.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    FILE *file = fopen("/var/tmp/bad-writer.txt", "w");
    if (file)
        fclose(file);
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-writer", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-writer", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
