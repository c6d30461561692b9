/*
 * worker/wire.h: the frames that host and worker exchange over their socket pair.
 *
 * A frame is a header of 16 bytes in the machine's own byte order (both ends are one machine) and a payload. The
 * lease of the job it speaks of is in the header; 0 where it speaks of none. The host trusts nothing that a worker
 * sends: a header that can't be right ends the worker.
 *
 *   type            way             payload
 *   CONFIGURE       host -> worker  JSON object, see worker/runtime.c
 *   START           host -> worker  struct wire_start, the job's texts, its data as JSON
 *   READY           worker -> host  JSON: {"manifest","sandbox"}
 *   REFUSED         worker -> host  JSON: {"code","message"}: the plugin can't be loaded, or its init() failed
 *   LOG             worker -> host  one byte (enum exportd_log_level), then the text
 *   PROGRESS        worker -> host  a double (fraction), then the stage's text
 *   RESULT          worker -> host  struct wire_result, then the result's JSON text, then the outcome's JSON text
 *   CRASH           worker -> host  struct wire_crash, from the signal handler, just before the process dies
 */
#ifndef EXPORTD_WORKER_WIRE_H
#define EXPORTD_WORKER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_FD 3 /* the worker's end of the pair */

enum wire_type {
    WIRE_CONFIGURE = 1,
    WIRE_START,
    WIRE_READY,
    WIRE_REFUSED,
    WIRE_LOG,
    WIRE_PROGRESS,
    WIRE_RESULT,
    WIRE_CRASH,
};

struct wire_header {
    uint32_t length; /* of the payload, bytes */
    uint32_t type;
    uint64_t lease;
};

/* Behind it: id, route and trace, each with a NUL that its length doesn't count (a trace of none: the caller sent
 * none), then, up to the frame's end, the data. */
struct wire_start {
    uint64_t turn;
    uint32_t salt; /* of the name of the job's folder */
    int32_t attempt;
    uint32_t id_length, route_length, trace_length;
    uint32_t reserved;
};

#define WIRE_FOLDER_MAX 40 /* of a job's folder's name, with its NUL */

/* Behind it: result_length bytes of the result's JSON (0: none), then, up to the frame's end, the rest as JSON:
 * {"code","message","retry_after_ms","artifacts":[{"path","name","media_type"}],"dropped_log_lines"}, or nothing
 * where all are empty. */
struct wire_result {
    uint32_t status; /* enum exportd_status */
    uint32_t result_length;
    uint32_t used_workspace; /* 1: there is a folder to clear */
    uint32_t reserved;
};

struct wire_crash {
    int32_t signal;
    int32_t stack_overflow; /* 1: the address lies just below the stack */
    int32_t has_address;
    int32_t reserved;
    uint64_t address;
    uint64_t resident_bytes; /* at the time of the signal */
};

/* Blocking, for the worker's side. Writes a whole frame. Returns 0, or -1 where the host is gone. Async-signal-safe.
 */
int wire_send(int fd, uint32_t type, uint64_t lease, const void *payload, size_t length);

/* The same with the payload in two pieces. */
int wire_send2(int fd, uint32_t type, uint64_t lease, const void *first, size_t first_length, const void *second,
               size_t second_length);

/* The worker's end, where frames are read: {.fd = …}. */
struct wire_reader {
    int fd;
    size_t start, end; /* of what was read and not yet asked for */
    char bytes[16384];
};

/* Blocking. Reads one frame into a new buffer with a NUL behind it (free it). Returns 1, 0 at the end of the stream,
 * -1 on an error (errno; EINTR only between frames, EMSGSIZE for a payload over max_length). */
int wire_receive(struct wire_reader *reader, struct wire_header *header, char **payload, size_t max_length);

/* The name of a job's folder in that of its worker. Both sides make it, and only where it is needed. */
void wire_folder_name(char name[WIRE_FOLDER_MAX], uint64_t turn, uint32_t salt);

#endif
