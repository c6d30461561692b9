/*
 * The bench's NATS side: `floor` measures a request and its reply between two clients, each a process of its own;
 * `load` publishes tasks one by one, each confirmed by JetStream, and waits for their answers; `fill` publishes them
 * and waits for JetStream alone. Prints one JSON object.
 *
 *   floor URL COUNT
 *   load URL TASK JOBS UNDER_WAY [CALLERS]   UNDER_WAY jobs are published and not yet answered, at the most; CALLERS
 * of them not yet confirmed fill URL TASK JOBS PRIORITY
 */
#include <nats/nats.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void must(natsStatus status, const char *what)
{
    if (status == NATS_OK)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, natsStatus_GetText(status));
    exit(1);
}

static int by_value(const void *left, const void *right)
{
    int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

/* at_once: each message goes out by itself; else, as is the library's default, together with what comes meanwhile. */
static natsConnection *connect_to(const char *url, bool at_once)
{
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    must(natsOptions_Create(&options), "options");
    natsOptions_SetURL(options, url);
    natsOptions_SetSendAsap(options, at_once);
    must(natsConnection_Connect(&connection, options), "connect");
    natsOptions_Destroy(options);
    return connection;
}

static void on_request(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *client)
{
    (void)subscription;
    (void)client;
    natsConnection_Publish(connection, natsMsg_GetReply(message), natsMsg_GetData(message),
                           natsMsg_GetDataLength(message));
    natsMsg_Destroy(message);
}

static pid_t start_responder(const char *url)
{
    int ready[2];
    if (pipe(ready) != 0)
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        natsSubscription *subscription = NULL;
        natsConnection *connection = connect_to(url, true);
        must(natsConnection_Subscribe(&subscription, connection, "bench.floor", on_request, NULL), "subscribe");
        must(natsConnection_Flush(connection), "flush");
        if (write(ready[1], "", 1) != 1)
            exit(1);
        for (;;)
            pause();
    }
    char byte;
    if (child < 0 || read(ready[0], &byte, 1) != 1)
        exit(1);
    return child;
}

static int floor_of(const char *url, int count)
{
    pid_t responder = start_responder(url);
    natsConnection *connection = connect_to(url, true);
    int64_t *took = calloc((size_t)count, sizeof *took);
    for (int i = -200; i < count; i++) { /* the first are not counted */
        natsMsg *reply = NULL;
        int64_t began = now_ns();
        must(natsConnection_RequestString(&reply, connection, "bench.floor", "{\"jobId\":\"x\",\"task\":\"noop\"}",
                                          2000),
             "request");
        if (i >= 0)
            took[i] = now_ns() - began;
        natsMsg_Destroy(reply);
    }
    qsort(took, (size_t)count, sizeof *took, by_value);
    printf("{\"p50_us\":%lld,\"p99_us\":%lld}\n", (long long)took[count / 2] / 1000,
           (long long)took[count * 99 / 100] / 1000);
    kill(responder, SIGKILL);
    waitpid(responder, NULL, 0);
    free(took);
    return 0;
}

struct load {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int answered, failed;
    int64_t *began, *took;
    int jobs;
};

/* {"jobId":"<prefix>-<number>",… */
static void on_answer(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *client)
{
    struct load *load = client;
    char head[100];
    (void)connection;
    (void)subscription;
    snprintf(head, sizeof head, "%.*s", natsMsg_GetDataLength(message) < 99 ? natsMsg_GetDataLength(message) : 99,
             natsMsg_GetData(message));
    const char *dash = strstr(head, "#");
    long number = dash ? strtol(dash + 1, NULL, 10) : -1;
    pthread_mutex_lock(&load->mutex);
    if (number >= 0 && number < load->jobs && load->took[number] == 0) {
        load->took[number] = now_ns() - load->began[number];
        load->answered++;
        load->failed += strcmp(natsMsg_GetSubject(message), "task.failed") == 0 ? 1 : 0;
        pthread_cond_signal(&load->changed);
    }
    pthread_mutex_unlock(&load->mutex);
    natsMsg_Destroy(message);
}

static void wait_for(struct load *load, int published, int under_way)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += 60;
    pthread_mutex_lock(&load->mutex);
    while (published - load->answered > under_way)
        if (pthread_cond_timedwait(&load->changed, &load->mutex, &limit) != 0) {
            fprintf(stderr, "bench: %d of %d jobs are not answered within a minute\n", published - load->answered,
                    published);
            exit(1);
        }
    pthread_mutex_unlock(&load->mutex);
}

static int load_with(const char *url, const char *task, int jobs, int under_way, int callers)
{
    static struct load load; /* answers to other jobs come until the very end of the program */
    load.jobs = jobs;
    natsSubscription *subscription = NULL;
    jsCtx *js = NULL;
    jsOptions options;
    char prefix[40], text[300];
    pthread_mutex_init(&load.mutex, NULL);
    pthread_cond_init(&load.changed, NULL);
    load.began = calloc((size_t)jobs, sizeof *load.began);
    load.took = calloc((size_t)jobs, sizeof *load.took);
    natsConnection *connection = connect_to(url, under_way == 1);
    static const char *const subjects[] = {"task.completed", "task.failed"};
    for (int i = 0; i < 2; i++) {
        must(natsConnection_Subscribe(&subscription, connection, subjects[i], on_answer, &load), "subscribe");
        natsSubscription_SetPendingLimits(subscription, -1, -1);
    }
    must(natsConnection_Flush(connection), "flush");
    jsOptions_Init(&options);
    options.PublishAsync.MaxPending = callers;
    must(natsConnection_JetStream(&js, connection, &options), "jetstream");
    snprintf(prefix, sizeof prefix, "bench-%d-%lld", (int)getpid(), (long long)now_ns());
    int64_t began = now_ns();
    for (int i = 0; i < jobs; i++) {
        wait_for(&load, i, under_way - 1);
        int length = snprintf(text, sizeof text, "{\"jobId\":\"%s#%d\",\"task\":\"%s\"}", prefix, i, task);
        load.began[i] = now_ns();
        must(js_PublishAsync(js, "task.request", text, length, NULL), "publish");
    }
    wait_for(&load, jobs, 0);
    double seconds = (double)(now_ns() - began) / 1e9;
    js_PublishAsyncComplete(js, NULL);
    qsort(load.took, (size_t)jobs, sizeof *load.took, by_value);
    printf("{\"jobs\":%d,\"under_way\":%d,\"failed\":%d,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_us\":%lld,"
           "\"p99_us\":%lld}\n",
           jobs, under_way, load.failed, seconds, jobs / seconds, (long long)load.took[jobs / 2] / 1000,
           (long long)load.took[(size_t)jobs * 99 / 100] / 1000);
    return 0;
}

static int fill(const char *url, const char *task, int jobs, int priority)
{
    enum { BATCH = 2000 };
    jsCtx *js = NULL;
    jsOptions options;
    char text[300];
    natsConnection *connection = connect_to(url, false);
    jsOptions_Init(&options);
    must(natsConnection_JetStream(&js, connection, &options), "jetstream");
    for (int i = 0; i < jobs; i++) {
        int length = snprintf(text, sizeof text, "{\"jobId\":\"fill-%d-%d\",\"task\":\"%s\",\"priority\":%d}",
                              (int)getpid(), i, task, priority);
        must(js_PublishAsync(js, "task.request", text, length, NULL), "publish");
        if (i % BATCH == BATCH - 1 || i == jobs - 1)
            must(js_PublishAsyncComplete(js, NULL), "publish");
    }
    printf("{\"jobs\":%d}\n", jobs);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 4 && strcmp(arguments[1], "floor") == 0)
        return floor_of(arguments[2], (int)strtol(arguments[3], NULL, 10));
    if ((count == 6 || count == 7) && strcmp(arguments[1], "load") == 0)
        return load_with(arguments[2], arguments[3], (int)strtol(arguments[4], NULL, 10),
                         (int)strtol(arguments[5], NULL, 10), count == 7 ? (int)strtol(arguments[6], NULL, 10) : 0);
    if (count == 6 && strcmp(arguments[1], "fill") == 0)
        return fill(arguments[2], arguments[3], (int)strtol(arguments[4], NULL, 10),
                    (int)strtol(arguments[5], NULL, 10));
    fprintf(
        stderr,
        "usage: bench-nats floor URL COUNT | load URL TASK JOBS UNDER_WAY [CALLERS] | fill URL TASK JOBS PRIORITY\n");
    return 2;
}
