#include "worker/internal.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

#define RETRY_AFTER_MAX_MS ((int64_t)24 * 3600 * 1000)
#define FRAMES_MAX ((int64_t)16 << 20) /* besides the result, for one job */

static void on_log(struct worker_process *worker, const char *payload, size_t length)
{
    if (length < 1)
        return;
    int level = payload[0] >= EXPORTD_DEBUG && payload[0] <= EXPORTD_ERROR ? payload[0] : EXPORTD_INFO;
    char text[2049];
    utf8_copy(text, sizeof text, payload + 1, length - 1);
    worker->events->log(worker->client, worker, (enum exportd_log_level)level, text);
}

static void on_progress(struct worker_process *worker, const char *payload, size_t length)
{
    double fraction;
    if (length < sizeof fraction)
        return;
    memcpy(&fraction, payload, sizeof fraction);
    if (!(fraction >= 0 && fraction <= 1))
        return;
    char stage[WORKER_STAGE_MAX];
    utf8_copy(stage, sizeof stage, payload + sizeof fraction, length - sizeof fraction);
    worker->events->progress(worker->client, worker, fraction, stage);
}

static void on_ready(struct worker_process *worker, const char *payload, size_t length)
{
    json_t *ready = json_loadb(payload, length, JSON_REJECT_DUPLICATES, NULL);
    json_t *manifest = json_object_get(ready, "manifest");
    if (worker->state != STARTING || !json_is_object(manifest)) {
        worker_condemn(worker, "worker_protocol", "sent a greeting that can't be read");
    } else {
        worker->state = READY;
        worker->events->ready(worker->client, worker, manifest, json_object_get(ready, "sandbox"));
    }
    json_decref(ready);
}

static void on_refused(struct worker_process *worker, const char *payload, size_t length)
{
    if (worker->state != STARTING) {
        worker_condemn(worker, "worker_protocol", "took back that it was loaded");
        return;
    }
    json_t *refusal = json_loadb(payload, length, 0, NULL);
    const char *code = json_string_value(json_object_get(refusal, "code"));
    const char *message = json_string_value(json_object_get(refusal, "message"));
    error_set(&worker->verdict, code ? code : "worker_protocol", true, "%s",
              message ? message : "the plugin can't be loaded");
    json_decref(refusal);
    worker->state = ENDING;
    worker->kill_ns = clock_monotonic_ns() + worker->spec->grace_ms * 1000000;
    worker->events->refused(worker->client, worker, &worker->verdict);
}

static void set_outcome(struct worker_outcome *outcome, json_t *rest)
{
    if (outcome->status == EXPORTD_OK)
        return;
    json_int_t retry_after_ms = json_integer_value(json_object_get(rest, "retry_after_ms"));
    if (outcome->status == EXPORTD_RETRY && retry_after_ms > 0)
        outcome->retry_after_ms = retry_after_ms < RETRY_AFTER_MAX_MS ? retry_after_ms : RETRY_AFTER_MAX_MS;
    const char *code = json_string_value(json_object_get(rest, "code"));
    const char *message = json_string_value(json_object_get(rest, "message"));
    error_set(&outcome->error, code ? code : "task_failed", outcome->status == EXPORTD_RETRY, "%s",
              message ? message : "the plugin gave no reason");
}

static bool artifacts_are_well_formed(const json_t *artifacts)
{
    size_t index;
    json_t *entry;
    json_array_foreach(artifacts, index, entry)
    {
        if (!json_is_string(json_object_get(entry, "path")) || !json_is_string(json_object_get(entry, "name")) ||
            !json_is_string(json_object_get(entry, "media_type")))
            return false;
    }
    return true;
}

static void on_result(struct worker_process *worker, const char *payload, size_t length)
{
    struct wire_result head;
    if (length < sizeof head) {
        worker_condemn(worker, "worker_protocol", "sent a result that can't be read");
        return;
    }
    memcpy(&head, payload, sizeof head);
    const char *body = payload + sizeof head;
    size_t body_length = length - sizeof head;
    if (head.status > EXPORTD_FAIL || head.result_length > body_length) {
        worker_condemn(worker, "worker_protocol", "sent a result that can't be read");
        return;
    }
    struct worker_outcome outcome = {.status = (enum exportd_status)head.status};
    json_t *result = head.result_length ? json_loadb(body, head.result_length, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_t *rest =
        body_length > head.result_length
            ? json_loadb(body + head.result_length, body_length - head.result_length, JSON_REJECT_DUPLICATES, NULL)
            : NULL;
    json_t *artifacts = json_object_get(rest, "artifacts");
    char *job_folder = NULL;
    if ((head.result_length && !json_is_object(result)) ||
        (body_length > head.result_length && !json_is_object(rest)) || !artifacts_are_well_formed(artifacts)) {
        worker_condemn(worker, "worker_protocol", "sent a result that is no JSON");
    } else {
        set_outcome(&outcome, rest);
        if ((int64_t)head.result_length > worker->spec->max_result_bytes) {
            outcome.status = EXPORTD_FAIL;
            error_set(&outcome.error, "result_too_large", false,
                      "the result has %u bytes, and the limit is %lld; raise [jobs] max_result, or hand large things "
                      "over as artifacts",
                      head.result_length, (long long)worker->spec->max_result_bytes);
        }
        if (worker->state == ENDING && error_is_set(&worker->verdict) && outcome.status != EXPORTD_OK &&
            worker->ahead_count == 0) {
            /* It was told to stop, and did: the host's reason is the one that counts. */
            outcome.error = worker->verdict;
            outcome.status = worker->verdict.retryable ? EXPORTD_RETRY : EXPORTD_FAIL;
        }
        if (outcome.status == EXPORTD_OK && head.result_length > 0) {
            outcome.result = body;
            outcome.result_length = head.result_length;
        }
        outcome.artifacts = artifacts;
        if (head.used_workspace || worker->moved_in) {
            outcome.folder = job_folder = worker_job_folder(worker);
        }
        worker_finish_job(worker, &outcome);
    }
    json_decref(result);
    json_decref(rest);
    free(job_folder);
}

/* Returns false where the worker is condemned. */
static bool on_frame(struct worker_process *worker, const struct wire_header *header, const char *payload)
{
    bool of_job = worker->lease != 0 && header->lease == worker->lease && !worker->held;
    switch (header->type) {
    case WIRE_READY:
        on_ready(worker, payload, header->length);
        break;
    case WIRE_REFUSED:
        on_refused(worker, payload, header->length);
        break;
    case WIRE_CRASH:
        if (header->length == sizeof worker->crash) {
            memcpy(&worker->crash, payload, sizeof worker->crash);
            worker->has_crash = true;
        }
        break;
    case WIRE_LOG:
        on_log(worker, payload, header->length);
        break;
    case WIRE_PROGRESS:
        if (of_job)
            on_progress(worker, payload, header->length);
        break;
    case WIRE_RESULT:
        if (of_job)
            on_result(worker, payload, header->length);
        break;
    default:
        worker_condemn(worker, "worker_protocol", "wrote garbage into its connection with the host");
    }
    return strcmp(worker->verdict.code, "worker_protocol") != 0;
}

static bool header_is_possible(struct worker_process *worker, const struct wire_header *header)
{
    int64_t limit = header->type == WIRE_RESULT ? worker->spec->max_result_bytes + (16 << 20) : 1 << 20;
    if (header->type < WIRE_READY || header->type > WIRE_CRASH || (int64_t)header->length > ((int64_t)1 << 31)) {
        worker_condemn(worker, "worker_protocol", "wrote garbage into its connection with the host");
        return false;
    }
    if ((int64_t)header->length > limit) {
        if (header->type == WIRE_RESULT)
            worker_condemn(worker, "result_too_large", "sent a result far beyond [jobs] max_result");
        else
            worker_condemn(worker, "worker_protocol", "wrote garbage into its connection with the host");
        return false;
    }
    return true;
}

/* Handles the whole frames in bytes; returns how many bytes they took. */
static size_t take_frames(struct worker_process *worker, const char *bytes, size_t length)
{
    size_t taken = 0;
    struct wire_header header;
    while (length - taken >= sizeof header) {
        memcpy(&header, bytes + taken, sizeof header);
        if (!header_is_possible(worker, &header))
            return length;
        if (length - taken - sizeof header < header.length)
            break;
        worker->frame_bytes += header.type == WIRE_RESULT ? 0 : header.length + (int64_t)sizeof header;
        if (worker->frame_bytes > FRAMES_MAX) {
            worker_condemn(worker, "worker_flooded", "flooded its connection with the host");
            return length;
        }
        bool go_on = on_frame(worker, &header, bytes + taken + sizeof header);
        taken += sizeof header + header.length;
        if (!go_on)
            return length;
    }
    return taken;
}

static void keep_input(struct worker_process *worker, const char *bytes, size_t length)
{
    if (worker->input_length + length > worker->input_size) {
        size_t size = worker->input_size ? worker->input_size : 4096;
        while (size < worker->input_length + length)
            size *= 2;
        worker->input = memory_resized(worker->input, size, 1);
        worker->input_size = size;
    }
    memcpy(worker->input + worker->input_length, bytes, length);
    worker->input_length += length;
}

static void take_bytes(struct worker_process *worker, const char *bytes, size_t length)
{
    if (worker->input_length == 0) {
        size_t taken = take_frames(worker, bytes, length);
        if (taken < length)
            keep_input(worker, bytes + taken, length - taken);
        return;
    }
    keep_input(worker, bytes, length);
    size_t taken = take_frames(worker, worker->input, worker->input_length);
    worker->input_length -= taken;
    if (worker->input_length > 0)
        memmove(worker->input, worker->input + taken, worker->input_length);
    else if (worker->input_size > 262144) {
        free(worker->input);
        worker->input = NULL;
        worker->input_size = 0;
    }
}

void worker_take_bytes(struct worker_process *worker, const char *bytes, size_t length)
{
    if (worker->condemned)
        return;
    worker_cork(worker);
    take_bytes(worker, bytes, length);
    worker_uncork(worker);
}
