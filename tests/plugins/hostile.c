/*
 * A plugin that attacks its host with intent, where misbehave.c is merely broken: it speaks the wire protocol itself,
 * and looks for holes in the sandbox. tests/integration/hostile.test.mjs says what each must cost.
 */
#include "worker/wire.h"

#include <exportd/plugin.h>

#include <asm/sockios.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TASK(name) static enum exportd_status name(struct exportd_job *job, const json_t *data, json_t **result)

static void sleep_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait) != 0 && errno == EINTR)
        continue;
}

static const char *outcome_of(long answer)
{
    return answer < 0 ? strerrorname_np(errno) : "ok";
}

static void write_all(const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        ssize_t count = write(WIRE_FD, at, length);
        if (count <= 0)
            return;
        at += count;
        length -= (size_t)count;
    }
}

/* data.bytes: hexadecimal, written into the connection as it stands. "LLLLLLLLLLLLLLLL" stands for the job's lease,
 * which is data.lease. data.repeat: so often. Then it goes on for data.ms, deaf to signals, or answers. */
TASK(say)
{
    const char *hex = json_string_value(json_object_get(data, "bytes"));
    size_t length = hex ? strlen(hex) / 2 : 0;
    unsigned char *bytes = malloc(length + 1);
    for (size_t i = 0; bytes && i < length; i++) {
        unsigned value = 0;
        sscanf(hex + 2 * i, "%2x", &value);
        bytes[i] = (unsigned char)value;
    }
    json_int_t repeat = json_integer_value(json_object_get(data, "repeat"));
    for (json_int_t i = 0; bytes && i < (repeat ? repeat : 1); i++)
        write_all(bytes, length);
    free(bytes);
    long ms = (long)json_integer_value(json_object_get(data, "ms"));
    if (ms > 0) {
        signal(SIGTERM, SIG_IGN);
        sleep_ms(ms);
    }
    (void)job;
    *result = json_object();
    return EXPORTD_OK;
}

/* Finds the lease of its own job by asking each in turn, and ends the job with data.status, data.result and
 * data.rest. */
TASK(forge_result)
{
    const char *text = json_string_value(json_object_get(data, "result"));
    const char *rest = json_string_value(json_object_get(data, "rest"));
    size_t depth = (size_t)json_integer_value(json_object_get(data, "depth"));
    size_t text_length = depth ? depth * 5 + depth + 2 : strlen(text), rest_length = rest ? strlen(rest) : 0;
    size_t length = sizeof(struct wire_result) + text_length + rest_length;
    char *payload = calloc(1, sizeof(struct wire_header) + length);
    if (!payload)
        return EXPORTD_FAIL;
    struct wire_result head = {.status = (uint32_t)json_integer_value(json_object_get(data, "status")),
                               .result_length = (uint32_t)text_length,
                               .used_workspace = 1};
    char *at = payload + sizeof(struct wire_header);
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    if (depth) {
        for (size_t i = 0; i < depth; i++)
            memcpy(at + 5 * i, "{\"a\":", 5);
        memcpy(at + 5 * depth, "{}", 2);
        memset(at + 5 * depth + 2, '}', depth);
    } else {
        memcpy(at, text, text_length);
    }
    if (rest_length > 0)
        memcpy(at + text_length, rest, rest_length);
    exportd_workspace(job);
    for (uint64_t start = 1; start <= 3; start++) {
        for (uint64_t count = 1; count <= 200; count++) {
            struct wire_header header = {
                .length = (uint32_t)length, .type = WIRE_RESULT, .lease = (start << 40) + count};
            memcpy(payload, &header, sizeof header);
            write_all(payload, sizeof header + length);
        }
    }
    free(payload);
    *result = json_pack("{s:s}", "forged", "no");
    return EXPORTD_OK;
}

TASK(long_error)
{
    size_t size = 5000;
    char text[5001];
    for (size_t i = 0; i + 1 < size; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[size] = '\0';
    (void)result;
    int shift = (int)json_integer_value(json_object_get(data, "shift"));
    memset(text, 'x', (size_t)shift);
    if (shift % 2)
        memcpy(text + shift, "y", 1);
    exportd_progress(job, 0.5, text);
    exportd_log(job, EXPORTD_INFO, "%s", text);
    sleep_ms((long)json_integer_value(json_object_get(data, "ms")));
    return exportd_fail(job, "long", 0, "%s", text);
}

/* With the exec grant: leaves the group, forbids its own death with its parent, and holds on to the connection. */
TASK(cling)
{
    (void)job;
    (void)result;
    prctl(PR_SET_PDEATHSIG, 0);
    signal(SIGTERM, SIG_IGN);
    setsid();
    sleep_ms((long)json_integer_value(json_object_get(data, "ms")));
    return EXPORTD_OK;
}

/* With the exec grant: a child holds on to the connection when its parent is gone. */
TASK(leave_child)
{
    (void)job;
    (void)result;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        sleep_ms((long)json_integer_value(json_object_get(data, "ms")));
        _exit(0);
    }
    _exit(3);
}

/* With the exec grant: the memory is a child's. */
TASK(child_memory)
{
    (void)job;
    (void)result;
    long megabytes = (long)json_integer_value(json_object_get(data, "megabytes"));
    pid_t child = fork();
    if (child == 0) {
        for (long i = 0; i < megabytes; i++) {
            char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (block != MAP_FAILED)
                memset(block, 1, 1 << 20);
        }
        sleep_ms(20000);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return EXPORTD_OK;
}

/* Makes the kernel send a signal in its name: by the owner of a pipe's events. */
TASK(signal_by_owner)
{
    (void)job;
    (void)data;
    int ends[2];
    if (pipe(ends) != 0)
        return EXPORTD_FAIL;
    long owner = fcntl(ends[0], F_SETOWN, getppid());
    const char *owner_outcome = outcome_of(owner);
    long number = fcntl(ends[0], F_SETSIG, SIGKILL);
    const char *signal_outcome = outcome_of(number);
    int pid = getppid();
    long by_ioctl = ioctl(WIRE_FD, FIOSETOWN, &pid);
    const char *ioctl_outcome = outcome_of(by_ioctl);
    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    ssize_t written = write(ends[1], "x", 1);
    sleep_ms(100);
    *result = json_pack("{s:s, s:s, s:s, s:b}", "owner", owner_outcome, "signal", signal_outcome, "ioctl",
                        ioctl_outcome, "written", written == 1);
    close(ends[0]);
    close(ends[1]);
    return EXPORTD_OK;
}

/* What takes a path and no descriptor, which Landlock does not, or not always, look at. data.path. */
TASK(touch_paths)
{
    (void)job;
    const char *path = json_string_value(json_object_get(data, "path"));
    json_t *seen = json_object();
    json_object_set_new(seen, "truncate", json_string(outcome_of(truncate(path, 0))));
    json_object_set_new(seen, "chmod", json_string(outcome_of(chmod(path, 0666))));
    json_object_set_new(seen, "fchmodat", json_string(outcome_of(fchmodat(AT_FDCWD, path, 0666, 0))));
    json_object_set_new(seen, "open", json_string(outcome_of(open(path, O_RDONLY | O_TRUNC))));
    *result = seen;
    return EXPORTD_OK;
}

/* Each file is within the limit; together they aren't. data.files of data.kilobytes each. */
TASK(many_files)
{
    long files = (long)json_integer_value(json_object_get(data, "files"));
    long kilobytes = (long)json_integer_value(json_object_get(data, "kilobytes"));
    static char block[1024];
    for (long i = 0; i < files; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%ld", exportd_workspace(job), i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        for (long k = 0; fd >= 0 && k < kilobytes; k++)
            if (write(fd, block, sizeof block) < 0)
                break;
        if (fd >= 0)
            close(fd);
    }
    sleep_ms((long)json_integer_value(json_object_get(data, "ms")));
    *result = json_object();
    return EXPORTD_OK;
}

#define ENTRY(name)                                                                                                  \
    {                                                                                                                \
        .task = #name, .summary = "Attacks", .schema = EXPORTD_JSON({"additionalProperties" : true}), .run = name    \
    }

static const struct exportd_task tasks[] = {
    ENTRY(say),          ENTRY(forge_result),    ENTRY(long_error),  ENTRY(cling),      ENTRY(leave_child),
    ENTRY(child_memory), ENTRY(signal_by_owner), ENTRY(touch_paths), ENTRY(many_files), {0},
};

EXPORTD_PLUGIN(.name = "hostile", .version = "1.0.0", .summary = "Attacks its host", .licence = "MIT", .tasks = tasks)
