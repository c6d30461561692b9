/*
 * What a worker is told. Nothing here waits: what the pipe does not take at once is copied.
 */
#include "worker/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 3
#define CORKED_MAX 65536 /* bytes that are gathered */

struct write_request {
    uv_write_t request;
    size_t length;
    char bytes[];
};

static void on_written(uv_write_t *request, int status)
{
    struct write_request *rest = (struct write_request *)request;
    (void)status;                              /* the worker's end is noticed where it is read */
    explicit_bzero(rest->bytes, rest->length); /* they may have held secrets */
    free(rest);
}

static size_t length_of(const uv_buf_t *parts, unsigned count)
{
    size_t length = 0;
    for (unsigned i = 0; i < count; i++)
        length += parts[i].len;
    return length;
}

static void write_parts(struct worker_process *worker, uv_buf_t *parts, unsigned count)
{
    size_t length = length_of(parts, count);
    int written = uv_try_write((uv_stream_t *)&worker->pipe, parts, count);
    if (written < 0 && written != UV_EAGAIN)
        return;
    size_t done = written > 0 ? (size_t)written : 0;
    if (done == length)
        return;
    struct write_request *rest = memory_zeroed(1, sizeof *rest + length - done);
    rest->length = length - done;
    size_t filled = 0;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = done < parts[i].len ? done : parts[i].len;
        done -= skip;
        memcpy(rest->bytes + filled, parts[i].base + skip, parts[i].len - skip);
        filled += parts[i].len - skip;
    }
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)filled);
    if (uv_write(&rest->request, (uv_stream_t *)&worker->pipe, &buffer, 1, on_written) != 0)
        on_written(&rest->request, 0);
}

static void send_gathered(struct worker_process *worker)
{
    uv_buf_t all = uv_buf_init(worker->output, (unsigned)worker->output_length);
    if (worker->output_length > 0)
        write_parts(worker, &all, 1);
    worker->output_length = 0;
}

static void gather(struct worker_process *worker, const uv_buf_t *parts, unsigned count)
{
    size_t length = worker->output_length + length_of(parts, count);
    if (length > worker->output_size) {
        worker->output_size = 2 * length;
        worker->output = memory_resized(worker->output, worker->output_size, 1);
    }
    for (unsigned i = 0; i < count; i++) {
        memcpy(worker->output + worker->output_length, parts[i].base, parts[i].len);
        worker->output_length += parts[i].len;
    }
}

/* parts[0] is the header's. */
static void send_frame(struct worker_process *worker, uint32_t type, uint64_t lease, uv_buf_t *parts, unsigned count)
{
    size_t length = length_of(parts + 1, count - 1);
    struct wire_header header = {.length = (uint32_t)length, .type = type, .lease = lease};
    parts[0] = uv_buf_init((char *)&header, sizeof header);
    if (worker->output_length + sizeof header + length > CORKED_MAX)
        send_gathered(worker);
    if (worker->corked && sizeof header + length <= CORKED_MAX)
        gather(worker, parts, count);
    else
        write_parts(worker, parts, count);
}

void worker_cork(struct worker_process *worker)
{
    worker->corked = true;
}

void worker_uncork(struct worker_process *worker)
{
    worker->corked = false;
    send_gathered(worker);
}

void worker_send_configuration(struct worker_process *worker)
{
    const struct worker_spec *spec = worker->spec;
    json_t *configuration = json_pack(
        "{s:b, s:s, s:s?, s:O?, s:O?, s:O?, s:s?, s:s?, s:b, s:b, s:I, s:I, s:b}", "probe", (int)spec->probe,
        "plugin", spec->plugin_path, "original", spec->original_path, "options", spec->options, "secrets",
        spec->secrets, "read", spec->read, "workspace", worker->folder, "cache", spec->cache_folder, "network",
        (int)spec->network, "exec", (int)spec->exec, "memory", (json_int_t)spec->memory_bytes, "file",
        (json_int_t)spec->file_bytes, "sandbox", (int)spec->sandbox);
    char *text = json_dumps(configuration, JSON_COMPACT);
    uv_buf_t parts[] = {{0}, uv_buf_init(text, (unsigned)strlen(text))};
    send_frame(worker, WIRE_CONFIGURE, 0, parts, 2);
    explicit_bzero(text, parts[1].len); /* it held secrets */
    free(text);
    json_decref(configuration);
}

static char *append(char *at, const char *text, size_t length)
{
    memcpy(at, text, length + 1);
    return at + length + 1;
}

void worker_send_start(struct worker_process *worker, const struct sent_job *sent, const struct worker_job *job)
{
    char head[2048];
    const char *trace = job->trace ? job->trace : "";
    struct wire_start start = {.turn = sent->turn,
                               .salt = sent->salt,
                               .attempt = job->attempt,
                               .id_length = (uint32_t)strlen(job->id),
                               .route_length = (uint32_t)strlen(job->route),
                               .trace_length = (uint32_t)strlen(trace)};
    size_t length = sizeof start + start.id_length + start.route_length + start.trace_length + 3;
    if (length > sizeof head) {
        worker_condemn(worker, "worker_protocol", "could not be given the job: its id and route are too long");
        return;
    }
    memcpy(head, &start, sizeof start);
    char *at = append(head + sizeof start, job->id, start.id_length);
    at = append(at, job->route, start.route_length);
    append(at, trace, start.trace_length);
    uv_buf_t parts[PARTS_MAX] = {{0},
                                 uv_buf_init(head, (unsigned)length),
                                 uv_buf_init((char *)(uintptr_t)job->data, (unsigned)job->data_length)};
    send_frame(worker, WIRE_START, job->lease, parts, PARTS_MAX);
}
