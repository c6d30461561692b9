/*
 * exportd/kit/harness.h: runs a plugin's tasks in a test's own process, and plays the host for it.
 *
 *     #include <exportd/kit/harness.h>
 *
 *     struct exportd_harness harness;
 *     if (exportd_harness_load(&harness, "./hello.so") != 0)
 *         return fprintf(stderr, "%s\n", harness.fault), 1;
 *     exportd_harness_option(&harness, "greeting", "Hi");
 *     json_t *result = NULL;
 *     enum exportd_status status = exportd_harness_run(&harness, "hello", data, &result);
 *     … look at status, result, harness.fail_code, harness.artifacts, harness.log …
 *     json_decref(result);
 *     exportd_harness_close(&harness);
 *
 * Header only: it needs jansson and POSIX (compile as gnu11, or with -D_GNU_SOURCE), and no test framework; it goes
 * with any. There is no sandbox here and a crash is the test's: `exportd test FILE.so` tries the plugin in a worker.
 * Whatever breaks plugin.h's contract (a progress of 2, an artifact that isn't there, a failure without a reason) is
 * put into fault, the first one, in a sentence. One thread; one harness a plugin at a time.
 */
#ifndef EXPORTD_KIT_HARNESS_H
#define EXPORTD_KIT_HARNESS_H

#include <exportd/plugin.h>

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if !defined(_POSIX_C_SOURCE) || _POSIX_C_SOURCE < 200809L
#error "exportd/kit/harness.h needs POSIX: compile as gnu11, or with -D_GNU_SOURCE"
#endif

struct exportd_harness {
    struct exportd_job job; /* first: what the task gets */
    const struct exportd_plugin *plugin;
    void *library;
    int started;
    json_t *options, *secrets; /* objects of text, as conf.d would grant them */

    /* For the test to set, at any time. */
    int cancel_after;  /* exportd_cancelled() answers no that often, then yes; -1, the start: never */
    const char *cache; /* what exportd_cache() answers; NULL, the start: none is granted */
    const char *trace; /* what exportd_trace() answers; NULL, the start: the request had none */

    /* What the last run said; a run clears all of it but the workspace's root. */
    char workspace[300]; /* the job's folder; its files stay until the next run, or close */
    char fail_code[64], fail_message[2048];
    int fail_retryable;
    int64_t retry_after_ms; /* 0: not asked for */
    double fraction;        /* the last progress */
    json_t *log;            /* array of {"level", "message"} */
    json_t *progress;       /* array of {"fraction", "stage"} */
    json_t *artifacts;      /* array of {"path", "name", "media_type"}; path: absolute */
    char fault[512];        /* "" while all is as plugin.h asks */

    char setup_fault[256]; /* of exportd_harness_option(), before a run; each run says it again */
    char root[200];        /* folder of this harness */
};

static inline void exportd_harness_fault(struct exportd_harness *harness, const char *format, ...)
    EXPORTD_PRINTF(2, 3);
static inline void exportd_harness_fault(struct exportd_harness *harness, const char *format, ...)
{
    va_list arguments;
    if (harness->fault[0])
        return;
    va_start(arguments, format);
    vsnprintf(harness->fault, sizeof harness->fault, format, arguments);
    va_end(arguments);
}

static inline struct exportd_harness *exportd_harness_of(struct exportd_job *job)
{
    return (struct exportd_harness *)job;
}

static inline void exportd_harness_on_log(struct exportd_job *job, enum exportd_log_level level, const char *message)
{
    json_array_append_new(exportd_harness_of(job)->log,
                          json_pack("{s:i, s:s}", "level", (int)level, "message", message));
}

static inline void exportd_harness_on_progress(struct exportd_job *job, double fraction, const char *stage)
{
    struct exportd_harness *harness = exportd_harness_of(job);
    if (!(fraction >= 0 && fraction <= 1))
        exportd_harness_fault(harness, "exportd_progress(%g): a fraction lies between 0 and 1", fraction);
    else if (fraction < harness->fraction)
        exportd_harness_fault(harness, "exportd_progress(%g) comes after %g: it goes back", fraction,
                              harness->fraction);
    harness->fraction = fraction;
    json_array_append_new(harness->progress,
                          json_pack("{s:f, s:s}", "fraction", fraction, "stage", stage ? stage : ""));
}

static inline int exportd_harness_on_cancelled(struct exportd_job *job)
{
    struct exportd_harness *harness = exportd_harness_of(job);
    if (harness->cancel_after > 0)
        return harness->cancel_after--, 0;
    return harness->cancel_after == 0;
}

static inline const char *exportd_harness_on_option(struct exportd_job *job, const char *name)
{
    return json_string_value(json_object_get(exportd_harness_of(job)->options, name));
}

static inline const char *exportd_harness_on_secret(struct exportd_job *job, const char *name)
{
    return json_string_value(json_object_get(exportd_harness_of(job)->secrets, name));
}

static inline const char *exportd_harness_on_workspace(struct exportd_job *job)
{
    struct exportd_harness *harness = exportd_harness_of(job);
    if (mkdir(harness->workspace, 0700) != 0 && errno != EEXIST)
        exportd_harness_fault(harness, "%s: %s", harness->workspace, strerror(errno));
    return harness->workspace;
}

static inline int exportd_harness_on_artifact(struct exportd_job *job, const char *path, const char *name,
                                              const char *media_type)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    struct exportd_harness *harness = exportd_harness_of(job);
    const char *workspace = exportd_harness_on_workspace(job);
    size_t length = strlen(workspace), index;
    char whole[4096];
    struct stat status;
    json_t *other;
    if (!*name || name[0] == '.' || name[strspn(name, safe)])
        return exportd_harness_fault(harness, "the artifact's name \"%s\" may hold A-Z a-z 0-9 . _ - only", name), -1;
    snprintf(whole, sizeof whole, "%s%s%s", path[0] == '/' ? "" : workspace, path[0] == '/' ? "" : "/", path);
    if (strncmp(whole, workspace, length) != 0 || whole[length] != '/' || strstr(whole, "/../"))
        return exportd_harness_fault(harness, "the artifact %s does not lie in the workspace: %s", name, path), -1;
    json_array_foreach(harness->artifacts, index, other)
    {
        if (strcmp(json_string_value(json_object_get(other, "name")), name) == 0)
            return exportd_harness_fault(harness, "there are two artifacts of the name %s", name), -1;
    }
    if (lstat(whole, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)
        return exportd_harness_fault(harness, "the artifact %s is no regular file (%s)", name, whole), -1;
    json_array_append_new(harness->artifacts, json_pack("{s:s, s:s, s:s}", "path", whole, "name", name, "media_type",
                                                        media_type ? media_type : "application/octet-stream"));
    return 0;
}

static inline enum exportd_status exportd_harness_on_fail(struct exportd_job *job, const char *code, int retryable,
                                                          const char *message)
{
    struct exportd_harness *harness = exportd_harness_of(job);
    if (!*code || code[strspn(code, "abcdefghijklmnopqrstuvwxyz0123456789_")])
        exportd_harness_fault(harness, "the failure's code \"%s\" may hold a-z 0-9 _ only", code);
    if (!harness->fail_code[0]) {
        snprintf(harness->fail_code, sizeof harness->fail_code, "%s", code);
        snprintf(harness->fail_message, sizeof harness->fail_message, "%s", message);
        harness->fail_retryable = retryable;
    }
    return retryable ? EXPORTD_RETRY : EXPORTD_FAIL;
}

static inline void exportd_harness_on_retry_after(struct exportd_job *job, int64_t delay_ms)
{
    exportd_harness_of(job)->retry_after_ms = delay_ms;
}

static inline const char *exportd_harness_on_cache(struct exportd_job *job)
{
    return exportd_harness_of(job)->cache;
}

static inline const char *exportd_harness_on_trace(struct exportd_job *job)
{
    return exportd_harness_of(job)->trace;
}

static inline const struct exportd_host *exportd_harness_host(void)
{
    static const struct exportd_host host = {
        sizeof(struct exportd_host),    exportd_harness_on_log,      exportd_harness_on_progress,
        exportd_harness_on_cancelled,   exportd_harness_on_option,   exportd_harness_on_secret,
        exportd_harness_on_workspace,   exportd_harness_on_artifact, exportd_harness_on_fail,
        exportd_harness_on_retry_after, exportd_harness_on_cache,    exportd_harness_on_trace,
    };
    return &host;
}

/* Removes path and all below it. */
static inline void exportd_harness_remove(const char *path)
{
    char below[4096];
    DIR *entries = opendir(path);
    struct dirent *entry;
    while (entries && (entry = readdir(entries))) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= sizeof below)
            continue;
        if (lstat(below, &status) == 0 && S_ISDIR(status.st_mode))
            exportd_harness_remove(below);
        else
            unlink(below);
    }
    if (entries)
        closedir(entries);
    rmdir(path);
}

/* conf.d's text as the plugin sees it: 30s becomes 30000, 64K becomes 65536. New. */
static inline json_t *exportd_harness_value(enum exportd_option_type type, const char *text)
{
    char *unit = NULL, number[32];
    long long value = strtoll(text, &unit, 10), factor = 1;
    if ((type != EXPORTD_DURATION && type != EXPORTD_SIZE) || unit == text)
        return json_string(text);
    if (type == EXPORTD_DURATION)
        factor = strcmp(unit, "s") == 0   ? 1000
                 : strcmp(unit, "m") == 0 ? 60000
                 : strcmp(unit, "h") == 0 ? 3600000
                 : strcmp(unit, "d") == 0 ? 86400000
                                          : 1;
    else
        factor = *unit == 'K' ? 1LL << 10 : *unit == 'M' ? 1LL << 20 : *unit == 'G' ? 1LL << 30 : 1;
    snprintf(number, sizeof number, "%lld", value * factor);
    return json_string(number);
}

/* Sets a key of [plugin NAME], as conf.d would write it (30s, 10M, yes); NULL: there is none. Before the first run,
 * where init() reads it. */
static inline void exportd_harness_option(struct exportd_harness *harness, const char *name, const char *value)
{
    const struct exportd_option *option = harness->plugin->options;
    while (option && option->name && strcmp(option->name, name) != 0)
        option++;
    if (!option || !option->name) {
        exportd_harness_fault(harness, "the plugin declares no option \"%s\"", name);
        memcpy(harness->setup_fault, harness->fault, sizeof harness->setup_fault - 1);
    } else if (value)
        json_object_set_new(harness->options, name, exportd_harness_value(option->type, value));
    else
        json_object_del(harness->options, name);
}

/* Grants a secret; NULL: takes it back. */
static inline void exportd_harness_secret(struct exportd_harness *harness, const char *name, const char *value)
{
    if (value)
        json_object_set_new(harness->secrets, name, json_string(value));
    else
        json_object_del(harness->secrets, name);
}

/* Takes a plugin that is part of the test's program: &exportd_plugin_block. Returns 0, or -1 with fault set; then
 * there is nothing to be closed. */
static inline int exportd_harness_open(struct exportd_harness *harness, const struct exportd_block *block)
{
    const char *parent = getenv("TMPDIR");
    const struct exportd_option *option;
    memset(harness, 0, sizeof *harness);
    if (!block || block->magic != EXPORTD_ABI_MAGIC || block->abi_major != EXPORTD_ABI_MAJOR ||
        block->abi_minor > EXPORTD_ABI_MINOR || block->task_size != sizeof(struct exportd_task) ||
        block->option_size != sizeof(struct exportd_option))
        return exportd_harness_fault(harness, "the plugin was built with another header than this test"), -1;
    snprintf(harness->root, sizeof harness->root, "%s/exportd-harness-XXXXXX", parent && *parent ? parent : "/tmp");
    if (!mkdtemp(harness->root))
        return exportd_harness_fault(harness, "%s: %s", harness->root, strerror(errno)), -1;
    snprintf(harness->workspace, sizeof harness->workspace, "%s/job", harness->root);
    harness->plugin = block->plugin;
    harness->cancel_after = -1;
    harness->job.size = sizeof harness->job;
    harness->job.host = exportd_harness_host();
    harness->job.id = harness->job.route = "";
    harness->job.attempt = 1;
    harness->options = json_object();
    harness->secrets = json_object();
    harness->log = json_array();
    harness->progress = json_array();
    harness->artifacts = json_array();
    for (option = harness->plugin->options; option && option->name; option++)
        if (option->default_value)
            exportd_harness_option(harness, option->name, option->default_value);
    return 0;
}

/* The same for a .so. */
static inline int exportd_harness_load(struct exportd_harness *harness, const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        memset(harness, 0, sizeof *harness);
        return exportd_harness_fault(harness, "%s", dlerror()), -1;
    }
    if (exportd_harness_open(harness, (const struct exportd_block *)dlsym(library, "exportd_plugin_block")) != 0) {
        dlclose(library);
        return -1;
    }
    harness->library = library;
    return 0;
}

/* Calls init(), which a run does too where it was not called yet. */
static inline enum exportd_status exportd_harness_start(struct exportd_harness *harness)
{
    enum exportd_status status = EXPORTD_OK;
    if (harness->started)
        return EXPORTD_OK;
    if (harness->plugin->init)
        status = harness->plugin->init(&harness->job, &harness->job.state);
    harness->started = status == EXPORTD_OK;
    return status;
}

/* The task of a route as "hello" or "report/pdf"; NULL: the first. */
static inline const struct exportd_task *exportd_harness_task(const struct exportd_harness *harness,
                                                              const char *route)
{
    const struct exportd_task *task = harness->plugin->tasks;
    for (; task && task->task; task++) {
        char name[200];
        snprintf(name, sizeof name, "%s%s%s", task->task, task->value ? "/" : "", task->value ? task->value : "");
        if (!route || strcmp(name, route) == 0)
            return task;
    }
    return NULL;
}

/* A copy of data with the defaults of the task's schema, as the host fills them in. What the schema forbids is the
 * host's to refuse, and is not looked at here. */
static inline json_t *exportd_harness_data(const struct exportd_task *task, const json_t *data)
{
    json_t *copy = data ? json_deep_copy(data) : json_object();
    json_t *schema = task->schema ? json_loads(task->schema, 0, NULL) : NULL, *property;
    const char *name;
    json_object_foreach(json_object_get(schema, "properties"), name, property)
    {
        if (!json_object_get(copy, name) && json_object_get(property, "default"))
            json_object_set(copy, name, json_object_get(property, "default"));
    }
    if (task->option && !json_object_get(copy, task->option))
        json_object_set_new(copy, task->option, json_string(task->value));
    json_decref(schema);
    return copy;
}

/* Runs one job: init() where it wasn't called yet, then the task. route: as "report/pdf"; NULL: the first task's.
 * data: borrowed; NULL: none. *result: new, or NULL. What the job before said, and its files, are forgotten. */
static inline enum exportd_status exportd_harness_run(struct exportd_harness *harness, const char *route,
                                                      const json_t *data, json_t **result)
{
    const struct exportd_task *task = exportd_harness_task(harness, route);
    json_t *copy, *made = NULL;
    char name[200];
    *result = NULL;
    exportd_harness_remove(harness->workspace);
    harness->fail_code[0] = harness->fail_message[0] = harness->fault[0] = '\0';
    memcpy(harness->fault, harness->setup_fault, sizeof harness->setup_fault);
    harness->fail_retryable = 0;
    harness->retry_after_ms = 0;
    harness->fraction = 0;
    json_array_clear(harness->log);
    json_array_clear(harness->progress);
    json_array_clear(harness->artifacts);
    if (!task)
        return exportd_harness_fault(harness, "the plugin has no route \"%s\"", route ? route : ""), EXPORTD_FAIL;
    enum exportd_status status = exportd_harness_start(harness);
    if (status != EXPORTD_OK)
        return status;
    snprintf(name, sizeof name, "%s%s%s", task->task, task->value ? "/" : "", task->value ? task->value : "");
    copy = exportd_harness_data(task, data);
    harness->job.id = "test";
    harness->job.route = name;
    status = task->run(&harness->job, copy, &made);
    harness->job.id = harness->job.route = "";
    json_decref(copy);
    if (status != EXPORTD_OK && status != EXPORTD_RETRY && status != EXPORTD_FAIL)
        exportd_harness_fault(harness, "the task returned %d, which is no status", (int)status);
    if (status == EXPORTD_OK && made && !json_is_object(made))
        exportd_harness_fault(harness, "the result is no object");
    if (status == EXPORTD_OK && harness->fail_code[0])
        exportd_harness_fault(harness, "the task failed (%s) and returned EXPORTD_OK", harness->fail_code);
    if (status != EXPORTD_OK && !harness->fail_code[0])
        exportd_harness_fault(harness, "the task failed and gave no reason; end with return exportd_fail(…)");
    *result = made;
    return status;
}

/* The bytes of an artifact of the last run, with a NUL behind them; NULL: there is none of that name. Free it. */
static inline char *exportd_harness_read(const struct exportd_harness *harness, const char *name, size_t *size_bytes)
{
    size_t index;
    json_t *artifact;
    json_array_foreach(harness->artifacts, index, artifact)
    {
        struct stat status;
        FILE *file;
        char *bytes;
        if (strcmp(json_string_value(json_object_get(artifact, "name")), name) != 0)
            continue;
        file = fopen(json_string_value(json_object_get(artifact, "path")), "rb");
        if (!file)
            return NULL;
        bytes = fstat(fileno(file), &status) == 0 ? (char *)malloc((size_t)status.st_size + 1) : NULL;
        *size_bytes = bytes ? fread(bytes, 1, (size_t)status.st_size, file) : 0;
        if (bytes)
            bytes[*size_bytes] = '\0';
        fclose(file);
        return bytes;
    }
    return NULL;
}

/* Calls destroy() and removes all files. A .so stays mapped, as in a worker, so that leak checkers find its symbols,
 * and what its libraries keep for good. */
static inline void exportd_harness_close(struct exportd_harness *harness)
{
    if (harness->started && harness->plugin->destroy)
        harness->plugin->destroy(harness->job.state);
    exportd_harness_remove(harness->root);
    json_decref(harness->options);
    json_decref(harness->secrets);
    json_decref(harness->log);
    json_decref(harness->progress);
    json_decref(harness->artifacts);
}

#endif
