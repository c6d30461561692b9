/*
 * A worker's folder. RLIMIT_FSIZE holds each file of a worker; this holds all of them together.
 */
#include "base/clock.h"
#include "base/memory.h"
#include "base/tree.h"
#include "worker/internal.h"

#include <stdio.h>
#include <stdlib.h>

#define MEASURE_EVERY_NS 500000000LL
#define MEASURE_SHARE 20 /* a measurement takes one part of so many of the time */

char *worker_job_folder(const struct worker_process *worker)
{
    char name[WIRE_FOLDER_MAX];
    wire_folder_name(name, worker->current.turn, worker->current.salt);
    return memory_format("%s/%s", worker->folder, name);
}

struct measurement {
    uv_work_t request;
    struct worker_process *worker;
    int64_t began_ns, bytes, most;
};

static void measure(uv_work_t *request)
{
    struct measurement *measurement = request->data;
    const struct worker_process *worker = measurement->worker;
    measurement->bytes = tree_measure(worker->folder, measurement->most);
}

static void on_measured(uv_work_t *request, int status)
{
    struct measurement *measurement = request->data;
    struct worker_process *worker = measurement->worker;
    int64_t now_ns = clock_monotonic_ns();
    int64_t wait_ns = (now_ns - measurement->began_ns) * MEASURE_SHARE;
    worker->measuring = false;
    worker->measure_ns = now_ns + (wait_ns > MEASURE_EVERY_NS ? wait_ns : MEASURE_EVERY_NS);
    if (status == 0 && measurement->bytes > measurement->most && !worker->exited &&
        (worker->state == STARTING || worker->state == READY)) {
        char message[200];
        snprintf(
            message, sizeof message,
            "wrote more into its folder than its limit of %lld MB, or nested it too deep; raise [plugin %s] disk",
            (long long)(worker->spec->file_bytes >> 20), worker->spec->name);
        worker_end_for(worker, "worker_disk", message);
    }
    worker_release(worker);
    free(measurement);
}

void worker_watch_folder(struct worker_process *worker, int64_t now_ns)
{
    if (!worker->folder || worker->measuring || now_ns < worker->measure_ns || worker->spec->file_bytes <= 0)
        return;
    struct measurement *measurement = memory_zeroed(1, sizeof *measurement);
    measurement->worker = worker;
    measurement->began_ns = now_ns;
    measurement->most =
        worker->spec->file_bytes; /* the worker may be gone, and its spec, when the thread has ended */
    measurement->request.data = measurement;
    if (uv_queue_work(worker->process.loop, &measurement->request, measure, on_measured) != 0) {
        free(measurement);
        return;
    }
    worker->measuring = true;
    worker->open_handles++;
}
