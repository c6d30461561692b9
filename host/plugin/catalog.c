#include "plugin/catalog.h"

#include "base/memory.h"
#include "base/program.h"
#include "job/schema.h"
#include "plugin/forward.h"
#include "plugin/manifest.h"
#include "plugin/pipeline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PLUGINS_MAX 1000
#define PROBES_AT_ONCE 8

struct scan;

struct probe {
    struct scan *scan;
    char *path;
    char *copy; /* or NULL */
    struct worker_spec spec;
    struct worker_process *worker;
    json_t *manifest;
    json_t *sandbox;
    struct error error;
    bool running;
};

struct scan {
    uv_loop_t loop;
    uv_timer_t watch;
    struct probe *probes;
    size_t count, next, running;
    struct catalog *catalog;
};

static void start_probes(struct scan *scan);

static void on_ready(void *client, struct worker_process *worker, json_t *manifest, json_t *sandbox)
{
    struct probe *probe = client;
    (void)worker;
    probe->manifest = json_incref(manifest);
    probe->sandbox = json_incref(sandbox);
}

static void on_refused(void *client, struct worker_process *worker, const struct error *error)
{
    (void)worker;
    ((struct probe *)client)->error = *error;
}

static void on_log(void *client, struct worker_process *worker, enum exportd_log_level level, const char *text)
{
    (void)client;
    (void)worker;
    (void)level;
    (void)text;
}

static void on_progress(void *client, struct worker_process *worker, double fraction, const char *stage)
{
    (void)client;
    (void)worker;
    (void)fraction;
    (void)stage;
}

static void on_finished(void *client, struct worker_process *worker, const struct worker_outcome *outcome)
{
    (void)client;
    (void)worker;
    (void)outcome;
}

static void on_gone(void *client, struct worker_process *worker, const struct error *error)
{
    struct probe *probe = client;
    (void)worker;
    if (!probe->manifest && !error_is_set(&probe->error))
        probe->error = *error;
    if (!probe->manifest && !error_is_set(&probe->error))
        error_set(&probe->error, "plugin_unloadable", false, "it ended while it was loaded, and told nothing");
    probe->running = false;
    probe->scan->running--;
    start_probes(probe->scan);
}

static const struct worker_events probe_events = {
    .ready = on_ready,
    .refused = on_refused,
    .log = on_log,
    .progress = on_progress,
    .finished = on_finished,
    .gone = on_gone,
};

static void on_watch(uv_timer_t *timer)
{
    struct scan *scan = timer->data;
    for (size_t i = 0; i < scan->next; i++)
        if (scan->probes[i].running)
            worker_process_watch(scan->probes[i].worker);
}

static void start_probes(struct scan *scan)
{
    while (scan->next < scan->count && scan->running < PROBES_AT_ONCE) {
        struct probe *probe = &scan->probes[scan->next++];
        if (error_is_set(&probe->error))
            continue; /* there is no copy of it */
        char *name = strrchr(probe->path, '/');
        probe->spec = (struct worker_spec){
            .name = name ? name + 1 : probe->path,
            .program = scan->catalog->worker_program,
            .plugin_path = probe->copy ? probe->copy : probe->path,
            .original_path = probe->copy ? probe->path : NULL,
            .probe = true,
            .sandbox = scan->catalog->config->host.sandbox != CONFIG_SANDBOX_OFF,
            .memory_bytes = (int64_t)1 << 30,
            .file_bytes = 0,
            .timeout_ms = 10000,
            .grace_ms = 1000,
            .max_result_bytes = 1 << 20,
        };
        probe->worker = worker_process_start(&scan->loop, &probe->spec, &probe_events, probe, &probe->error);
        probe->running = probe->worker != NULL;
        scan->running += probe->running ? 1 : 0;
    }
    if (scan->running == 0 && scan->next == scan->count && !uv_is_closing((uv_handle_t *)&scan->watch))
        uv_close((uv_handle_t *)&scan->watch, NULL);
}

static void run_probes(struct scan *scan)
{
    uv_loop_init(&scan->loop);
    uv_timer_init(&scan->loop, &scan->watch);
    scan->watch.data = scan;
    uv_timer_start(&scan->watch, on_watch, 250, 250);
    start_probes(scan);
    uv_run(&scan->loop, UV_RUN_DEFAULT);
    uv_loop_close(&scan->loop);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool is_plugin_name(const char *name)
{
    size_t length = strlen(name);
    return name[0] != '.' && length > 3 && strcmp(name + length - 3, ".so") == 0;
}

static int list_files(const char *folder, char ***paths, size_t *count, struct error *error)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return error_set(error, "plugins_folder", false, "the plugins' folder %s: %s; set [host] plugins", folder,
                         strerror(errno));
    for (struct dirent *entry; (entry = readdir(entries)) && *count < PLUGINS_MAX;) {
        if (!is_plugin_name(entry->d_name))
            continue;
        *paths = memory_resized(*paths, *count + 1, sizeof **paths);
        (*paths)[(*count)++] = memory_format("%s/%s", folder, entry->d_name);
    }
    closedir(entries);
    if (*count > 1)
        qsort(*paths, *count, sizeof **paths, by_text);
    return 0;
}

/* The copy's path, new; where it can't be made, error says why. NULL: what is no regular file isn't copied. */
static char *copy_file(const char *path, const char *folder, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return NULL;
    char *copy = memory_format("%s%s", folder, strrchr(path, '/'));
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = from >= 0 ? open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0500) : -1;
    ssize_t count = 0;
    struct stat after;
    if (from < 0)
        error_set(error, "plugin_missing", false, "%s: %s", path, strerror(errno));
    else if (to < 0)
        error_set(error, "plugin_missing", true, "%s can't be copied to %s: %s", path, folder, strerror(errno));
    while (to >= 0 && (count = sendfile(to, from, NULL, 1u << 30)) > 0)
        continue;
    if (count < 0)
        error_set(error, "plugin_missing", true, "%s can't be copied to %s: %s", path, folder, strerror(errno));
    else if (to >= 0 &&
             (fstat(from, &after) != 0 || after.st_size != status.st_size ||
              after.st_mtim.tv_sec != status.st_mtim.tv_sec || after.st_mtim.tv_nsec != status.st_mtim.tv_nsec))
        error_set(error, "plugin_missing", true, "%s changed while it was copied; reload again", path);
    if (from >= 0)
        close(from);
    if (to >= 0 && close(to) != 0 && count == 0)
        error_set(error, "plugin_missing", true, "%s can't be copied to %s: %s", path, folder, strerror(errno));
    return copy;
}

/* What lies beside the plugins and is none, such as a library that some of them find by $ORIGIN. */
static void link_others(const char *folder, const char *copies)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (entry->d_name[0] == '.' || is_plugin_name(entry->d_name))
            continue;
        char *from = memory_format("%s/%s", folder, entry->d_name),
             *to = memory_format("%s/%s", copies, entry->d_name);
        if (symlink(from, to) != 0 && errno != EEXIST) {
            /* who needs it will say that it isn't there */
        }
        free(from);
        free(to);
    }
    if (entries)
        closedir(entries);
}

static void put_aside(struct catalog *catalog, const char *path, const struct error *error)
{
    catalog->failures = memory_resized(catalog->failures, catalog->failure_count + 1, sizeof *catalog->failures);
    struct catalog_failure *failure = &catalog->failures[catalog->failure_count++];
    failure->path = memory_text(path);
    failure->error = *error;
}

static void note_sandbox(struct catalog *catalog, const json_t *sandbox)
{
    if (!json_is_object(sandbox))
        return;
    catalog->sandbox_known = true;
    catalog->landlock_abi = (int)json_integer_value(json_object_get(sandbox, "landlock"));
    catalog->seccomp = json_is_true(json_object_get(sandbox, "seccomp"));
}

/* Nobody knows the copy's name. */
static void name_original(struct error *error, const struct probe *probe)
{
    char *at = probe->copy ? strstr(error->message, probe->copy) : NULL;
    if (at) {
        char *text = memory_format("%.*s%s%s", (int)(at - error->message), error->message, probe->path,
                                   at + strlen(probe->copy));
        snprintf(error->message, sizeof error->message, "%s", text);
        free(text);
    }
    if (!strstr(error->message, probe->path))
        error_prefix(error, "%s: ", probe->path);
}

/* The plugin that this file held before. Returns whether it goes on. */
static bool keep_previous(struct catalog *catalog, const struct catalog *previous, const struct probe *probe,
                          struct config_problems *problems)
{
    struct error error = {0};
    const struct plugin *before = NULL;
    for (size_t i = 0; previous && i < previous->plugin_count; i++)
        if (strcmp(previous->plugins[i]->path, probe->path) == 0)
            before = previous->plugins[i];
    if (!before || !before->copy || !probe->copy)
        return false;
    unlink(probe->copy);
    if (link(before->copy, probe->copy) != 0)
        return false;
    json_t *manifest = json_deep_copy(before->manifest); /* counts of references aren't atomic */
    bool kept = manifest_add(catalog, probe->path, probe->copy, manifest, problems, &error) == 0;
    json_decref(manifest);
    return kept;
}

static void take_probe(struct catalog *catalog, const struct catalog *previous, struct probe *probe,
                       struct config_problems *problems)
{
    note_sandbox(catalog, probe->sandbox);
    struct error error = probe->error;
    if (!error_is_set(&error))
        manifest_add(catalog, probe->path, probe->copy, probe->manifest, problems, &error);
    if (error_is_set(&error)) {
        name_original(&error, probe);
        if (keep_previous(catalog, previous, probe, problems)) {
            char *text = memory_format("%s; the build from before is kept", error.message);
            snprintf(error.message, sizeof error.message, "%s", text);
            free(text);
        }
        put_aside(catalog, probe->path, &error);
    }
}

static int by_route_name(const void *left, const void *right)
{
    return strcmp((*(struct route *const *)left)->name, (*(struct route *const *)right)->name);
}

char *catalog_worker_program(void)
{
    char *program = program_file("exportd-worker", EXPORTD_WORKER_BELOW, EXPORTD_WORKER_PATH);
    return program ? program : memory_text(EXPORTD_WORKER_PATH);
}

/* Its file isn't known, or held another plugin before. */
static bool is_newcomer(const struct catalog *previous, const struct probe *probe)
{
    const char *name = json_string_value(json_object_get(probe->manifest, "name"));
    for (size_t i = 0; previous && i < previous->plugin_count; i++)
        if (strcmp(previous->plugins[i]->path, probe->path) == 0)
            return name && strcmp(previous->plugins[i]->name, name) != 0;
    return true;
}

/* Probes the files at paths, which it takes. */
static void scan_files(struct catalog *catalog, char **paths, size_t count, const char *copies,
                       const struct catalog *previous, struct config_problems *problems)
{
    struct scan scan = {.catalog = catalog, .count = count, .probes = memory_zeroed(count, sizeof *scan.probes)};
    for (size_t i = 0; i < count; i++) {
        struct probe *probe = &scan.probes[i];
        *probe = (struct probe){.scan = &scan, .path = paths[i]};
        if (copies)
            probe->copy = copy_file(paths[i], copies, &probe->error);
        if (error_is_set(&probe->error) && !previous) {
            config_problems_add(problems, true, paths[i],
                                "it runs from the file itself, which must not be exchanged in place then: %s",
                                probe->error.message);
            unlink(probe->copy);
            free(probe->copy);
            probe->copy = NULL;
            error_clear(&probe->error);
        }
    }
    run_probes(&scan);
    /* Those that were there before come first: a newcomer takes no route or name of theirs. */
    for (int newcomers = 0; newcomers < 2; newcomers++)
        for (size_t i = 0; i < count; i++)
            if (is_newcomer(previous, &scan.probes[i]) == (newcomers == 1))
                take_probe(catalog, previous, &scan.probes[i], problems);
    for (size_t i = 0; i < count; i++) {
        json_decref(scan.probes[i].manifest);
        json_decref(scan.probes[i].sandbox);
        free(scan.probes[i].copy);
        free(paths[i]);
    }
    free(scan.probes);
    free(paths);
}

static struct catalog *new_catalog(const struct config *config, struct error *error)
{
    struct catalog *catalog = memory_zeroed(1, sizeof *catalog);
    catalog->config = config;
    catalog->worker_program = catalog_worker_program();
    if (access(catalog->worker_program, X_OK) == 0)
        return catalog;
    error_set(error, "worker_missing", false, "%s: %s; install it beside exportd", catalog->worker_program,
              strerror(errno));
    catalog_free(catalog);
    return NULL;
}

static void sort_routes(struct catalog *catalog)
{
    if (catalog->route_count > 1)
        qsort(catalog->routes, catalog->route_count, sizeof *catalog->routes, by_route_name);
}

static struct catalog *load_folder(const struct config *config, const char *copies, const struct catalog *previous,
                                   struct config_problems *problems, struct error *error)
{
    char **paths = NULL;
    size_t count = 0;
    struct catalog *catalog = new_catalog(config, error);
    if (!catalog)
        return NULL;
    if (list_files(config->host.plugins, &paths, &count, error) != 0) {
        catalog_free(catalog);
        return NULL;
    }
    if (copies)
        link_others(config->host.plugins, copies);
    scan_files(catalog, paths, count, copies, previous, problems);
    pipeline_add_routes(catalog, problems);
    pipeline_imply(catalog, problems);
    forward_add_routes(catalog);
    sort_routes(catalog);
    return catalog;
}

struct catalog *catalog_load(const struct config *config, const char *only_file, struct config_problems *problems,
                             struct error *error)
{
    if (!only_file)
        return load_folder(config, NULL, NULL, problems, error);
    struct catalog *catalog = new_catalog(config, error);
    if (!catalog)
        return NULL;
    char **paths = memory_resized(NULL, 1, sizeof *paths);
    char *resolved = realpath(only_file, NULL);
    paths[0] = resolved ? resolved : memory_text(only_file);
    scan_files(catalog, paths, 1, NULL, NULL, problems);
    sort_routes(catalog);
    return catalog;
}

struct catalog *catalog_load_copies(const struct config *config, const char *folder, const struct catalog *previous,
                                    struct config_problems *problems, struct error *error)
{
    struct statvfs status;
    bool can_run = statvfs(folder, &status) != 0 || !(status.f_flag & ST_NOEXEC);
    return load_folder(config, can_run ? folder : NULL, previous, problems, error);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog)
        return;
    for (size_t i = 0; i < catalog->route_count; i++)
        manifest_free_route(catalog->routes[i]);
    for (size_t i = 0; i < catalog->inner_count; i++)
        manifest_free_route(catalog->inner[i]);
    for (size_t i = 0; i < catalog->plugin_count; i++)
        manifest_free_plugin(catalog->plugins[i]);
    for (size_t i = 0; i < catalog->failure_count; i++)
        free(catalog->failures[i].path);
    free(catalog->routes);
    free(catalog->inner);
    free(catalog->plugins);
    free(catalog->failures);
    manifest_free_plugin(catalog->upstream);
    free(catalog->worker_program);
    free(catalog);
}

static const struct route *find_by_name(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->route_count; i++)
        if (strcmp(catalog->routes[i]->name, name) == 0)
            return catalog->routes[i];
    return NULL;
}

static const char *default_value(const struct config *config, const char *task)
{
    for (size_t i = 0; i < config->route_count; i++)
        if (strcmp(config->routes[i].task, task) == 0)
            return config->routes[i].default_value;
    return NULL;
}

/* Appends the names of the routes of a task (NULL: all) to text. */
static void list_routes(const struct catalog *catalog, const char *task, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; i < catalog->route_count && length + 1 < size; i++) {
        if (task && strcmp(catalog->routes[i]->task, task) != 0)
            continue;
        int count = snprintf(text + length, size - length, "%s%s", length ? ", " : "", catalog->routes[i]->name);
        length += count > 0 ? (size_t)count : 0;
    }
    if (length == 0)
        snprintf(text, size, "none");
}

/* One that a plugin has, and that is left out for want of what has to come first. */
static const struct route *left_out(const struct catalog *catalog, const char *task)
{
    for (size_t i = 0; i < catalog->inner_count; i++)
        if (strcmp(catalog->inner[i]->name, task) == 0 || strcmp(catalog->inner[i]->task, task) == 0)
            return catalog->inner[i];
    return NULL;
}

const struct route *catalog_route(const struct catalog *catalog, const char *task, const json_t *data,
                                  struct error *error)
{
    const struct route *exact = find_by_name(catalog, task);
    if (exact)
        return exact;
    char known[1024];
    const struct route *some = NULL;
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        if (strcmp(route->task, task) != 0 || !route->option)
            continue;
        some = route;
        const json_t *value = json_object_get(data, route->option);
        const char *wanted = json_is_string(value) ? json_string_value(value) : NULL;
        if (!value)
            wanted = default_value(catalog->config, task);
        if (wanted && strcmp(wanted, route->value) == 0)
            return route;
    }
    const struct route *lacking = some ? NULL : left_out(catalog, task);
    if (lacking) {
        error_set(
            error, "route_unknown", false,
            "the task \"%.64s\" of the plugin %s needs %s to come first, and no plugin offers that; install one",
            task, lacking->plugin->name, lacking->after);
        return NULL;
    }
    list_routes(catalog, some ? task : NULL, known, sizeof known);
    if (some && !json_object_get(data, some->option))
        error_set(error, "route_ambiguous", false,
                  "the task \"%s\" needs the option \"%s\", or a default in conf.d: [route %s] default = …; the "
                  "routes are: %s",
                  task, some->option, task, known);
    else if (some)
        error_set(error, "route_unknown", false, "no plugin offers \"%.64s\" with that \"%s\"; the routes are: %s",
                  task, some->option, known);
    else
        error_set(error, "route_unknown", false, "no plugin offers the task \"%.64s\"; the routes are: %s", task,
                  known);
    return NULL;
}

const struct plugin *catalog_owner(const struct route *route)
{
    return route->implied ? route->steps[route->step_count - 1]->plugin : route->plugin;
}

const struct plugin *catalog_plugin(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->plugin_count; i++)
        if (strcmp(catalog->plugins[i]->name, name) == 0)
            return catalog->plugins[i];
    return NULL;
}
