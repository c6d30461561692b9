/*
 * export.progress: told at once where the last one of the job is [nats] progress_every old, else when it is; the last
 * one goes out before the job's answer. Nobody waits for it and nothing keeps it.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "delivery/answer.h"
#include "nats/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT "export.progress"
#define LEAST_TIMER_MS 25
#define FORGET_NS 60000000000LL /* a job that ended elsewhere, or is silent */

/* One list: there are no more of them than workers, but for those that are silent. */
struct told {
    char *job_id;
    int attempt;
    int64_t at_ns;
    char *held; /* the newest, too soon to be told; or NULL */
    struct told *next;
};

static void publish(struct nats_door *door, struct told *told, const char *body)
{
    struct nats_progress *progress = &door->progress;
    natsMsg *message = NULL;
    int64_t now_ms = clock_now_ms();
    told->at_ns = clock_monotonic_ns();
    if (!door->publisher.open)
        return;
    /* Grows over restarts too, so that no stream takes a new one for an old one. */
    progress->number = progress->number < now_ms ? now_ms : progress->number + 1;
    char *id = memory_format("%s:%d:%" PRId64, told->job_id, told->attempt, progress->number);
    if (natsMsg_Create(&message, SUBJECT, NULL, body, (int)strlen(body)) == NATS_OK &&
        natsMsgHeader_Set(message, "Nats-Msg-Id", id) == NATS_OK &&
        natsConnection_PublishMsg(door->link.connection, message) == NATS_OK)
        progress->published++;
    natsMsg_Destroy(message);
    free(id);
}

static void tell_held(struct nats_door *door, struct told *told)
{
    if (told->held)
        publish(door, told, told->held);
    free(told->held);
    told->held = NULL;
}

static struct told **find(struct nats_progress *progress, const char *job_id)
{
    struct told **at = &progress->first;
    while (*at && strcmp((*at)->job_id, job_id) != 0)
        at = &(*at)->next;
    return at;
}

static void forget(struct told **at)
{
    struct told *told = *at;
    *at = told->next;
    free(told->job_id);
    free(told->held);
    free(told);
}

static void on_timer(uv_timer_t *timer)
{
    struct nats_door *door = timer->data;
    struct nats_progress *progress = &door->progress;
    int64_t now_ns = clock_monotonic_ns();
    for (struct told **at = &progress->first; *at;) {
        if ((*at)->held && now_ns - (*at)->at_ns >= door->config->progress_every_ms * 1000000)
            tell_held(door, *at);
        if (!(*at)->held && now_ns - (*at)->at_ns > FORGET_NS)
            forget(at);
        else
            at = &(*at)->next;
    }
    if (!progress->first)
        uv_timer_stop(timer);
}

void progress_init(struct nats_door *door)
{
    uv_timer_init(door->options.loop, &door->progress.timer);
    door->progress.timer.data = door;
}

void nats_door_progress(struct nats_door *door, const struct job *job, double fraction, const char *stage)
{
    struct nats_progress *progress = &door->progress;
    if (job->door != JOB_DOOR_EXPORT || !door->publisher.open)
        return;
    struct told **at = find(progress, job->id);
    struct told *told = *at;
    bool first = !told;
    if (first) {
        *at = told = memory_zeroed(1, sizeof *told);
        told->job_id = memory_text(job->id);
        uint64_t half_ms = (uint64_t)door->config->progress_every_ms / 2;
        half_ms = half_ms > LEAST_TIMER_MS ? half_ms : LEAST_TIMER_MS;
        if (!uv_is_active((uv_handle_t *)&progress->timer))
            uv_timer_start(&progress->timer, on_timer, half_ms, half_ms);
    }
    told->attempt = job->attempts;
    free(told->held);
    told->held = answer_progress(job, fraction, stage);
    if (first || clock_monotonic_ns() - told->at_ns >= door->config->progress_every_ms * 1000000)
        tell_held(door, told);
}

void progress_ended(struct nats_door *door, const char *job_id)
{
    struct told **at = find(&door->progress, job_id);
    if (!*at)
        return;
    tell_held(door, *at);
    forget(at);
}

void progress_free(struct nats_door *door)
{
    while (door->progress.first)
        forget(&door->progress.first);
}
