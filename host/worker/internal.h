/*
 * worker/internal.h: what the files of the host's side share. process.c: a worker's life; send.c: what it is told;
 * frames.c: what it says; ahead.c: whose turn it is in it; folder.c: what it writes.
 */
#ifndef EXPORTD_WORKER_INTERNAL_H
#define EXPORTD_WORKER_INTERNAL_H

#include "worker/process.h"
#include "worker/turn.h"
#include "worker/wire.h"

#define LAST_WORDS_MAX 400
#define WORKER_SENT_MAX (WORKER_AHEAD_MAX + 1)

enum worker_state { STARTING, READY, ENDING, DEAD };

/* A job that the worker was sent. */
struct sent_job {
    uint64_t lease, turn;
    uint32_t salt;
};

struct worker_process {
    const struct worker_spec *spec;
    const struct worker_events *events;
    void *client;
    uv_process_t process;
    uv_pipe_t pipe;   /* the socket pair */
    uv_pipe_t speech; /* its standard error */
    int open_handles;
    enum worker_state state;
    bool exited;
    bool keeper_told; /* to kill all that the worker started */
    int64_t exit_code;
    int exit_signal;
    char *folder; /* of this worker, in work_folder */

    char *input; /* a frame that has not come in whole */
    size_t input_length, input_size;
    bool corked;  /* frames for it are gathered, and go when what it said is read */
    char *output; /* those */
    size_t output_length, output_size;

    uint64_t lease;          /* of the current job; 0: idle */
    struct sent_job current; /* which that is */
    uint64_t last_turn;      /* that a job was sent with */
    uint64_t given;          /* the last one that had nothing before it: it counts as taken */
    struct turns *turns;     /* or NULL: nothing is sent ahead */
    struct sent_job ahead[WORKER_AHEAD_MAX];
    int ahead_count;
    bool recalled;             /* nothing is sent ahead any more until it is idle */
    int quick_jobs;            /* one after the other, up to now */
    uint64_t stop_lease;       /* of a job that is to be stopped once it is the current one; 0: none */
    struct error stop_reason;  /* why */
    bool moved_in;             /* that folder was there before the job */
    struct held_outcome *held; /* of a job that is over, until all that it started is gone; or NULL */
    int jobs;
    int64_t started_ns, begun_ns, deadline_ns, kill_ns, bury_ns, idle_since_ns;
    int64_t frame_bytes, said_bytes;
    struct error verdict; /* why the host ends it, or how it ended; empty: as asked */
    bool condemned;       /* what it still says is not heard */
    bool has_crash;
    struct wire_crash crash;
    char last_words[LAST_WORDS_MAX];
    size_t last_words_length;
    int64_t resident_bytes;
    bool measuring;     /* its folder, in a thread of the loop's */
    int64_t measure_ns; /* not before */
};

/* A rule was broken: this worker does nothing more. message goes on after "the plugin NAME ". */
void worker_condemn(struct worker_process *worker, const char *code, const char *message);

/* The same for what is not said but done: the results that it sent before still count. */
void worker_end_for(struct worker_process *worker, const char *code, const char *message);

/* The job is over: the worker is idle, and whoever started it hears of it. With the exec grant the worker ends first,
 * and with it all that the job started. */
void worker_finish_job(struct worker_process *worker, struct worker_outcome *outcome);

/* A handle or a piece of work of this worker is done; the last one frees it. */
void worker_release(struct worker_process *worker);

/* The path of the current job's workspace, whether it is there or not. Free it. */
char *worker_job_folder(const struct worker_process *worker);

/* Measures its folder now and then, while it has a job; what is beyond its limit ends it. */
void worker_watch_folder(struct worker_process *worker, int64_t now_ns);

/* send.c */
void worker_send_configuration(struct worker_process *worker);
void worker_send_start(struct worker_process *worker, const struct sent_job *sent, const struct worker_job *job);

/* Between the two, small frames for the worker are gathered; then they go in one piece. */
void worker_cork(struct worker_process *worker);
void worker_uncork(struct worker_process *worker);

/* ahead.c */
/* Nothing is its job any more. */
void worker_be_idle(struct worker_process *worker);

/* It is the job's turn from now on. */
void worker_make_current(struct worker_process *worker, const struct sent_job *job);

/* The current job is over, and the next one's turn has come; whoever started it hears of it. */
void worker_tell_outcome(struct worker_process *worker, struct worker_outcome *outcome);

/* Memory for a worker and the host, and what the worker maps it from (close it). NULL where there is none to be had.
 */
struct turns *worker_share_turns(int *fd);
void worker_unshare_turns(struct turns *turns); /* takes NULL */

/* Takes the jobs that it has not begun off the worker, and fills leases, of WORKER_SENT_MAX, with theirs. Returns how
 * many; whoever sent them is yet to be told. */
int worker_take_back(struct worker_process *worker, uint64_t *leases);
void worker_tell_returned(struct worker_process *worker, const uint64_t *leases, int count);

/* Both. */
void worker_recall(struct worker_process *worker);

/* Bytes came in from the worker: whole frames are acted upon, the rest is kept. */
void worker_take_bytes(struct worker_process *worker, const char *bytes, size_t length);

#endif
