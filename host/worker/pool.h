/*
 * worker/pool.h: the warm workers of one plugin.
 *
 * Grown on demand up to `workers`, one at a time as jobs come; shrunk when idle; each worker replaced after `recycle`
 * jobs. The pool holds no queue: whoever has a job asks for a slot first. Loop thread only.
 */
#ifndef EXPORTD_WORKER_POOL_H
#define EXPORTD_WORKER_POOL_H

#include "config/config.h"
#include "worker/process.h"

#include <stdint.h>
#include <uv.h>

struct pool;

struct pool_events {
    void (*log)(void *client, uint64_t lease, enum exportd_log_level level, const char *text);
    void (*progress)(void *client, uint64_t lease, double fraction, const char *stage);
    /* Called once for each job that pool_start() took. outcome->folder, where there is one, is the receiver's to
     * remove. */
    void (*finished)(void *client, const struct worker_outcome *outcome);
    /* A job that pool_start() took was not begun, and waits no longer here; finished() is not called for it. */
    void (*returned)(void *client, uint64_t lease);
    /* A slot has come free. */
    void (*free_slot)(void *client);
    /* What the sandbox of a worker turned out to be: {"landlock": ABI, "seccomp": bool}. */
    void (*sandbox)(void *client, json_t *sandbox);
};

struct pool_stats {
    int workers, busy;
    uint64_t started, crashed; /* processes, since the start of the host */
    int64_t resident_bytes;    /* of all workers together */
};

/* spec and settings are borrowed and must outlive the pool; spec->name names it. */
struct pool *pool_new(uv_loop_t *loop, const struct worker_spec *spec, const struct config_worker *settings,
                      const struct pool_events *events, void *client);

/* How many jobs pool_start() would take now. */
int pool_slots(const struct pool *pool);

/* No worker is free, but one whose jobs are short takes some ahead, if they bring no workspace. */
bool pool_has_room_ahead(const struct pool *pool);

/* Gives a job to an idle worker, to a new one, or to one that has room ahead. Returns 0, or -1 with error set where
 * no process can be started. */
int pool_start(struct pool *pool, const struct worker_job *job, struct error *error);

/* Interrupts the job of that lease, if it runs here. Returns whether it does. */
bool pool_interrupt(struct pool *pool, uint64_t lease, const char *code, bool retryable, const char *message);

/* Some times a second: limits, idle workers. */
void pool_watch(struct pool *pool);

/* Takes no more jobs: idle workers end now, the others after their job. */
void pool_retire(struct pool *pool);

/* Ends all workers; busy ones are killed, their jobs finish as crashed. Then on_empty(client), and the pool is freed.
 */
void pool_close(struct pool *pool, void (*on_empty)(void *client), void *client);

struct pool_stats pool_stats(const struct pool *pool);

#endif
