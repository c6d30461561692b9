/*
 * How the host is: health, readiness, plugins, deliveries.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "http/internal.h"
#include "redis/board.h"

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

extern const char http_openapi[]; /* made of openapi.json when this is built */

void handle_openapi(struct http_request *request)
{
    reply_text(request, 200, "application/json", http_openapi);
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
