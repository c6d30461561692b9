/*
 * GET /metrics: what an operator watches, in Prometheus' text format, 0.0.4.
 */
#include "base/clock.h"
#include "base/histogram.h"
#include "http/internal.h"
#include "redis/board.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    fprintf(out, "%s %.17g\n", name, value);
}

static void write_histograms(FILE *out, const struct dispatch_stats *stats, const char *name, const char *help,
                             const struct histogram *(*of)(const struct dispatch_route_stats *route))
{
    head(out, name, "histogram", help);
    for (size_t i = 0; i < stats->route_count; i++) {
        char labels[300];
        snprintf(labels, sizeof labels, "route=\"%s\"", stats->routes[i].name);
        histogram_write(of(&stats->routes[i]), out, name, labels);
    }
}

static const struct histogram *waits_of(const struct dispatch_route_stats *route)
{
    return &route->waits;
}

static const struct histogram *attempts_of(const struct dispatch_route_stats *route)
{
    return &route->attempts;
}

static const struct histogram *durations_of(const struct dispatch_route_stats *route)
{
    return &route->durations;
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
    write_histograms(out, stats, "exportd_job_wait_seconds",
                     "From a job's acceptance, or the time it was to run, to its first start, by route.", waits_of);
    write_histograms(out, stats, "exportd_job_attempt_seconds", "Attempts in workers, by route.", attempts_of);
    write_histograms(out, stats, "exportd_job_duration_seconds", "From a job's acceptance to its end, by route.",
                     durations_of);
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
    single(out, "exportd_jobs_running", "gauge",
           "Jobs at workers, with the short ones that were sent ahead, and at the upstream.", (double)stats->running);
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

static void write_losses(FILE *out, const struct dispatch_stats *stats)
{
    head(out, "exportd_worker_losses_total", "counter",
         "Workers that were lost in the middle of a job, by plugin and cause.");
    for (size_t i = 0; i < stats->loss_count; i++)
        fprintf(out, "exportd_worker_losses_total{plugin=\"%s\",cause=\"%s\"} %" PRIu64 "\n", stats->losses[i].plugin,
                stats->losses[i].cause, stats->losses[i].count);
}

static void write_store(FILE *out, const struct store_stats *store)
{
    single(out, "exportd_store_commits_total", "counter", "Transactions.", (double)store->commits);
    single(out, "exportd_store_operations_total", "counter", "Operations in them.", (double)store->operations);
    single(out, "exportd_store_failures_total", "counter", "Transactions that failed.", (double)store->failures);
    head(out, "exportd_store_batch_operations", "histogram", "Operations in one transaction.");
    histogram_write(&store->batches, out, "exportd_store_batch_operations", "");
    head(out, "exportd_store_commit_seconds", "histogram", "What a transaction took, its commit included.");
    histogram_write(&store->seconds, out, "exportd_store_commit_seconds", "");
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
    write_workers(out, context);
    write_losses(out, &jobs);
    free(jobs.routes);
    single(out, "exportd_plugin_failures", "gauge", "Plugins that could not be loaded.",
           (double)context->catalog->failure_count);
    write_store(out, &store);
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
