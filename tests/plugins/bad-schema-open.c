/* For exportd test: takes options that its schema doesn't name. */
#include <exportd/plugin.h>

static enum exportd_status greet(struct exportd_job *job, const json_t *data, json_t **result)
{
    const char *name = json_string_value(json_object_get(data, "name"));
    (void)job;
    *result = json_pack("{s:s}", "greeting", name ? name : "stranger");
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "bad-schema-open",
     .summary = "Greets",
     .schema = EXPORTD_JSON({"properties" : {"name" : {"type" : "string"}}, "additionalProperties" : true}),
     .run = greet},
    {0},
};

EXPORTD_PLUGIN(.name = "bad-schema-open", .version = "1.0.0", .summary = "Ignores unknown options", .licence = "MIT",
               .tasks = tasks)
