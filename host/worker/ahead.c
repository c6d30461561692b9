/*
 * Whose turn it is in a worker; the jobs that it was sent ahead, and their way back to whoever sent them.
 */
#include "worker/internal.h"

#include "base/clock.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define QUICK_NS 5000000LL /* a short job, as the host sees it: it may have been busy meanwhile */
#define QUICK_RUN 16       /* so many in a row, before the next is sent ahead */

#define FIRST_MEASURE_NS 500000000LL /* of a job's folder: the short ones aren't worth it */

struct turns *worker_share_turns(int *fd)
{
    *fd = memfd_create("exportd-turns", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0)
        return NULL;
    void *shared = MAP_FAILED;
    /* Sealed: were it cut off, the host would die of its next look. */
    if (ftruncate(*fd, sizeof(struct turns)) == 0 &&
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        shared = mmap(NULL, sizeof(struct turns), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (shared != MAP_FAILED)
        return shared;
    close(*fd);
    *fd = -1;
    return NULL;
}

void worker_unshare_turns(struct turns *turns)
{
    if (turns)
        munmap(turns, sizeof *turns);
}

static void note_duration(struct worker_process *worker, int64_t took_ns)
{
    worker->quick_jobs = took_ns < QUICK_NS ? worker->quick_jobs + 1 : 0;
}

void worker_be_idle(struct worker_process *worker)
{
    worker->lease = 0;
    worker->deadline_ns = 0;
    worker->idle_since_ns = clock_monotonic_ns();
}

void worker_make_current(struct worker_process *worker, const struct sent_job *job)
{
    int64_t now_ns = clock_monotonic_ns();
    worker->lease = job->lease;
    worker->current = *job;
    worker->idle_since_ns = 0;
    worker->begun_ns = now_ns;
    worker->deadline_ns = now_ns + worker->spec->timeout_ms * 1000000;
    worker->measure_ns = now_ns + FIRST_MEASURE_NS;
    worker->moved_in = false;
}

static void go_on(struct worker_process *worker)
{
    if (worker->ahead_count == 0) {
        worker_be_idle(worker);
        return;
    }
    worker_make_current(worker, &worker->ahead[0]);
    worker->ahead_count--;
    memmove(worker->ahead, worker->ahead + 1, (size_t)worker->ahead_count * sizeof *worker->ahead);
    if (worker->stop_lease != worker->lease)
        return;
    worker->stop_lease = 0;
    worker_process_interrupt(worker, worker->stop_reason.code, worker->stop_reason.retryable,
                             worker->stop_reason.message);
}

void worker_tell_outcome(struct worker_process *worker, struct worker_outcome *outcome)
{
    outcome->lease = worker->lease;
    worker->frame_bytes = 0;
    worker->said_bytes = 0;
    worker->jobs++;
    note_duration(worker, clock_monotonic_ns() - worker->begun_ns);
    go_on(worker);
    worker->events->finished(worker->client, worker, outcome);
}

int worker_process_room_ahead(const struct worker_process *worker)
{
    bool quick = worker->quick_jobs >= QUICK_RUN;
    if (!worker->turns || worker->spec->exec || worker->exited || !quick || worker->lease == 0 || worker->recalled ||
        worker->state != READY || worker->kill_ns != 0)
        return 0;
    return WORKER_AHEAD_MAX - worker->ahead_count;
}

static bool is_taken(const struct worker_process *worker, uint64_t turn, uint64_t last)
{
    return turn <= worker->given || turn <= last;
}

void worker_tell_returned(struct worker_process *worker, const uint64_t *leases, int count)
{
    for (int i = 0; i < count; i++)
        worker->events->returned(worker->client, worker, leases[i]);
}

int worker_take_back(struct worker_process *worker, uint64_t *leases)
{
    if (!worker->turns || worker->lease == 0)
        return 0;
    uint64_t last = turns_recall(worker->turns);
    int count = 0, kept = 0;
    worker->recalled = true;
    bool current = is_taken(worker, worker->current.turn, last);
    for (int i = 0; i < worker->ahead_count; i++) {
        if (is_taken(worker, worker->ahead[i].turn, last))
            worker->ahead[kept++] = worker->ahead[i];
        else
            leases[count++] = worker->ahead[i].lease;
    }
    worker->ahead_count = kept;
    if (!current) {
        memmove(leases + 1, leases, (size_t)count * sizeof *leases);
        leases[0] = worker->lease;
        count++;
        worker_be_idle(worker);
    }
    return count;
}

void worker_recall(struct worker_process *worker)
{
    uint64_t leases[WORKER_SENT_MAX];
    int count = worker_take_back(worker, leases);
    worker_tell_returned(worker, leases, count);
}

void worker_process_interrupt_job(struct worker_process *worker, uint64_t lease, const char *code, bool retryable,
                                  const char *message)
{
    uint64_t leases[WORKER_SENT_MAX];
    if (worker->state == ENDING || worker->state == DEAD)
        return;
    int count = worker_take_back(worker, leases);
    if (worker->lease == lease) {
        if (worker->ahead_count == 0)
            worker_process_interrupt(worker, code, retryable, message);
    } else if (worker->ahead_count > 0 && worker->ahead[worker->ahead_count - 1].lease == lease) {
        worker->stop_lease = lease; /* once what it did before is known */
        error_set(&worker->stop_reason, code, retryable, "%s", message);
    } /* else its result is on the way, and a signal would meet the last one that was begun */
    worker_tell_returned(worker, leases, count);
}

bool worker_process_has(const struct worker_process *worker, uint64_t lease)
{
    for (int i = 0; i < worker->ahead_count; i++)
        if (worker->ahead[i].lease == lease)
            return true;
    return worker->lease == lease;
}
