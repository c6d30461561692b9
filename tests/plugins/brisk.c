/* What tests/integration/ahead.test.mjs needs of a plugin: short jobs that leave a trace, and some that are not
 * short. */
#include <exportd/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int note(struct exportd_job *job)
{
    char path[4096], line[200];
    snprintf(path, sizeof path, "%s/begun", exportd_cache(job));
    int length = snprintf(line, sizeof line, "%s\n", job->id);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int failed = fd < 0 || write(fd, line, (size_t)length) != length;
    if (fd >= 0)
        close(fd);
    return failed;
}

/* Writes its id into the cache, and waits or crashes where it is told to. */
static enum exportd_status brisk(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)result;
    json_int_t ms = json_integer_value(json_object_get(data, "ms"));
    struct timespec wait = {.tv_nsec = 10000000};
    if (note(job) != 0)
        return exportd_fail(job, "refused", 0, "%s", strerror(errno));
    if (json_is_true(json_object_get(data, "crash")))
        raise(SIGSEGV);
    for (json_int_t waited = 0; waited < ms && !exportd_cancelled(job); waited += 10)
        nanosleep(&wait, NULL);
    return exportd_cancelled(job) ? exportd_fail(job, "stopped", 0, "was told to stop") : EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "brisk",
     .summary = "Leaves a trace",
     .schema = EXPORTD_JSON({"additionalProperties" : true}),
     .run = brisk},
    {0},
};

EXPORTD_PLUGIN(.name = "brisk", .version = "1.0.0", .summary = "Short jobs, for the tests", .licence = "MIT",
               .tasks = tasks, .grants = EXPORTD_GRANT_CACHE)
