#include "worker/pool.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/tree.h"

#include <stdlib.h>

struct pool {
    uv_loop_t *loop;
    const struct worker_spec *spec;
    const struct config_worker *settings;
    const struct pool_events *events;
    void *client;
    struct worker_process **workers;
    int count;
    bool closing, retired;
    void (*on_empty)(void *client);
    void *on_empty_client;
    uint64_t started, crashed;
};

static void on_ready(void *client, struct worker_process *worker, json_t *manifest, json_t *sandbox)
{
    struct pool *pool = client;
    (void)worker;
    (void)manifest;
    pool->events->sandbox(pool->client, sandbox);
}

static void on_refused(void *client, struct worker_process *worker, const struct error *error)
{
    (void)client;
    (void)worker;
    (void)error; /* the job that it was started for fails with it */
}

static void on_log(void *client, struct worker_process *worker, enum exportd_log_level level, const char *text)
{
    struct pool *pool = client;
    pool->events->log(pool->client, worker_process_lease(worker), level, text);
}

static void on_progress(void *client, struct worker_process *worker, double fraction, const char *stage)
{
    struct pool *pool = client;
    pool->events->progress(pool->client, worker_process_lease(worker), fraction, stage);
}

static void on_finished(void *client, struct worker_process *worker, const struct worker_outcome *outcome)
{
    struct pool *pool = client;
    if (outcome->crashed)
        pool->crashed++;
    if ((pool->retired || worker_process_jobs(worker) >= pool->settings->recycle) && worker_process_is_usable(worker))
        worker_process_stop(worker, false);
    pool->events->finished(pool->client, outcome);
    if (!pool->closing)
        pool->events->free_slot(pool->client);
}

static void on_returned(void *client, struct worker_process *worker, uint64_t lease)
{
    struct pool *pool = client;
    if (pool->retired && worker_process_is_usable(worker))
        worker_process_stop(worker, false);
    pool->events->returned(pool->client, lease);
    if (!pool->closing)
        pool->events->free_slot(pool->client);
}

struct cleaning {
    uv_work_t request;
    char *folder;
};

static void clean(uv_work_t *request)
{
    tree_remove(((struct cleaning *)request->data)->folder);
}

static void cleaned(uv_work_t *request, int status)
{
    (void)status;
    struct cleaning *cleaning = request->data;
    free(cleaning->folder);
    free(cleaning);
}

static void remove_folder(struct pool *pool, const char *folder)
{
    if (!folder)
        return;
    struct cleaning *cleaning = memory_zeroed(1, sizeof *cleaning);
    cleaning->folder = memory_text(folder);
    cleaning->request.data = cleaning;
    if (uv_queue_work(pool->loop, &cleaning->request, clean, cleaned) != 0) {
        tree_remove(folder);
        cleaned(&cleaning->request, 0);
    }
}

static void free_pool(struct pool *pool)
{
    if (pool->on_empty)
        pool->on_empty(pool->on_empty_client);
    free(pool->workers);
    free(pool);
}

static void on_gone(void *client, struct worker_process *worker, const struct error *error)
{
    struct pool *pool = client;
    (void)error;
    remove_folder(pool, worker_process_folder(worker));
    for (int i = 0; i < pool->count; i++) {
        if (pool->workers[i] == worker) {
            pool->workers[i] = pool->workers[--pool->count];
            break;
        }
    }
    if (pool->closing && pool->count == 0)
        free_pool(pool);
    else if (!pool->closing)
        pool->events->free_slot(pool->client);
}

static const struct worker_events worker_events = {
    .ready = on_ready,
    .refused = on_refused,
    .log = on_log,
    .progress = on_progress,
    .finished = on_finished,
    .returned = on_returned,
    .gone = on_gone,
};

struct pool *pool_new(uv_loop_t *loop, const struct worker_spec *spec, const struct config_worker *settings,
                      const struct pool_events *events, void *client)
{
    struct pool *pool = memory_zeroed(1, sizeof *pool);
    pool->loop = loop;
    pool->spec = spec;
    pool->settings = settings;
    pool->events = events;
    pool->client = client;
    pool->workers = memory_zeroed((size_t)settings->workers, sizeof(struct worker_process *));
    return pool;
}

static struct worker_process *idle_worker(const struct pool *pool)
{
    /* The one that ran last is the warmest; the others may grow idle and go. */
    struct worker_process *best = NULL;
    for (int i = 0; i < pool->count; i++) {
        struct worker_process *worker = pool->workers[i];
        if (worker_process_is_usable(worker) &&
            (!best || worker_process_idle_since_ns(worker) > worker_process_idle_since_ns(best)))
            best = worker;
    }
    return best;
}

int pool_slots(const struct pool *pool)
{
    if (pool->closing || pool->retired)
        return 0;
    int slots = (int)pool->settings->workers - pool->count;
    for (int i = 0; i < pool->count; i++)
        slots += worker_process_is_usable(pool->workers[i]) ? 1 : 0;
    return slots;
}

/* The worker that is to be replaced soon is left to come to its end. */
static int room_ahead(const struct pool *pool, const struct worker_process *worker)
{
    int room = worker_process_room_ahead(worker), left = (int)pool->settings->recycle - worker_process_jobs(worker);
    return left > WORKER_AHEAD_MAX ? room : 0;
}

static struct worker_process *worker_with_room(const struct pool *pool)
{
    struct worker_process *best = NULL;
    for (int i = 0; i < pool->count; i++) {
        int room = room_ahead(pool, pool->workers[i]);
        if (room > 0 && (!best || room > room_ahead(pool, best)))
            best = pool->workers[i];
    }
    return best;
}

bool pool_has_room_ahead(const struct pool *pool)
{
    return !pool->closing && !pool->retired && pool_slots(pool) == 0 && worker_with_room(pool);
}

int pool_start(struct pool *pool, const struct worker_job *job, struct error *error)
{
    struct worker_process *worker = idle_worker(pool);
    if (!worker && pool->count >= (int)pool->settings->workers)
        worker = worker_with_room(pool);
    if (!worker) {
        worker = worker_process_start(pool->loop, pool->spec, &worker_events, pool, error);
        if (!worker)
            return -1;
        pool->workers[pool->count++] = worker;
        pool->started++;
    }
    worker_process_run(worker, job);
    return 0;
}

bool pool_interrupt(struct pool *pool, uint64_t lease, const char *code, bool retryable, const char *message)
{
    for (int i = 0; i < pool->count; i++) {
        if (worker_process_has(pool->workers[i], lease)) {
            worker_process_interrupt_job(pool->workers[i], lease, code, retryable, message);
            return true;
        }
    }
    return false;
}

void pool_watch(struct pool *pool)
{
    int64_t now_ns = clock_monotonic_ns();
    for (int i = 0; i < pool->count; i++) {
        struct worker_process *worker = pool->workers[i];
        worker_process_watch(worker);
        if (worker_process_is_usable(worker) &&
            now_ns - worker_process_idle_since_ns(worker) > pool->settings->idle_ms * 1000000)
            worker_process_stop(worker, false);
    }
}

void pool_retire(struct pool *pool)
{
    pool->retired = true;
    for (int i = 0; i < pool->count; i++)
        if (worker_process_is_usable(pool->workers[i]))
            worker_process_stop(pool->workers[i], false);
}

void pool_close(struct pool *pool, void (*on_empty)(void *client), void *client)
{
    pool->closing = true;
    pool->on_empty = on_empty;
    pool->on_empty_client = client;
    if (pool->count == 0) {
        free_pool(pool);
        return;
    }
    for (int i = 0; i < pool->count; i++)
        worker_process_stop(pool->workers[i], !worker_process_is_idle(pool->workers[i]));
}

struct pool_stats pool_stats(const struct pool *pool)
{
    struct pool_stats stats = {.workers = pool->count, .started = pool->started, .crashed = pool->crashed};
    for (int i = 0; i < pool->count; i++) {
        stats.busy += worker_process_is_idle(pool->workers[i]) ? 0 : 1;
        stats.resident_bytes += worker_process_resident_bytes(pool->workers[i]);
    }
    return stats;
}
