/*
 * Reload: a thread reads the configuration and probes the plugins; the loop goes on meanwhile, and takes them over.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/notify.h"
#include "base/tree.h"
#include "command/command.h"
#include "command/serve.h"

#include <stdlib.h>

struct waiter {
    http_reloaded done;
    void *client;
    struct waiter *next;
};

struct reload {
    uv_work_t request;
    struct host *host;
    struct generation *before;
    int64_t began_ns;
    struct config *config;
    struct catalog *catalog;
    char *folder;
    struct config_problems problems;
    struct error error;
    struct waiter *waiters;
};

static void start(struct host *host, struct reload *reload);

/* On a thread: what it reads of the host and of the generation before doesn't change. */
static void load(uv_work_t *request)
{
    struct reload *reload = request->data;
    const struct host *host = reload->host;
    if (command_read_config(host->conf_folder, &reload->config, &reload->problems) != 0)
        return;
    if (config_carry(reload->config, host->config, &reload->problems) != 0)
        error_set(&reload->error, "out_of_memory", true, "there is no memory for another configuration");
    else
        reload->catalog = catalog_load_copies(reload->config, reload->folder, reload->before->catalog,
                                              &reload->problems, &reload->error);
}

static json_t *text_or_note(const char *text)
{
    json_t *value = json_string(text);
    return value ? value : json_string("(not UTF-8)");
}

/* Those that are warnings, or those that are none; each is logged too. */
static json_t *tell_problems(const struct config_problems *problems, bool warnings)
{
    json_t *list = json_array();
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *problem = &problems->items[i];
        if (problem->warning != warnings)
            continue;
        log_write(warnings ? LOG_LEVEL_WARNING : LOG_LEVEL_ERROR, "reload", NULL, "%s: %s", problem->place,
                  problem->message);
        json_array_append_new(list, json_pack("{s:o, s:o}", "place", text_or_note(problem->place), "message",
                                              text_or_note(problem->message)));
    }
    return list;
}

static json_t *tell_failures(const struct catalog *catalog)
{
    json_t *list = json_array();
    for (size_t i = 0; i < catalog->failure_count; i++) {
        const struct catalog_failure *failure = &catalog->failures[i];
        log_write(LOG_LEVEL_ERROR, "plugin", NULL, "%s", failure->error.message);
        json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "file", text_or_note(failure->path), "code",
                                              failure->error.code, "error", text_or_note(failure->error.message)));
    }
    return list;
}

static json_t *refuse(struct reload *reload, unsigned *status)
{
    char detail[ERROR_MESSAGE_MAX + 100];
    const struct error *error = &reload->error;
    json_t *problems = tell_problems(&reload->problems, false);
    *status = error_is_set(error) && error->retryable ? 503 : 422;
    if (error_is_set(error))
        snprintf(detail, sizeof detail, "%s; nothing was reloaded", error->message);
    else
        snprintf(detail, sizeof detail, "the configuration has %zu %s; nothing was reloaded", reload->problems.errors,
                 reload->problems.errors == 1 ? "mistake" : "mistakes");
    log_write(LOG_LEVEL_ERROR, "reload", NULL, "%s", detail);
    return json_pack("{s:b, s:s, s:o, s:o, s:o}", "reloaded", 0, "code",
                     error_is_set(error) ? error->code : "config_invalid", "detail", text_or_note(detail), "problems",
                     problems, "failures", reload->catalog ? tell_failures(reload->catalog) : json_array());
}

/* Takes the configuration, the catalog and the folder. */
static json_t *take_over(struct reload *reload)
{
    struct host *host = reload->host;
    struct config *config = reload->config;
    struct catalog *catalog = reload->catalog;
    struct generation *generation = generation_new(config, catalog, reload->folder);
    reload->config = NULL;
    reload->catalog = NULL;
    reload->folder = NULL;
    serve_set_log(config);
    json_t *warnings = tell_problems(&reload->problems, true);
    json_t *failures = tell_failures(catalog);
    http_server_adopt(host->http, config, catalog);
    outbox_adopt(host->outbox, config);
    if (host->nats)
        nats_door_adopt(host->nats, config, catalog);
    dispatch_adopt(host->dispatch, generation);
    generation_release(host->generation);
    host->generation = generation;
    double took_ms = (double)(clock_monotonic_ns() - reload->began_ns) / 1e6;
    log_write(LOG_LEVEL_INFO, "reload", NULL, "reloaded after %.0f ms: %zu plugins, %zu routes", took_ms,
              catalog->plugin_count, catalog->route_count);
    return json_pack("{s:b, s:I, s:I, s:o, s:o}", "reloaded", 1, "plugins", (json_int_t)catalog->plugin_count,
                     "routes", (json_int_t)catalog->route_count, "warnings", warnings, "failures", failures);
}

static void tell_waiters(struct reload *reload, unsigned status, json_t *answer)
{
    struct waiter *next;
    for (struct waiter *waiter = reload->waiters; waiter; waiter = next) {
        next = waiter->next;
        waiter->done(waiter->client, status, json_deep_copy(answer));
        free(waiter);
    }
    reload->waiters = NULL;
    json_decref(answer);
}

static json_t *stopping_answer(void)
{
    return json_pack("{s:b, s:s, s:s}", "reloaded", 0, "code", "stopping", "detail",
                     "this host is stopping; nothing was reloaded");
}

static void free_reload(struct reload *reload)
{
    catalog_free(reload->catalog);
    config_free(reload->config);
    if (reload->folder)
        tree_remove(reload->folder);
    free(reload->folder);
    config_problems_clear(&reload->problems);
    generation_release(reload->before);
    free(reload);
}

static void on_loaded(uv_work_t *request, int status)
{
    struct reload *reload = request->data;
    struct host *host = reload->host;
    unsigned http_status = 200;
    json_t *answer;
    (void)status;
    host->reload = NULL;
    if (host->stopping) {
        free_reload(reload);
        return;
    }
    if (reload->catalog && reload->problems.errors == 0 && !error_is_set(&reload->error))
        serve_check_sandbox(reload->config, reload->catalog, &reload->error);
    if (!reload->catalog || reload->problems.errors > 0 || error_is_set(&reload->error))
        answer = refuse(reload, &http_status);
    else
        answer = take_over(reload);
    tell_waiters(reload, http_status, answer);
    free_reload(reload);
    struct reload *next = host->next_reload;
    host->next_reload = NULL;
    if (next)
        start(host, next);
    else
        notify_ready();
}

static void start(struct host *host, struct reload *reload)
{
    host->reload = reload;
    reload->before = generation_hold(host->generation);
    reload->began_ns = clock_monotonic_ns();
    reload->folder = serve_generation_folder(host, &reload->error);
    reload->request.data = reload;
    notify_reloading();
    if (!reload->folder || uv_queue_work(&host->loop, &reload->request, load, on_loaded) != 0) {
        if (!error_is_set(&reload->error))
            error_set(&reload->error, "out_of_memory", true, "no thread can be started");
        on_loaded(&reload->request, 0);
    }
}

void serve_reload_stop(struct host *host)
{
    if (host->reload) /* which ends by itself */
        tell_waiters(host->reload, 503, stopping_answer());
    if (host->next_reload) {
        tell_waiters(host->next_reload, 503, stopping_answer());
        free_reload(host->next_reload);
    }
    host->next_reload = NULL;
}

void serve_reload(struct host *host, http_reloaded done, void *client)
{
    if (host->stopping) {
        if (done)
            done(client, 503, stopping_answer());
        return;
    }
    /* What is read already may be older than the wish. */
    struct reload *reload = host->reload ? host->next_reload : NULL;
    bool joined = reload != NULL;
    if (!joined) {
        reload = memory_zeroed(1, sizeof *reload);
        reload->host = host;
    }
    if (done) {
        struct waiter *waiter = memory_zeroed(1, sizeof *waiter);
        *waiter = (struct waiter){.done = done, .client = client, .next = reload->waiters};
        reload->waiters = waiter;
    }
    if (host->reload)
        host->next_reload = reload;
    else
        start(host, reload);
}
