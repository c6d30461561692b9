/*
 * repo-build: the task build-assets, what a repository's own build makes of it, in the sandbox with the exec grant.
 */
#include "attempt.h"
#include "made.h"
#include "plan.h"
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENVIRONMENT_MAX 64 /* variables of the request */
#define FIXED_MAX 16       /* of our own */
#define LISTED_MAX 200     /* files in the result; the manifest has all */
#define BUILD_SHARE 0.85   /* of the progress */
#define SAID_BYTES 1200    /* of the last lines, in an error */

struct build {
    struct exportd_job *job;
    const json_t *data;
    struct exportd_checkout checkout;
    struct plan plan;
    struct output output;
    struct made_list before;
    struct made made;
    char *environment[FIXED_MAX + ENVIRONMENT_MAX + 1];
    size_t variables;
    json_t *steps, *notes;
    bool network;
    char log_path[4096], pack_path[4096], manifest_path[4096];
    char pack_name[128];
    struct exportd_kit_error error;
    char said[SAID_BYTES]; /* the last lines, behind the error */
};

static const char *given(const struct build *build, const char *name)
{
    const char *value = json_string_value(json_object_get(build->data, name));
    return value && *value ? value : NULL;
}

/* Takes text, which stands in for another of that name: getenv() finds the first. */
static int add_variable(struct build *build, char *text)
{
    if (!text)
        return exportd_kit_no_memory(&build->error);
    size_t name = strcspn(text, "=") + 1;
    for (size_t i = 0; i < build->variables; i++) {
        if (strncmp(build->environment[i], text, name) == 0) {
            free(build->environment[i]);
            build->environment[i] = text;
            return 0;
        }
    }
    build->environment[build->variables++] = text;
    return 0;
}

static int set_variable(struct build *build, const char *name, const char *value)
{
    char *text = NULL;
    return add_variable(build, asprintf(&text, "%s=%s", name, value) < 0 ? NULL : text);
}

static bool is_variable(const char *name)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
    return length > 0 && length <= 128 && !name[length] && !(*name >= '0' && *name <= '9');
}

static int add_wanted_variables(struct build *build)
{
    static const char *const kept[] = {"PATH", "HOME", "TMPDIR"};
    const char *name;
    json_t *value;
    char quoted[220];
    json_t *wanted = json_object_get(build->data, "environment");
    if (json_object_size(wanted) > ENVIRONMENT_MAX)
        return exportd_kit_fail(&build->error, "option_invalid", 0, "environment has more than %d variables",
                                ENVIRONMENT_MAX);
    json_object_foreach(wanted, name, value)
    {
        bool ours = false;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            ours = ours || strcmp(kept[i], name) == 0;
        if (!is_variable(name) || !json_is_string(value) || ours)
            return exportd_kit_fail(&build->error, "option_invalid", 0,
                                    "environment: %s can't be set: a variable has a name of letters, digits and _, "
                                    "and a text; PATH, HOME and TMPDIR are the build's own",
                                    exportd_bundle_quote(name, quoted, sizeof quoted));
        if (set_variable(build, name, json_string_value(value)) != 0)
            return -1;
    }
    return 0;
}

/* Nothing of the host's own: a build sees its folder, and what makes programs quiet and plain. */
static int make_environment(struct build *build)
{
    static const char *const plain[][2] = {
        {"LANG", "C.UTF-8"},
        {"CI", "true"},
        {"NO_COLOR", "1"},
        {"TERM", "dumb"},
        {"OPENSSL_CONF", "/dev/null"},
        {"npm_config_update_notifier", "false"},
        {"npm_config_fund", "false"},
        {"GIT_CONFIG_NOSYSTEM", "1"},
    };
    const char *more = exportd_option(build->job, "path"), *registry = exportd_option(build->job, "npm_registry");
    const char *workspace = exportd_workspace(build->job), *epoch = getenv("SOURCE_DATE_EPOCH");
    char text[4096];
    snprintf(text, sizeof text, "%s%s/usr/local/bin:/usr/bin:/bin", more && *more ? more : "",
             more && *more ? ":" : "");
    int failed = set_variable(build, "PATH", text);
    for (size_t i = 0; !failed && i < 2; i++) {
        snprintf(text, sizeof text, "%s/%s", workspace, i ? "tmp" : "home");
        if (mkdir(text, 0700) != 0 && errno != EEXIST)
            return exportd_kit_fail(&build->error, "workspace_failed", 1, "%s: %s", text, strerror(errno));
        failed = set_variable(build, i ? "TMPDIR" : "HOME", text);
    }
    for (size_t i = 0; !failed && i < sizeof plain / sizeof *plain; i++)
        failed = set_variable(build, plain[i][0], plain[i][1]);
    if (!failed && registry && *registry)
        failed = set_variable(build, "npm_config_registry", registry);
    if (!failed && !build->network)
        failed = set_variable(build, "npm_config_offline", "true");
    if (!failed && epoch)
        failed = set_variable(build, "SOURCE_DATE_EPOCH", epoch);
    return failed ? failed : add_wanted_variables(build);
}

/* The sandbox says no to a socket where the grant is missing. */
static bool may_use_network(void)
{
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor >= 0;
}

static int prepare(struct build *build)
{
    const char *script = given(build, "script"), *command = given(build, "command");
    const json_t *install = json_object_get(build->data, "install");
    struct plan_wish wish = {
        .system = given(build, "system"),
        .script = script ? script : "build",
        .command = command,
        .install = !json_is_false(install),
        .jobs = (int)exportd_option_integer(build->job, "jobs", 2),
        .workspace = exportd_workspace(build->job),
    };
    if (command && exportd_option_integer(build->job, "commands", 0) == 0)
        return exportd_kit_fail(&build->error, "command_refused", 0,
                                "this host runs no commands of requests; leave out command, or set commands = yes in "
                                "[plugin repo-build]");
    if (exportd_checkout_open(build->job, build->data, &build->checkout, &build->error) != 0 ||
        attempt_begin(wish.workspace, &build->checkout, &build->before, &wish.has_modules, &build->error) != 0 ||
        plan_make(&build->checkout, &wish, &build->plan, &build->error) != 0)
        return -1;
    build->network = may_use_network();
    snprintf(build->log_path, sizeof build->log_path, "%s/build.log", wish.workspace);
    build->output.log = open(build->log_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (build->output.log < 0)
        return exportd_kit_fail(&build->error, "workspace_failed", 1, "%s: %s", build->log_path, strerror(errno));
    build->output.max = (uint64_t)exportd_option_integer(build->job, "max_log", 0);
    return make_environment(build);
}

/* What a build that was kept from something may have meant, by its last lines. */
static const char *hint(const struct build *build, const struct plan_step *step)
{
    static const char *const wanted_network[] = {"ENOTFOUND",    "EAI_AGAIN", "ENOTCACHED",        "getaddrinfo",
                                                 "ECONNREFUSED", "socket",    "Could not resolve", "connect "};
    if (!build->network && step->needs_network)
        return "; builds have no network here, and what it wanted to install is not in the repository: commit it, or "
               "set network = yes in [plugin repo-build]";
    for (size_t i = 0; !build->network && i < sizeof wanted_network / sizeof *wanted_network; i++)
        if (strstr(build->said, wanted_network[i]))
            return "; builds have no network here (network in [plugin repo-build])";
    if (strstr(build->said, "ermission denied") || strstr(build->said, "EACCES"))
        return "; a build may read the system's programs and its own folder, and nothing else (read in [plugin "
               "repo-build])";
    if (strstr(build->said, "File too large") || strstr(build->said, "EFBIG") ||
        strstr(build->said, "size limit exceeded"))
        return "; a build's files are bounded by disk in [plugin repo-build]";
    return "";
}

static int judge(struct build *build, const struct plan_step *step, const struct program_result *result)
{
    char text[200], how[160];
    plan_text(step, text, sizeof text);
    double seconds = (double)result->duration_ms / 1000;
    if (result->end == PROGRAM_EXITED && result->code == 0)
        return 0;
    output_tail(&build->output, build->said, sizeof build->said);
    switch (result->end) {
    case PROGRAM_CANCELLED:
        return exportd_kit_fail(&build->error, "cancelled", 0, "%s was stopped after %.1f s", text, seconds);
    case PROGRAM_OUT_OF_TIME:
        return exportd_kit_fail(
            &build->error, "build_timeout", 0,
            "%s was stopped after %.1f s, which is what build_time of [plugin repo-build] gives a "
            "build",
            text, seconds);
    case PROGRAM_KILLED:
        snprintf(how, sizeof how, "was killed by signal %d (%s)", result->code, strsignal(result->code));
        break;
    default:
        snprintf(how, sizeof how, "ended with exit code %d", result->code);
    }
    return exportd_kit_fail(&build->error, "build_failed", 0, "%s %s after %.1f s%s", text, how, seconds,
                            hint(build, step));
}

static int run_step(struct build *build, size_t index, int64_t until_ms)
{
    struct plan_step *step = &build->plan.steps[index];
    struct program_result result;
    char text[1000];
    double share = BUILD_SHARE / (double)build->plan.step_count;
    const struct program program = {
        .job = build->job,
        .arguments = step->arguments,
        .environment = build->environment,
        .folder = build->checkout.folder,
        .until_ms = until_ms,
        .from = share * (double)index,
        .to = share * (double)(index + 1),
        .output = &build->output,
    };
    plan_text(step, text, sizeof text);
    exportd_progress(build->job, program.from, text);
    char line[1100];
    int length = snprintf(line, sizeof line, "$ %s\n", text);
    output_take(&build->output, line, (size_t)length);
    if (program_run(&program, &result, &build->error) != 0)
        return -1;
    json_array_append_new(build->steps,
                          json_pack("{s:s, s:I, s:i}", "command", text, "durationMs", (json_int_t)result.duration_ms,
                                    "exitCode", result.end == PROGRAM_EXITED ? result.code : -1));
    if (judge(build, step, &result) == 0)
        return 0;
    if (!step->optional || result.end != PROGRAM_EXITED)
        return -1;
    json_array_append_new(build->notes,
                          json_sprintf("%s ended with exit code %d, and was left at that", text, result.code));
    build->error = (struct exportd_kit_error){0};
    build->said[0] = '\0';
    if (build->plan.install_folder)
        attempt_remove(build->plan.install_folder); /* half of it is none */
    return 0;
}

static int on_packed(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, 0.9 + 0.09 * (double)done / (double)(all ? all : 1), "packing the output");
    return exportd_cancelled(job);
}

static void name_pack(struct build *build, bool zstd)
{
    char stem[80];
    const char *url = build->checkout.url ? build->checkout.url : "", *slash = strrchr(url, '/');
    size_t length = slash ? strcspn(slash + 1, ".") : 0;
    snprintf(stem, sizeof stem, "%.*s", (int)(length < 60 ? length : 60), slash ? slash + 1 : "");
    for (char *at = stem; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *at))
            *at = '-';
    if (!*stem || *stem == '-')
        snprintf(stem, sizeof stem, "repository");
    snprintf(build->pack_name, sizeof build->pack_name, "%s-build.%s", stem, zstd ? "tar.zst" : "tar.gz");
}

/* Whatever the build left under that name goes. */
static int write_manifest(struct build *build, const json_t *manifest)
{
    attempt_remove(build->manifest_path);
    int out = open(build->manifest_path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    int failed =
        out < 0 || json_dumpfd(manifest, out, JSON_INDENT(1)) != 0
            ? exportd_kit_fail(&build->error, "workspace_failed", 1, "%s: %s", build->manifest_path, strerror(errno))
            : 0;
    if (out >= 0)
        close(out);
    return failed;
}

static int collect(struct build *build, json_t **manifest)
{
    const struct made_limits limits = {
        .max_files = (size_t)exportd_option_integer(build->job, "max_files", 0),
        .max_bytes = (uint64_t)exportd_option_integer(build->job, "max_output", 0),
    };
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const char *format = given(build, "format"), *workspace = exportd_workspace(build->job);
    bool zstd = format && strcmp(format, "tar.zst") == 0;
    exportd_progress(build->job, BUILD_SHARE + 0.01, "collecting the output");
    if (made_find(&build->checkout, &build->plan, &build->before, given(build, "output"), &limits, build->notes,
                  &build->made, &build->error) != 0)
        return -1;
    name_pack(build, zstd);
    const struct exportd_archive_options options = {
        .format = zstd ? EXPORTD_ARCHIVE_TAR_ZST : EXPORTD_ARCHIVE_TAR_GZ,
        .top = "build",
        .time_s = epoch ? strtoll(epoch, NULL, 10) : 0,
        .step = on_packed,
        .context = build->job,
    };
    snprintf(build->pack_path, sizeof build->pack_path, "%s/%s", workspace, build->pack_name);
    snprintf(build->manifest_path, sizeof build->manifest_path, "%s/manifest.json", workspace);
    attempt_remove(build->pack_path);
    if (made_pack(&build->made, &options, build->pack_path, manifest, &build->error) != 0 ||
        write_manifest(build, *manifest) != 0)
        return -1;
    if (exportd_artifact(build->job, build->pack_path, build->pack_name,
                         zstd ? "application/zstd" : "application/gzip") ||
        exportd_artifact(build->job, build->manifest_path, "manifest.json", "application/json") ||
        exportd_artifact(build->job, build->log_path, "build.log", "text/plain; charset=utf-8"))
        return exportd_kit_fail(&build->error, "artifact_refused", 0,
                                "the host did not take an artifact (the reason is in its log)");
    return 0;
}

static json_t *describe(const struct build *build, const json_t *manifest)
{
    uint64_t bytes = 0;
    json_t *files = json_array(), *all = json_object_get(manifest, "files");
    for (size_t i = 0; i < build->made.list.count; i++)
        bytes += build->made.list.files[i].size_bytes;
    for (size_t i = 0; i < json_array_size(all) && i < LISTED_MAX; i++)
        json_array_append(files, json_array_get(all, i));
    if (build->output.bytes > build->output.kept)
        json_array_append_new(build->notes,
                              json_sprintf("build.log holds the first %llu of %llu bytes (max_log in [plugin "
                                           "repo-build])",
                                           (unsigned long long)build->output.kept,
                                           (unsigned long long)build->output.bytes));
    if (json_array_size(all) > LISTED_MAX)
        json_array_append_new(build->notes,
                              json_sprintf("manifest.json lists all %zu files, this result the first %d",
                                           json_array_size(all), LISTED_MAX));
    return json_pack("{s:s, s:O, s:s, s:s, s:I, s:I, s:o, s:s, s:s, s:O, s:O}", "system",
                     plan_system_name(build->plan.system), "commands", build->steps, "output", build->made.name,
                     "archive", build->pack_name, "files", (json_int_t)build->made.list.count, "bytes",
                     (json_int_t)bytes, "manifest", files, "manifestFile", "manifest.json", "log", "build.log",
                     "notes", build->notes, "repository", build->checkout.repository);
}

static void clear(struct build *build)
{
    for (size_t i = 0; i < build->variables; i++)
        free(build->environment[i]);
    if (build->output.log >= 0)
        close(build->output.log);
    made_list_clear(&build->before);
    made_clear(&build->made);
    plan_clear(&build->plan);
    exportd_checkout_clear(&build->checkout);
    json_decref(build->steps);
    json_decref(build->notes);
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct build build = {.job = job, .data = data, .output.log = -1, .steps = json_array(), .notes = json_array()};
    json_t *manifest = NULL;
    int failed = prepare(&build);
    int64_t until_ms = program_now_ms() + exportd_option_integer(job, "build_time", 0);
    for (size_t i = 0; !failed && i < build.plan.step_count; i++)
        failed = run_step(&build, i, until_ms);
    failed = failed ? failed : collect(&build, &manifest);
    enum exportd_status status = EXPORTD_OK;
    const char *missing = given(&build, "when_missing");
    if (failed && strcmp(build.error.code, "build_unknown") == 0 && missing && strcmp(missing, "skip") == 0) {
        attempt_end(exportd_workspace(job));
        *result = json_pack("{s:b, s:s, s:O}", "skipped", 1, "reason", build.error.message, "repository",
                            build.checkout.repository);
        exportd_progress(job, 1, "nothing to build");
    } else if (failed) {
        status = exportd_fail(job, build.error.code, build.error.retryable, "%s%s%s", build.error.message,
                              build.said[0] ? "; it last wrote:\n" : "", build.said);
    } else {
        *result = describe(&build, manifest);
        attempt_end(exportd_workspace(job));
        exportd_progress(job, 1, "done");
    }
    json_decref(manifest);
    clear(&build);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "build-assets",
     .after = "acquire-user-repo",
     .summary = "What a repository's own build makes of it",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "system" : {
                 "type" : "string",
                 "enum" : [ "npm", "pnpm", "yarn", "cmake", "make" ],
                 "description" : "What builds it (else found out from its files)"
             },
             "when_missing" : {
                 "type" : "string",
                 "enum" : [ "fail", "skip" ],
                 "default" : "fail",
                 "description" : "Where there is nothing to build with: fail, or end well and say so"
             },
             "script" : {
                 "type" : "string",
                 "minLength" : 1,
                 "maxLength" : 200,
                 "default" : "build",
                 "description" : "Of package.json, for npm, pnpm and yarn"
             },
             "install" : {
                 "type" : "boolean",
                 "default" : true,
                 "description" : "Install the dependencies that package.json names first"
             },
             "command" : {
                 "type" : "string",
                 "minLength" : 1,
                 "maxLength" : 4000,
                 "description" : "For sh -c, instead of all that (where conf.d allows it)"
             },
             "output" : {
                 "type" : "string",
                 "minLength" : 1,
                 "maxLength" : 1000,
                 "description" : "The folder of the repository that is wanted (else found out)"
             },
             "format" : {
                 "type" : "string",
                 "enum" : [ "tar.gz", "tar.zst" ],
                 "default" : "tar.gz",
                 "description" : "Of the output's tarball"
             },
             "environment" : {
                 "type" : "object",
                 "additionalProperties" : true,
                 "description" : "Variables for the build, by name"
             }
         },
         "additionalProperties" : false
     }),
     .run = run},
    {0},
};

static const struct exportd_option options[] = {
    {"commands", EXPORTD_BOOLEAN, "no",
     "Run the command that a request gives, instead of what the repository's own files say", 0},
    {"path", EXPORTD_STRING, NULL,
     "Folders with further programs, before the system's, as in PATH: /opt/node/bin; read has to grant them unless "
     "they lie in /usr or /opt",
     0},
    {"build_time", EXPORTD_DURATION, "20m",
     "For all commands of one build together; below timeout, so that the error can say what the build last wrote", 0},
    {"jobs", EXPORTD_INTEGER, "2", "What make and cmake do at once", 0},
    {"npm_registry", EXPORTD_STRING, NULL,
     "Where npm, pnpm and yarn install from, where network = yes (unless given: their own default)", 0},
    {"max_output", EXPORTD_SIZE, "512M", "The output's files: their bytes together", 0},
    {"max_files", EXPORTD_INTEGER, "50000", "Files and links in the output", 0},
    {"max_log", EXPORTD_SIZE, "16M", "What is kept of the build's own words", 0},
    {0},
};

EXPORTD_PLUGIN(.name = "repo-build", .version = "1.0.0", .summary = "What a repository's build makes of it",
               .licence = "MIT", .tasks = tasks, .options = options,
               .grants = EXPORTD_GRANT_EXEC | EXPORTD_GRANT_NETWORK)
