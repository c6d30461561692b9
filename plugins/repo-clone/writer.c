/* writer.h: files to a checkout, on a thread of their own. */
#include "writer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define WAITING_MAX 256
#define WAITING_BYTES ((size_t)16 << 20) /* one file more may be larger */

struct item {
    const char *path;
    git_filemode_t mode;
    git_odb_object *object;
};

struct writer {
    pthread_t thread;
    struct checkout *checkout; /* the thread's, as error is */
    struct exportd_kit_error error;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    struct item items[WAITING_MAX]; /* a ring */
    size_t first, count, bytes;
    bool ending, failed;
};

static int write_item(struct writer *writer, const struct item *item)
{
    struct checkout *checkout = writer->checkout;
    const void *bytes = git_odb_object_data(item->object);
    size_t size = git_odb_object_size(item->object);
    if (item->mode == GIT_FILEMODE_LINK)
        return checkout_link(checkout, item->path, bytes, size, &writer->error);
    if (checkout_begin(checkout, item->path, item->mode == GIT_FILEMODE_BLOB_EXECUTABLE, &writer->error) != 0 ||
        checkout_write(checkout, bytes, size, &writer->error) != 0)
        return -1;
    return checkout_end(checkout, &writer->error);
}

static void *write_all(void *context)
{
    struct writer *writer = context;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->count == 0 && !writer->ending)
            pthread_cond_wait(&writer->changed, &writer->lock);
        if (writer->count == 0)
            break;
        struct item item = writer->items[writer->first];
        size_t size = git_odb_object_size(item.object);
        bool failed = writer->failed;
        pthread_mutex_unlock(&writer->lock);
        failed = failed || write_item(writer, &item) != 0;
        git_odb_object_free(item.object);
        pthread_mutex_lock(&writer->lock);
        writer->first = (writer->first + 1) % WAITING_MAX;
        writer->count--;
        writer->bytes -= size;
        writer->failed = failed;
        pthread_cond_signal(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

struct writer *writer_start(struct checkout *checkout, struct exportd_kit_error *error)
{
    struct writer *writer = calloc(1, sizeof *writer);
    if (!writer) {
        exportd_kit_no_memory(error);
        return NULL;
    }
    writer->checkout = checkout;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
    if (pthread_create(&writer->thread, NULL, write_all, writer) == 0)
        return writer;
    exportd_kit_fail(error, "workspace_failed", 1, "no thread can be started to write the files");
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
    return NULL;
}

int writer_put(struct writer *writer, const char *path, git_filemode_t mode, git_odb_object *object)
{
    pthread_mutex_lock(&writer->lock);
    while (!writer->failed && (writer->count == WAITING_MAX || writer->bytes > WAITING_BYTES))
        pthread_cond_wait(&writer->changed, &writer->lock);
    bool failed = writer->failed;
    if (!failed) {
        writer->items[(writer->first + writer->count) % WAITING_MAX] =
            (struct item){.path = path, .mode = mode, .object = object};
        writer->count++;
        writer->bytes += git_odb_object_size(object);
        pthread_cond_signal(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    if (failed)
        git_odb_object_free(object);
    return failed ? -1 : 0;
}

int writer_end(struct writer *writer, struct exportd_kit_error *error)
{
    if (!writer)
        return 0;
    pthread_mutex_lock(&writer->lock);
    writer->ending = true;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    bool failed = writer->failed;
    if (failed)
        *error = writer->error;
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
    return failed ? -1 : 0;
}
