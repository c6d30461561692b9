/*
 * A plugin that does everything wrong, one way a task. tests/integration/misbehave.test.mjs says what each must cost.
 */
#include <exportd/plugin.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

#define TASK(name) static enum exportd_status name(struct exportd_job *job, const json_t *data, json_t **result)

#define UNUSED ((void)job, (void)data, (void)result)

static void sleep_ms(long ms)
{
    struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&wait, &wait) != 0 && errno == EINTR)
        continue;
}

TASK(segfault)
{
    UNUSED;
    volatile uintptr_t nowhere = 8;
    *(volatile int *)nowhere = 1;
    return EXPORTD_OK;
}

TASK(give_up)
{
    UNUSED;
    fprintf(stderr, "misbehave: an assertion failed\n");
    abort();
}

TASK(leave)
{
    UNUSED;
    _exit(0);
}

TASK(loop)
{
    UNUSED;
    volatile int never = 0;
    while (!never)
        continue;
    return EXPORTD_OK;
}

TASK(memory)
{
    (void)data;
    (void)result;
    char *block;
    size_t taken = 0;
    for (; (block = malloc(1 << 20)); taken++)
        memset(block, 1, 1 << 20);
    return exportd_fail(job, "out_of_memory", 1, "malloc said no after %zu MB", taken);
}

/* Ignores that malloc said no, and writes through it. */
TASK(memory_unchecked)
{
    UNUSED;
    volatile int never = 0;
    while (!never) {
        char *block = malloc(1 << 20);
        for (size_t i = 0; i < 1 << 20; i += 4096)
            ((volatile char *)block)[i] = 1;
    }
    return EXPORTD_OK;
}

/* Shared memory counts for no RLIMIT_DATA. */
TASK(memory_shared)
{
    (void)data;
    (void)result;
    size_t taken = 0;
    char *block;
    for (; (block = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED;
         taken += 16)
        memset(block, 1, 16 << 20);
    return exportd_fail(job, "out_of_memory", 1, "mmap said no after %zu MB", taken);
}

TASK(fork_bomb)
{
    (void)data;
    int made = 0;
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (;;)
                pause();
        }
        made += child > 0;
    }
    *result = json_pack("{s:i}", "made", made);
    (void)job;
    return EXPORTD_OK;
}

/* Children that leave its process group and its session. */
TASK(escape)
{
    (void)data;
    (void)job;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0)
            sleep_ms(600000);
        _exit(0);
    }
    *result = json_pack("{s:b}", "started", child > 0);
    return EXPORTD_OK;
}

/* The same, and then it goes on for long. */
TASK(escape_and_stay)
{
    escape(job, data, result);
    exportd_progress(job, 0.5, "its children run");
    sleep_ms(600000);
    return EXPORTD_OK;
}

static int recurse(volatile char *above, volatile int *end)
{
    volatile char frame[4096];
    frame[0] = above ? above[0] : 0;
    return *end ? 0 : recurse(frame, end) + frame[0];
}

TASK(overflow)
{
    UNUSED;
    volatile int never = 0;
    return recurse(NULL, &never) ? EXPORTD_OK : EXPORTD_FAIL;
}

TASK(close_descriptors)
{
    UNUSED;
    for (int fd = 0; fd < 64; fd++)
        close(fd);
    sleep_ms(20);
    return EXPORTD_OK;
}

TASK(hang_up)
{
    UNUSED;
    for (int fd = 0; fd < 64; fd++)
        close(fd);
    sleep_ms(600000);
    return EXPORTD_OK;
}

TASK(garbage)
{
    UNUSED;
    char bytes[4096];
    memset(bytes, 0xA5, sizeof bytes);
    for (int i = 0; i < 100; i++)
        if (write(3, bytes, sizeof bytes) < 0)
            break;
    sleep_ms(600000);
    return EXPORTD_OK;
}

/* The end of another job, with a lease that isn't its own. */
TASK(forge)
{
    (void)data;
    (void)job;
    struct {
        uint32_t length, type;
        uint64_t lease;
        uint32_t status, result_length, used_workspace, reserved;
        char text[17];
    } __attribute__((packed)) frame = {33, 7, 12345, 0, 17, 0, 0, "{\"forged\":\"yes\"} "};
    if (write(3, &frame, sizeof frame) < 0)
        return EXPORTD_FAIL;
    *result = json_pack("{s:s}", "forged", "no");
    return EXPORTD_OK;
}

TASK(log_flood)
{
    (void)data;
    static char line[1025];
    memset(line, 'x', sizeof line - 1);
    for (int i = 0; i < 1 << 20; i++)
        exportd_log(job, EXPORTD_DEBUG, "%s", line);
    *result = json_pack("{s:s}", "logged", "1 GB");
    return EXPORTD_OK;
}

TASK(speech_flood)
{
    UNUSED;
    static char block[65536];
    memset(block, 'y', sizeof block);
    for (int i = 0; i < 16384; i++)
        if (write(2, block, sizeof block) < 0)
            break;
    return EXPORTD_OK;
}

TASK(progress_flood)
{
    (void)data;
    (void)result;
    for (int i = 0; i < 3000000; i++)
        exportd_progress(job, i / 3e6, "counting");
    return EXPORTD_OK;
}

TASK(ignore_sigterm)
{
    UNUSED;
    signal(SIGTERM, SIG_IGN);
    sleep_ms(600000);
    return EXPORTD_OK;
}

TASK(obey_cancel)
{
    (void)data;
    (void)result;
    exportd_progress(job, 0.5, "waiting to be cancelled");
    while (!exportd_cancelled(job))
        sleep_ms(5);
    return exportd_fail(job, "stopped", 1, "it was told to stop");
}

TASK(connect_out)
{
    (void)data;
    (void)job;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int socket_cause = fd < 0 ? errno : 0;
    int connected = fd >= 0 ? connect(fd, (struct sockaddr *)&address, sizeof address) : -1;
    int connect_cause = connected < 0 ? errno : 0;
    int local = socket(AF_UNIX, SOCK_STREAM, 0);
    *result = json_pack("{s:s, s:s, s:b}", "socket", socket_cause ? strerrorname_np(socket_cause) : "ok", "connect",
                        connect_cause ? strerrorname_np(connect_cause) : "ok", "unix", local >= 0);
    return EXPORTD_OK;
}

/* data.paths: what it may read of each. */
TASK(read_files)
{
    (void)job;
    json_t *seen = json_object();
    size_t index;
    json_t *path;
    json_array_foreach(json_object_get(data, "paths"), index, path)
    {
        int fd = open(json_string_value(path), O_RDONLY);
        const char *cause = fd < 0 ? strerrorname_np(errno) : "read";
        json_object_set_new(seen, json_string_value(path), json_string(cause));
        if (fd >= 0)
            close(fd);
    }
    *result = seen;
    return EXPORTD_OK;
}

TASK(write_files)
{
    (void)job;
    json_t *seen = json_object();
    size_t index;
    json_t *path;
    json_array_foreach(json_object_get(data, "paths"), index, path)
    {
        int fd = open(json_string_value(path), O_WRONLY | O_CREAT, 0600);
        json_object_set_new(seen, json_string_value(path), json_string(fd < 0 ? strerrorname_np(errno) : "written"));
        if (fd >= 0)
            close(fd);
    }
    *result = seen;
    return EXPORTD_OK;
}

TASK(environment)
{
    (void)data;
    (void)job;
    json_t *names = json_array();
    for (char **entry = environ; *entry; entry++)
        json_array_append_new(names, json_string(*entry));
    int parent = open("/proc/self/environ", O_RDONLY);
    *result = json_pack("{s:o, s:b}", "environment", names, "proc", parent >= 0);
    return EXPORTD_OK;
}

TASK(kill_host)
{
    (void)data;
    (void)job;
    int failed = kill(getppid(), SIGKILL);
    *result = json_pack("{s:s}", "kill", failed ? strerrorname_np(errno) : "ok");
    return EXPORTD_OK;
}

TASK(fill_disk)
{
    (void)data;
    (void)result;
    char path[4096];
    static char block[1 << 20];
    snprintf(path, sizeof path, "%s/big", exportd_workspace(job));
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 4096; i++)
        if (write(fd, block, sizeof block) < 0)
            break;
    return EXPORTD_OK;
}

/* Artifacts that lead out of the workspace. data.kind: symlink, hardlink, folder, missing, dotdot */
TASK(bad_artifact)
{
    (void)result;
    const char *kind = json_string_value(json_object_get(data, "kind"));
    const char *workspace = exportd_workspace(job);
    char path[4096];
    snprintf(path, sizeof path, "%s/it", workspace);
    if (strcmp(kind, "symlink") == 0 && symlink("/etc/passwd", path) != 0)
        return EXPORTD_FAIL;
    if (strcmp(kind, "folder") == 0 && mkdir(path, 0700) != 0)
        return EXPORTD_FAIL;
    if (strcmp(kind, "hardlink") == 0) {
        char other[4100];
        snprintf(other, sizeof other, "%s.2", path);
        close(open(path, O_WRONLY | O_CREAT, 0600));
        if (link(path, other) != 0)
            return EXPORTD_FAIL;
    }
    if (strcmp(kind, "dotdot") == 0)
        exportd_artifact(job, "../../../../../../etc/passwd", "it.txt", "text/plain");
    else
        exportd_artifact(job, "it", "it.txt", "text/plain");
    return EXPORTD_OK;
}

/* data.files: [{name, bytes, media_type}], each 8-byte word of which is its own place divided by 8, but for the holes
 * of those with "sparse". */
TASK(leave_files)
{
    size_t index;
    json_t *file;
    static uint64_t block[8192];
    json_array_foreach(json_object_get(data, "files"), index, file)
    {
        const char *name = json_string_value(json_object_get(file, "name"));
        const char *media_type = json_string_value(json_object_get(file, "media_type"));
        off_t bytes = (off_t)json_integer_value(json_object_get(file, "bytes"));
        int sparse = json_is_true(json_object_get(file, "sparse"));
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", exportd_workspace(job), name);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        for (off_t done = 0; done < bytes && !sparse; done += (off_t)sizeof block) {
            for (size_t i = 0; i < sizeof block / sizeof block[0]; i++)
                block[i] = (uint64_t)done / 8 + i;
            size_t most = bytes - done < (off_t)sizeof block ? (size_t)(bytes - done) : sizeof block;
            if (write(fd, block, most) != (ssize_t)most)
                return exportd_fail(job, "write_failed", 0, "%s", strerrorname_np(errno));
        }
        if (fd < 0 || ftruncate(fd, bytes) != 0)
            return exportd_fail(job, "write_failed", 0, "%s", strerrorname_np(errno));
        close(fd);
        exportd_artifact(job, name, name, media_type);
    }
    *result = json_pack("{s:i}", "attempt", job->attempt);
    return EXPORTD_OK;
}

TASK(leave_litter)
{
    (void)data;
    char path[8192];
    size_t length = (size_t)snprintf(path, sizeof path, "%s", exportd_workspace(job));
    for (int i = 0; i < 300 && length + 4 < sizeof path; i++) {
        length += (size_t)snprintf(path + length, sizeof path - length, "/d");
        if (mkdir(path, 0000) != 0 || chmod(path, 0700) != 0)
            break;
    }
    *result = json_pack("{s:s}", "workspace", exportd_workspace(job));
    return EXPORTD_OK;
}

TASK(huge_result)
{
    (void)job;
    (void)data;
    size_t size = 8 << 20;
    char *text = malloc(size + 1);
    memset(text, 'r', size);
    text[size] = '\0';
    *result = json_pack("{s:s}", "text", text);
    free(text);
    return EXPORTD_OK;
}

/* Fails data.times times with RETRY, then succeeds. The attempt's number says how often it ran. */
TASK(flaky)
{
    if (job->attempt <= (int)json_integer_value(json_object_get(data, "times")))
        return exportd_fail(job, "not_yet", 1, "attempt %d must fail", job->attempt);
    *result = json_pack("{s:i}", "attempt", job->attempt);
    return EXPORTD_OK;
}

TASK(refuse)
{
    (void)data;
    (void)result;
    return exportd_fail(job, "refused", 0, "it never works: \033[31mred\033[0m and \"quotes\"");
}

TASK(pause_ms)
{
    (void)result;
    long left = (long)json_integer_value(json_object_get(data, "ms"));
    for (; left > 0 && !exportd_cancelled(job); left -= 10)
        sleep_ms(left < 10 ? left : 10);
    return left > 0 ? exportd_fail(job, "stopped", 1, "it was told to stop") : EXPORTD_OK;
}

TASK(secrets)
{
    (void)data;
    const char *granted = exportd_secret(job, "GRANTED");
    const char *denied = exportd_secret(job, "DENIED");
    *result =
        json_pack("{s:b, s:b}", "granted", granted && strcmp(granted, "open sesame") == 0, "denied", denied != NULL);
    return EXPORTD_OK;
}

TASK(echo)
{
    (void)job;
    *result = json_pack("{s:O}", "data", data);
    return EXPORTD_OK;
}

/* As large as it is asked for. */
TASK(fill_result)
{
    size_t length = (size_t)json_integer_value(json_object_get(data, "bytes"));
    char *text = malloc(length + 1);
    if (!text)
        return exportd_fail(job, "no_memory", 0, "no memory");
    memset(text, 'x', length);
    text[length] = '\0';
    *result = json_pack("{s:s}", "text", text);
    free(text);
    return EXPORTD_OK;
}

#define ANY EXPORTD_JSON({"additionalProperties" : true})
#define ENTRY(name)                                                                                                  \
    {                                                                                                                \
        .task = #name, .summary = "Misbehaves", .schema = ANY, .run = name                                           \
    }

static const struct exportd_task tasks[] = {
    ENTRY(segfault),
    ENTRY(give_up),
    ENTRY(leave),
    ENTRY(loop),
    ENTRY(memory),
    ENTRY(memory_unchecked),
    ENTRY(memory_shared),
    ENTRY(fork_bomb),
    ENTRY(escape),
    ENTRY(escape_and_stay),
    ENTRY(overflow),
    ENTRY(close_descriptors),
    ENTRY(hang_up),
    ENTRY(garbage),
    ENTRY(forge),
    ENTRY(log_flood),
    ENTRY(speech_flood),
    ENTRY(progress_flood),
    ENTRY(ignore_sigterm),
    ENTRY(obey_cancel),
    ENTRY(connect_out),
    ENTRY(read_files),
    ENTRY(write_files),
    ENTRY(environment),
    ENTRY(kill_host),
    ENTRY(fill_disk),
    ENTRY(bad_artifact),
    ENTRY(leave_files),
    ENTRY(leave_litter),
    ENTRY(huge_result),
    ENTRY(flaky),
    ENTRY(refuse),
    ENTRY(pause_ms),
    ENTRY(secrets),
    ENTRY(echo),
    ENTRY(fill_result),
    {0},
};

EXPORTD_PLUGIN(.name = "misbehave", .version = "1.0.0", .summary = "Does everything wrong", .licence = "MIT",
               .tasks = tasks)
