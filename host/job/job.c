#include "job/job.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[JOB_STATE_COUNT] = {"pending", "running", "completed", "failed", "cancelled"};

struct job *job_new(void)
{
    return calloc(1, sizeof(struct job));
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->id);
    free(job->task);
    free(job->route);
    free(job->data);
    free(job->origin);
    free(job->callback_url);
    free(job->trace);
    free(job->result);
    free(job->error_code);
    free(job->error_message);
    free(job);
}

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

int job_state_parse(const char *name)
{
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        if (strcmp(name, state_names[i]) == 0)
            return i;
    return -1;
}

bool job_is_finished(enum job_state state)
{
    return state >= JOB_COMPLETED;
}

static void set_time(json_t *object, const char *key, int64_t time_ms)
{
    char text[CLOCK_TEXT_MAX];
    if (time_ms > 0)
        json_object_set_new(object, key, json_string(clock_format(time_ms, text)));
}

json_t *job_to_json(const struct job *job, bool with_data)
{
    json_t *object = json_object();
    json_object_set_new(object, "jobId", json_string(job->id));
    json_object_set_new(object, "task", json_string(job->task));
    json_object_set_new(object, "route", json_string(job->route));
    json_object_set_new(object, "status", json_string(job_state_name(job->state)));
    json_object_set_new(object, "attempts", json_integer(job->attempts));
    json_object_set_new(object, "maxAttempts", json_integer(job->max_attempts));
    if (job->priority != 0)
        json_object_set_new(object, "priority", json_integer(job->priority));
    if (job->cancel_requested && !job_is_finished(job->state))
        json_object_set_new(object, "cancelRequested", json_true());
    set_time(object, "createdAt", job->created_at_ms);
    set_time(object, "runAt", job->run_at_ms);
    set_time(object, "startedAt", job->started_at_ms);
    set_time(object, "processedAt", job->finished_at_ms);
    if (job->finished_at_ms > 0 && job->started_at_ms > 0)
        json_object_set_new(object, "duration", json_integer(job->finished_at_ms - job->started_at_ms));
    if (job->callback_url)
        json_object_set_new(object, "callbackUrl", json_string(job->callback_url));
    if (job->result)
        json_object_set_new(object, "result", json_loads(job->result, 0, NULL));
    if (job->error_code) {
        json_object_set_new(object, "error", json_string(job->error_message ? job->error_message : ""));
        json_object_set_new(object, "errorCode", json_string(job->error_code));
    }
    if (with_data && job->data)
        json_object_set_new(object, "data", json_loadb(job->data, job->data_length, 0, NULL));
    return object;
}
