/* What tests/integration/reload.test.mjs needs of a plugin: it takes its time to be loaded and to be unloaded. The
 * test writes how many milliseconds over the markers' digits in copies of the file. */
#include <exportd/plugin.h>

#include <time.h>

static const volatile char arrives[] = "arrives-000000", leaves[] = "leaves-000000";

static void wait_for(const volatile char *marker)
{
    long ms = 0;
    for (; *marker; marker++)
        if (*marker >= '0' && *marker <= '9')
            ms = ms * 10 + (*marker - '0');
    for (struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}; nanosleep(&left, &left) != 0;)
        continue;
}

__attribute__((constructor)) static void load(void)
{
    wait_for(arrives);
}

static enum exportd_status nothing(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    return EXPORTD_OK;
}

static void destroy(void *state)
{
    (void)state;
    wait_for(leaves);
}

static const struct exportd_task tasks[] = {{.task = "sluggish", .summary = "Does nothing, slowly", .run = nothing},
                                            {0}};

EXPORTD_PLUGIN(.name = "sluggish", .version = "1.0.0", .summary = "Takes its time, for the tests", .licence = "MIT",
               .tasks = tasks, .destroy = destroy)
