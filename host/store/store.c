#include "store/store.h"

#include "base/clock.h"
#include "base/memory.h"
#include "store/direct.h"
#include "store/engine.h"
#include "store/postgres.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STORE_LAZY_NS 20000000
#define REST_BATCHES 3

struct store {
    struct store_engine *engine;
    uv_async_t done_signal;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards the lists and the flags below */
    pthread_cond_t work;
    struct op_list waiting;
    size_t urgent; /* operations in waiting that aren't lazy */
    struct op_list done;
    bool stopping;
    unsigned quiet_batches; /* the thread's own */
    struct store_stats stats;
    struct error trouble; /* of the last batch */
    uv_loop_t *loop;
    struct postgres_listener *listener;
    struct direct *direct; /* NULL: the engine's work is the thread's alone */
    bool thread_works;     /* on what direct gave it */
};

static int run_batch(struct store *store, struct store_op *first, struct error *error)
{
    int failed = store->engine->type->run(store->engine, first, error);
    if (failed)
        op_list_fail(first, error);
    return failed;
}

/* Waits until there is something to commit. The mutex is held. */
static void wait_for_work(struct store *store)
{
    while (store->urgent == 0 && !store->stopping) {
        if (!store->waiting.first) {
            pthread_cond_wait(&store->work, &store->mutex);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += STORE_LAZY_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (pthread_cond_timedwait(&store->work, &store->mutex, &until) != 0)
            return;
    }
}

/* A tick comes each second even where nothing happens: REST_BATCHES of one operation in a row are a quiet time. */
static void rest_when_quiet(struct store *store, size_t batch_count)
{
    if (batch_count > 1)
        store->quiet_batches = 0;
    else if (++store->quiet_batches == REST_BATCHES)
        store->engine->type->rest(store->engine);
}

static struct op_list take_batch(struct store *store)
{
    struct op_list batch = op_list_take(&store->waiting);
    for (const struct store_op *op = batch.first; op; op = op->next)
        store->urgent -= op->lazy ? 0 : 1;
    return batch;
}

/* The mutex is held. */
static void count_batch(struct store *store, const struct op_list *batch, double seconds, int failed,
                        const struct error *error)
{
    store->stats.commits++;
    store->stats.operations += batch->count;
    store->stats.failures += failed ? 1 : 0;
    histogram_add(&store->stats.batches, (double)batch->count);
    histogram_add(&store->stats.seconds, seconds);
    store->trouble = *error;
}

static void *store_thread(void *client)
{
    struct store *store = client;
    pthread_mutex_lock(&store->mutex);
    for (;;) {
        wait_for_work(store);
        struct op_list batch = take_batch(store);
        if (!batch.first && store->stopping)
            break;
        if (!batch.first)
            continue;
        pthread_mutex_unlock(&store->mutex);
        struct error error = {0};
        int64_t began_ns = clock_monotonic_ns();
        int failed = run_batch(store, batch.first, &error);
        double seconds = (double)(clock_monotonic_ns() - began_ns) / 1e9;
        rest_when_quiet(store, batch.count);
        pthread_mutex_lock(&store->mutex);

        count_batch(store, &batch, seconds, failed, &error);
        op_list_join(&store->done, &batch);
        store->thread_works = store->waiting.first != NULL;
        uv_async_send(&store->done_signal);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

static void run_callbacks(struct store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct op_list done = store->done;
    store->done = (struct op_list){0};
    pthread_mutex_unlock(&store->mutex);
    op_list_call_back(&done);
}

static void on_done(uv_async_t *handle)
{
    struct store *store = handle->data;
    run_callbacks(store);
    pthread_mutex_lock(&store->mutex);
    bool free_again = store->direct && !store->thread_works;
    pthread_mutex_unlock(&store->mutex);
    if (free_again)
        direct_resume(store->direct);
}

static void hand_to_thread(struct store *store, struct op_list *list)
{
    pthread_mutex_lock(&store->mutex);
    for (const struct store_op *op = list->first; op; op = op->next)
        store->urgent += op->lazy ? 0 : 1;
    op_list_join(&store->waiting, list);
    store->thread_works = true;
    pthread_mutex_unlock(&store->mutex);
    pthread_cond_signal(&store->work);
}

/* What direct asks for. */
static void on_direct_fallback(void *client, struct op_list *list)
{
    struct store *store = client;
    for (struct store_op *op = list->first; op; op = op->next)
        op->lazy = false;
    hand_to_thread(store, list);
}

static void on_direct_done(void *client, const struct op_list *batch, double seconds, int failed,
                           const struct error *error)
{
    struct store *store = client;
    pthread_mutex_lock(&store->mutex);
    count_batch(store, batch, seconds, failed, error);
    pthread_mutex_unlock(&store->mutex);
    if (store->listener)
        postgres_note_work(store->listener, (int64_t)batch->count, ((struct postgres *)store->engine)->waiting);
}

static const struct direct_events direct_events = {.fall_back = on_direct_fallback, .done = on_direct_done};

struct store *store_open(const struct store_options *options, uv_loop_t *loop, struct error *error)
{
    bool shared = options->url && *options->url;
    struct store_engine *engine = shared ? store_postgres_open(options, error) : store_sqlite_open(options, error);
    if (!engine)
        return NULL;
    struct store *store = memory_zeroed(1, sizeof *store);
    store->stats.batches.kind = HISTOGRAM_COUNTS;
    store->stats.seconds.kind = HISTOGRAM_COMMITS;
    store->engine = engine;
    store->loop = loop;
    uv_async_init(loop, &store->done_signal, on_done);
    store->done_signal.data = store;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&store->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&store->thread, NULL, store_thread, store) != 0) {
        error_set(error, "store_thread", true,
                  "the store's thread can't be started; raise the limit of processes (ulimit -u)");
        engine->type->close(engine);
        free(store);
        return NULL;
    }
    if (engine->type->start)
        store->direct = direct_new(loop, engine, options->timeout_ms, &direct_events, store);
    return store;
}

static void on_closed(uv_handle_t *handle)
{
    struct store *store = handle->data;
    pthread_cond_destroy(&store->work);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->direct) {
        struct op_list rest = direct_close(store->direct);
        hand_to_thread(store, &rest);
    }
    pthread_mutex_lock(&store->mutex);
    store->stopping = true;
    pthread_cond_signal(&store->work);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    run_callbacks(store);
    if (store->direct)
        direct_call_held(store->direct);
    postgres_unlisten(store->listener);
    store->engine->type->close(store->engine);
    uv_close((uv_handle_t *)&store->done_signal, on_closed);
}

struct store_op *store_op_new(enum store_op_kind kind, store_callback callback, void *client)
{
    /* Not all of it: a message has room for 2 KB, and to clear them takes longer than the rest of an operation. */
    struct store_op *op = memory_resized(NULL, 1, sizeof *op);
    memset(op, 0, offsetof(struct store_op, error) + offsetof(struct error, message) + 1);
    op->kind = kind;
    op->callback = callback;
    op->client = client;
    return op;
}

struct store_op *store_op_claim(const char *route, int count, store_callback callback, void *client)
{
    struct store_op *op = store_op_new(STORE_CLAIM, callback, client);
    op->claim.route = route;
    op->claim.count = count < STORE_CLAIM_MAX ? count : STORE_CLAIM_MAX;
    op->claim.jobs = memory_zeroed((size_t)op->claim.count, sizeof *op->claim.jobs);
    return op;
}

void store_delivery_free(struct store_delivery *delivery)
{
    while (delivery) {
        struct store_delivery *next = delivery->next;
        free(delivery->id);
        free(delivery->job_id);
        free(delivery->target);
        free(delivery->body);
        free(delivery->last_error);
        free(delivery->trace);
        free(delivery);
        delivery = next;
    }
}

static void free_jobs(struct job **jobs, int count)
{
    for (int i = 0; i < count; i++)
        job_free(jobs[i]);
    free(jobs);
}

void store_op_free(struct store_op *op)
{
    if (!op)
        return;
    switch (op->kind) {
    case STORE_SUBMIT:
        job_free(op->submit.job);
        store_delivery_free(op->submit.delivery);
        break;
    case STORE_CLAIM:
        free_jobs(op->claim.jobs, op->claim.jobs ? op->claim.count : 0);
        break;
    case STORE_FINISH:
        free(op->finish.result);
        free(op->finish.error_code);
        free(op->finish.error_message);
        store_delivery_free(op->finish.delivery);
        break;
    case STORE_CANCEL:
        free(op->cancel.id);
        job_free(op->cancel.job);
        break;
    case STORE_RETRY:
    case STORE_GET:
        free(op->get.id);
        job_free(op->get.revised);
        job_free(op->get.job);
        break;
    case STORE_LIST:
        free(op->list.route);
        free_jobs(op->list.jobs, op->list.count);
        break;
    case STORE_TICK:
        for (int i = 0; i < op->tick.route_count; i++)
            free(op->tick.routes[i]);
        free(op->tick.routes);
        free(op->tick.held);
        free(op->tick.cancelled);
        free(op->tick.lost);
        free_jobs(op->tick.pruned, op->tick.pruned_count);
        break;
    case STORE_DELIVERY_TAKE:
        store_delivery_free(op->delivery_take.deliveries);
        break;
    case STORE_DELIVERY_RESULT:
        free(op->delivery_result.last_error);
        break;
    case STORE_DELIVERY_LIST:
        free(op->delivery_list.job_id);
        store_delivery_free(op->delivery_list.deliveries);
        break;
    case STORE_DELIVERY_RETRY:
        free(op->delivery_retry.id);
        break;
    }
    free(op);
}

void store_enqueue(struct store *store, struct store_op *op)
{
    if (store->direct) {
        direct_enqueue(store->direct, op);
        return;
    }
    pthread_mutex_lock(&store->mutex);
    bool wakes = !op->lazy || !store->waiting.first;
    op_list_append(&store->waiting, op);
    store->urgent += op->lazy ? 0 : 1;
    pthread_mutex_unlock(&store->mutex);
    if (wakes)
        pthread_cond_signal(&store->work); /* after the unlock: who wakes up must not wait for it */
}

struct store_stats store_stats(const struct store *store)
{
    struct store *writable = (struct store *)(uintptr_t)store;
    pthread_mutex_lock(&writable->mutex);
    struct store_stats stats = store->stats;
    pthread_mutex_unlock(&writable->mutex);
    return stats;
}

void store_trouble(struct store *store, char *text, size_t size)
{
    pthread_mutex_lock(&store->mutex);
    snprintf(text, size, "%s", store->trouble.message);
    pthread_mutex_unlock(&store->mutex);
}

void store_on_hint(struct store *store, void (*callback)(void *client), void *client)
{
    if (store->direct)
        store->listener = postgres_listen(store->loop, store->engine, callback, client);
}
