#include "store/direct.h"

#include "base/clock.h"
#include "base/memory.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAZY_MS 20
#define SETTLE_MS 5       /* a job that takes longer has its own flush, and doesn't share that of its end */
#define MANY_URGENT 32    /* they go before the callbacks, so that server and host work at the same time */
#define ENOUGH_URGENT 200 /* they go behind a batch that is under way: the server need not wait for the host */
#define FEW_URGENT 4      /* they go without the lazy ones, which would only make them slower */

struct sent {
    struct op_list batch;
    int64_t ns;
    bool begun;      /* its job runs, and it is not on disk yet */
    int64_t took_ns; /* until it had begun */
};

struct direct {
    uv_loop_t *loop;
    struct store_engine *engine;
    int64_t timeout_ms;
    const struct direct_events *events;
    void *client;
    struct op_list gathered;
    size_t urgent;                        /* of them, those that aren't lazy */
    struct sent sent[STORE_ENGINE_DEPTH]; /* the batches whose answers are to come */
    int sent_count;
    struct op_list again; /* for the thread, once nothing is under way any more */
    struct op_list held;  /* what came back after them, whose callbacks wait until theirs have run */
    bool refused;         /* the engine takes no more before nothing is under way */
    bool lazy_late;       /* lazy ones have waited for LAZY_MS */
    bool lent;            /* the engine is the thread's */
    uv_prepare_t at_turn; /* the loop is about to wait: what has gathered goes */
    uv_timer_t lazy_timer, answer_timer, settle_timer;
    uv_poll_t *poll; /* of a copy of the engine's socket; or NULL */
    int events_watched;
    int open_handles;
};

static void go_on(struct direct *direct, bool too_late);

static void on_poll_closed(uv_handle_t *handle)
{
    close((int)(intptr_t)handle->data);
    free(handle);
}

/* The engine's socket may be closed, or be another's: it is watched anew with the next batch. */
static void stop_watching(struct direct *direct)
{
    if (!direct->poll)
        return;
    uv_os_fd_t fd = -1;
    uv_fileno((uv_handle_t *)direct->poll, &fd);
    uv_poll_stop(direct->poll);
    direct->poll->data = (void *)(intptr_t)fd;
    uv_close((uv_handle_t *)direct->poll, on_poll_closed);
    direct->poll = NULL;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct direct *direct = poll->data;
    (void)events;
    if (direct->sent_count > 0)
        go_on(direct, false);
    else if (status < 0 || direct->lent || !direct->engine->type->hear(direct->engine))
        stop_watching(direct);
}

/* Returns -1 where it can't be watched. */
static int watch(struct direct *direct, int socket, bool wants_write)
{
    int wanted = wants_write ? UV_READABLE | UV_WRITABLE : UV_READABLE;
    if (!direct->poll) {
        int copy = fcntl(socket, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            return -1;
        direct->poll = memory_zeroed(1, sizeof *direct->poll);
        uv_poll_init(direct->loop, direct->poll, copy);
        direct->poll->data = direct;
        direct->events_watched = 0;
    }
    if (direct->events_watched != wanted)
        uv_poll_start(direct->poll, wanted, on_ready);
    direct->events_watched = wanted;
    return 0;
}

static void fall_back(struct direct *direct, struct op_list *list)
{
    stop_watching(direct);
    direct->lent = true;
    direct->events->fall_back(direct->client, list);
}

static void arrange(struct direct *direct);
static void launch(struct direct *direct, bool lazy_too);

static void finish(struct direct *direct, struct sent *sent, int failed, const struct error *error)
{
    if (failed)
        op_list_fail(sent->batch.first, error);
    int64_t took_ns = sent->begun ? sent->took_ns : clock_monotonic_ns() - sent->ns;
    double seconds = (double)took_ns / 1e9;
    direct->events->done(direct->client, &sent->batch, seconds, failed, error);
    if (direct->again.first) {
        op_list_join(&direct->held, &sent->batch);
        return;
    }
    if (direct->urgent >= MANY_URGENT)
        launch(direct, false);
    op_list_call_back(&sent->batch);
}

static void on_too_late(uv_timer_t *timer)
{
    go_on(timer->data, true);
}

static struct sent take_sent(struct direct *direct)
{
    struct sent first = direct->sent[0];
    direct->sent_count--;
    memmove(direct->sent, direct->sent + 1, (size_t)direct->sent_count * sizeof first);
    return first;
}

static void on_settle(uv_timer_t *timer)
{
    struct direct *direct = timer->data;
    bool wants_write = false;
    if (direct->sent_count == 0 || !direct->engine->type->settle(direct->engine, &wants_write))
        return;
    uv_timer_start(&direct->answer_timer, on_too_late, (uint64_t)direct->timeout_ms, 0);
    if (direct->poll)
        watch(direct, -1, wants_write);
}

static void begin(struct direct *direct)
{
    struct store_op *op = direct->sent[0].batch.first;
    direct->sent[0].begun = true;
    direct->sent[0].took_ns = clock_monotonic_ns() - direct->sent[0].ns;
    uv_timer_start(&direct->settle_timer, on_settle, SETTLE_MS, 0);
    op->submit.on_begun(op, op->client);
}

/* The job runs, and nothing is asked of the engine: what comes next can go. */
static void go_on_begun(struct direct *direct)
{
    uv_timer_stop(&direct->answer_timer);
    if (direct->poll)
        watch(direct, -1, false);
    arrange(direct);
}

static void go_on(struct direct *direct, bool too_late)
{
    while (direct->sent_count > 0) {
        struct error error = {0};
        bool wants_write = false;
        enum store_engine_progress progress =
            direct->engine->type->go_on(direct->engine, direct->sent[0].batch.first, too_late, &wants_write, &error);
        if (progress == STORE_ENGINE_WAITS) {
            uv_timer_start(&direct->answer_timer, on_too_late, (uint64_t)direct->timeout_ms, 0);
            watch(direct, -1, wants_write);
            return;
        }
        if (progress == STORE_ENGINE_BEGUN && !direct->sent[0].begun) {
            begin(direct);
            continue;
        }
        if (progress == STORE_ENGINE_BEGUN) {
            go_on_begun(direct);
            return;
        }
        struct sent sent = take_sent(direct);
        if (sent.begun)
            uv_timer_stop(&direct->settle_timer);
        if (progress == STORE_ENGINE_LOST)
            stop_watching(direct);
        if (progress == STORE_ENGINE_AGAIN)
            op_list_join(&direct->again, &sent.batch);
        else
            finish(direct, &sent, progress == STORE_ENGINE_LOST ? -1 : 0, &error);
    }
    uv_timer_stop(&direct->answer_timer);
    if (direct->poll)
        watch(direct, -1, false); /* there is always room to write */
    direct->refused = false;
    if (direct->again.first)
        fall_back(direct, &direct->again);
    arrange(direct);
}

/* What goes next. lazy_too: what could wait has waited long enough. */
static struct op_list take(struct direct *direct, bool lazy_too)
{
    bool few = direct->urgent > 0 && direct->urgent <= FEW_URGENT;
    struct op_list batch =
        few && !lazy_too ? op_list_take_urgent(&direct->gathered) : op_list_take(&direct->gathered);
    for (const struct store_op *op = batch.first; op; op = op->next)
        direct->urgent -= op->lazy ? 0 : 1;
    return batch;
}

static void put_back(struct direct *direct, struct op_list *batch)
{
    for (const struct store_op *op = batch->first; op; op = op->next)
        direct->urgent += op->lazy ? 0 : 1;
    op_list_join(batch, &direct->gathered);
    direct->gathered = *batch;
    direct->refused = true;
}

static bool may_launch(const struct direct *direct)
{
    if (!direct->gathered.first || direct->lent || direct->again.first || direct->refused)
        return false;
    return direct->sent_count == 0 ||
           (direct->sent_count < STORE_ENGINE_DEPTH && (direct->urgent >= ENOUGH_URGENT || direct->sent[0].begun));
}

static void launch(struct direct *direct, bool lazy_too)
{
    uv_prepare_stop(&direct->at_turn);
    if (!may_launch(direct))
        return;
    struct op_list batch = take(direct, lazy_too || direct->lazy_late);
    bool wants_write = false;
    int socket = -1;
    bool started = direct->engine->type->start(direct->engine, batch.first, &socket, &wants_write);
    if (!started && direct->sent_count > 0) {
        put_back(direct, &batch);
        return;
    }
    direct->lazy_late = false;
    if (!direct->gathered.first)
        uv_timer_stop(&direct->lazy_timer);
    if (!started) {
        fall_back(direct, &batch);
        return;
    }
    direct->sent[direct->sent_count++] = (struct sent){.batch = batch, .ns = clock_monotonic_ns()};
    if (direct->sent_count == 1 || direct->sent[0].begun) /* else the time of the one before it runs */
        uv_timer_start(&direct->answer_timer, on_too_late, (uint64_t)direct->timeout_ms, 0);
    if (watch(direct, socket, wants_write) != 0)
        uv_timer_start(&direct->answer_timer, on_too_late, 0, 0);
}

static void on_turn(uv_prepare_t *prepare)
{
    launch(prepare->data, false);
}

static void on_lazy(uv_timer_t *timer)
{
    struct direct *direct = timer->data;
    direct->lazy_late = direct->sent_count > 0 || direct->lent; /* with the next batch, then */
    launch(direct, true);
}

/* The next batch goes at the end of this turn, or, where it can wait, a little later. */
static void arrange(struct direct *direct)
{
    if (!may_launch(direct))
        return;
    if (direct->urgent > 0 || direct->lazy_late)
        uv_prepare_start(&direct->at_turn, on_turn);
    if (direct->gathered.count > direct->urgent && !uv_is_active((uv_handle_t *)&direct->lazy_timer))
        uv_timer_start(&direct->lazy_timer, on_lazy, LAZY_MS, 0);
}

void direct_enqueue(struct direct *direct, struct store_op *op)
{
    op_list_append(&direct->gathered, op);
    direct->urgent += op->lazy ? 0 : 1;
    arrange(direct);
}

void direct_call_held(struct direct *direct)
{
    op_list_call_back(&direct->held);
}

void direct_resume(struct direct *direct)
{
    direct->lent = false;
    direct_call_held(direct);
    arrange(direct);
}

struct direct *direct_new(uv_loop_t *loop, struct store_engine *engine, int64_t timeout_ms,
                          const struct direct_events *events, void *client)
{
    struct direct *direct = memory_zeroed(1, sizeof *direct);
    direct->loop = loop;
    direct->engine = engine;
    direct->timeout_ms = timeout_ms;
    direct->events = events;
    direct->client = client;
    uv_prepare_init(loop, &direct->at_turn);
    uv_timer_init(loop, &direct->lazy_timer);
    uv_timer_init(loop, &direct->answer_timer);
    uv_timer_init(loop, &direct->settle_timer);
    direct->at_turn.data = direct->lazy_timer.data = direct->answer_timer.data = direct->settle_timer.data = direct;
    direct->open_handles = 4;
    return direct;
}

static void on_closed(uv_handle_t *handle)
{
    struct direct *direct = handle->data;
    if (--direct->open_handles == 0)
        free(direct);
}

static void wait_for_answer(struct direct *direct)
{
    while (direct->sent_count > 0 && direct->poll) {
        on_settle(&direct->settle_timer);
        struct pollfd descriptor = {.events = POLLIN};
        uv_os_fd_t fd = -1;
        uv_fileno((uv_handle_t *)direct->poll, &fd);
        descriptor.fd = fd;
        descriptor.events = (short)(direct->events_watched & UV_WRITABLE ? POLLIN | POLLOUT : POLLIN);
        int count = poll(&descriptor, 1, (int)direct->timeout_ms);
        go_on(direct, count == 0);
    }
    if (direct->sent_count > 0) /* it could not be watched */
        go_on(direct, true);
}

struct op_list direct_close(struct direct *direct)
{
    wait_for_answer(direct);
    stop_watching(direct);
    struct op_list rest = direct->gathered;
    direct->gathered = (struct op_list){0};
    uv_close((uv_handle_t *)&direct->at_turn, on_closed);
    uv_close((uv_handle_t *)&direct->lazy_timer, on_closed);
    uv_close((uv_handle_t *)&direct->answer_timer, on_closed);
    uv_close((uv_handle_t *)&direct->settle_timer, on_closed);
    return rest;
}
