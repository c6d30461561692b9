/* What tests/integration/ahead.test.mjs needs of a plugin: short jobs that leave a trace, some that are not short,
 * and some that do what no plugin should. */
#include <exportd/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Writes into the memory that tells the host which jobs were begun. */
static int scribble(long long number)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[4096];
    int failed = -1;
    while (maps && fgets(line, sizeof line, maps)) {
        if (!strstr(line, "exportd-turns"))
            continue;
        *(volatile long long *)(uintptr_t)strtoull(line, NULL, 16) = number;
        failed = 0;
    }
    if (maps)
        fclose(maps);
    return failed;
}

/* Shared memory counts for no RLIMIT_DATA: the host has to see it. */
static void take(size_t megabytes)
{
    char *block = mmap(NULL, megabytes << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (block != MAP_FAILED)
        memset(block, 1, megabytes << 20);
}

/* Until the test has made a file in the cache. */
static void wait_for_test(struct exportd_job *job)
{
    struct timespec wait = {.tv_nsec = 1000000};
    char path[4096];
    snprintf(path, sizeof path, "%s/go", exportd_cache(job));
    while (access(path, F_OK) != 0 && !exportd_cancelled(job))
        nanosleep(&wait, NULL);
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
    if (json_object_get(data, "scribble") && scribble(json_integer_value(json_object_get(data, "scribble"))) != 0)
        return exportd_fail(job, "refused", 0, "the turns weren't found");
    if (json_object_get(data, "take"))
        take((size_t)json_integer_value(json_object_get(data, "take")));
    if (json_is_true(json_object_get(data, "hold")))
        wait_for_test(job);
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
