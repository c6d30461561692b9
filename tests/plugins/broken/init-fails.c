/* Loads, but its init() always fails. */
#include <exportd/plugin.h>

static enum exportd_status init(struct exportd_job *self, void **state)
{
    (void)state;
    return exportd_fail(self, "no_fonts", 0, "there are no fonts; install some");
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    return (void)job, (void)data, (void)result, EXPORTD_OK;
}

static const struct exportd_task tasks[] = {{.task = "init-fails", .run = run}, {0}};
EXPORTD_PLUGIN(.name = "init-fails", .version = "1", .summary = "Can't be initialised", .licence = "MIT",
               .tasks = tasks, .init = init)
