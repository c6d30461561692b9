/*
 * exportd serve: the host.
 */
#include "command/serve.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/notify.h"
#include "base/tree.h"
#include "command/command.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIPELINES_KEPT_S (7 * 24 * 60 * 60)
#define STOP_BEYOND_DRAIN_MS 30000 /* for last writes, answers and uploads */

static int make_folder(const char *path, struct error *error)
{
    struct stat status;
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return error_set(error, "state_folder", false, "%s can't be made: %s", path, strerror(errno));
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return error_set(error, "state_folder", false, "%s: not a folder; move it away, or set [host] state", path);
    return 0;
}

/* What pipelines keep between attempts is of no use once the job ended at another host. */
static void clean_old_pipelines(const char *folder)
{
    DIR *entries = opendir(folder);
    time_t now = time(NULL);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        struct stat status;
        char *path = memory_format("%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && stat(path, &status) == 0 && now - status.st_mtime > PIPELINES_KEPT_S)
            tree_remove(path);
        free(path);
    }
    if (entries)
        closedir(entries);
}

static void clean_old_work(uv_work_t *request)
{
    const struct host *host = request->data;
    tree_remove(host->old_work_folder);
    clean_old_pipelines(host->pipeline_folder);
}

static void cleaned(uv_work_t *request, int status)
{
    (void)request;
    (void)status;
}

void serve_set_log(const struct config *config)
{
    log_setup((enum log_level)config->host.log_level, config->host.log_json);
    log_set_parts(config->host.log_detail.items, config->host.log_detail.count);
}

char *serve_generation_folder(struct host *host, struct error *error)
{
    char *parent = memory_format("%s/plugins", host->config->host.state);
    char *folder = memory_format("%s/%d", parent, ++host->generations);
    if (make_folder(parent, error) != 0 || make_folder(folder, error) != 0) {
        free(folder);
        folder = NULL;
    }
    free(parent);
    return folder;
}

/* What an earlier host's workers left goes aside at once and away in the background. */
static int prepare_folders(struct host *host, struct error *error)
{
    const char *state = host->config->host.state;
    host->artifact_folder = memory_format("%s/artifacts", state);
    host->work_folder = memory_format("%s/work", state);
    host->pipeline_folder = memory_format("%s/pipelines", state);
    host->old_work_folder = memory_format("%s/work.old", state);
    tree_remove(host->old_work_folder);
    if (rename(host->work_folder, host->old_work_folder) == 0) {
        host->cleaning.data = host;
        uv_queue_work(&host->loop, &host->cleaning, clean_old_work, cleaned);
    }
    if (make_folder(host->artifact_folder, error) != 0 || make_folder(host->work_folder, error) != 0 ||
        make_folder(host->pipeline_folder, error) != 0)
        return -1;
    tree_spread(host->work_folder);
    char *copies = memory_format("%s/plugins", state);
    tree_remove(copies);
    free(copies);
    return 0;
}

static void write_address(struct host *host)
{
    host->address_file = memory_format("%s/address", host->config->host.state);
    FILE *file = fopen(host->address_file, "we");
    if (!file)
        return; /* the commands can still be told with --url */
    fprintf(file, "%s\n", host->address);
    fclose(file);
}

static void on_delivery_ready(void *client, enum store_channel channel)
{
    struct host *host = client;
    if (channel == STORE_CHANNEL_WEBHOOK)
        outbox_kick(host->outbox);
    else if (host->nats)
        nats_door_kick(host->nats);
}

static int64_t on_reserve(void *client)
{
    struct host *host = client;
    return host->nats ? nats_door_reserve(host->nats) : 0;
}

static void on_deliver(void *client, struct store_delivery *delivery)
{
    nats_door_deliver(((struct host *)client)->nats, delivery);
}

static void on_progress(void *client, const struct job *job, double fraction, const char *stage)
{
    struct host *host = client;
    if (host->nats)
        nats_door_progress(host->nats, job, fraction, stage);
}

static void on_observed(void *client, const struct job *job, const char *event, const json_t *data)
{
    board_tell(((struct host *)client)->board, job, event, data);
}

static void on_hint(void *client)
{
    dispatch_hint(((struct host *)client)->dispatch);
}

static void close_signal(uv_signal_t *handle)
{
    if (!uv_is_closing((uv_handle_t *)handle))
        uv_close((uv_handle_t *)handle, NULL);
}

static void on_board_closed(void *client)
{
    ((struct host *)client)->board = NULL;
}

static void on_outbox_closed(void *client)
{
    struct host *host = client;
    host->outbox = NULL;
    board_close(host->board, on_board_closed, host);
    store_close(host->store);
    host->store = NULL;
    uploader_close(host->uploader);
    if (host->http)
        http_server_close(host->http);
    close_signal(&host->terminate);
    close_signal(&host->interrupt);
    close_signal(&host->hangup);
    signal(SIGHUP, SIG_IGN); /* as before the start; libuv lets it kill again */
    uv_close((uv_handle_t *)&host->watchdog, NULL);
}

static void on_nats_closed(void *client)
{
    struct host *host = client;
    host->nats = NULL;
    outbox_close(host->outbox, on_outbox_closed, host);
}

static void on_upstream_closed(void *client)
{
    struct host *host = client;
    host->upstream = NULL;
    if (host->nats)
        nats_door_close(host->nats, on_nats_closed, host);
    else
        on_nats_closed(host);
}

static void on_drained(void *client)
{
    struct host *host = client;
    if (host->upstream)
        upstream_close(host->upstream, on_upstream_closed, host);
    else
        on_upstream_closed(host);
}

static void on_stop(uv_signal_t *handle, int number)
{
    struct host *host = handle->data;
    if (host->stopping) {
        log_write(LOG_LEVEL_WARNING, "host", NULL, "a second signal: running jobs are stopped now");
        _exit(128 + number); /* the store is whole at any time, and workers die with the host */
    }
    const struct config_host *settings = &host->generation->config->host;
    host->stopping = true;
    log_write(LOG_LEVEL_INFO, "host", NULL, "stopping: no more jobs are taken; those that run have %g s",
              (double)settings->drain_timeout_ms / 1000);
    notify_stopping(settings->drain_timeout_ms + STOP_BEYOND_DRAIN_MS);
    serve_reload_stop(host);
    http_server_drain(host->http);
    if (host->nats)
        nats_door_drain(host->nats);
    dispatch_drain(host->dispatch, settings->drain_timeout_ms, on_drained, host);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct host *host = handle->data;
    (void)number;
    if (!host->stopping)
        serve_reload(host, NULL, NULL);
}

static void on_reload_asked(void *context, http_reloaded done, void *client)
{
    serve_reload(context, done, client);
}

/* The first generation; its configuration is read already. */
static int load_plugins(struct host *host, struct error *error)
{
    struct config_problems problems = {0};
    char *folder = serve_generation_folder(host, error);
    struct catalog *catalog = folder ? catalog_load_copies(host->config, folder, NULL, &problems, error) : NULL;
    command_print_problems(&problems, true);
    config_problems_clear(&problems);
    if (!catalog) {
        free(folder);
        return -1;
    }
    host->first = generation_new(host->config, catalog, folder);
    host->generation = generation_hold(host->first);
    return serve_check_sandbox(host->config, catalog, error);
}

static int start(struct host *host, struct error *error)
{
    const struct config *config = host->config;
    struct store_options store_options = command_store_options(config);
    /* Also has OpenSSL begin on this thread: begun by cnats' it crashes at the end of the process. */
    if (config->nats.url[0] && nats_check_settings(config, error) != 0)
        return -1;
    host->store = store_open(&store_options, &host->loop, error);
    if (!host->store || prepare_folders(host, error) != 0 || load_plugins(host, error) != 0)
        return -1;
    const struct catalog *catalog = host->generation->catalog;
    host->repros = repros_new(config);
    if (config->s3.bucket[0] && !(host->uploader = uploader_new(&host->loop, &config->s3, error)))
        return -1;
    int socket = http_listen(config->http.listen, &host->address, error);
    if (socket < 0)
        return -1;
    host->public_url =
        config->http.public_url[0] ? memory_text(config->http.public_url) : memory_format("http://%s", host->address);
    if (strcmp(upstream_url(config), host->public_url) == 0) {
        close(socket);
        return error_set(error, "upstream_itself", false,
                         "[upstream] url is %s, this host itself; name another, or leave it empty", host->public_url);
    }
    host->outbox = outbox_new(&host->loop, config, host->store, error);
    if (!host->outbox) {
        close(socket);
        return -1;
    }
    size_t name_size = sizeof host->name;
    uv_os_gethostname(host->name, &name_size);
    host->upstream = upstream_new(&host->loop, config, error);
    if (error_is_set(error)) {
        close(socket);
        return -1;
    }
    host->board = board_new(&host->loop, &config->redis, host->name);
    struct dispatch_options dispatch_options = {
        .loop = &host->loop,
        .generation = host->generation,
        .store = host->store,
        .repros = host->repros,
        .artifact_folder = host->artifact_folder,
        .work_folder = host->work_folder,
        .pipeline_folder = host->pipeline_folder,
        .uploader = host->uploader,
        .upstream = host->upstream,
        .public_url = host->public_url,
        .delivery_ready = on_delivery_ready,
        .observe = host->board ? on_observed : NULL,
        .reserve = on_reserve,
        .deliver = on_deliver,
        .progress = on_progress,
        .client = host,
    };
    host->dispatch = dispatch_new(&dispatch_options);
    store_on_hint(host->store, on_hint, host);
    struct nats_door_options nats_options = {
        .loop = &host->loop, .config = config, .catalog = catalog, .store = host->store, .dispatch = host->dispatch};
    if (config->nats.url[0])
        host->nats = nats_door_new(&nats_options);
    struct http_context context = {
        .loop = &host->loop,
        .config = config,
        .catalog = catalog,
        .store = host->store,
        .dispatch = host->dispatch,
        .outbox = host->outbox,
        .board = host->board,
        .artifact_folder = host->artifact_folder,
        .uploader = host->uploader,
        .nats = host->nats,
        .started_ns = clock_monotonic_ns(),
        .reload = on_reload_asked,
        .host = host,
    };
    host->http = http_server_new(&context, socket, error);
    if (!host->http)
        return -1;
    write_address(host);
    return 0;
}

int serve_check_sandbox(const struct config *config, const struct catalog *catalog, struct error *error)
{
    bool required = config->host.sandbox == CONFIG_SANDBOX_REQUIRED;
    if (config->host.sandbox == CONFIG_SANDBOX_OFF) {
        log_write(LOG_LEVEL_WARNING, "sandbox", NULL, "switched off: plugins can do all that this user can");
        return 0;
    }
    if (!catalog->sandbox_known || (catalog->landlock_abi > 0 && catalog->seccomp))
        return 0;
    const char *lacking = catalog->landlock_abi == 0 ? "Landlock, so plugins can read files" : "seccomp filters";
    if (required)
        return error_set(
            error, "sandbox_missing", false,
            "this kernel has no %s, and [host] sandbox is required; use a newer kernel, or set sandbox = auto",
            lacking);
    log_write(LOG_LEVEL_WARNING, "sandbox", NULL, "this kernel has no %s", lacking);
    return 0;
}

static void report(const struct host *host, int64_t began_ns)
{
    const struct catalog *catalog = host->generation->catalog;
    for (size_t i = 0; i < catalog->failure_count; i++)
        log_write(LOG_LEVEL_ERROR, "plugin", NULL, "%s", catalog->failures[i].error.message);
    if (!host->config->webhook.secret[0])
        log_write(LOG_LEVEL_WARNING, "delivery", NULL, "callbacks go unsigned: set [webhook] secret");
    if (upstream_warning(host->config))
        log_write(LOG_LEVEL_WARNING, "upstream", NULL, "%s", upstream_warning(host->config));
    uploader_check(host->uploader);
    log_write(LOG_LEVEL_INFO, "host", NULL, "ready at http://%s after %.0f ms: %zu plugins, %zu routes",
              host->address, (double)(clock_monotonic_ns() - began_ns) / 1e6, catalog->plugin_count,
              catalog->route_count);
}

/* A descriptor for each caller and three for each worker: as many as the system lets this process have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void free_host(struct host *host)
{
    dispatch_free(host->dispatch);
    repros_free(host->repros);
    if (host->address_file)
        unlink(host->address_file);
    free(host->address_file);
    free(host->artifact_folder);
    free(host->work_folder);
    free(host->pipeline_folder);
    free(host->old_work_folder);
    free(host->address);
    free(host->public_url);
    generation_release(host->generation);
    if (host->first)
        generation_release(host->first);
    else
        config_free(host->config);
}

int command_serve(int count, char **arguments)
{
    static const char usage[] =
        "usage: exportd serve [-c DIR]\n\n"
        "Starts the host: takes jobs at [http] listen and runs them in worker processes. "
        "SIGTERM ends it in good order; SIGHUP has it read conf.d and the plugins' folder again.\n";
    struct command_options options;
    struct error error = {0};
    struct host host = {0};
    int64_t began_ns = clock_monotonic_ns();
    int code = command_parse(count, arguments, "c", usage, &options);
    if (code < 0)
        code = command_no_operand(&options, count, arguments, usage);
    if (code >= 0)
        return code;
    host.config = command_load_config(options.conf_folder, false);
    if (!host.config)
        return EXIT_WRONG_USE;
    serve_set_log(host.config);
    uv_loop_init(&host.loop);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* until there is something to reload */
    raise_descriptor_limit();
    host.conf_folder = options.conf_folder;
    if (start(&host, &error) != 0) {
        command_print_error(&error);
        if (host.store)
            store_close(host.store);
        if (!host.dispatch) {
            uploader_close(host.uploader);
            uv_run(&host.loop, UV_RUN_DEFAULT); /* lets the store's handle close */
            uv_loop_close(&host.loop);
        }
        free_host(&host);
        return EXIT_WRONG_USE;
    }
    uv_signal_init(&host.loop, &host.terminate);
    uv_signal_init(&host.loop, &host.interrupt);
    uv_signal_init(&host.loop, &host.hangup);
    host.terminate.data = host.interrupt.data = host.hangup.data = &host;
    uv_signal_start(&host.terminate, on_stop, SIGTERM);
    uv_signal_start(&host.interrupt, on_stop, SIGINT);
    uv_signal_start(&host.hangup, on_hangup, SIGHUP);
    notify_keep_alive(&host.loop, &host.watchdog);
    report(&host, began_ns);
    notify_ready();
    uv_run(&host.loop, UV_RUN_DEFAULT);
    uv_loop_close(&host.loop);
    log_write(LOG_LEVEL_INFO, "host", NULL, "stopped");
    free_host(&host);
    return 0;
}
