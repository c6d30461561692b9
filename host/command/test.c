/*
 * exportd test FILE.so: a conformance run over a plugin, or with --input one job of it, under a debugger if wished.
 */
#include "base/log.h"
#include "base/memory.h"
#include "base/tree.h"
#include "command/command.h"
#include "conformance/conformance.h"
#include "conformance/sample.h"
#include "job/request.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 256
#define TERMINAL_FD 20 /* where a launcher finds this program's own standard input; the next two are its outputs */

static const char usage[] =
    "usage: exportd test FILE.so [-c DIR] [--route ROUTE] [--option K=V]... [--granted] [--json]\n"
    "       exportd test FILE.so --input FILE [--gdb | --valgrind] [-c DIR] [--route ROUTE] [--option K=V]...\n"
    "\n"
    "Without --input, holds the plugin against all that a host asks of it, and prints a line for each check: ok,\n"
    "FAILED with the mend, or skipped with the reason. It gets neither network nor secrets but with --granted.\n"
    "With --input, runs one job and shows its log, progress and result. FILE holds the task's data as a JSON "
    "object,\n"
    "or a repro document alone; - reads standard input.\n"
    "  -c DIR         the conf.d whose [plugin NAME] and whose other plugins count\n"
    "  --route ROUTE  that route alone\n"
    "  --option K=V   goes into the data of each job\n"
    "  --granted      lends it the network and the secrets that conf.d grants\n"
    "  --json         the report for a program\n"
    "  --gdb          starts the worker under gdb, without the sandbox: break my_function, run\n"
    "  --valgrind     starts the worker under valgrind, without the sandbox\n"
    "Exit: 0 done, 1 a check or the job failed, 2 wrong use or configuration.\n";

struct test {
    const char *file, *conf_folder, *route, *input;
    const char *options[OPTIONS_MAX];
    int option_count;
    bool granted, json, gdb, valgrind;
    struct config *config;
    char *scratch;
};

static int parse_arguments(struct test *test, int count, char **arguments)
{
    static const struct option long_options[] = {
        {"conf", required_argument, NULL, 'c'},   {"route", required_argument, NULL, 'r'},
        {"option", required_argument, NULL, 'O'}, {"input", required_argument, NULL, 'i'},
        {"granted", no_argument, NULL, 'G'},      {"json", no_argument, NULL, 'j'},
        {"gdb", no_argument, NULL, 'g'},          {"valgrind", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    optind = 1;
    opterr = 0;
    int letter;
    while ((letter = getopt_long(count, arguments, ":c:r:O:i:Gjgvh", long_options, NULL)) != -1) {
        switch (letter) {
        case 'c':
            test->conf_folder = optarg;
            break;
        case 'r':
            test->route = optarg;
            break;
        case 'O':
            if (test->option_count == OPTIONS_MAX) {
                fprintf(stderr, "exportd test: too many options; give them in --input\n");
                return EXIT_WRONG_USE;
            }
            test->options[test->option_count++] = optarg;
            break;
        case 'i':
            test->input = optarg;
            break;
        case 'G':
            test->granted = true;
            break;
        case 'j':
            test->json = true;
            break;
        case 'g':
            test->gdb = true;
            break;
        case 'v':
            test->valgrind = true;
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
    const char *mistake = optind + 1 != count           ? "name one plugin's .so file"
                          : test->gdb && test->valgrind ? "--gdb or --valgrind, not both"
                          : (test->gdb || test->valgrind) && !test->input
                              ? "--gdb and --valgrind run one job: give --input FILE"
                          : test->json && test->input ? "--json is for the report of a whole run, without --input"
                                                      : NULL;
    if (mistake) {
        fprintf(stderr, "exportd test: %s\n%s", mistake, usage);
        return EXIT_WRONG_USE;
    }
    test->file = arguments[optind];
    if (access(test->file, F_OK) != 0) {
        fprintf(stderr, "exportd test: %s: %s\n", test->file, strerror(errno));
        return EXIT_WRONG_USE;
    }
    return -1;
}

static int make_scratch(struct test *test, struct error *error)
{
    const char *root = getenv("TMPDIR");
    test->scratch = memory_format("%s/exportd-test-XXXXXX", root && *root ? root : "/tmp");
    if (mkdtemp(test->scratch))
        return 0;
    error_set(error, "output_failed", false, "%s can't be made: %s; set TMPDIR to a folder that can be written",
              test->scratch, strerror(errno));
    free(test->scratch);
    test->scratch = NULL;
    return -1;
}

/* The options go by their texts: which route's schema they are held against is not known yet. */
static int run_conformance(struct test *test, struct error *error)
{
    struct conformance conformance = {.config = test->config,
                                      .file = test->file,
                                      .scratch = test->scratch,
                                      .only_route = test->route,
                                      .granted = test->granted};
    char *cache = memory_format("%s/cache/cache", test->scratch);
    json_t *options = json_object();
    for (int i = 0; i < test->option_count; i++)
        command_add_option(NULL, test->options[i], options, error);
    int code = EXIT_WRONG_USE;
    if (!error_is_set(error)) {
        conformance.options = options;
        conformance.cache = cache;
        report_begin(&conformance.report, test->json, stdout);
        code = conformance_run(&conformance) ? 0 : EXIT_JOB_FAILED;
    }
    catalog_free(conformance.catalog);
    json_decref(options);
    free(cache);
    return code;
}

static void show_log(void *client, enum exportd_log_level level, const char *text)
{
    log_write((enum log_level)level, client, NULL, "%s", text);
}

static void show_progress(void *client, double fraction, const char *stage)
{
    (void)client;
    char *plain = command_printable(stage);
    fprintf(stderr, "%3.0f %%  %s\n", fraction * 100, plain ? plain : "");
    free(plain);
}

/* A repro document alone is the data of a task that needs one. */
static json_t *read_input(const struct test *test, struct error *error)
{
    json_t *data = command_read_json(test->input, test->config->repros.max_bytes, error);
    if (data && !json_is_object(data)) {
        error_set(error, "request_invalid", false, "%s: must be a JSON object", test->input);
        json_decref(data);
        return NULL;
    }
    if (json_is_object(json_object_get(data, "test")) && json_object_get(data, "title"))
        data = json_pack("{s:o}", "repro", data);
    return data;
}

static const struct route *choose_route(const struct test *test, const struct catalog *catalog, const json_t *data,
                                        struct error *error)
{
    if (!test->route && catalog->route_count == 1)
        return catalog->routes[0];
    if (test->route)
        return catalog_route(catalog, test->route, data, error);
    char names[600] = "";
    for (size_t i = 0; i < catalog->route_count; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "",
                 catalog->routes[i]->name);
    error_set(error, "route_ambiguous", false, "the plugin has several routes: %s; name one with --route", names);
    return NULL;
}

static struct job *make_job(const struct test *test, const struct catalog *catalog, char **workspace,
                            struct error *error)
{
    json_t *data = read_input(test, error);
    const struct route *route = data ? choose_route(test, catalog, data, error) : NULL;
    struct job *job = NULL;
    for (int i = 0; i < test->option_count && route && !error_is_set(error); i++)
        command_add_option(route->schema, test->options[i], data, error);
    if (route && !error_is_set(error)) {
        if (route->needs_repro && !json_object_get(data, "repro") && !json_object_get(data, "repro_id")) {
            fprintf(stderr, "exportd test: the input names no repro: a small one is used\n");
            json_object_set_new(data, "repro", sample_repro());
        }
        if (route->after && !json_object_get(data, "previous")) {
            fprintf(stderr, "exportd test: the input has no \"previous\", the result of %s: a small sample is used\n",
                    route->after);
            json_object_set_new(data, "previous", sample_previous(route));
            *workspace = sample_workspace(route, test->scratch);
        }
        json_t *previous = json_incref(json_object_get(data, "previous")); /* the host's own, see plugin.h */
        json_object_del(data, "previous");
        json_t *request = json_pack("{s:s, s:O}", "task", route->name, "data", data);
        job = request_read(catalog, request, &route, error);
        if (job && previous) {
            json_t *whole = json_loadb(job->data, job->data_length, 0, NULL);
            json_object_set(whole, "previous", previous);
            free(job->data);
            job->data = json_dumps(whole, JSON_COMPACT);
            job->data_length = strlen(job->data);
            json_decref(whole);
        }
        json_decref(previous);
        json_decref(request);
    }
    json_decref(data);
    return job;
}

/* Its program is to have this one's terminal. */
static int use_launcher(const struct test *test, struct trial_options *options, struct error *error)
{
    static const char gdb[] = "<&20 >&21 2>&22 gdb --quiet --args";
    static const char valgrind[] =
        "2>&22 valgrind --leak-check=full --show-leak-kinds=definite,indirect,possible --track-fds=yes";
    if (!test->gdb && !test->valgrind)
        return 0;
    const char *program = test->gdb ? "/usr/bin/gdb" : "/usr/bin/valgrind";
    if (access(program, X_OK) != 0)
        return error_set(error, "tool_missing", false, "%s: %s; install it", program, strerror(errno));
    if (access("/bin/bash", X_OK) != 0)
        return error_set(error, "tool_missing", false, "/bin/bash: %s; install it", strerror(errno));
    for (int fd = 0; fd < 3; fd++)
        if (dup2(fd, TERMINAL_FD + fd) < 0)
            return error_set(error, "output_failed", false, "descriptor %d: %s", fd, strerror(errno));
    options->launcher = test->gdb ? gdb : valgrind;
    options->launcher_stays = test->gdb;
    options->unwatched = true;
    options->spec.sandbox = false;
    options->spec.memory_bytes = (int64_t)1 << 40;
    fprintf(stderr,
            "exportd test: under %s the worker has no sandbox, no limits of time and memory%s\n"
            "exportd test: what works here may still be refused by the sandbox; run it without as well\n",
            test->gdb ? "gdb" : "valgrind", test->gdb ? "; say: run" : "");
    return 0;
}

static int show_end(const struct trial_end *end)
{
    size_t index;
    json_t *artifact;
    json_array_foreach(end->artifacts, index, artifact)
    {
        fprintf(stderr, "artifact %s, %lld bytes, %s, sha256 %s\n",
                json_string_value(json_object_get(artifact, "name")),
                (long long)json_integer_value(json_object_get(artifact, "bytes")),
                json_string_value(json_object_get(artifact, "media_type")),
                json_string_value(json_object_get(artifact, "sha256")));
    }
    if (end->status != EXPORTD_OK) {
        command_print_error(&end->error);
        return EXIT_JOB_FAILED;
    }
    fprintf(stderr, "done in %lld ms\n", (long long)end->duration_ms);
    json_dumpf(end->result, stdout, JSON_INDENT(2));
    putchar('\n');
    return 0;
}

static int run_one(struct test *test, struct error *error)
{
    struct config_problems problems = {0};
    struct catalog *catalog = catalog_load(test->config, test->file, &problems, error);
    if (catalog && catalog->failure_count > 0)
        *error = catalog->failures[0].error;
    command_print_problems(&problems, true);
    if (problems.errors > 0)
        error_set(error, "plugin_disabled", false, "its section of conf.d has mistakes, see above");
    config_problems_clear(&problems);
    char *left = NULL, *cache = NULL, *workspace = NULL;
    struct job *job = catalog && !error_is_set(error) ? make_job(test, catalog, &workspace, error) : NULL;
    int code = EXIT_WRONG_USE;
    if (job) {
        struct plugin *plugin = catalog->plugins[0];
        struct trial_options options = {.spec = plugin->spec,
                                        .scratch = test->scratch,
                                        .artifacts = {.max_count = test->config->jobs.max_artifacts,
                                                      .max_bytes = test->config->jobs.max_artifact_bytes}};
        if (options.spec.cache_folder)
            options.spec.cache_folder = cache = memory_format("%s/cache/cache", test->scratch);
        if (use_launcher(test, &options, error) == 0) {
            struct trial_listener listener = {.client = plugin->name, .log = show_log, .progress = show_progress};
            struct trial_job order = {
                .route = job->route, .data = job->data, .data_length = job->data_length, .workspace = workspace};
            struct trial_end end = {0};
            struct trial *trial = trial_new(&options);
            trial_listen(trial, &listener);
            trial_run(trial, &order, &end);
            code = show_end(&end);
            trial_end_clear(&end);
            trial_free(trial, &left);
        }
    }
    if (left)
        fprintf(stderr, "left in the worker's folder, beside the job's: %s\n", left);
    free(left);
    free(cache);
    free(workspace);
    job_free(job);
    catalog_free(catalog);
    return code;
}

int command_test(int count, char **arguments)
{
    struct test test = {0};
    struct error error = {0};
    int code = parse_arguments(&test, count, arguments);
    if (code >= 0)
        return code;
    test.config = command_load_config(test.conf_folder, true);
    if (!test.config)
        return EXIT_WRONG_USE;
    log_setup(test.input ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING, false);
    signal(SIGPIPE, SIG_IGN);
    code = EXIT_WRONG_USE;
    if (make_scratch(&test, &error) == 0)
        code = test.input ? run_one(&test, &error) : run_conformance(&test, &error);
    if (error_is_set(&error))
        command_print_error(&error);
    if (test.scratch)
        tree_remove(test.scratch);
    free(test.scratch);
    config_free(test.config);
    return code;
}
