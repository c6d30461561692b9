/* Steps for the tests of pipelines: each adds a line to a file in the workspace. walker.c is the same as another
 * plugin. */
#include <exportd/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef STEPPER
#define STEPPER "stepper"
#endif

static enum exportd_status refuse(struct exportd_job *job, const char *path)
{
    return exportd_fail(job, "refused", 0, "%s: %s", path, strerror(errno));
}

/* A file of this step's own. */
static int hand_over(struct exportd_job *job, const char *text, const char *artifact)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.artifact", exportd_workspace(job), job->route);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        return -1;
    return exportd_artifact(job, path, artifact, "text/plain");
}

static enum exportd_status step(struct exportd_job *job, const json_t *data, json_t **result)
{
    const char *line = json_string_value(json_object_get(data, "line"));
    const char *artifact = json_string_value(json_object_get(data, "artifact"));
    json_int_t wait_ms = json_integer_value(json_object_get(data, "wait_ms"));
    char path[4096], text[8192] = "";
    exportd_log(job, EXPORTD_INFO, "ran %s, attempt %d", job->route, job->attempt);
    snprintf(path, sizeof path, "%s/notes.txt", exportd_workspace(job));
    FILE *file = fopen(path, "a");
    if (!file || fprintf(file, "%s %s\n", job->route, line ? line : "-") < 0 || fclose(file) != 0)
        return refuse(job, path);
    for (json_int_t waited = 0; waited < wait_ms && !exportd_cancelled(job); waited += 10) {
        exportd_progress(job, (double)waited / (double)wait_ms, "waiting");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (exportd_cancelled(job))
        return exportd_fail(job, "cancelled", 0, "cancelled");
    if (job->attempt <= json_integer_value(json_object_get(data, "crash")))
        raise(SIGSEGV);
    if (job->attempt <= json_integer_value(json_object_get(data, "fail")))
        return exportd_fail(job, "not_yet", 1, "another attempt, please");
    if (json_is_true(json_object_get(data, "refuse")))
        return exportd_fail(job, "never", 0, "not at all");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (length < 0)
        return refuse(job, path);
    close(fd);
    if (artifact && hand_over(job, text, artifact) != 0)
        return exportd_fail(job, "artifact_refused", 0, "%s was not taken", artifact);
    *result = json_pack("{s:s, s:O?}", "notes", text, "previous", json_object_get(data, "previous"));
    return EXPORTD_OK;
}

#define OPTIONS                                                                                                      \
    EXPORTD_JSON({                                                                                                   \
        "properties" : {                                                                                             \
            "line" : {"type" : "string"},                                                                            \
            "artifact" : {"type" : "string"},                                                                        \
            "wait_ms" : {"type" : "integer", "minimum" : 0},                                                         \
            "crash" : {"type" : "integer", "default" : 0},                                                           \
            "fail" : {"type" : "integer", "default" : 0},                                                            \
            "refuse" : {"type" : "boolean"}                                                                          \
        }                                                                                                            \
    })

static const struct exportd_task tasks[] = {
    {.task = STEPPER "-one", .summary = "Adds a line", .schema = OPTIONS, .run = step},
    {.task = STEPPER "-two", .summary = "Adds a line", .schema = OPTIONS, .run = step},
    {.task = STEPPER "-repro",
     .summary = "Adds a line",
     .schema = OPTIONS,
     .flags = EXPORTD_NEEDS_REPRO,
     .run = step},
    {.task = STEPPER "-after", .summary = "Adds a line", .schema = OPTIONS, .run = step, .after = "stepper-one"},
    {0},
};

EXPORTD_PLUGIN(.name = STEPPER, .version = "1.0.0", .summary = "Steps, for the tests", .licence = "MIT",
               .tasks = tasks)
