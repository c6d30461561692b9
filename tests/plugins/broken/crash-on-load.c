#include <exportd/plugin.h>

#include <signal.h>

__attribute__((constructor)) static void crash(void)
{
    raise(SIGSEGV);
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    return (void)job, (void)data, (void)result, EXPORTD_OK;
}

static const struct exportd_task tasks[] = {{.task = "crash-on-load", .run = run}, {0}};
EXPORTD_PLUGIN(.name = "crash-on-load", .version = "1", .summary = "Crashes while it is loaded", .licence = "MIT",
               .tasks = tasks)
