/*
 * worker/turn.h: which of the jobs that a worker was sent it has begun.
 *
 * A worker whose jobs are short is sent the next ones ahead, so that neither it nor the host has to be woken up for
 * each. Every job that is sent to a worker has a turn, a number that rises. The last one taken stands in memory that
 * both share: the worker takes a turn before it begins, and the host can recall those that are not taken, whatever
 * the worker is at. A job is either taken or recalled, never both.
 *
 * The host trusts the number no further than the worker: one that writes there harms its own plugin's jobs.
 */
#ifndef EXPORTD_WORKER_TURN_H
#define EXPORTD_WORKER_TURN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TURN_FD 4 /* in the worker: what holds a struct turns */
#define TURN_RECALLED (UINT64_C(1) << 63)

struct turns {
    _Atomic uint64_t taken; /* the last one, and TURN_RECALLED where none after it may be taken */
};

/* The worker's side: false where the job was recalled, and must not begin. One that was given is taken already, and
 * stays so when what is behind it is recalled. */
static inline bool turns_take(struct turns *turns, uint64_t turn)
{
    uint64_t before = turn - 1;
    return atomic_compare_exchange_strong(&turns->taken, &before, turn) || (before & ~TURN_RECALLED) == turn;
}

/* The host's side: hands a turn to a worker that has nothing to do. It is taken, and none before it can be. */
static inline void turns_give(struct turns *turns, uint64_t turn)
{
    atomic_store(&turns->taken, turn);
}

/* No turn is taken any more until one is given. Returns the last one that was. */
static inline uint64_t turns_recall(struct turns *turns)
{
    return atomic_fetch_or(&turns->taken, TURN_RECALLED) & ~TURN_RECALLED;
}

static inline uint64_t turns_last(struct turns *turns)
{
    return atomic_load(&turns->taken) & ~TURN_RECALLED;
}

#endif
