/* For exportd test: works on for long, whatever it is told. */
#include <exportd/plugin.h>

#include <time.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 2;
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-deaf", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-deaf", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
