/*
 * The bench's programs in one: `load` hands jobs in over HTTP with some callers at once, `floor` measures what the
 * road can't be faster than: a commit that is on disk, and a round trip over a socket pair between two processes.
 * Prints one JSON object.
 *
 *   load PORT CALLERS JOBS WAIT BODY   each caller keeps one connection and has one job under way; WAIT 1: until the
 * job is done (Prefer: wait), 0: until it is accepted. BODY: the request, without jobId. floor FOLDER FOLDER: where
 * the store would lie
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX 8192
#define REQUEST_MAX 4096

struct caller {
    int fd;
    int64_t sent_ns;
    char answer[ANSWER_MAX];
    size_t length;
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect");
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_job(struct caller *caller, bool wait, const char *body)
{
    char request[REQUEST_MAX];
    int length = snprintf(request, sizeof request,
                          "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                          "application/json\r\n%sContent-Length: %zu\r\n\r\n%s",
                          wait ? "Prefer: wait=60\r\n" : "", strlen(body), body);
    caller->length = 0;
    caller->sent_ns = now_ns();
    if (length < 0 || length >= REQUEST_MAX || send(caller->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
        fail("send");
}

/* Reads on; returns whether a whole answer is there. */
static bool receive(struct caller *caller)
{
    ssize_t count = recv(caller->fd, caller->answer + caller->length, ANSWER_MAX - 1 - caller->length, MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN))
        fail("the host closed a connection");
    if (count < 0)
        return false;
    caller->length += (size_t)count;
    caller->answer[caller->length] = '\0';
    const char *end = strstr(caller->answer, "\r\n\r\n");
    const char *field = end ? strcasestr(caller->answer, "content-length:") : NULL;
    if (!field)
        return false;
    size_t whole = (size_t)(end + 4 - caller->answer) + strtoul(field + 15, NULL, 10);
    if (caller->length < whole)
        return false;
    if (strncmp(caller->answer, "HTTP/1.1 20", 11) != 0) {
        fprintf(stderr, "bench: the host answered: %.300s\n", caller->answer);
        exit(1);
    }
    return true;
}

static int load(int port, int callers, int jobs, bool wait, const char *body)
{
    struct caller *all = calloc((size_t)callers, sizeof *all);
    int64_t *latencies = calloc((size_t)jobs, sizeof *latencies);
    int poll = epoll_create1(0);
    if (!all || !latencies || poll < 0)
        fail("set up");
    int sent = 0, done = 0;
    for (int i = 0; i < callers; i++) {
        all[i].fd = connect_to(port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
    }
    int64_t began_ns = now_ns();
    for (int i = 0; i < callers && sent < jobs; i++, sent++)
        send_job(&all[i], wait, body);
    while (done < jobs) {
        struct epoll_event events[64];
        int count = epoll_wait(poll, events, 64, 60000);
        if (count <= 0)
            fail("no answer within a minute");
        for (int i = 0; i < count; i++) {
            struct caller *caller = events[i].data.ptr;
            if (!receive(caller))
                continue;
            latencies[done++] = now_ns() - caller->sent_ns;
            if (sent < jobs) {
                sent++;
                send_job(caller, wait, body);
            }
        }
    }
    double seconds = (double)(now_ns() - began_ns) / 1e9;
    qsort(latencies, (size_t)jobs, sizeof *latencies, by_value);
    printf("{\"jobs\":%d,\"callers\":%d,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f}\n",
           jobs, callers, seconds, jobs / seconds, (double)latencies[jobs / 2] / 1000,
           (double)latencies[(int)(jobs * 0.99)] / 1000);
    free(latencies);
    free(all);
    return 0;
}

static double median_us(int64_t *times, int count)
{
    qsort(times, (size_t)count, sizeof *times, by_value);
    return (double)times[count / 2] / 1000;
}

/* A row of about a job's size, one commit each, as the store commits. */
static double commit_floor(const char *folder)
{
    enum { COMMITS = 2000 };
    static int64_t times[COMMITS];
    char path[4096];
    snprintf(path, sizeof path, "%s/floor.db", folder);
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK ||
        sqlite3_exec(
            db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
            NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "INSERT INTO t (b) VALUES (hex(randomblob(100)))", -1, &insert, NULL) != SQLITE_OK)
        fail("sqlite");
    for (int i = 0; i < COMMITS; i++) {
        int64_t began_ns = now_ns();
        if (sqlite3_step(insert) != SQLITE_DONE)
            fail("commit");
        sqlite3_reset(insert);
        times[i] = now_ns() - began_ns;
    }
    sqlite3_finalize(insert);
    sqlite3_close(db);
    unlink(path);
    return median_us(times, COMMITS);
}

static double round_trip_floor(void)
{
    enum { TRIPS = 20000 };
    static int64_t times[TRIPS];
    int pair[2];
    char bytes[200] = "";
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        fail("socketpair");
    pid_t child = fork();
    if (child == 0) {
        close(pair[0]);
        ssize_t count;
        while ((count = read(pair[1], bytes, sizeof bytes)) > 0)
            if (write(pair[1], bytes, (size_t)count) != count)
                break;
        _exit(0);
    }
    close(pair[1]);
    for (int i = 0; i < TRIPS; i++) {
        int64_t began_ns = now_ns();
        if (write(pair[0], bytes, 100) != 100 || read(pair[0], bytes, sizeof bytes) <= 0)
            fail("round trip");
        times[i] = now_ns() - began_ns;
    }
    close(pair[0]);
    waitpid(child, NULL, 0);
    return median_us(times, TRIPS);
}

int main(int count, char **arguments)
{
    if (count == 7 && strcmp(arguments[1], "load") == 0)
        return load((int)strtol(arguments[2], NULL, 10), (int)strtol(arguments[3], NULL, 10),
                    (int)strtol(arguments[4], NULL, 10), arguments[5][0] == '1', arguments[6]);
    if (count == 3 && strcmp(arguments[1], "floor") == 0) {
        printf("{\"commit_us\":%.0f,\"round_trip_us\":%.0f}\n", commit_floor(arguments[2]), round_trip_floor());
        return 0;
    }
    fprintf(stderr, "usage: bench-load load PORT CALLERS JOBS WAIT BODY | floor FOLDER\n");
    return 2;
}
