/* What tests/integration/reload.test.mjs needs of a plugin: it tells which build of it runs, and how often a job ran.
 * The test makes other builds by writing over the marker's digits in copies of the file. */
#include <exportd/plugin.h>

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const volatile char marker[] = "edition-000000";

static enum exportd_status tell(struct exportd_job *job, const json_t *data, json_t **result)
{
    char text[sizeof marker], path[4096];
    for (size_t i = 0; i < sizeof marker; i++)
        text[i] = marker[i];
    for (json_int_t left = json_integer_value(json_object_get(data, "sleep_ms")); left > 0; left -= 10) {
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000000}, NULL);
        if (exportd_cancelled(job))
            return exportd_fail(job, "cancelled", 0, "cancelled");
    }
    if (exportd_cache(job)) {
        snprintf(path, sizeof path, "%s/%s", exportd_cache(job), job->id);
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, ".", 1) != 1)
            return exportd_fail(job, "refused", 0, "the cache can't be written");
        close(fd);
    }
    const char *greeting = exportd_option(job, "greeting");
    *result = json_pack("{s:s, s:s?, s:s*}", "edition", text, "greeting", greeting, "trace", exportd_trace(job));
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "edition",
     .summary = "Tells which build it is",
     .schema = EXPORTD_JSON({"additionalProperties" : true}),
     .run = tell},
    {0},
};

static const struct exportd_option options[] = {
    {.name = "greeting", .type = EXPORTD_STRING, .default_value = "hello", .help = "What it says."},
    {0},
};

EXPORTD_PLUGIN(.name = "edition", .version = "1.0.0", .summary = "Tells which build it is, for the tests",
               .licence = "MIT", .tasks = tasks, .options = options, .grants = EXPORTD_GRANT_CACHE)
