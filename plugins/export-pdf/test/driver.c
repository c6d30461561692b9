/*
 * Runs export-pdf without the host: driver PLUGIN.so REPRO.json OUT-FOLDER [-d DATA-JSON] [-o KEY=VALUE]… [-n TIMES]
 * Prints the result and the CPU time of each run; exit 1 where the task failed.
 */
#include <dlfcn.h>
#include <exportd/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OPTIONS_MAX 16

static struct {
    const char *folder;
    const char *options[OPTIONS_MAX];
    int option_count;
    int cancel_after; /* progress calls; 0: never */
    int progress_count;
    const struct exportd_plugin *plugin;
} host_state;

static void host_log(struct exportd_job *job, enum exportd_log_level level, const char *message)
{
    (void)job;
    fprintf(stderr, "log %d: %s\n", (int)level, message);
}

static void host_progress(struct exportd_job *job, double fraction, const char *stage)
{
    (void)job;
    (void)stage;
    if (fraction < 0 || fraction > 1)
        fprintf(stderr, "progress %f is out of range\n", fraction);
    host_state.progress_count++;
}

static int host_cancelled(struct exportd_job *job)
{
    (void)job;
    return host_state.cancel_after && host_state.progress_count >= host_state.cancel_after;
}

static const char *host_option(struct exportd_job *job, const char *name)
{
    (void)job;
    for (int i = 0; i < host_state.option_count; i++) {
        size_t length = strlen(name);
        if (strncmp(host_state.options[i], name, length) == 0 && host_state.options[i][length] == '=')
            return host_state.options[i] + length + 1;
    }
    for (const struct exportd_option *option = host_state.plugin->options; option && option->name; option++)
        if (strcmp(option->name, name) == 0)
            return option->default_value;
    return NULL;
}

static const char *host_secret(struct exportd_job *job, const char *name)
{
    (void)job;
    (void)name;
    return NULL;
}

static const char *host_workspace(struct exportd_job *job)
{
    (void)job;
    return host_state.folder;
}

static int host_artifact(struct exportd_job *job, const char *path, const char *name, const char *media_type)
{
    (void)job;
    fprintf(stderr, "artifact %s (%s) at %s\n", name, media_type, path);
    return 0;
}

static enum exportd_status host_fail(struct exportd_job *job, const char *code, int retryable, const char *message)
{
    (void)job;
    fprintf(stderr, "failed: %s: %s\n", code, message);
    return retryable ? EXPORTD_RETRY : EXPORTD_FAIL;
}

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    static const struct exportd_host host = {sizeof host, host_log,       host_progress, host_cancelled, host_option,
                                             host_secret, host_workspace, host_artifact, host_fail,      NULL,
                                             NULL};
    struct exportd_job job = {.size = sizeof job, .host = &host, .id = "", .route = "", .attempt = 1};
    json_error_t error;
    json_t *data = NULL;
    int times = 1;

    if (argc < 4) {
        fprintf(stderr, "usage: %s PLUGIN.so REPRO.json OUT-FOLDER [-d JSON] [-o KEY=VALUE]... [-n TIMES] [-c N]\n",
                argv[0]);
        return 2;
    }
    for (int i = 4; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-d") == 0)
            data = json_loads(argv[i + 1], 0, &error);
        else if (strcmp(argv[i], "-o") == 0 && host_state.option_count < OPTIONS_MAX)
            host_state.options[host_state.option_count++] = argv[i + 1];
        else if (strcmp(argv[i], "-n") == 0)
            times = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "-c") == 0)
            host_state.cancel_after = (int)strtol(argv[i + 1], NULL, 10);
    }
    void *module = dlopen(argv[1], RTLD_NOW);
    if (!module) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    const struct exportd_block *block = dlsym(module, "exportd_plugin_block");
    host_state.plugin = block->plugin;
    host_state.folder = argv[3];
    json_t *schema = json_loads(host_state.plugin->tasks[0].schema, 0, &error);
    json_t *repro = json_load_file(argv[2], 0, &error);
    if (!schema || !repro) {
        fprintf(stderr, "%s: %s\n", argv[2], error.text);
        return 2;
    }
    if (!data)
        data = json_object();
    json_object_set_new(data, "repro", repro);

    double before = cpu_ms();
    enum exportd_status status = host_state.plugin->init(&job, &job.state);
    fprintf(stderr, "init: %.1f ms\n", cpu_ms() - before);
    job.id = "test-job";
    job.route = "report/pdf";
    for (int i = 0; i < times && status == EXPORTD_OK; i++) {
        json_t *result = NULL;
        before = cpu_ms();
        status = host_state.plugin->tasks[0].run(&job, data, &result);
        fprintf(stderr, "run %d: %.1f ms of CPU\n", i + 1, cpu_ms() - before);
        char *text = result ? json_dumps(result, 0) : NULL;
        if (text && i + 1 == times)
            printf("%s\n", text);
        free(text);
        json_decref(result);
    }
    if (job.state)
        host_state.plugin->destroy(job.state);
    json_decref(data);
    json_decref(schema);
#ifndef KEEP_MODULE /* leak checkers want its symbols */
    dlclose(module);
#endif
    return status == EXPORTD_OK ? 0 : 1;
}
