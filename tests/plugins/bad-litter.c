/* For exportd test: leaves files in TMPDIR. */
#include <exportd/plugin.h>

#include <fcntl.h>
#include <unistd.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    char path[4096];
    snprintf(path, sizeof path, "%s/bad-litter-%s", getenv("TMPDIR"), job->id);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-litter", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-litter", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
