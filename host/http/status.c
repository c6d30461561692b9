/*
 * How the host is: health, readiness, plugins, deliveries, metrics.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "http/internal.h"
#include "redis/board.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void handle_health(struct http_request *request)
{
    reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

void handle_ready(struct http_request *request)
{
    const struct http_context *context = &request->server->context;
    const struct catalog *catalog = context->catalog;
    json_t *missing = json_array();
    if (request->server->draining)
        json_array_append_new(missing, json_string("the host is stopping"));
    bool off = context->config->host.sandbox == CONFIG_SANDBOX_OFF;
    if (off)
        json_array_append_new(missing, json_string("sandbox: switched off in conf.d"));
    else if (catalog->sandbox_known && catalog->landlock_abi == 0)
        json_array_append_new(missing,
                              json_string("sandbox: this kernel has no Landlock, so plugins can read files"));
    else if (catalog->sandbox_known && !catalog->seccomp)
        json_array_append_new(missing, json_string("sandbox: this kernel has no seccomp filters"));
    for (size_t i = 0; i < catalog->failure_count; i++)
        json_array_append_new(missing, json_pack("s++", "plugin: ", catalog->failures[i].error.code, ""));
    if (context->uploader && uploader_stats(context->uploader).problem[0])
        json_array_append_new(missing, json_pack("s+", "s3: ", uploader_stats(context->uploader).problem));
    char trouble[600] = "";
    if (context->nats)
        nats_door_trouble(context->nats, trouble, sizeof trouble);
    if (trouble[0])
        json_array_append_new(missing, json_pack("s+", "nats: ", trouble));
    if (context->board && !board_stats(context->board).connected)
        json_array_append_new(missing, json_string("redis: it isn't told of jobs, for it can't be reached"));
    store_trouble(context->store, trouble, sizeof trouble);
    bool ready = !request->server->draining && !trouble[0];
    if (trouble[0])
        json_array_append_new(missing, json_pack("s+", "store: ", trouble));
    json_t *body = json_pack("{s:b, s:{s:b, s:i, s:b}, s:o}", "ready", ready, "sandbox", "enabled", !off, "landlock",
                             catalog->landlock_abi, "seccomp", (int)catalog->seccomp, "missing", missing);
    reply_json(request, ready ? 200 : 503, body);
}

void handle_plugins(struct http_request *request)
{
    reply_json(request, 200, catalog_to_json(request->server->context.catalog));
}

static json_t *delivery_to_json(const struct store_delivery *delivery)
{
    static const char *const states[] = {"waiting", "delivered", "dead"};
    char created[CLOCK_TEXT_MAX], next[CLOCK_TEXT_MAX];
    const char *target = delivery->channel == STORE_CHANNEL_NATS ? "subject" : "url";
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s}", "id", delivery->id, "jobId", delivery->job_id,
                               target, delivery->target, "status", states[delivery->state], "attempts",
                               delivery->attempts, "createdAt", clock_format(delivery->created_at_ms, created));
    if (delivery->state == STORE_DELIVERY_WAITING)
        json_object_set_new(object, "nextAt", json_string(clock_format(delivery->next_at_ms, next)));
    if (delivery->last_error)
        json_object_set_new(object, "lastError", json_string(delivery->last_error));
    return object;
}

static void on_listed(struct store_op *op, void *client)
{
    struct http_request *request = client;
    if (request_is_gone(request)) {
        store_op_free(op);
        return;
    }
    if (error_is_set(&op->error)) {
        reply_error(request, &op->error);
    } else {
        json_t *deliveries = json_array();
        for (const struct store_delivery *delivery = op->delivery_list.deliveries; delivery;
             delivery = delivery->next)
            json_array_append_new(deliveries, delivery_to_json(delivery));
        reply_json(request, 200, json_pack("{s:o}", "deliveries", deliveries));
    }
    store_op_free(op);
}

void handle_deliveries(struct http_request *request)
{
    char state_text[32], job_text[JOB_ID_MAX * 3 + 1];
    const char *state = request_query(request, "state", state_text, sizeof state_text);
    const char *job = request_query(request, "job", job_text, sizeof job_text);
    int number = -1;
    if (state) {
        static const char *const states[] = {"waiting", "delivered", "dead"};
        for (int i = 0; i < 3; i++)
            if (strcmp(state, states[i]) == 0)
                number = i;
        if (number < 0) {
            reply_problem(request, 400, "query_invalid", "state must be waiting, delivered or dead");
            return;
        }
    }
    struct store_op *op = store_op_new(STORE_DELIVERY_LIST, on_listed, request);
    op->delivery_list.state = number;
    op->delivery_list.job_id = memory_text(job);
    op->delivery_list.limit = 200;
    request->pending = true;
    request_suspend(request);
    store_enqueue(request->server->context.store, op);
}

static void kick_outbox(const struct http_context *context)
{
    outbox_kick(context->outbox);
    if (context->nats)
        nats_door_kick(context->nats);
}

static void on_retried(struct store_op *op, void *client)
{
    struct http_request *request = client;
    bool applied = !error_is_set(&op->error) && op->delivery_retry.applied;
    if (!request_is_gone(request)) {
        if (error_is_set(&op->error))
            reply_error(request, &op->error);
        else if (!applied)
            reply_problem(request, 404, "delivery_unknown",
                          "there is no delivery of that id; GET /deliveries lists them");
        else
            reply_json(request, 202, json_pack("{s:s, s:s}", "id", op->delivery_retry.id, "status", "waiting"));
        if (applied && !dispatch_is_over(request->server->context.dispatch))
            kick_outbox(&request->server->context);
    }
    store_op_free(op);
}

void handle_delivery_retry(struct http_request *request)
{
    const struct http_context *context = &request->server->context;
    struct store_op *op = store_op_new(STORE_DELIVERY_RETRY, on_retried, request);
    op->delivery_retry.id = memory_text(request->segments[1]);
    op->delivery_retry.now_ms = clock_now_ms();
    op->delivery_retry.give_up_at_ms = op->delivery_retry.now_ms + context->config->webhook.retry_for_ms;
    request->pending = true;
    request_suspend(request);
    store_enqueue(context->store, op);
}

/* The Prometheus text format, 0.0.4. */
static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    fprintf(out, "%s %.17g\n", name, value);
}

static void write_jobs(FILE *out, const struct dispatch_stats *stats)
{
    head(out, "exportd_jobs_finished_total", "counter", "Jobs that ended, by route and state.");
    for (size_t i = 0; i < stats->route_count; i++) {
        const struct dispatch_route_stats *route = &stats->routes[i];
        fprintf(out, "exportd_jobs_finished_total{route=\"%s\",state=\"completed\"} %" PRIu64 "\n", route->name,
                route->completed);
        fprintf(out, "exportd_jobs_finished_total{route=\"%s\",state=\"failed\"} %" PRIu64 "\n", route->name,
                route->failed);
        fprintf(out, "exportd_jobs_finished_total{route=\"%s\",state=\"cancelled\"} %" PRIu64 "\n", route->name,
                route->cancelled);
    }
    head(out, "exportd_jobs_submitted_total", "counter", "Jobs that were accepted, by route.");
    for (size_t i = 0; i < stats->route_count; i++)
        fprintf(out, "exportd_jobs_submitted_total{route=\"%s\"} %" PRIu64 "\n", stats->routes[i].name,
                stats->routes[i].submitted);
    head(out, "exportd_job_retries_total", "counter", "Attempts that failed and are tried again, by route.");
    for (size_t i = 0; i < stats->route_count; i++)
        fprintf(out, "exportd_job_retries_total{route=\"%s\"} %" PRIu64 "\n", stats->routes[i].name,
                stats->routes[i].retried);
    head(out, "exportd_worker_seconds_total", "counter", "Time that attempts spent in workers, by route.");
    for (size_t i = 0; i < stats->route_count; i++)
        fprintf(out, "exportd_worker_seconds_total{route=\"%s\"} %.6f\n", stats->routes[i].name,
                stats->routes[i].seconds);
    head(out, "exportd_route_waits_for_plugin", "gauge",
         "1 where jobs wait for a route that no plugin of this host offers, else 0.");
    for (size_t i = 0; i < stats->route_count; i++)
        fprintf(out, "exportd_route_waits_for_plugin{route=\"%s\"} %d\n", stats->routes[i].name,
                stats->routes[i].waits_for_plugin ? 1 : 0);
    single(out, "exportd_jobs_waiting", "gauge", "Jobs that wait in the store, scheduled ones included.",
           (double)stats->waiting);
    single(out, "exportd_jobs_waiting_oldest_seconds", "gauge",
           "Age of a job that could run and waits; 0 where there is none.",
           stats->oldest_waiting_ms ? (double)(clock_now_ms() - stats->oldest_waiting_ms) / 1000 : 0);
    single(out, "exportd_jobs_running", "gauge", "Jobs in workers, and at the upstream.", (double)stats->running);
    single(out, "exportd_jobs_in_memory", "gauge", "Jobs that this host has leased.", (double)stats->in_memory);
    if (stats->has_upstream) {
        single(out, "exportd_upstream_jobs", "gauge", "Jobs that the upstream does just now.",
               (double)stats->upstream);
        single(out, "exportd_upstream_done_total", "counter", "Jobs that the upstream ended.",
               (double)stats->upstream_done);
        single(out, "exportd_upstream_refused_total", "counter",
               "Jobs that the upstream did not take, being away or unable.", (double)stats->upstream_refused);
    }
    single(out, "exportd_dead_letters_total", "counter", "Requests that could not become jobs.",
           (double)stats->dead_letters);
    single(out, "exportd_stale_ends_total", "counter", "Ends of jobs that came with an old lease and were dropped.",
           (double)stats->stale);
}

static void write_workers(FILE *out, const struct http_context *context)
{
    const struct catalog *catalog = context->catalog;
    static const char *const names[] = {"exportd_workers", "exportd_workers_busy", "exportd_workers_started_total",
                                        "exportd_workers_crashed_total", "exportd_workers_resident_bytes"};
    static const char *const helps[] = {
        "Worker processes, by plugin.", "Of these, those with a job.", "Worker processes that were started.",
        "Worker processes that were lost in the middle of a job.", "Memory of a plugin's workers together."};
    for (int what = 0; what < 5; what++) {
        head(out, names[what], what == 2 || what == 3 ? "counter" : "gauge", helps[what]);
        for (size_t i = 0; i < catalog->plugin_count; i++) {
            struct pool_stats stats = dispatch_pool_stats(context->dispatch, catalog->plugins[i]);
            const double values[] = {stats.workers, stats.busy, (double)stats.started, (double)stats.crashed,
                                     (double)stats.resident_bytes};
            fprintf(out, "%s{plugin=\"%s\"} %.17g\n", names[what], catalog->plugins[i]->name, values[what]);
        }
    }
}

static void write_uploads(FILE *out, const struct uploader *uploader)
{
    if (!uploader)
        return;
    struct uploader_stats stats = uploader_stats(uploader);
    single(out, "exportd_uploads_total", "counter", "Jobs whose artifacts went to the bucket.", (double)stats.done);
    single(out, "exportd_upload_failures_total", "counter", "Attempts at a job's upload that failed.",
           (double)stats.failed_attempts);
    single(out, "exportd_uploads_given_up_total", "counter", "Jobs that failed because of their upload.",
           (double)stats.given_up);
    single(out, "exportd_upload_bytes_total", "counter", "Bytes sent to the bucket, failed attempts included.",
           (double)stats.bytes);
    single(out, "exportd_uploads_running", "gauge", "Jobs whose artifacts are on their way.", stats.running);
    single(out, "exportd_uploads_waiting", "gauge", "Jobs that wait for their upload or for its next attempt.",
           stats.waiting);
}

static void write_nats(FILE *out, const struct http_context *context)
{
    if (!context->nats)
        return;
    struct nats_stats nats = nats_door_stats(context->nats);
    single(out, "exportd_nats_connected", "gauge", "1 while the connection to NATS stands.", nats.connected);
    single(out, "exportd_nats_jetstream", "gauge", "1 where requests come from JetStream.", nats.jetstream);
    single(out, "exportd_nats_connects_total", "counter", "Connections that were made; all but one are reconnects.",
           (double)nats.connects);
    single(out, "exportd_nats_requests_total", "counter", "Requests that came in, repeated ones included.",
           (double)nats.requests);
    single(out, "exportd_nats_requests_held", "gauge", "Of these, those that are not on disk yet.",
           (double)nats.held);
    single(out, "exportd_nats_pulls_total", "counter", "Times that requests were asked for.", (double)nats.pulls);
    single(out, "exportd_nats_answers_total", "counter", "Answers that the server has confirmed.",
           (double)nats.answers);
    single(out, "exportd_nats_answer_failures_total", "counter", "Attempts at an answer that failed.",
           (double)nats.failed_answers);
    single(out, "exportd_nats_answers_dead_total", "counter", "Answers that were given up.",
           (double)nats.dead_answers);
    single(out, "exportd_nats_answers_waiting", "gauge", "Answers that are published and not confirmed.",
           (double)nats.under_way);
    single(out, "exportd_nats_progress_total", "counter", "Messages on export.progress.", (double)nats.progress);
}

static void write_board(FILE *out, const struct board *board)
{
    struct board_stats stats = board_stats(board);
    if (!board)
        return;
    single(out, "exportd_redis_connected", "gauge", "1 while Redis is told of jobs.", stats.connected);
    single(out, "exportd_redis_told_total", "counter", "Changes that Redis was told of.", (double)stats.told);
    single(out, "exportd_redis_dropped_total", "counter", "Changes that it could not be told of.",
           (double)stats.dropped);
    single(out, "exportd_redis_reconnects_total", "counter", "Connections after the first.",
           (double)stats.reconnects);
}

void handle_metrics(struct http_request *request)
{
    const struct http_server *server = request->server;
    const struct http_context *context = &server->context;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out) {
        reply_problem(request, 503, "out_of_memory", "the metrics can't be written");
        return;
    }
    struct dispatch_stats jobs = dispatch_stats(context->dispatch);
    struct store_stats store = store_stats(context->store);
    struct outbox_stats outbox = outbox_stats(context->outbox);
    write_jobs(out, &jobs);
    free(jobs.routes);
    write_workers(out, context);
    single(out, "exportd_plugin_failures", "gauge", "Plugins that could not be loaded.",
           (double)context->catalog->failure_count);
    single(out, "exportd_store_commits_total", "counter", "Transactions.", (double)store.commits);
    single(out, "exportd_store_operations_total", "counter",
           "Operations; divided by the commits, the size of a batch.", (double)store.operations);
    single(out, "exportd_store_failures_total", "counter", "Transactions that failed.", (double)store.failures);
    single(out, "exportd_store_batch_max", "gauge", "The most operations in one transaction.",
           (double)store.largest_batch);
    single(out, "exportd_deliveries_total", "counter", "Callbacks that arrived.", (double)outbox.delivered);
    single(out, "exportd_delivery_failures_total", "counter", "Attempts at a callback that failed.",
           (double)outbox.failed_attempts);
    single(out, "exportd_deliveries_dead_total", "counter", "Callbacks that were given up.", (double)outbox.dead);
    single(out, "exportd_deliveries_sending", "gauge", "Callbacks on their way.", outbox.sending);
    write_uploads(out, context->uploader);
    write_board(out, context->board);
    single(out, "exportd_sandbox_landlock_abi", "gauge",
           "Landlock's ABI in the workers; 0 where the kernel has none.", context->catalog->landlock_abi);
    single(out, "exportd_sandbox_seccomp", "gauge", "1 where workers run behind a seccomp filter.",
           context->catalog->seccomp);
    write_nats(out, context);
    head(out, "exportd_http_answers_total", "counter", "Answers, by the status' first digit.");
    for (int i = 1; i < 6; i++)
        fprintf(out, "exportd_http_answers_total{class=\"%dxx\"} %" PRIu64 "\n", i, server->answers[i]);
    single(out, "exportd_http_event_streams", "gauge", "Open streams of /jobs/ID/events.", server->event_streams);
    single(out, "exportd_http_body_bytes", "gauge", "Memory of the bodies that are being received.",
           (double)server->body_bytes);
    single(out, "exportd_uptime_seconds", "gauge", "Since the start.",
           (double)(clock_monotonic_ns() - context->started_ns) / 1e9);
    fclose(out);
    struct MHD_Response *response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    reply_response(request, 200, response);
}
