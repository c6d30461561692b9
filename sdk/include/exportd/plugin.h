/*
 * exportd/plugin.h: all that a plugin needs to include.
 *
 * A plugin is a shared object that offers tasks. The host maps it in a sandboxed process of its own, one
 * job at a time on one thread, so a plugin needs no locks, no signal handlers and no knowledge of the host.
 *
 *     #include <exportd/plugin.h>
 *
 *     static enum exportd_status hello(struct exportd_job *job, const json_t *data, json_t **result)
 *     {
 *         exportd_log(job, EXPORTD_INFO, "job %s says hello", job->id);
 *         *result = json_pack("{s:s}", "greeting", "hello");
 *         return EXPORTD_OK;
 *     }
 *
 *     static const struct exportd_task tasks[] = {
 *         {.task = "hello", .summary = "Says hello", .run = hello},
 *         {0},
 *     };
 *     EXPORTD_PLUGIN(.name = "hello", .version = "1.0.0", .summary = "An example", .licence = "MIT",
 *                    .tasks = tasks)
 *
 * The ABI grows at the ends of its structs only: a newer minor number appends, and what an older plugin does
 * not have reads as zero. Strings are UTF-8. Every function here is called, and may be called, on the one
 * thread that runs the task, unless its comment says otherwise.
 */
#ifndef EXPORTD_PLUGIN_H
#define EXPORTD_PLUGIN_H

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXPORTD_ABI_MAGIC 0x44505845u /* "EXPD", little endian */
#define EXPORTD_ABI_MAJOR 1
#define EXPORTD_ABI_MINOR 3
#define EXPORTD_SDK_VERSION "0.1.0"

/* What a task answers. A crash, a broken limit or a lost worker counts as EXPORTD_RETRY. */
enum exportd_status {
    EXPORTD_OK = 0,    /* done; *result is the job's result */
    EXPORTD_RETRY = 1, /* failed, another attempt may succeed */
    EXPORTD_FAIL = 2,  /* failed for good */
};

enum exportd_log_level {
    EXPORTD_DEBUG = 0,
    EXPORTD_INFO = 1,
    EXPORTD_WARNING = 2,
    EXPORTD_ERROR = 3,
};

struct exportd_job;

/*
 * What the host does for a plugin. Call it through the exportd_*() functions below.
 */
struct exportd_host {
    size_t size; /* of this struct, in the host that runs */
    void (*log)(struct exportd_job *job, enum exportd_log_level level, const char *message);
    void (*progress)(struct exportd_job *job, double fraction, const char *stage);
    int (*cancelled)(struct exportd_job *job);
    const char *(*option)(struct exportd_job *job, const char *name);
    const char *(*secret)(struct exportd_job *job, const char *name);
    const char *(*workspace)(struct exportd_job *job);
    int (*artifact)(struct exportd_job *job, const char *path, const char *name, const char *media_type);
    enum exportd_status (*fail)(struct exportd_job *job, const char *code, int retryable, const char *message);
    /* Since ABI 1.1 */
    void (*retry_after)(struct exportd_job *job, int64_t delay_ms);
    const char *(*cache)(struct exportd_job *job);
    /* Since ABI 1.3 */
    const char *(*trace)(struct exportd_job *job);
};

/* One run of a task. In init() the same struct stands for the plugin itself: id and route are "". */
struct exportd_job {
    size_t size;
    const struct exportd_host *host;
    void *state;       /* what init() stored, or NULL */
    const char *id;    /* the job's id */
    const char *route; /* the route by which it came, as "report/pdf" */
    int attempt;       /* 1 for the first */
};

/*
 * Runs one job. data is the request's data object (borrowed; valid until the return): its options checked
 * against the task's schema with the defaults filled in, and, where the task needs one, "repro", a document
 * of the form exportd.repro/1. On EXPORTD_OK, *result may be set to a new object (the host takes it).
 */
typedef enum exportd_status (*exportd_task_fn)(struct exportd_job *job, const json_t *data, json_t **result);

enum exportd_task_flags {
    EXPORTD_NEEDS_REPRO = 1u << 0, /* data.repro is there; requests that name none are refused */
};

/*
 * A task that the plugin offers. Its route is written "task", or "task/value" where option and value select it
 * among plugins that offer the same task: {.task = "report", .option = "format", .value = "pdf"} is report/pdf.
 */
struct exportd_task {
    const char *task;
    const char *option;  /* the option that selects, or NULL */
    const char *value;   /* its value, or NULL */
    const char *summary; /* one line */
    /* JSON Schema of the options in data, as text (see EXPORTD_JSON), or NULL for none. An object with
     * "properties"; understood in each: type, enum, const, default, description, minimum, maximum, minLength,
     * maxLength, items, properties, required, additionalProperties. Options that it doesn't name are refused. */
    const char *schema;
    uint32_t flags;
    exportd_task_fn run;
    /* Since ABI 1.2: the route that has to come first, such as "acquire-user-repo", or NULL. A request for this task
     * then takes that route's options as well; the host runs it first, in a worker of its own plugin with that one's
     * grants, hands its workspace on, and sets data.previous to its result. In a pipeline of conf.d the steps stand
     * as written there. */
    const char *after;
};

enum exportd_option_type {
    EXPORTD_STRING = 0,
    EXPORTD_INTEGER = 1,
    EXPORTD_BOOLEAN = 2,  /* the plugin sees "yes" or "no" */
    EXPORTD_DURATION = 3, /* conf.d says 30s, 5m, 2h; the plugin sees milliseconds */
    EXPORTD_SIZE = 4,     /* conf.d says 64K, 10M, 1G; the plugin sees bytes */
    EXPORTD_PATH = 5,     /* a file or folder; the sandbox lets the plugin read it */
};

/* A key of the plugin's section in conf.d, [plugin NAME]. */
struct exportd_option {
    const char *name;
    enum exportd_option_type type;
    const char *default_value; /* as conf.d would write it; NULL: none */
    const char *help;          /* one line */
    int required;
};

/* What a plugin asks for. It gets what its conf.d section grants, and no more. */
enum exportd_grants {
    EXPORTD_GRANT_NETWORK = 1u << 0, /* open sockets */
    EXPORTD_GRANT_EXEC = 1u << 1,    /* start programs */
    EXPORTD_GRANT_CACHE = 1u << 2,   /* keep files from job to job, see exportd_cache() */
};

struct exportd_plugin {
    const char *name; /* [a-z0-9-], as in [plugin NAME] */
    const char *version;
    const char *summary;
    const char *licence;                  /* SPDX id */
    const struct exportd_task *tasks;     /* ended by one without a task */
    const struct exportd_option *options; /* ended by one without a name; may be NULL */
    uint32_t grants;                      /* enum exportd_grants */
    const char *const *secrets;           /* names, ended by NULL; may be NULL */
    /* Called once per process before the first job, and at its end. Both may be NULL. init may call every
     * host function but progress, workspace and artifact; anything but EXPORTD_OK, and no job comes. */
    enum exportd_status (*init)(struct exportd_job *self, void **state);
    void (*destroy)(void *state);
};

/* The one symbol that a plugin exports. The host checks it before it reads anything else. */
struct exportd_block {
    uint32_t magic;
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t block_size;
    uint32_t plugin_size;
    uint32_t task_size;
    uint32_t option_size;
    const char *sdk_version;
    const struct exportd_plugin *plugin;
};

#if defined(__GNUC__)
#define EXPORTD_EXPORT __attribute__((visibility("default")))
#define EXPORTD_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define EXPORTD_EXPORT
#define EXPORTD_PRINTF(text, first)
#endif

#ifdef __cplusplus
#define EXPORTD_EXTERN extern "C"
#else
#define EXPORTD_EXTERN extern
#endif

/* Defines the plugin: designated initialisers of struct exportd_plugin. Once per shared object. */
#define EXPORTD_PLUGIN(...)                                                                                          \
    static const struct exportd_plugin exportd_this_plugin = {__VA_ARGS__};                                          \
    EXPORTD_EXTERN EXPORTD_EXPORT const struct exportd_block exportd_plugin_block;                                   \
    const struct exportd_block exportd_plugin_block = {                                                              \
        EXPORTD_ABI_MAGIC,                                                                                           \
        EXPORTD_ABI_MAJOR,                                                                                           \
        EXPORTD_ABI_MINOR,                                                                                           \
        (uint32_t)sizeof(struct exportd_block),                                                                      \
        (uint32_t)sizeof(struct exportd_plugin),                                                                     \
        (uint32_t)sizeof(struct exportd_task),                                                                       \
        (uint32_t)sizeof(struct exportd_option),                                                                     \
        EXPORTD_SDK_VERSION,                                                                                         \
        &exportd_this_plugin,                                                                                        \
    };

/* JSON written as it is, without quoting: .schema = EXPORTD_JSON({"properties": {"page": {"type": "string"}}}) */
#define EXPORTD_JSON(...) #__VA_ARGS__

/* Writes a line to the host's log, with the job's id; cut at 2 KiB. Some thousand lines a job, then no more. */
static inline void exportd_log(struct exportd_job *job, enum exportd_log_level level, const char *format, ...)
    EXPORTD_PRINTF(3, 4);
static inline void exportd_log(struct exportd_job *job, enum exportd_log_level level, const char *format, ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    job->host->log(job, level, message);
}

/* Says how far the job is: fraction from 0 to 1, and what is being done ("drawing page 3"). Cheap: call it often. */
static inline void exportd_progress(struct exportd_job *job, double fraction, const char *stage)
{
    job->host->progress(job, fraction, stage);
}

/* Nonzero once the job was cancelled or its time is up: clean up and return soon, or be killed. */
static inline int exportd_cancelled(struct exportd_job *job)
{
    return job->host->cancelled(job);
}

/* The value of a key of [plugin NAME] that options[] declares, or its default; NULL where there is neither.
 * Borrowed; valid until the plugin is unloaded. */
static inline const char *exportd_option(struct exportd_job *job, const char *name)
{
    return job->host->option(job, name);
}

/* The same as a number: EXPORTD_INTEGER, EXPORTD_DURATION in milliseconds, EXPORTD_SIZE in bytes, EXPORTD_BOOLEAN
 * as 0 or 1; or otherwise, where there is no value. */
static inline int64_t exportd_option_integer(struct exportd_job *job, const char *name, int64_t otherwise)
{
    const char *value = job->host->option(job, name);
    if (!value || !*value)
        return otherwise;
    if (value[0] == 'y')
        return 1;
    if (value[0] == 'n')
        return 0;
    return (int64_t)strtoll(value, NULL, 10);
}

/* A secret that conf.d grants to this plugin, or NULL. Borrowed, as above. Never log it or put it in a result. */
static inline const char *exportd_secret(struct exportd_job *job, const char *name)
{
    return job->host->secret(job, name);
}

/* The job's own folder, absolute, empty at the start, writable, gone after the job. Borrowed until the return. */
static inline const char *exportd_workspace(struct exportd_job *job)
{
    return job->host->workspace(job);
}

/* Hands over a regular file in the workspace (path: absolute, or relative to the workspace) as an artifact of the
 * job, called name ([A-Za-z0-9._-], unique in the job). The file must be complete; the host takes it after the
 * task returned EXPORTD_OK. Returns 0, or -1 where name or path can't be taken (the reason is logged). */
static inline int exportd_artifact(struct exportd_job *job, const char *path, const char *name,
                                   const char *media_type)
{
    return job->host->artifact(job, path, name, media_type);
}

/* Records why the job fails, and returns EXPORTD_RETRY or EXPORTD_FAIL, so that a task can end with
 *     return exportd_fail(job, "repro_invalid", 0, "the repro has no test");
 * code: [a-z0-9_], for programs; message: a sentence with the mend, for people; cut at 2 KiB. The first call counts.
 */
static inline enum exportd_status exportd_fail(struct exportd_job *job, const char *code, int retryable,
                                               const char *format, ...) EXPORTD_PRINTF(4, 5);
static inline enum exportd_status exportd_fail(struct exportd_job *job, const char *code, int retryable,
                                               const char *format, ...)
{
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return (job->host->fail)(job, code, retryable, message); /* in brackets: cmocka has a macro of that name */
}

/* Where the task then ends with EXPORTD_RETRY: the next attempt comes no sooner than delay_ms from then (a service's
 * Retry-After, say), at most 24 hours; without it the wait is [jobs] backoff. The last call of a job counts. */
static inline void exportd_retry_after(struct exportd_job *job, int64_t delay_ms)
{
    job->host->retry_after(job, delay_ms);
}

/* A folder that stays, absolute, where conf.d grants one ([plugin NAME] cache), else NULL. Other workers of this
 * plugin, and of plugins that are granted a cache of the same name, use it at the same time: lock (flock) what must
 * not change under them, and expect that it may be emptied while no host runs. Borrowed, valid until the plugin is
 * unloaded. */
static inline const char *exportd_cache(struct exportd_job *job)
{
    return job->host->cache(job);
}

/* The traceparent that the job's request came with (W3C Trace Context), for a plugin that records spans or asks
 * services that do: send it on as the header traceparent. NULL where there was none. Borrowed, valid until the task
 * returns. */
static inline const char *exportd_trace(struct exportd_job *job)
{
    return job->host->trace(job);
}

#ifdef __cplusplus
}
#endif

#endif
