/*
 * store/direct.h: batches on the loop itself, for an engine that only waits for a server.
 *
 * It saves the way to the store's thread and back, which costs more than the work. Operations of one turn of the loop
 * gather and go as one batch; the next goes when its answer has come, or, where many have gathered, behind it.
 * Whatever isn't plain (no connection, an operation that is refused) is handed back for the thread, which may wait;
 * until direct_resume() operations gather. Loop thread only.
 */
#ifndef EXPORTD_STORE_DIRECT_H
#define EXPORTD_STORE_DIRECT_H

#include "store/engine.h"
#include "store/oplist.h"

struct direct;

struct direct_events {
    /* The engine is the thread's, with these operations, until direct_resume(). */
    void (*fall_back)(void *client, struct op_list *list);
    /* A batch is over; its callbacks come next. error: of the batch, or empty. */
    void (*done)(void *client, const struct op_list *batch, double seconds, int failed, const struct error *error);
};

struct direct *direct_new(uv_loop_t *loop, struct store_engine *engine, int64_t timeout_ms,
                          const struct direct_events *events, void *client);
void direct_enqueue(struct direct *direct, struct store_op *op);
void direct_resume(struct direct *direct);

/* Waits for what is under way, runs its callbacks, and returns what has gathered. The handles close in the loop, and
 * then it is freed. */
struct op_list direct_close(struct direct *direct);

/* After direct_close(), once the thread has ended and its callbacks have run: those that waited for them. */
void direct_call_held(struct direct *direct);

#endif
