/*
 * test_export_support.h: a host for one plugin in a test: it loads the .so, plays struct exportd_host, and keeps what
 * the plugin says.
 */
#ifndef TEST_EXPORT_SUPPORT_H
#define TEST_EXPORT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <exportd/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fake {
    struct exportd_job job;
    void *library;
    const struct exportd_plugin *plugin;
    char workspace[64];
    char code[64];
    char message[2048];
    int retryable;
    int64_t retry_after_ms;
    struct {
        char path[512];
        char name[128];
        char media_type[64];
    } artifacts[16];
    size_t artifact_count;
    int cancel_after; /* calls of cancelled(); -1: never */
    double fraction;
    const char *options[8][2]; /* conf.d's, by name */
};

static struct fake *fake_of(struct exportd_job *job)
{
    return (struct fake *)job;
}

static void fake_log(struct exportd_job *job, enum exportd_log_level level, const char *message)
{
    (void)job;
    (void)level;
    (void)message;
}

static void fake_progress(struct exportd_job *job, double fraction, const char *stage)
{
    assert_non_null(stage);
    assert_true(fraction >= fake_of(job)->fraction && fraction <= 1);
    fake_of(job)->fraction = fraction;
}

static int fake_cancelled(struct exportd_job *job)
{
    struct fake *fake = fake_of(job);
    return fake->cancel_after >= 0 && fake->cancel_after-- == 0;
}

static const char *fake_option(struct exportd_job *job, const char *name)
{
    for (size_t i = 0; i < 8 && fake_of(job)->options[i][0]; i++)
        if (strcmp(fake_of(job)->options[i][0], name) == 0)
            return fake_of(job)->options[i][1];
    return NULL;
}

static const char *fake_secret(struct exportd_job *job, const char *name)
{
    (void)job;
    (void)name;
    return NULL;
}

static const char *fake_workspace(struct exportd_job *job)
{
    return fake_of(job)->workspace;
}

static int fake_artifact(struct exportd_job *job, const char *path, const char *name, const char *media_type)
{
    struct fake *fake = fake_of(job);
    size_t at = fake->artifact_count++;
    assert_true(at < 16);
    assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"), strlen(name));
    snprintf(fake->artifacts[at].path, sizeof fake->artifacts[at].path, "%s", path);
    snprintf(fake->artifacts[at].name, sizeof fake->artifacts[at].name, "%s", name);
    snprintf(fake->artifacts[at].media_type, sizeof fake->artifacts[at].media_type, "%s", media_type);
    return 0;
}

static enum exportd_status fake_fail(struct exportd_job *job, const char *code, int retryable, const char *message)
{
    struct fake *fake = fake_of(job);
    assert_int_equal(strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(code));
    snprintf(fake->code, sizeof fake->code, "%s", code);
    snprintf(fake->message, sizeof fake->message, "%s", message);
    fake->retryable = retryable;
    return retryable ? EXPORTD_RETRY : EXPORTD_FAIL;
}

static void fake_retry_after(struct exportd_job *job, int64_t delay_ms)
{
    fake_of(job)->retry_after_ms = delay_ms;
}

static const char *fake_cache(struct exportd_job *job)
{
    (void)job;
    return NULL;
}

static const struct exportd_host fake_host = {
    sizeof(struct exportd_host),
    fake_log,
    fake_progress,
    fake_cancelled,
    fake_option,
    fake_secret,
    fake_workspace,
    fake_artifact,
    fake_fail,
    fake_retry_after,
    fake_cache,
};

static struct fake *fake_open(const char *plugin)
{
    char path[512];
    const char *folder = getenv("EXPORTD_PLUGIN_DIR");
    const char *build = getenv("EXPORTD_BUILD");
    struct fake *fake = calloc(1, sizeof *fake);
    if (folder)
        snprintf(path, sizeof path, "%s/%s.so", folder, plugin);
    else
        snprintf(path, sizeof path, "%s/plugins/%s.so", build ? build : "build", plugin);
    fake->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!fake->library)
        fail_msg("%s", dlerror());
    fake->plugin = ((const struct exportd_block *)dlsym(fake->library, "exportd_plugin_block"))->plugin;
    snprintf(fake->workspace, sizeof fake->workspace, "/tmp/test_export.XXXXXX");
    assert_non_null(mkdtemp(fake->workspace));
    fake->job =
        (struct exportd_job){.size = sizeof fake->job, .host = &fake_host, .id = "job", .route = "", .attempt = 1};
    fake->cancel_after = -1;
    return fake;
}

/* Forgets the last run, its files too. */
static void fake_reset(struct fake *fake)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s && mkdir %s", fake->workspace, fake->workspace);
    assert_int_equal(system(command), 0);
    fake->artifact_count = 0;
    fake->code[0] = fake->message[0] = '\0';
    fake->fraction = 0;
}

static void fake_close(struct fake *fake)
{
    fake_reset(fake);
    rmdir(fake->workspace);
    dlclose(fake->library);
    free(fake);
}

/* Runs the plugin's first task on a repro (taken) with further options (JSON text, or NULL). */
static enum exportd_status fake_run(struct fake *fake, json_t *repro, const char *options, json_t **result)
{
    json_t *data = options ? json_loads(options, 0, NULL) : json_object();
    assert_non_null(data);
    json_object_set_new(data, "repro", repro);
    fake_reset(fake);
    *result = NULL;
    enum exportd_status status = fake->plugin->tasks[0].run(&fake->job, data, result);
    json_decref(data);
    if (status == EXPORTD_OK)
        assert_string_equal(fake->code, "");
    else
        assert_true(fake->code[0] && fake->message[0]);
    return status;
}

static json_t *load_repro(const char *name)
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

static char *slurp(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *content = malloc(*size + 1);
    assert_int_equal(fread(content, 1, *size, file), *size);
    content[*size] = '\0';
    fclose(file);
    return content;
}

#endif
