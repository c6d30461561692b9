/* For exportd test: crashes on a long text. */
#include <exportd/plugin.h>

#include <string.h>

static enum exportd_status work(struct exportd_job *job, const json_t *data, json_t **result)
{
    (void)job;
    (void)data;
    (void)result;
    char line[4096];
    const char *text = json_string_value(json_object_get(data, "text"));
    strcpy(line, text ? text : ""); /* NOLINT: the fault that this plugin is for */
    *result = json_pack("{s:i}", "length", (int)strlen(line));
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-greedy",
     .summary = "Works badly",
     .schema = EXPORTD_JSON({"properties" : {"text" : {"type" : "string"}}}),
     .run = work},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-greedy", .version = "1.0.0", .summary = "Works badly", .licence = "MIT", .tasks = tasks)
