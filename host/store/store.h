/*
 * store/store.h: the queue, on disk. Jobs and the deliveries that their ends cause.
 *
 * A store has one thread. Callers on the loop thread enqueue operations; the thread takes all that have gathered,
 * carries them out in one transaction, commits, and hands them back to the loop, where each operation's callback
 * runs. So an operation whose callback runs without an error is on disk, and the more callers there are, the more
 * share one commit. An operation sees all whose callbacks ran before it was enqueued; those that share a transaction
 * may be carried out in another order, by kind. Callbacks run in the order in which operations were enqueued.
 *
 * Only the current lease may write: STORE_FINISH names the lease, and where the store knows a newer one, the
 * operation changes nothing and says so (applied = false).
 *
 * There are two engines behind it, which only this folder sees: SQLite, embedded, for one host, and PostgreSQL, which
 * many hosts share. There a lease lasts for a while on the database's clock, and STORE_TICK renews it; the jobs of a
 * host that is silent wait again. An operation that met a database which is away fails with a retryable error;
 * whether it was carried out may then be unknown, so callers do it again, and what was there is found by id or lease.
 */
#ifndef EXPORTD_STORE_STORE_H
#define EXPORTD_STORE_STORE_H

#include "base/error.h"
#include "base/histogram.h"
#include "job/job.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define STORE_CLAIM_MAX 1024
#define STORE_LIST_MAX 1000

struct store;
struct store_op;

enum store_op_kind {
    STORE_SUBMIT, /* a new job */
    STORE_CLAIM,  /* take waiting jobs of a route, with a new lease each */
    STORE_FINISH, /* the end of an attempt */
    STORE_CANCEL,
    STORE_RETRY, /* a finished job runs again, from its first attempt */
    STORE_GET,
    STORE_LIST,
    STORE_TICK,            /* once a second: what is due, what is old, what other hosts left behind */
    STORE_DELIVERY_TAKE,   /* deliveries that are due */
    STORE_DELIVERY_RESULT, /* what became of one */
    STORE_DELIVERY_LIST,
    STORE_DELIVERY_RETRY,
};

enum store_submit_outcome { STORE_CREATED, STORE_SAME, STORE_CONFLICT, STORE_QUEUE_FULL };

enum store_cancel_outcome {
    STORE_CANCEL_UNKNOWN,  /* no such job */
    STORE_CANCEL_FINISHED, /* too late; job shows how it ended */
    STORE_CANCEL_RUNNING,  /* noted; whoever holds the lease must stop it */
    STORE_CANCEL_CLAIMED,  /* it was waiting; job is now leased to the caller, who finishes it as cancelled */
};

enum store_finish_kind {
    STORE_FINISH_COMPLETED,
    STORE_FINISH_FAILED,
    STORE_FINISH_CANCELLED,
    STORE_FINISH_AGAIN,   /* waiting again, not before run_at_ms; the attempt counts */
    STORE_FINISH_RELEASE, /* waiting again as if it had not been claimed */
};

enum store_channel {
    STORE_CHANNEL_WEBHOOK = 0, /* target: an URL */
    STORE_CHANNEL_NATS = 1,    /* target: a subject */
};
#define STORE_CHANNEL_COUNT 2

enum store_delivery_state { STORE_DELIVERY_WAITING = 0, STORE_DELIVERY_DONE = 1, STORE_DELIVERY_DEAD = 2 };

/* One message that must reach a caller. */
struct store_delivery {
    int64_t sequence; /* the store's own, set when it is inserted */
    int64_t job_sequence;
    enum store_channel channel;
    char *id; /* the webhook-id or Nats-Msg-Id: one for each end of a job and channel */
    char *job_id;
    char *target;
    char *body;
    enum store_delivery_state state;
    int attempts;
    int64_t created_at_ms;
    int64_t next_at_ms;
    int64_t give_up_at_ms;
    char *last_error; /* or NULL */
    char *trace;      /* the job's, or NULL; the store keeps it with the job */
    struct store_delivery *next;
};

void store_delivery_free(struct store_delivery *delivery); /* the whole list; takes NULL */

typedef void (*store_callback)(struct store_op *op, void *client);

/* One operation. Fill the part of its kind, enqueue it, read the answer in the callback, free it. */
struct store_op {
    enum store_op_kind kind;
    bool lazy; /* needs no commit of its own soon: it goes with the next one, at the latest after 20 ms */
    store_callback callback;
    void *client;
    struct store_op *next; /* the store's */
    union {
        struct {
            struct job *job; /* in: owned by the op. Out: the same, or for STORE_SAME and STORE_CONFLICT the one that
                                is there. A job that comes as JOB_FAILED is a dead letter: it is kept as it is */
            struct store_delivery *delivery; /* owned; a dead letter's; or NULL */
            bool claim;                      /* in: lease it to the caller at once */
            store_callback on_begun;         /* in, or NULL. May run once before the callback, or not at all: the job
                                                is in the database, leased to the caller, who may take it out of the
                                                op and run it; but it may not be on disk yet. That it is, the callback
                                                tells; where that has an error, it may be lost, or not */
            enum store_submit_outcome outcome;
        } submit;
        struct {
            const char *route;               /* borrowed until the callback */
            int count;                       /* in: how many at the most. Out: how many came */
            int limit;                       /* 0, or how many jobs of limit_routes may run at once, over all hosts */
            const char *const *limit_routes; /* borrowed until the callback */
            int limit_route_count;
            struct job **jobs; /* owned, out */
        } claim;
        struct {
            enum store_finish_kind finish;
            int64_t sequence;
            int64_t lease;
            enum job_door door;
            int attempts;
            int64_t run_at_ms, started_at_ms, finished_at_ms;
            char *result, *error_code, *error_message; /* owned */
            struct store_delivery *delivery; /* owned; a list; or NULL. One whose next_at_ms is to come is the
                                                caller's to send until then: nobody else is given it */
            bool applied;
        } finish;
        struct {
            char *id; /* owned */
            enum store_cancel_outcome outcome;
            struct job *job; /* owned, out */
            int64_t lease;   /* of the running one */
        } cancel;
        struct {
            char *id;            /* owned */
            struct job *job;     /* owned, out; NULL: no such job */
            struct job *revised; /* STORE_RETRY, in, owned, or NULL: a dead letter's new task, route, data and
                                    max_attempts */
            bool applied;        /* STORE_RETRY: it was finished, and waits again */
        } get;
        struct {
            int state;      /* -1: any */
            char *route;    /* owned; or NULL */
            int64_t before; /* sequence, exclusive; 0: from the newest */
            int limit;
            struct job **jobs; /* owned, out, newest first, without data */
            int count;
        } list;
        struct {
            int64_t now_ms;
            int64_t prune_completed_before_ms, prune_failed_before_ms;
            int64_t *held; /* in, owned: the leases that this host works on; they are renewed */
            int held_count;
            char **routes; /* owned, out: those with jobs that wait */
            int route_count;
            int64_t next_due_ms;                           /* out: 0, or when the next scheduled job is due */
            int64_t waiting;                               /* out: jobs that wait, scheduled ones included */
            int64_t next_delivery_ms[STORE_CHANNEL_COUNT]; /* out: 0, or when the channel's next delivery is due */
            int64_t oldest_waiting_ms; /* out: 0, or when the oldest job that could run now was accepted */
            int64_t *cancelled; /* owned, out: leases of running jobs that someone wants cancelled, perhaps at another
                                   host */
            int cancelled_count;
            int64_t *lost; /* owned, out: leases that this host no longer holds: their jobs run elsewhere */
            int lost_count;
            struct job **pruned; /* owned, out: id alone; their artifacts go too */
            int pruned_count;
        } tick;
        struct {
            enum store_channel channel;
            int64_t now_ms;
            int64_t taken_until_ms; /* not handed out again before */
            int limit;
            struct store_delivery *deliveries; /* owned, out */
        } delivery_take;
        struct {
            int64_t sequence;
            enum store_delivery_state state;
            int attempts;
            int64_t next_at_ms;
            char *last_error; /* owned; or NULL */
        } delivery_result;
        struct {
            int state;    /* -1: any */
            char *job_id; /* owned; or NULL */
            int limit;
            struct store_delivery *deliveries; /* owned, out, newest first */
        } delivery_list;
        struct {
            char *id; /* owned */
            int64_t now_ms;
            int64_t give_up_at_ms;
            bool applied;
        } delivery_retry;
    };
    struct error error; /* set where the operation, or its whole commit, failed; then nothing of it was written.
                           The last member: see store_op_new() */
};

struct store_stats {
    uint64_t commits, operations, failures;
    struct histogram batches, seconds; /* operations in a commit, and what it took */
};

struct store_options {
    const char *folder;           /* the state folder; SQLite's file is store.db in it */
    const char *url;              /* PostgreSQL's, or NULL or "": SQLite */
    int64_t lease_ms, timeout_ms; /* PostgreSQL: [store] lease and timeout */
    int64_t queue_limit;
    bool create; /* make the folder where it is missing */
};

/* Opens the store and starts its thread. Refuses a folder that another host holds. SQLite: jobs that were running
 * when the last host died wait again. PostgreSQL: brings the schema up to this program's. Returns NULL with error
 * set. */
struct store *store_open(const struct store_options *options, uv_loop_t *loop, struct error *error);

/* Looks at a store without opening it: reachable, its schema, whether exports are kept in step. *summary: a new line
 * for people. Returns 0, or -1 with error set. */
int store_check(const struct store_options *options, char **summary, struct error *error);

/* Brings its schema up to this program's. As store_check(). */
int store_migrate(const struct store_options *options, char **summary, struct error *error);

/* Carries out what was enqueued, runs the callbacks, stops the thread. The handles close in the loop: run it once
 * more before uv_loop_close(). */
void store_close(struct store *store);

/* A new zeroed operation. For STORE_CLAIM use store_op_claim(). Never NULL: out of memory ends the program. */
struct store_op *store_op_new(enum store_op_kind kind, store_callback callback, void *client);
struct store_op *store_op_claim(const char *route, int count, store_callback callback, void *client);
void store_op_free(struct store_op *op); /* with all that it still owns: set to NULL what you took */

/* Hands the op to the store's thread. Its callback runs on the loop thread, always. */
void store_enqueue(struct store *store, struct store_op *op);

/* The database can't be reached at the moment; what it says. Empty: it answers. Copied into text. */
void store_trouble(struct store *store, char *text, size_t size);

/* PostgreSQL: calls back on the loop thread soon after another host has put something into the queue that this one
 * might take: a hint, that may be late or missing. Nothing with SQLite. Call once. */
void store_on_hint(struct store *store, void (*callback)(void *client), void *client);

struct store_stats store_stats(const struct store *store);

#endif
