#include "artifact/uploader.h"

#include "artifact/s3.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/tree.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 30000
#define THREAD_STACK_BYTES (1 << 20) /* TLS and name look-ups need more than they should */

enum upload_state {
    UPLOAD_RUNNING,  /* in a thread, or waiting for one */
    UPLOAD_WAITING,  /* for the next attempt */
    UPLOAD_CLEANING, /* after its end */
};

struct upload {
    struct uploader *uploader;
    char *job_id, *folder;
    struct s3_upload *files;
    size_t file_count;
    enum upload_state state;
    atomic_bool stop;
    int attempts;
    int64_t due_ns, give_up_ns; /* give_up_ns: 0 until an attempt has failed */
    struct error error;         /* of the last attempt */
    bool out_of_reach;          /* the last attempt had no use of the server: don't ask it to throw parts away */
    uv_work_t cleaning;
    uploader_finished on_finished;
    void *client;
    struct upload *next; /* in one of the uploader's lists */
};

struct list {
    struct upload *first, **end;
};

struct uploader {
    uv_loop_t *loop;
    const struct config_s3 *config;
    uv_timer_t timer;
    uv_async_t wake;
    int open_parts;      /* two handles and the check */
    struct list waiting; /* for the next attempt */
    struct uploader_stats stats;
    int total; /* uploads, in whatever state */
    char problem[ERROR_MESSAGE_MAX];
    uv_work_t check;
    struct error check_error;
    atomic_bool stop_check;
    atomic_ullong bytes;
    pthread_t *threads;
    int thread_count;

    pthread_mutex_t lock; /* what is below */
    pthread_cond_t more;
    struct list queue, done;
    int queued, sending, idle;
    bool closing;
};

static void append(struct list *list, struct upload *upload)
{
    upload->next = NULL;
    *list->end = upload;
    list->end = &upload->next;
}

static struct upload *take_first(struct list *list)
{
    struct upload *upload = list->first;
    if (upload && !(list->first = upload->next))
        list->end = &list->first;
    return upload;
}

static bool take_out(struct list *list, struct upload *upload)
{
    for (struct upload **at = &list->first; *at; at = &(*at)->next) {
        if (*at != upload)
            continue;
        *at = upload->next;
        if (list->end == &upload->next)
            list->end = at;
        return true;
    }
    return false;
}

/* In a thread: the files of one job, one after the other. */
static void send_files(struct s3_connection *connection, struct upload *upload)
{
    error_clear(&upload->error);
    for (size_t i = 0; i < upload->file_count; i++)
        if (s3_upload(connection, &upload->files[i], &upload->error) != 0)
            return;
    tree_remove(upload->folder);
}

static void *run_thread(void *client)
{
    struct uploader *uploader = client;
    struct s3_connection *connection = s3_connection_new(uploader->config);
    pthread_mutex_lock(&uploader->lock);
    while (!uploader->closing) {
        struct upload *upload = take_first(&uploader->queue);
        if (!upload) {
            uploader->idle++;
            pthread_cond_wait(&uploader->more, &uploader->lock);
            uploader->idle--;
            continue;
        }
        uploader->queued--;
        uploader->sending++;
        pthread_mutex_unlock(&uploader->lock);
        send_files(connection, upload);
        pthread_mutex_lock(&uploader->lock);
        uploader->sending--;
        append(&uploader->done, upload);
        uv_async_send(&uploader->wake);
    }
    pthread_mutex_unlock(&uploader->lock);
    s3_connection_free(connection);
    return NULL;
}

/* Signals are the loop thread's. Returns whether there is a thread at all. */
static bool add_thread(struct uploader *uploader)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, THREAD_STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&uploader->threads[uploader->thread_count], &attributes, run_thread, uploader) == 0)
        uploader->thread_count++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return uploader->thread_count > 0;
}

static void judge(struct upload *upload);

static void enqueue(struct upload *upload)
{
    struct uploader *uploader = upload->uploader;
    upload->state = UPLOAD_RUNNING;
    pthread_mutex_lock(&uploader->lock);
    append(&uploader->queue, upload);
    /* An idle thread that was woken already is still among the idle, and what it is to take still in the queue. */
    bool crowded = ++uploader->queued > uploader->idle && uploader->thread_count < (int)uploader->config->concurrency;
    pthread_cond_signal(&uploader->more);
    pthread_mutex_unlock(&uploader->lock);
    if (!crowded || add_thread(uploader))
        return;
    take_out(&uploader->queue, upload); /* no thread: no lock is needed */
    uploader->queued--;
    error_clear(&upload->error);
    error_set(&upload->error, "s3_unavailable", true, "no thread can be started for uploads");
    judge(upload);
}

static void on_due(uv_timer_t *timer);

static void set_timer(struct uploader *uploader)
{
    int64_t due_ns = INT64_MAX;
    for (const struct upload *upload = uploader->waiting.first; upload; upload = upload->next)
        if (upload->due_ns < due_ns)
            due_ns = upload->due_ns;
    int64_t wait_ms = (due_ns - clock_monotonic_ns()) / 1000000 + 1;
    if (uploader->waiting.first)
        uv_timer_start(&uploader->timer, on_due, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
    else
        uv_timer_stop(&uploader->timer);
}

static void on_due(uv_timer_t *timer)
{
    struct uploader *uploader = timer->data;
    struct list due = {.first = NULL};
    int64_t now_ns = clock_monotonic_ns();
    struct upload *next;
    due.end = &due.first;
    for (struct upload *upload = uploader->waiting.first; upload; upload = next) {
        next = upload->next;
        if (upload->due_ns > now_ns)
            continue;
        take_out(&uploader->waiting, upload);
        append(&due, upload);
    }
    for (struct upload *upload; (upload = take_first(&due));)
        enqueue(upload);
    set_timer(uploader);
}

static void wait_for_next_attempt(struct upload *upload)
{
    struct uploader *uploader = upload->uploader;
    int64_t now_ns = clock_monotonic_ns();
    int64_t wait_ms = backoff_wait_ms(BACKOFF_MS, BACKOFF_MAX_MS, upload->attempts);
    upload->state = UPLOAD_WAITING;
    upload->due_ns = now_ns + wait_ms * 1000000;
    if (upload->give_up_ns > 0 && upload->due_ns > upload->give_up_ns)
        upload->due_ns = upload->give_up_ns;                                 /* the last attempt */
    bool is_power_of_two = (upload->attempts & (upload->attempts - 1)) == 0; /* many jobs may wait for long */
    log_write(is_power_of_two ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "s3", upload->job_id,
              "attempt %d to upload its artifacts failed, next in %.1f s: %s", upload->attempts,
              (double)(upload->due_ns - now_ns) / 1e9, upload->error.message);
    append(&uploader->waiting, upload);
    set_timer(uploader);
}

static void free_upload(struct upload *upload)
{
    for (size_t i = 0; i < upload->file_count; i++) {
        struct s3_upload *file = &upload->files[i];
        s3_upload_clear(file);
        free((char *)(uintptr_t)file->path);
        free((char *)(uintptr_t)file->key);
        free((char *)(uintptr_t)file->media_type);
        free((char *)(uintptr_t)file->sha256);
    }
    free(upload->files);
    free(upload->job_id);
    free(upload->folder);
    free(upload);
}

static bool is_out_of_reach(const struct error *error)
{
    return strcmp(error->code, "s3_unavailable") == 0 || strcmp(error->code, "s3_timeout") == 0;
}

static void finish(struct upload *upload)
{
    struct uploader *uploader = upload->uploader;
    bool failed = error_is_set(&upload->error);
    uploader->total--;
    if (failed && strcmp(upload->error.code, "stopped") != 0)
        uploader->stats.given_up++;
    else if (!failed)
        uploader->stats.done++;
    upload->on_finished(upload->client, failed ? &upload->error : NULL);
    free_upload(upload);
}

/* On one of the loop's own threads, since those of the uploader may all hang, and so not for long. */
static void clean(uv_work_t *request)
{
    const struct upload *upload = request->data;
    struct s3_connection *connection = NULL;
    for (size_t i = 0; i < upload->file_count; i++) {
        if (!upload->files[i].id || upload->out_of_reach)
            continue;
        if (!connection)
            connection = s3_connection_new(upload->uploader->config);
        s3_upload_abort(connection, &upload->files[i]);
    }
    s3_connection_free(connection);
    tree_remove(upload->folder);
}

static void on_cleaned(uv_work_t *request, int status)
{
    (void)status;
    finish(request->data);
}

static void end_failed(struct upload *upload)
{
    upload->state = UPLOAD_CLEANING;
    upload->cleaning.data = upload;
    if (uv_queue_work(upload->uploader->loop, &upload->cleaning, clean, on_cleaned) != 0) {
        clean(&upload->cleaning);
        on_cleaned(&upload->cleaning, 0);
    }
}

/* On the loop: an attempt is over. */
static void judge(struct upload *upload)
{
    struct uploader *uploader = upload->uploader;
    struct error *error = &upload->error;
    upload->attempts++;
    if (!error_is_set(error)) {
        uploader->problem[0] = '\0';
        finish(upload);
        return;
    }
    upload->out_of_reach = is_out_of_reach(error);
    if (atomic_load(&upload->stop)) {
        error_clear(error);
        error_set(error, "stopped", true, "the upload was stopped");
        end_failed(upload);
        return;
    }
    uploader->stats.failed_attempts++;
    snprintf(uploader->problem, sizeof uploader->problem, "%s", error->message);
    int64_t now_ns = clock_monotonic_ns();
    if (upload->give_up_ns == 0)
        upload->give_up_ns = now_ns + uploader->config->retry_for_ms * 1000000;
    if (error->retryable && now_ns < upload->give_up_ns) {
        wait_for_next_attempt(upload);
        return;
    }
    if (error->retryable)
        error_prefix(error, "the upload of its artifacts was given up after %d attempts: ", upload->attempts);
    else
        error_prefix(error, "its artifacts can't be uploaded: ");
    end_failed(upload);
}

static void on_wake(uv_async_t *wake)
{
    struct uploader *uploader = wake->data;
    for (;;) {
        pthread_mutex_lock(&uploader->lock);
        struct upload *upload = take_first(&uploader->done);
        pthread_mutex_unlock(&uploader->lock);
        if (!upload)
            return;
        judge(upload);
    }
}

struct upload *uploader_start(struct uploader *uploader, const char *job_id, const char *folder,
                              const json_t *artifacts, uploader_finished on_finished, void *client)
{
    struct upload *upload = memory_zeroed(1, sizeof *upload);
    size_t index;
    json_t *artifact;
    upload->uploader = uploader;
    upload->job_id = memory_text(job_id);
    upload->folder = memory_text(folder);
    upload->on_finished = on_finished;
    upload->client = client;
    upload->file_count = json_array_size(artifacts);
    upload->files = memory_zeroed(upload->file_count, sizeof *upload->files);
    atomic_init(&upload->stop, false);
    json_array_foreach(artifacts, index, artifact)
    {
        struct s3_upload *file = &upload->files[index];
        const char *name = json_string_value(json_object_get(artifact, "name"));
        file->path = memory_format("%s/%s", folder, name);
        file->key = s3_key(uploader->config, job_id, name);
        file->media_type = memory_text(json_string_value(json_object_get(artifact, "media_type")));
        file->sha256 = memory_text(json_string_value(json_object_get(artifact, "sha256")));
        file->bytes = json_integer_value(json_object_get(artifact, "bytes"));
        file->stop = &upload->stop;
        file->counter = &uploader->bytes;
    }
    uploader->total++;
    enqueue(upload);
    return upload;
}

void upload_stop(struct upload *upload)
{
    struct uploader *uploader = upload->uploader;
    if (upload->state == UPLOAD_CLEANING || atomic_exchange(&upload->stop, true))
        return;
    pthread_mutex_lock(&uploader->lock);
    bool queued = take_out(&uploader->queue, upload);
    uploader->queued -= queued ? 1 : 0;
    pthread_mutex_unlock(&uploader->lock);
    bool waited = upload->state == UPLOAD_WAITING && take_out(&uploader->waiting, upload);
    if (!queued && !waited)
        return; /* its thread hears of it */
    set_timer(uploader);
    error_clear(&upload->error);
    error_set(&upload->error, "stopped", true, "the upload was stopped");
    end_failed(upload);
}

void uploader_set_urls(const struct uploader *uploader, const char *job_id, json_t *artifacts)
{
    const struct config_s3 *config = uploader->config;
    size_t index;
    json_t *artifact;
    json_array_foreach(artifacts, index, artifact)
    {
        char *key = s3_key(config, job_id, json_string_value(json_object_get(artifact, "name")));
        char *url = config->presign_ms > 0
                        ? s3_presign(config, key, (time_t)(clock_now_ms() / 1000), config->presign_ms / 1000)
                        : s3_url(config, key);
        json_object_set_new(artifact, "url", json_string(url));
        free(url);
        free(key);
    }
}

struct uploader_stats uploader_stats(const struct uploader *uploader)
{
    struct uploader_stats stats = uploader->stats;
    struct uploader *locked = (struct uploader *)(uintptr_t)uploader;
    pthread_mutex_lock(&locked->lock);
    stats.running = uploader->sending;
    pthread_mutex_unlock(&locked->lock);
    stats.waiting = uploader->total - stats.running;
    stats.bytes = atomic_load(&locked->bytes);
    stats.problem = uploader->problem;
    return stats;
}

static void release_part(struct uploader *uploader)
{
    if (--uploader->open_parts > 0)
        return;
    pthread_cond_destroy(&uploader->more);
    pthread_mutex_destroy(&uploader->lock);
    free(uploader->threads);
    free(uploader);
    curl_global_cleanup();
}

static void on_handle_closed(uv_handle_t *handle)
{
    release_part(handle->data);
}

static void check(uv_work_t *request)
{
    struct uploader *uploader = request->data;
    s3_check_until(uploader->config, &uploader->stop_check, &uploader->check_error);
}

static void on_checked(uv_work_t *request, int status)
{
    struct uploader *uploader = request->data;
    const struct error *error = &uploader->check_error;
    (void)status;
    bool known = uploader->stats.done + uploader->stats.failed_attempts > 0; /* uploads know better by now */
    if (error_is_set(error) && strcmp(error->code, "stopped") != 0) {
        log_write(LOG_LEVEL_WARNING, "s3", NULL, "artifacts can't be uploaded: %s", error->message);
        if (!known)
            snprintf(uploader->problem, sizeof uploader->problem, "%s", error->message);
    }
    release_part(uploader);
}

struct uploader *uploader_new(uv_loop_t *loop, const struct config_s3 *config, struct error *error)
{
    if (s3_check_settings(config, error) != 0)
        return NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        error_set(error, "s3_unavailable", true, "libcurl can't be started");
        return NULL;
    }
    struct uploader *uploader = memory_zeroed(1, sizeof *uploader);
    uploader->loop = loop;
    uploader->config = config;
    uploader->threads = memory_zeroed((size_t)config->concurrency, sizeof *uploader->threads);
    uploader->waiting.end = &uploader->waiting.first;
    uploader->queue.end = &uploader->queue.first;
    uploader->done.end = &uploader->done.first;
    atomic_init(&uploader->bytes, 0);
    pthread_mutex_init(&uploader->lock, NULL);
    pthread_cond_init(&uploader->more, NULL);
    uv_timer_init(loop, &uploader->timer);
    uv_async_init(loop, &uploader->wake, on_wake);
    uploader->timer.data = uploader->wake.data = uploader;
    uploader->open_parts = 2;
    atomic_init(&uploader->stop_check, false);
    return uploader;
}

void uploader_check(struct uploader *uploader)
{
    if (!uploader)
        return;
    uploader->check.data = uploader;
    if (uv_queue_work(uploader->loop, &uploader->check, check, on_checked) == 0)
        uploader->open_parts++;
}

void uploader_close(struct uploader *uploader)
{
    if (!uploader)
        return;
    pthread_mutex_lock(&uploader->lock);
    uploader->closing = true;
    pthread_cond_broadcast(&uploader->more);
    pthread_mutex_unlock(&uploader->lock);
    for (int i = 0; i < uploader->thread_count; i++)
        pthread_join(uploader->threads[i], NULL);
    atomic_store(&uploader->stop_check, true);
    uv_close((uv_handle_t *)&uploader->timer, on_handle_closed);
    uv_close((uv_handle_t *)&uploader->wake, on_handle_closed);
}
