/* For exportd test: starts a program without asking for the grant. */
#include <exportd/plugin.h>

#include <sys/wait.h>
#include <unistd.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid(child, NULL, 0);
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-program", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-program", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
