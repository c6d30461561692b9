#include <exportd/plugin.h>

int exportd_nobody_defines_this(void);

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return exportd_nobody_defines_this() ? EXPORTD_OK : EXPORTD_FAIL;
}

static const struct exportd_task tasks[] = {{.task = "undefined-symbol", .run = run}, {0}};
EXPORTD_PLUGIN(.name = "undefined-symbol", .version = "1", .summary = "Calls what nobody defines", .licence = "MIT",
               .tasks = tasks)
