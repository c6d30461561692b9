/* What tests/integration/sdk.test.mjs needs of a plugin: it waits to be asked again, and remembers. */
#include <exportd/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Fails attempts - 1 times, each time asking for a wait. */
static enum exportd_status come_back(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)result;
    if (job->attempt >= json_integer_value(json_object_get(data, "attempts")))
        return EXPORTD_OK;
    exportd_retry_after(job, json_integer_value(json_object_get(data, "after_ms")));
    return exportd_fail(job, "rate_limited", 1, "come back later");
}

/* Adds a byte to a file in the cache, and says how many there are. */
static enum exportd_status remember(struct exportd_job *job, const json_t *data, json_t **result)
{
    const char *file = json_string_value(json_object_get(data, "file"));
    char path[4096];
    if (!exportd_cache(job))
        return exportd_fail(job, "no_cache", 0, "no cache is granted");
    snprintf(path, sizeof path, "%s/%s", exportd_cache(job), file ? file : "bytes");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, ".", 1) != 1)
        return exportd_fail(job, "refused", 0, "%s: %s", path, strerror(errno));
    *result = json_pack("{s:I, s:s}", "bytes", (json_int_t)lseek(fd, 0, SEEK_END), "folder", exportd_cache(job));
    close(fd);
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "come_back",
     .summary = "Asks for a wait",
     .schema = EXPORTD_JSON({"additionalProperties" : true}),
     .run = come_back},
    {.task = "remember",
     .summary = "Writes into its cache",
     .schema = EXPORTD_JSON({"additionalProperties" : true}),
     .run = remember},
    {0},
};

EXPORTD_PLUGIN(.name = "patient", .version = "1.0.0", .summary = "Waits and remembers, for the tests",
               .licence = "MIT", .tasks = tasks, .grants = EXPORTD_GRANT_CACHE)
