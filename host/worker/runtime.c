#include "worker/runtime.h"

#include "base/name.h"
#include "base/utf8.h"
#include "worker/crash.h"
#include "worker/keeper.h"
#include "worker/loader.h"
#include "worker/sandbox.h"
#include "worker/turn.h"
#include "worker/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX ((size_t)1 << 30)
#define LOG_LINES_MAX 5000          /* of one job */
#define LOG_BYTES_MAX (1024 * 1024) /* of one job */
#define ARTIFACTS_MAX 100000
#define PROGRESS_INTERVAL_NS 20000000
#define READ_PATHS_MAX 256

/* A signal handler can reach nothing else: SIGTERM means that the job is to stop, or, between jobs, the worker. */
static volatile sig_atomic_t stop_requested;
static volatile sig_atomic_t stop_fd = -1;

struct runtime {
    struct exportd_job job; /* first: the plugin's handle is this struct */
    int fd;
    struct wire_reader *reader;
    uint64_t lease;
    struct turns *turns; /* shared with the host; NULL: it sends nothing ahead */
    json_t *options;
    json_t *secrets;
    const char *workspace_root;
    const char *cache;    /* or NULL */
    const char *trace;    /* of the job that runs, or NULL */
    char workspace[4096]; /* of the current job; "" until it asks for it */
    uint64_t turn;        /* of the current job, and what its folder is named with */
    uint32_t salt;
    json_t *artifacts;
    char fail_code[64];
    char fail_message[2048];
    int fail_retryable;
    int64_t retry_after_ms;
    size_t log_lines, log_bytes, log_dropped;
    int64_t last_progress_ns;
    struct loader_plugin plugin;
};

/* Whoever waits for the next job, or is about to, finds the end of the stream: a flag alone would be missed by one
 * that has just looked at it. What the host reads still goes out. */
static void on_stop(int number)
{
    int saved = errno;
    (void)number;
    stop_requested = 1;
    shutdown(stop_fd, SHUT_RD);
    errno = saved;
}

static struct runtime *runtime_of(struct exportd_job *job)
{
    return (struct runtime *)job;
}

static void host_log(struct exportd_job *job, enum exportd_log_level level, const char *message)
{
    struct runtime *runtime = runtime_of(job);
    size_t length = strlen(message);
    if (length > 2048)
        length = 2048;
    if (runtime->log_lines >= LOG_LINES_MAX || runtime->log_bytes + length > LOG_BYTES_MAX) {
        runtime->log_dropped++;
        return;
    }
    runtime->log_lines++;
    runtime->log_bytes += length;
    unsigned char head = (unsigned char)level;
    wire_send2(runtime->fd, WIRE_LOG, runtime->lease, &head, 1, message, length);
}

static void host_progress(struct exportd_job *job, double fraction, const char *stage)
{
    struct runtime *runtime = runtime_of(job);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (runtime->last_progress_ns && now_ns - runtime->last_progress_ns < PROGRESS_INTERVAL_NS)
        return;
    runtime->last_progress_ns = now_ns;
    if (!(fraction >= 0))
        fraction = 0;
    if (fraction > 1)
        fraction = 1;
    size_t length = stage ? strnlen(stage, 200) : 0;
    wire_send2(runtime->fd, WIRE_PROGRESS, runtime->lease, &fraction, sizeof fraction, stage, length);
}

static int host_cancelled(struct exportd_job *job)
{
    (void)job;
    return stop_requested;
}

static const char *host_option(struct exportd_job *job, const char *name)
{
    return json_string_value(json_object_get(runtime_of(job)->options, name));
}

static const char *host_secret(struct exportd_job *job, const char *name)
{
    return json_string_value(json_object_get(runtime_of(job)->secrets, name));
}

static const char *host_workspace(struct exportd_job *job)
{
    struct runtime *runtime = runtime_of(job);
    if (!runtime->workspace[0]) {
        char name[WIRE_FOLDER_MAX];
        wire_folder_name(name, runtime->turn, runtime->salt);
        snprintf(runtime->workspace, sizeof runtime->workspace, "%s/%s", runtime->workspace_root, name);
        if (mkdir(runtime->workspace, 0700) != 0 && errno != EEXIST) {
            char message[256];
            snprintf(message, sizeof message, "the workspace can't be made: %s", strerror(errno));
            host_log(job, EXPORTD_ERROR, message);
        }
    }
    return runtime->workspace;
}

static int host_artifact(struct exportd_job *job, const char *path, const char *name, const char *media_type)
{
    struct runtime *runtime = runtime_of(job);
    const char *workspace = host_workspace(job);
    size_t length = strlen(workspace);
    if (path[0] == '/') {
        if (strncmp(path, workspace, length) != 0 || path[length] != '/') {
            host_log(job, EXPORTD_ERROR, "exportd_artifact: the path is not in the job's workspace");
            return -1;
        }
        path += length + 1;
    }
    if (!name_is_safe(name)) {
        host_log(job, EXPORTD_ERROR,
                 "exportd_artifact: a name may hold A-Z a-z 0-9 . _ - only, and not begin with a dot");
        return -1;
    }
    size_t index;
    json_t *entry;
    json_array_foreach(runtime->artifacts, index, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0) {
            host_log(job, EXPORTD_ERROR, "exportd_artifact: the job has an artifact of that name already");
            return -1;
        }
    }
    if (json_array_size(runtime->artifacts) >= ARTIFACTS_MAX)
        return -1;
    json_t *made = json_pack("{s:s, s:s, s:s}", "path", path, "name", name, "media_type",
                             media_type ? media_type : "application/octet-stream");
    return made ? json_array_append_new(runtime->artifacts, made) : -1;
}

static enum exportd_status host_fail(struct exportd_job *job, const char *code, int retryable, const char *message)
{
    struct runtime *runtime = runtime_of(job);
    if (!runtime->fail_code[0]) {
        utf8_copy(runtime->fail_code, sizeof runtime->fail_code, code && *code ? code : "task_failed", SIZE_MAX);
        utf8_copy(runtime->fail_message, sizeof runtime->fail_message, message, SIZE_MAX);
        runtime->fail_retryable = retryable;
    }
    return retryable ? EXPORTD_RETRY : EXPORTD_FAIL;
}

static void host_retry_after(struct exportd_job *job, int64_t delay_ms)
{
    runtime_of(job)->retry_after_ms = delay_ms > 0 ? delay_ms : 0;
}

static const char *host_trace(struct exportd_job *job)
{
    return runtime_of(job)->trace;
}

static const char *host_cache(struct exportd_job *job)
{
    return runtime_of(job)->cache;
}

static const struct exportd_host host_table = {
    .size = sizeof(struct exportd_host),
    .log = host_log,
    .progress = host_progress,
    .cancelled = host_cancelled,
    .option = host_option,
    .secret = host_secret,
    .workspace = host_workspace,
    .artifact = host_artifact,
    .fail = host_fail,
    .retry_after = host_retry_after,
    .cache = host_cache,
    .trace = host_trace,
};

static int refuse(int fd, const char *code, const char *message)
{
    json_t *refusal = json_pack("{s:s, s:s%}", "code", code, "message", message, strlen(message));
    char *text = refusal ? json_dumps(refusal, JSON_COMPACT) : NULL;
    if (text)
        wire_send(fd, WIRE_REFUSED, 0, text, strlen(text));
    free(text);
    json_decref(refusal);
    return 0;
}

static const struct exportd_task *find_task(const struct runtime *runtime, const char *route)
{
    for (size_t i = 0; i < runtime->plugin.task_count; i++) {
        const struct exportd_task *task = &runtime->plugin.tasks[i];
        size_t length = strlen(task->task);
        if (strncmp(route, task->task, length) != 0)
            continue;
        if (!task->value && route[length] == '\0')
            return task;
        if (task->value && route[length] == '/' && strcmp(route + length + 1, task->value) == 0)
            return task;
    }
    return NULL;
}

static void reset_job(struct runtime *runtime)
{
    runtime->workspace[0] = '\0';
    runtime->fail_code[0] = '\0';
    runtime->fail_message[0] = '\0';
    runtime->log_lines = runtime->log_bytes = runtime->log_dropped = 0;
    runtime->last_progress_ns = 0;
    runtime->retry_after_ms = 0;
    json_array_clear(runtime->artifacts);
}

/* What the host must know beside the result: NULL where there is nothing. */
static char *outcome_text(struct runtime *runtime, enum exportd_status status)
{
    if (status == EXPORTD_OK && json_array_size(runtime->artifacts) == 0 && runtime->log_dropped == 0)
        return NULL;
    json_t *outcome = json_object();
    if (status != EXPORTD_OK) {
        if (!runtime->fail_code[0])
            host_fail(&runtime->job, "task_failed", status == EXPORTD_RETRY, "the plugin gave no reason");
        json_object_set_new(outcome, "code", json_string(runtime->fail_code));
        json_object_set_new(outcome, "message", json_string(runtime->fail_message));
        if (runtime->retry_after_ms > 0)
            json_object_set_new(outcome, "retry_after_ms", json_integer(runtime->retry_after_ms));
    }
    if (json_array_size(runtime->artifacts) > 0)
        json_object_set(outcome, "artifacts", runtime->artifacts);
    if (runtime->log_dropped > 0)
        json_object_set_new(outcome, "dropped_log_lines", json_integer((json_int_t)runtime->log_dropped));
    char *text = json_dumps(outcome, JSON_COMPACT);
    json_decref(outcome);
    return text;
}

static int send_result(struct runtime *runtime, enum exportd_status status, json_t *result)
{
    struct wire_result head = {.status = (uint32_t)status, .used_workspace = runtime->workspace[0] != '\0'};
    char *result_text = NULL;
    if (status == EXPORTD_OK && result) {
        result_text = json_dumps(result, JSON_COMPACT);
        if (!result_text || !json_is_object(result)) {
            host_fail(&runtime->job, "result_invalid", 0,
                      "the plugin's result is no JSON object, or holds text that is not UTF-8");
            head.status = status = EXPORTD_FAIL;
            free(result_text);
            result_text = NULL;
        }
    }
    char *outcome = outcome_text(runtime, status);
    size_t result_length = result_text ? strlen(result_text) : 0;
    size_t outcome_length = outcome ? strlen(outcome) : 0;
    head.result_length = (uint32_t)result_length;
    char *payload = malloc(sizeof head + result_length + 1);
    int failed = -1;
    if (payload) {
        memcpy(payload, &head, sizeof head);
        if (result_length > 0)
            memcpy(payload + sizeof head, result_text, result_length);
        failed = wire_send2(runtime->fd, WIRE_RESULT, runtime->lease, payload, sizeof head + result_length, outcome,
                            outcome_length);
    }
    free(payload);
    free(outcome);
    free(result_text);
    return failed;
}

static int run_job(struct runtime *runtime, const struct wire_header *header, const char *payload)
{
    struct wire_start start;
    if (header->length < sizeof start)
        return -1; /* the host never sends that, nor what is refused below: end, and be replaced */
    memcpy(&start, payload, sizeof start);
    const char *id = payload + sizeof start;
    const char *route = id + start.id_length + 1;
    const char *trace = route + start.route_length + 1;
    const char *text = trace + start.trace_length + 1;
    const char *end = payload + header->length;
    json_t *data = text < end ? json_loadb(text, (size_t)(end - text), 0, NULL) : NULL;
    if (!data)
        return -1;
    int failed = 0;
    if (runtime->turns && !turns_take(runtime->turns, start.turn))
        goto out; /* it was recalled, and runs elsewhere */

    reset_job(runtime);
    runtime->lease = header->lease;
    crash_set_lease(header->lease);
    runtime->turn = start.turn;
    runtime->salt = start.salt;
    runtime->job.id = id;
    runtime->job.route = route;
    runtime->job.attempt = start.attempt;
    runtime->trace = start.trace_length > 0 ? trace : NULL;

    json_t *result = NULL;
    enum exportd_status status = EXPORTD_FAIL;
    const struct exportd_task *task = find_task(runtime, route);
    if (task)
        status = task->run(&runtime->job, data, &result);
    else
        host_fail(&runtime->job, "route_unknown", 0, "the plugin has no such route");
    if (status != EXPORTD_OK && status != EXPORTD_RETRY && status != EXPORTD_FAIL) {
        host_fail(&runtime->job, "result_invalid", 0, "the plugin's task returned no known status");
        status = EXPORTD_FAIL;
    }
    runtime->job.id = runtime->job.route = "";
    runtime->trace = NULL;
    failed = send_result(runtime, status, result);
    json_decref(result);
out:
    json_decref(data);
    return failed;
}

static const char *folder_of(const char *path, char *folder, size_t size)
{
    snprintf(folder, size, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash && slash != folder)
        *slash = '\0';
    return folder;
}

static int enter_sandbox(json_t *configuration, bool own_proc, json_t **sandbox_json, struct error *error)
{
    const char *read_paths[READ_PATHS_MAX + 2] = {NULL};
    json_t *read = json_object_get(configuration, "read");
    size_t count = 0;
    for (; count < json_array_size(read) && count < READ_PATHS_MAX; count++)
        read_paths[count] = json_string_value(json_array_get(read, count));
    char folder[4096], original[4096];
    const char *copied_from = json_string_value(json_object_get(configuration, "original"));
    if (copied_from)
        read_paths[count] = folder_of(copied_from, original, sizeof original);
    struct sandbox_policy policy = {
        .workspace = json_string_value(json_object_get(configuration, "workspace")),
        .plugin_folder =
            folder_of(json_string_value(json_object_get(configuration, "plugin")), folder, sizeof folder),
        .read = read_paths,
        .cache = json_string_value(json_object_get(configuration, "cache")),
        .network = json_is_true(json_object_get(configuration, "network")),
        .exec = json_is_true(json_object_get(configuration, "exec")),
        .own_proc = own_proc,
        .memory_bytes = (uint64_t)json_integer_value(json_object_get(configuration, "memory")),
        .file_bytes = (uint64_t)json_integer_value(json_object_get(configuration, "file")),
    };
    if (policy.workspace && chdir(policy.workspace) != 0)
        return error_set(error, "sandbox_failed", true, "%s: %s", policy.workspace, strerror(errno));
    struct sandbox_state state = {0, false};
    int failed = json_is_true(json_object_get(configuration, "sandbox")) ? sandbox_enter(&policy, &state, error)
                                                                         : sandbox_limit(&policy, error);
    *sandbox_json = json_pack("{s:i, s:b}", "landlock", state.landlock_abi, "seccomp", (int)state.seccomp);
    return failed;
}

static int send_ready(struct runtime *runtime, json_t *sandbox)
{
    json_t *ready = json_pack("{s:o, s:O}", "manifest", loader_manifest(&runtime->plugin), "sandbox", sandbox);
    char *text = ready ? json_dumps(ready, JSON_COMPACT) : NULL;
    int failed = -1;
    if (text)
        failed = wire_send(runtime->fd, WIRE_READY, 0, text, strlen(text));
    else
        refuse(runtime->fd, "plugin_invalid", "its manifest holds text that is not UTF-8");
    free(text);
    json_decref(ready);
    return failed;
}

static int serve(struct runtime *runtime)
{
    void *state = NULL;
    runtime->job.id = runtime->job.route = "";
    if (runtime->plugin.plugin.init && runtime->plugin.plugin.init(&runtime->job, &state) != EXPORTD_OK)
        return refuse(runtime->fd, runtime->fail_code[0] ? runtime->fail_code : "init_failed",
                      runtime->fail_message[0] ? runtime->fail_message
                                               : "the plugin's init() failed and gave no reason");
    runtime->job.state = state;
    return 1;
}

static void run_jobs(struct runtime *runtime)
{
    while (!stop_requested) {
        struct wire_header header;
        char *payload = NULL;
        int got = wire_receive(runtime->reader, &header, &payload, FRAME_MAX);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || header.type != WIRE_START) {
            free(payload);
            return;
        }
        int failed = run_job(runtime, &header, payload);
        free(payload);
        if (failed)
            return;
    }
}

/* Returns 0, or -1 where the host shares its turns and they can't be had: then no job may begin. */
static int map_turns(struct runtime *runtime)
{
    if (fcntl(TURN_FD, F_GET_SEALS) < 0) {
        close(TURN_FD); /* whatever it is */
        return 0;
    }
    void *shared = mmap(NULL, sizeof(struct turns), PROT_READ | PROT_WRITE, MAP_SHARED, TURN_FD, 0);
    close(TURN_FD); /* what a plugin starts has no business there */
    if (shared == MAP_FAILED)
        return -1;
    runtime->turns = shared;
    return 0;
}

int runtime_main(int fd)
{
    static struct wire_reader reader;
    reader.fd = fd;
    struct runtime runtime = {.fd = fd, .reader = &reader, .artifacts = json_array()};
    runtime.job = (struct exportd_job){.size = sizeof runtime.job, .host = &host_table, .id = "", .route = ""};
    struct error error = {0};
    struct wire_header header;
    char *payload = NULL;
    json_t *sandbox = NULL;
    json_t *configuration = NULL;
    int exit_code = 0;

    struct sigaction stop = {.sa_handler = on_stop};
    stop_fd = fd;
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);

    if (map_turns(&runtime) != 0) {
        exit_code = 70;
        goto out;
    }
    if (wire_receive(&reader, &header, &payload, FRAME_MAX) != 1 || header.type != WIRE_CONFIGURE)
        goto out; /* the host is gone already */
    configuration = json_loadb(payload, header.length, 0, NULL);
    explicit_bzero(payload, header.length);
    explicit_bzero(reader.bytes, reader.start); /* there were secrets in both */
    const char *path = json_string_value(json_object_get(configuration, "plugin"));
    if (!path) {
        exit_code = 70;
        goto out;
    }
    runtime.options = json_object_get(configuration, "options");
    runtime.secrets = json_object_get(configuration, "secrets");
    runtime.cache = json_string_value(json_object_get(configuration, "cache"));
    runtime.workspace_root = json_string_value(json_object_get(configuration, "workspace"));
    bool own_proc = json_is_true(json_object_get(configuration, "exec")) &&
                    keeper_start(json_is_true(json_object_get(configuration, "network")));
    crash_install(fd);
    const char *original = json_string_value(json_object_get(configuration, "original"));
    bool probe = json_is_true(json_object_get(configuration, "probe"));
    if ((probe && original && loader_check_file(original, &error) != 0) ||
        enter_sandbox(configuration, own_proc, &sandbox, &error) != 0 ||
        loader_open(path, &runtime.plugin, &error) != 0) {
        refuse(fd, error.code, error.message);
        goto out;
    }
    if (!probe && serve(&runtime) != 1)
        goto out;
    if (send_ready(&runtime, sandbox) != 0 || probe)
        goto out;
    run_jobs(&runtime);
    if (runtime.plugin.plugin.destroy)
        runtime.plugin.plugin.destroy(runtime.job.state);
out:
    free(payload);
    free(runtime.plugin.tasks);
    free(runtime.plugin.options);
    json_decref(runtime.artifacts);
    json_decref(sandbox);
    json_decref(configuration);
    return exit_code;
}
