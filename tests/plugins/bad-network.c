/* For exportd test: opens a socket without asking for the grant. */
#include <exportd/plugin.h>

#include <sys/socket.h>
#include <unistd.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd >= 0)
        close(fd);
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-network", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-network", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
