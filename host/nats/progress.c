/*
 * export.progress: told at once where the last one of the job is [nats] progress_every old, else when it is; the last
 * one goes out before the job's answer. Nobody waits for it and nothing keeps it.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "delivery/answer.h"
#include "nats/internal.h"

#define HASH_NONFATAL_OOM 0
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define SUBJECT "export.progress"
#define FORGET_NS 60000000000LL /* a job that ended elsewhere, or is silent */

struct told {
    char *job_id;
    int attempt;
    int64_t at_ns;
    char *held; /* the newest, too soon to be told; or NULL */
    UT_hash_handle hh;
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

static void forget(struct nats_progress *progress, struct told *told)
{
    HASH_DEL(progress->by_job, told);
    free(told->job_id);
    free(told->held);
    free(told);
}

static void on_timer(uv_timer_t *timer)
{
    struct nats_door *door = timer->data;
    struct nats_progress *progress = &door->progress;
    int64_t now_ns = clock_monotonic_ns();
    struct told *told, *next;
    HASH_ITER(hh, progress->by_job, told, next)
    {
        if (told->held && now_ns - told->at_ns >= door->config->progress_every_ms * 1000000)
            tell_held(door, told);
        else if (!told->held && now_ns - told->at_ns > FORGET_NS)
            forget(progress, told);
    }
    if (!progress->by_job)
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
    struct told *told = NULL;
    HASH_FIND_STR(progress->by_job, job->id, told);
    bool first = !told;
    if (first) {
        told = memory_zeroed(1, sizeof *told);
        told->job_id = memory_text(job->id);
        HASH_ADD_KEYPTR(hh, progress->by_job, told->job_id, strlen(told->job_id), told);
        uint64_t every_ms = (uint64_t)door->config->progress_every_ms;
        if (!uv_is_active((uv_handle_t *)&progress->timer))
            uv_timer_start(&progress->timer, on_timer, every_ms > 50 ? every_ms / 2 : 25,
                           every_ms > 50 ? every_ms / 2 : 25);
    }
    told->attempt = job->attempts;
    free(told->held);
    told->held = answer_progress(job, fraction, stage);
    if (first || clock_monotonic_ns() - told->at_ns >= door->config->progress_every_ms * 1000000)
        tell_held(door, told);
}

void progress_ended(struct nats_door *door, const char *job_id)
{
    struct told *told = NULL;
    HASH_FIND_STR(door->progress.by_job, job_id, told);
    if (!told)
        return;
    tell_held(door, told);
    forget(&door->progress, told);
}

void progress_free(struct nats_door *door)
{
    struct told *told, *next;
    HASH_ITER(hh, door->progress.by_job, told, next)
    forget(&door->progress, told);
}
