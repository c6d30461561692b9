/* Needs a library that is taken away after the build. */
#include <exportd/plugin.h>

int exportd_dependency(void);

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return exportd_dependency() ? EXPORTD_OK : EXPORTD_FAIL;
}

static const struct exportd_task tasks[] = {{.task = "missing-dependency", .run = run}, {0}};
EXPORTD_PLUGIN(.name = "missing-dependency", .version = "1", .summary = "Lacks a library", .licence = "MIT",
               .tasks = tasks)
