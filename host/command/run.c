/*
 * exportd run ROUTE: one job, here and now: no server, no store, no configuration needed. The worker and its sandbox
 * are the same.
 */
#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/tree.h"
#include "command/command.h"
#include "job/request.h"
#include "plugin/pipeline.h"
#include "worker/process.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((int64_t)1 << 30)

static const char usage[] =
    "usage: exportd run ROUTE [--repro FILE] [--data JSON] [--option K=V]... [-o DIR] [-c DIR] [--quiet]\n"
    "\n"
    "Runs one job and puts its files into DIR (default: this folder); the result's JSON goes to standard output.\n"
    "  ROUTE          as `exportd plugins` lists them: report/pdf, report/json, docker ...\n"
    "  --repro FILE   the repro document; - reads standard input\n"
    "  --data JSON    the job's data, an object; --option adds to it\n"
    "  --option K=V   one option of the route; `exportd inspect` lists them\n"
    "Exit: 0 done, 1 the job failed, 2 wrong use or configuration.\n";

struct run {
    const char *route_name;
    const char *repro_file;
    const char *data_text;
    const char *output_folder;
    const char *conf_folder;
    const char *options[256];
    int option_count;
    bool quiet;

    uv_loop_t loop;
    uv_timer_t watch;
    uv_signal_t interrupt, terminate;
    struct config *config;
    struct catalog *catalog;
    const struct route *route;
    const struct route *current; /* of a pipeline, the step; else the same */
    size_t step;
    json_t *results, *artifacts; /* of the steps that are done */
    char *kept;                  /* where the workspace is between steps, or NULL */
    int64_t began_ns;
    struct job *job;
    struct worker_spec spec;
    struct worker_process *worker;
    char *scratch; /* a folder of this run's own */
    char *output;  /* absolute */
    json_t *result;
    struct error error;
    bool finished, bar_shown;
};

static bool bar_is_wanted(const struct run *run)
{
    return !run->quiet && isatty(STDERR_FILENO);
}

/* How much of a text of these bytes fits beside the bar, without a character cut in two. */
static int fitting(const char *text, int bar_columns)
{
    struct winsize size;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    int room = columns - bar_columns;
    if (room <= 0)
        return 0;
    if (strlen(text) <= (size_t)room)
        return (int)strlen(text);
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
        room--;
    return room;
}

static void show_bar(struct run *run, double fraction, const char *stage)
{
    if (!bar_is_wanted(run))
        return;
    enum { WIDTH = 30 };
    char bar[WIDTH * 3 + 1];
    int full = (int)(fraction * WIDTH + 0.5);
    size_t length = 0;
    for (int i = 0; i < WIDTH; i++) {
        const char *cell = i < full ? "█" : "░";
        memcpy(bar + length, cell, strlen(cell));
        length += strlen(cell);
    }
    bar[length] = '\0';
    char *text = command_printable(stage);
    fprintf(stderr, "\r\033[K%s %3.0f %%  %.*s", bar, fraction * 100, text ? fitting(text, WIDTH + 9) : 0,
            text ? text : "");
    free(text);
    run->bar_shown = true;
}

static void hide_bar(struct run *run)
{
    if (run->bar_shown)
        fprintf(stderr, "\r\033[K");
    run->bar_shown = false;
}

static void on_ready(void *client, struct worker_process *worker, json_t *manifest, json_t *sandbox)
{
    struct run *run = client;
    (void)worker;
    (void)manifest;
    bool whole = json_integer_value(json_object_get(sandbox, "landlock")) > 0 &&
                 json_is_true(json_object_get(sandbox, "seccomp"));
    if (run->spec.sandbox && !whole && run->config->host.sandbox == CONFIG_SANDBOX_REQUIRED)
        worker_process_interrupt(worker, "sandbox_missing", false,
                                 "this kernel lacks a part of the sandbox, and [host] sandbox is required");
}

static void on_refused(void *client, struct worker_process *worker, const struct error *error)
{
    (void)client;
    (void)worker;
    (void)error; /* the job finishes with it */
}

static void on_log(void *client, struct worker_process *worker, enum exportd_log_level level, const char *text)
{
    struct run *run = client;
    (void)worker;
    if (level < EXPORTD_WARNING && run->quiet)
        return;
    hide_bar(run);
    log_write((enum log_level)level, run->current->plugin->name, NULL, "%s", text);
}

static void on_progress(void *client, struct worker_process *worker, double fraction, const char *stage)
{
    (void)worker;
    struct run *run = client;
    double steps = run->route->steps ? (double)run->route->step_count : 1;
    show_bar(run, ((double)run->step + fraction) / steps, stage);
}

/* Among the host's artifacts a file is the host's alone; here it is the user's, with the rights that any new file
 * has. */
static void give_usual_rights(const char *path)
{
    mode_t mask = umask(0);
    umask(mask);
    if (chmod(path, 0666 & ~mask) != 0)
        log_write(LOG_LEVEL_WARNING, "run", NULL, "%s: its rights can't be set: %s", path, strerror(errno));
}

/* Files go into a folder beside their place first, so that one that exists is replaced whole or not at all. */
static void take_artifacts(struct run *run, const char *folder, const json_t *wanted)
{
    char *staging = memory_format("%s/.exportd-%d", run->output, (int)getpid());
    char *base_url = NULL;
    const struct config_jobs *jobs = &run->config->jobs;
    struct artifact_limits limits = {.max_count = jobs->max_artifacts, .max_bytes = jobs->max_artifact_bytes};
    base_url = memory_format("file://%s/", run->output);
    json_t *taken = artifact_collect(folder, wanted, staging, base_url, &limits, &run->error);
    size_t index;
    json_t *artifact;
    json_array_foreach(taken, index, artifact)
    {
        const char *name = json_string_value(json_object_get(artifact, "name"));
        char *from = memory_format("%s/%s", staging, name);
        char *to = memory_format("%s/%s", run->output, name);
        if (rename(from, to) != 0)
            error_set(&run->error, "output_failed", false, "%s can't be written: %s", to, strerror(errno));
        else
            give_usual_rights(to);
        free(from);
        free(to);
    }
    if (taken && !error_is_set(&run->error))
        json_object_set(run->result, "artifacts", taken);
    json_decref(taken);
    tree_remove(staging);
    free(staging);
    free(base_url);
}

/* A step of a pipeline: its workspace waits for the next, its artifacts for the end. */
static void take_step(struct run *run, const struct worker_outcome *outcome)
{
    bool last = run->step + 1 == run->route->step_count;
    json_array_append_new(run->results, json_pack("{s:s, s:I, s:O}", "step", run->current->name, "durationMs",
                                                  (json_int_t)((clock_monotonic_ns() - run->began_ns) / 1000000),
                                                  "result", run->result));
    pipeline_add_artifacts(run->artifacts, run->current->name, outcome->artifacts);
    if (last) {
        if (!run->route->implied) {
            json_decref(run->result);
            run->result = json_pack("{s:O}", "steps", run->results);
        }
        if (json_array_size(run->artifacts) > 0 && outcome->folder)
            take_artifacts(run, outcome->folder, run->artifacts);
        return;
    }
    free(run->kept);
    run->kept = outcome->folder ? memory_format("%s/workspace", run->scratch) : NULL;
    if (run->kept && rename(outcome->folder, run->kept) != 0)
        error_set(&run->error, "workspace_failed", false, "%s can't be kept: %s", outcome->folder, strerror(errno));
}

static void on_finished(void *client, struct worker_process *worker, const struct worker_outcome *outcome)
{
    struct run *run = client;
    run->finished = true;
    run->error = outcome->error;
    if (outcome->status == EXPORTD_OK) {
        run->result = outcome->result ? json_loadb(outcome->result, outcome->result_length, 0, NULL) : json_object();
        if (run->route->steps)
            take_step(run, outcome);
        else if (json_array_size(outcome->artifacts) > 0 && outcome->folder)
            take_artifacts(run, outcome->folder, outcome->artifacts);
    }
    worker_process_stop(worker, false);
}

static void on_gone(void *client, struct worker_process *worker, const struct error *error)
{
    struct run *run = client;
    (void)worker;
    (void)error;
    uv_close((uv_handle_t *)&run->watch, NULL);
    uv_close((uv_handle_t *)&run->interrupt, NULL);
    uv_close((uv_handle_t *)&run->terminate, NULL);
}

static const struct worker_events events = {
    .ready = on_ready,
    .refused = on_refused,
    .log = on_log,
    .progress = on_progress,
    .finished = on_finished,
    .gone = on_gone,
};

static void on_watch(uv_timer_t *timer)
{
    worker_process_watch(((struct run *)timer->data)->worker);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct run *run = handle->data;
    (void)number;
    worker_process_interrupt(run->worker, "cancelled", false, "the job was interrupted");
}

static int parse_arguments(struct run *run, int count, char **arguments)
{
    static const struct option long_options[] = {
        {"repro", required_argument, NULL, 'r'},  {"data", required_argument, NULL, 'd'},
        {"option", required_argument, NULL, 'O'}, {"output", required_argument, NULL, 'o'},
        {"conf", required_argument, NULL, 'c'},   {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    optind = 1;
    opterr = 0;
    int letter;
    run->output_folder = ".";
    while ((letter = getopt_long(count, arguments, ":r:d:O:o:c:qh", long_options, NULL)) != -1) {
        switch (letter) {
        case 'r':
            run->repro_file = optarg;
            break;
        case 'd':
            run->data_text = optarg;
            break;
        case 'O':
            if (run->option_count == (int)(sizeof run->options / sizeof run->options[0])) {
                fprintf(stderr, "exportd run: too many options; give them with --data\n");
                return EXIT_WRONG_USE;
            }
            run->options[run->option_count++] = optarg;
            break;
        case 'o':
            run->output_folder = optarg;
            break;
        case 'c':
            run->conf_folder = optarg;
            break;
        case 'q':
            run->quiet = true;
            break;
        case 'h':
            printf("%s", usage);
            return 0;
        default:
            command_option_mistake(arguments[0], letter, arguments, long_options);
            fprintf(stderr, "%s", usage);
            return EXIT_WRONG_USE;
        }
    }
    if (optind + 1 != count) {
        fprintf(stderr, "exportd run: name one route\n%s", usage);
        return EXIT_WRONG_USE;
    }
    run->route_name = arguments[optind];
    return -1;
}

/* Where an option selects among the routes of the task, --option does so as data does. */
static void take_selectors(const struct run *run, json_t *data)
{
    for (int i = 0; i < run->option_count; i++) {
        const char *text = run->options[i], *equals = strchr(text, '=');
        size_t length = equals ? (size_t)(equals - text) : 0;
        for (size_t j = 0; j < run->catalog->route_count && equals; j++) {
            const struct route *route = run->catalog->routes[j];
            if (route->option && strcmp(route->task, run->route_name) == 0 && strlen(route->option) == length &&
                strncmp(route->option, text, length) == 0)
                json_object_set_new(data, route->option, json_string(equals + 1));
        }
    }
}

static int make_job(struct run *run)
{
    const struct config *config = run->config;
    json_t *data = run->data_text ? request_parse(run->data_text, strlen(run->data_text), config->http.max_json_depth,
                                                  &run->error)
                                  : json_object();
    if (error_is_set(&run->error))
        error_prefix(&run->error, "--data: ");
    else if (!json_is_object(data))
        error_set(&run->error, "request_invalid", false, "--data: must be a JSON object");
    else
        take_selectors(run, data);
    run->route = error_is_set(&run->error) ? NULL : catalog_route(run->catalog, run->route_name, data, &run->error);
    json_t *repro = run->route && run->repro_file
                        ? command_read_json(run->repro_file, config->repros.max_bytes, &run->error)
                        : NULL;
    if (repro)
        json_object_set_new(data, "repro", repro);
    if (run->route && run->route->needs_repro && !json_object_get(data, "repro") &&
        !json_object_get(data, "repro_id"))
        error_set(&run->error, "request_invalid", false, "%s needs a repro: give it with --repro FILE",
                  run->route->name);
    for (int i = 0; i < run->option_count && run->route && !error_is_set(&run->error); i++)
        command_add_option(run->route->schema, run->options[i], data, &run->error);
    if (run->route && !error_is_set(&run->error)) {
        json_t *request = json_pack("{s:s, s:O}", "task", run->route->name, "data", data);
        const struct route *route = NULL;
        run->job = request_read(run->catalog, request, &route, &run->error);
        json_decref(request);
        run->route = route ? route : run->route;
    }
    json_decref(data);
    char *repro_id = run->job ? request_missing_repro(run->job) : NULL;
    if (repro_id)
        request_load_repro(config, NULL, repro_id, run->job, &run->error);
    free(repro_id);
    return error_is_set(&run->error) ? -1 : 0;
}

static int make_folders(struct run *run)
{
    char path[PATH_MAX];
    const char *root = getenv("TMPDIR");
    if (mkdir(run->output_folder, 0777) != 0 && errno != EEXIST)
        return error_set(&run->error, "output_failed", false, "-o %s can't be made: %s", run->output_folder,
                         strerror(errno));
    struct stat status;
    if (!realpath(run->output_folder, path) || access(path, W_OK) != 0 || stat(path, &status) != 0)
        return error_set(&run->error, "output_failed", false, "-o %s: %s", run->output_folder, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(&run->error, "output_failed", false, "-o %s: not a folder", run->output_folder);
    run->output = memory_text(path);
    run->scratch = memory_format("%s/exportd-run-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(run->scratch)) {
        error_set(&run->error, "output_failed", false,
                  "%s can't be made: %s; set TMPDIR to a folder that can be written", run->scratch, strerror(errno));
        free(run->scratch);
        run->scratch = NULL;
        return -1;
    }
    return 0;
}

/* Where a plugin that is granted a cache keeps it: with the host's, where that is one's own to write, else in the
 * person's own (XDG Base Directory Specification). A new string, or NULL: nowhere. */
static char *find_cache(const struct run *run)
{
    const char *granted = run->current->plugin->spec.cache_folder, *name = granted ? strrchr(granted, '/') : NULL;
    const char *caches = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (!name)
        return NULL;
    struct stat status; /* root may write anywhere, and would leave the service's user what that can't */
    if (access(run->config->host.state, W_OK) == 0 && stat(run->config->host.state, &status) == 0 &&
        status.st_uid == geteuid())
        return memory_text(granted);
    char *base = caches && *caches == '/' ? memory_text(caches)
                 : home && *home == '/'   ? memory_format("%s/.cache", home)
                                          : NULL;
    char *own = base ? memory_format("%s/exportd", base) : NULL;
    char *folder = NULL;
    if (own && (mkdir(base, 0700) == 0 || errno == EEXIST) && (mkdir(own, 0700) == 0 || errno == EEXIST) &&
        access(own, W_OK) == 0)
        folder = memory_format("%s%s", own, name);
    free(base);
    free(own);
    return folder;
}

static int run_worker(struct run *run, const struct worker_job *job)
{
    char *cache = find_cache(run);
    uv_loop_init(&run->loop);
    run->began_ns = clock_monotonic_ns();
    run->spec = run->current->plugin->spec;
    run->spec.work_folder = run->scratch;
    run->spec.cache_folder = cache;
    uv_timer_init(&run->loop, &run->watch);
    uv_signal_init(&run->loop, &run->interrupt);
    uv_signal_init(&run->loop, &run->terminate);
    run->watch.data = run->interrupt.data = run->terminate.data = run;
    run->worker = worker_process_start(&run->loop, &run->spec, &events, run, &run->error);
    if (run->worker) {
        uv_timer_start(&run->watch, on_watch, 200, 200);
        uv_signal_start(&run->interrupt, on_signal, SIGINT);
        uv_signal_start(&run->terminate, on_signal, SIGTERM);
        on_progress(run, run->worker, 0, run->current->summary);
        worker_process_run(run->worker, job);
    } else {
        on_gone(run, NULL, NULL);
    }
    uv_run(&run->loop, UV_RUN_DEFAULT);
    uv_loop_close(&run->loop);
    hide_bar(run);
    free(cache);
    return error_is_set(&run->error) ? -1 : 0;
}

static int run_job(struct run *run)
{
    struct worker_job job = {.lease = 1,
                             .id = run->job->id,
                             .route = run->job->route,
                             .attempt = 1,
                             .data = run->job->data,
                             .data_length = run->job->data_length};
    run->current = run->route;
    return run_worker(run, &job);
}

static int run_pipeline(struct run *run)
{
    json_t *data = json_loadb(run->job->data, run->job->data_length, 0, NULL);
    run->results = json_array();
    run->artifacts = json_array();
    for (run->step = 0; run->step < run->route->step_count && !error_is_set(&run->error); run->step++) {
        char *text = pipeline_step_data(run->route, data, run->step, run->result, &run->error);
        run->current = run->route->steps[run->step];
        json_decref(run->result);
        run->result = NULL;
        struct worker_job job = {.lease = 1,
                                 .id = run->job->id,
                                 .route = run->current->name,
                                 .attempt = 1,
                                 .data = text,
                                 .data_length = text ? strlen(text) : 0,
                                 .workspace = run->kept};
        if (text && run_worker(run, &job) != 0)
            error_prefix(&run->error, "step %zu of %zu, %s: ", run->step + 1, run->route->step_count,
                         run->current->name);
        free(text);
    }
    json_decref(data);
    return error_is_set(&run->error) ? -1 : 0;
}

static void free_run(struct run *run)
{
    json_decref(run->results);
    json_decref(run->artifacts);
    free(run->kept);
    if (run->scratch)
        tree_remove(run->scratch);
    free(run->scratch);
    free(run->output);
    json_decref(run->result);
    job_free(run->job);
    catalog_free(run->catalog);
    config_free(run->config);
}

int command_run(int count, char **arguments)
{
    struct run run = {0};
    struct config_problems problems = {0};
    int code = parse_arguments(&run, count, arguments);
    if (code >= 0)
        return code;
    run.config = command_load_config(run.conf_folder, true);
    if (!run.config)
        return EXIT_WRONG_USE;
    log_setup(run.quiet ? LOG_LEVEL_WARNING : (enum log_level)run.config->host.log_level, run.config->host.log_json);
    signal(SIGPIPE, SIG_IGN);
    code = EXIT_WRONG_USE;
    run.catalog = catalog_load(run.config, NULL, &problems, &run.error);
    if (run.catalog && make_job(&run) == 0 && run.route->plugin->enabled == false) {
        command_print_problems(&problems, true);
        error_set(&run.error, "plugin_disabled", false, "the plugin %s is disabled in conf.d",
                  run.route->plugin->name);
    }
    if (!error_is_set(&run.error) && run.catalog && run.route->plugin == run.catalog->upstream)
        error_set(&run.error, "route_elsewhere", false,
                  "no plugin here offers %s: it goes to the host of [upstream]; hand it to a running exportd",
                  run.route->name);
    if (!error_is_set(&run.error) && make_folders(&run) == 0) {
        code = (run.route->steps ? run_pipeline(&run) : run_job(&run)) == 0 ? 0 : EXIT_JOB_FAILED;
        if (code == 0) {
            json_dumpf(run.result, stdout, JSON_INDENT(2));
            putchar('\n');
        }
    }
    if (error_is_set(&run.error))
        command_print_error(&run.error);
    config_problems_clear(&problems);
    free_run(&run);
    return code;
}
