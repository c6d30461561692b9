/*
 * test_export_support.h: one plugin in the authors' harness, for cmocka.
 */
#ifndef TEST_EXPORT_SUPPORT_H
#define TEST_EXPORT_SUPPORT_H

#include "support.h"

#include <exportd/kit/harness.h>
#include <string.h>
#include <unistd.h>

/* The plugin of that name out of the build, in a harness. */
static inline struct exportd_harness *fake_open(const char *plugin)
{
    char path[512];
    const char *folder = getenv("EXPORTD_PLUGIN_DIR");
    const char *build = getenv("EXPORTD_BUILD");
    struct exportd_harness *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    if (folder)
        snprintf(path, sizeof path, "%s/%s.so", folder, plugin);
    else
        snprintf(path, sizeof path, "%s/plugins/%s.so", build ? build : "build", plugin);
    if (exportd_harness_load(fake, path) != 0)
        fail_msg("%s", fake->fault);
    exportd_workspace(&fake->job); /* some put files there first */
    return fake;
}

static inline void fake_close(struct exportd_harness *fake)
{
    exportd_harness_close(fake);
    free(fake);
}

/* Runs the plugin's first task on a repro (taken) with further options (JSON text, or NULL). */
static inline enum exportd_status fake_run(struct exportd_harness *fake, json_t *repro, const char *options,
                                           json_t **result)
{
    json_t *data = options ? json_loads(options, 0, NULL) : json_object();
    assert_non_null(data);
    json_object_set_new(data, "repro", repro);
    enum exportd_status status = exportd_harness_run(fake, NULL, data, result);
    json_decref(data);
    assert_string_equal(fake->fault, "");
    return status;
}

/* "path", "name" or "media_type" of an artifact of the last run. */
static inline const char *artifact_text(const struct exportd_harness *fake, size_t index, const char *key)
{
    const char *text = json_string_value(json_object_get(json_array_get(fake->artifacts, index), key));
    assert_non_null(text);
    return text;
}

static inline json_t *load_repro(const char *name)
{
    char path[512];
    json_error_t error;
    const char *source = getenv("EXPORTD_SOURCE");
    snprintf(path, sizeof path, "%s/tests/data/%s.json", source ? source : ".", name);
    json_t *repro = json_load_file(path, 0, &error);
    if (!repro)
        fail_msg("%s: %s", path, error.text);
    return repro;
}

#endif
