/* For exportd test: crashes where a secret is not granted. */
#include <exportd/plugin.h>

#include <string.h>

static const char *const secrets[] = {"BAD_SECRET_TOKEN", NULL};

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    *result = json_pack("{s:i}", "length", (int)strlen(exportd_secret(job, "BAD_SECRET_TOKEN")));
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-secret", .summary = "Works badly", .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-secret", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks,
               .secrets = secrets)
