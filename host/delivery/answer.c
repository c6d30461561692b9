#include "delivery/answer.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

json_t *answer_body(const struct job *job, const struct answer_end *end)
{
    char time[CLOCK_TEXT_MAX];
    json_t *body = json_pack("{s:s, s:s}", "jobId", job->id, "status", end->completed ? "completed" : "failed");
    if (end->completed) {
        json_object_set_new(body, "result", json_loads(end->result, 0, NULL));
    } else {
        json_object_set_new(body, "error", json_string(end->error_message));
        json_object_set_new(body, "errorCode", json_string(end->error_code));
    }
    json_object_set_new(body, "processedAt", json_string(clock_format(end->finished_at_ms, time)));
    if (end->completed)
        json_object_set_new(body, "duration", json_integer(end->finished_at_ms - end->started_at_ms));
    return body;
}

/* An id has no control characters (request_id_is_usable). */
static char *escape_id(const char *id)
{
    char *text = memory_zeroed(2 * strlen(id) + 1, 1), *out = text;
    for (; *id; id++) {
        if (*id == '"' || *id == '\\')
            *out++ = '\\';
        *out++ = *id;
    }
    return text;
}

static char *dump(json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}

/* answer_body() as a text. A result is put in as it is: to read it and write it again would be a tenth of all that
 * the host does for a small job. */
static char *answer_text(const struct job *job, const struct answer_end *end)
{
    if (!end->completed)
        return dump(answer_body(job, end));
    char time[CLOCK_TEXT_MAX];
    char *id = escape_id(job->id);
    char *text = memory_format("{\"jobId\":\"%s\",\"status\":\"completed\",\"result\":%s,\"processedAt\":\"%s\","
                               "\"duration\":%" PRId64 "}",
                               id, end->result, clock_format(end->finished_at_ms, time),
                               end->finished_at_ms - end->started_at_ms);
    free(id);
    return text;
}

/* {"export_id", "repro_id", "export_type"} as they were sent: what wasn't in the request isn't in the answer. */
static json_t *export_head(const struct job *job)
{
    static const char *const members[] = {"export_id", "repro_id", "export_type"};
    json_t *origin = json_loads(job->origin ? job->origin : "{}", 0, NULL);
    json_t *head = json_object();
    for (size_t i = 0; i < 3; i++) {
        json_t *value = json_object_get(origin, members[i]);
        if (value)
            json_object_set(head, members[i], value);
    }
    json_decref(origin);
    return head;
}

static json_t *export_body(const struct job *job, const struct answer_end *end)
{
    json_t *body = export_head(job);
    if (end->completed)
        json_object_set_new(body, "result", json_loads(end->result, 0, NULL));
    else
        json_object_set_new(body, "error",
                            json_pack("{s:s, s:s, s:b, s:i}", "code", end->error_code, "message", end->error_message,
                                      "retryable", (int)end->retryable, "attempts", end->attempts));
    return body;
}

char *answer_progress(const struct job *job, double fraction, const char *stage)
{
    if (job->door != JOB_DOOR_EXPORT)
        return NULL;
    json_t *body = export_head(job);
    json_object_set_new(body, "progress", json_real(fraction));
    json_object_set_new(body, "stage", json_string(stage));
    return dump(body);
}

/* Takes body. */
static struct store_delivery *make(const struct job *job, enum store_channel channel, const char *target, char *body,
                                   const struct answer_end *end, int64_t retry_for_ms)
{
    struct store_delivery *delivery = memory_zeroed(1, sizeof *delivery);
    char text[ID_TEXT_SIZE];
    id_make(text);
    delivery->id = memory_format("msg_%s", text);
    delivery->channel = channel;
    delivery->job_id = memory_text(job->id);
    delivery->target = memory_text(target);
    delivery->trace = job->trace ? memory_text(job->trace) : NULL;
    delivery->body = body;
    delivery->created_at_ms = delivery->next_at_ms = end->finished_at_ms;
    delivery->give_up_at_ms = delivery->created_at_ms + retry_for_ms;
    return delivery;
}

struct store_delivery *answer_deliveries(const struct job *job, const struct answer_end *end,
                                         const struct config *config)
{
    struct store_delivery *first = NULL;
    if (job->callback_url)
        first = make(job, STORE_CHANNEL_WEBHOOK, job->callback_url, answer_text(job, end), end,
                     config->webhook.retry_for_ms);
    struct store_delivery *answer = NULL;
    if (job->door == JOB_DOOR_TASK)
        answer = make(job, STORE_CHANNEL_NATS, end->completed ? "task.completed" : "task.failed",
                      answer_text(job, end), end, config->nats.retry_for_ms);
    else if (job->door == JOB_DOOR_EXPORT)
        answer = make(job, STORE_CHANNEL_NATS, end->completed ? "export.completed" : "export.failed",
                      dump(export_body(job, end)), end, config->nats.retry_for_ms);
    if (!answer)
        return first;
    answer->next = first;
    return answer;
}
