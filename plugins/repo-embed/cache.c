/* cache.h: records in a file. */
#include "cache.h"
#include "keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC "exportd embeddings 1\n"
#define ENDING ".vectors"
#define UNFINISHED ".new" /* behind it: what halve() is writing, under the lock of the file */
#define CHECK_BYTES 8
#define BLOCK_RECORDS 256

struct header {
    char magic[24];
    uint64_t dimensions;
};

struct cache {
    char *folder, *path;
    int fd;
    size_t dimensions;
    struct keys places; /* of records */
    char *record;
};

static size_t record_bytes(const struct cache *cache)
{
    return KEY_BYTES + CHECK_BYTES + cache->dimensions * sizeof(float);
}

/* FNV-1a over eight bytes at once, which are enough to tell a record that was not written whole. */
static uint64_t checksum(const char *bytes, size_t size)
{
    uint64_t sum = 0xCBF29CE484222325u, word;
    for (size_t at = 0; at < size; at += sizeof word) {
        word = 0;
        memcpy(&word, bytes + at, size - at < sizeof word ? size - at : sizeof word);
        sum = (sum ^ word) * 0x9E3779B97F4A7C15u;
        sum ^= sum >> 29;
    }
    return sum;
}

static void fill_record(const struct cache *cache, char *record, const unsigned char key[KEY_BYTES],
                        const float *vector)
{
    size_t bytes = cache->dimensions * sizeof(float);
    memcpy(record, key, KEY_BYTES);
    memcpy(record + KEY_BYTES + CHECK_BYTES, vector, bytes);
    uint64_t sum = checksum(record, KEY_BYTES) ^ checksum(record + KEY_BYTES + CHECK_BYTES, bytes);
    memcpy(record + KEY_BYTES, &sum, CHECK_BYTES);
}

static int record_is_whole(const struct cache *cache, const char *record)
{
    uint64_t sum;
    memcpy(&sum, record + KEY_BYTES, CHECK_BYTES);
    return sum == (checksum(record, KEY_BYTES) ^
                   checksum(record + KEY_BYTES + CHECK_BYTES, cache->dimensions * sizeof(float)));
}

static int write_all(int fd, const void *bytes, size_t size, off_t offset)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t part = pwrite(fd, at, size, offset);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return -1;
        at += part;
        offset += part;
        size -= (size_t)part;
    }
    return 0;
}

/* Takes the dimensions of a file that has them. Returns 1 where there is a header that can be read, else 0. */
static int read_header(struct cache *cache)
{
    struct header header = {0};
    if (pread(cache->fd, &header, sizeof header, 0) != (ssize_t)sizeof header ||
        strncmp(header.magic, MAGIC, sizeof header.magic) != 0 || header.dimensions == 0 || header.dimensions > 65536)
        return 0;
    if (cache->dimensions && header.dimensions != cache->dimensions)
        return 0;
    cache->dimensions = (size_t)header.dimensions;
    return 1;
}

static int read_keys(struct cache *cache)
{
    size_t size = record_bytes(cache);
    struct stat status;
    if (fstat(cache->fd, &status) != 0)
        return -1;
    posix_fadvise(cache->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (off_t at = sizeof(struct header); at + (off_t)size <= status.st_size; at += (off_t)size) {
        unsigned char key[KEY_BYTES];
        if (pread(cache->fd, key, sizeof key, at) != (ssize_t)sizeof key)
            break;
        if (keys_put(&cache->places, key, (uint64_t)at) != 0)
            return -1;
    }
    return 0;
}

/* The file may have been made anew since it was opened. */
static int is_still_there(const struct cache *cache)
{
    struct stat ours, there;
    return fstat(cache->fd, &ours) == 0 && stat(cache->path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

static int open_file(struct cache *cache)
{
    if (cache->fd >= 0)
        close(cache->fd);
    cache->fd = open(cache->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return cache->fd < 0 ? -1 : 0;
}

struct cache *cache_open(const char *folder, const char *id, size_t dimensions, struct exportd_kit_error *error)
{
    struct cache *cache = calloc(1, sizeof *cache);
    if (cache)
        *cache = (struct cache){.fd = -1, .dimensions = dimensions};
    if (!cache || !(cache->folder = strdup(folder)) || asprintf(&cache->path, "%s/%s" ENDING, folder, id) < 0) {
        exportd_kit_no_memory(error);
        free(cache ? cache->folder : NULL);
        free(cache);
        return NULL;
    }
    mkdir(folder, 0700);
    if (open_file(cache) != 0) {
        exportd_kit_fail(error, "cache_failed", 1, "the cache's file %s can't be opened: %s", cache->path,
                         strerror(errno));
        return cache_close(cache, 0);
    }
    if (read_header(cache) && read_keys(cache) != 0) {
        exportd_kit_no_memory(error);
        return cache_close(cache, 0);
    }
    return cache;
}

size_t cache_dimensions(const struct cache *cache)
{
    return cache->dimensions;
}

int cache_get(struct cache *cache, const unsigned char key[KEY_BYTES], float *vector)
{
    uint64_t *place = keys_find(&cache->places, key);
    if (!place || !cache->dimensions)
        return 0;
    size_t size = record_bytes(cache);
    cache->record = cache->record ? cache->record : malloc(size);
    if (!cache->record || pread(cache->fd, cache->record, size, (off_t)*place) != (ssize_t)size ||
        memcmp(cache->record, key, KEY_BYTES) != 0 || !record_is_whole(cache, cache->record))
        return 0;
    memcpy(vector, cache->record + KEY_BYTES + CHECK_BYTES, cache->dimensions * sizeof(float));
    return 1;
}

/* Waits for the lock of a file that is still the cache's, and sees that it has a header. */
static int lock_file(struct cache *cache)
{
    for (int tries = 0; tries < 10; tries++) {
        while (flock(cache->fd, LOCK_EX) != 0)
            if (errno != EINTR)
                return -1;
        if (is_still_there(cache))
            return 0;
        if (open_file(cache) != 0)
            return -1;
        keys_clear(&cache->places); /* the records lie elsewhere now */
    }
    return -1;
}

static off_t end_of_records(struct cache *cache)
{
    struct stat status;
    if (fstat(cache->fd, &status) != 0)
        return -1;
    if (!read_header(cache)) {
        struct header header = {.magic = MAGIC, .dimensions = cache->dimensions};
        if (ftruncate(cache->fd, 0) != 0 || write_all(cache->fd, &header, sizeof header, 0) != 0)
            return -1;
        return sizeof header;
    }
    off_t size = (off_t)record_bytes(cache), records = (status.st_size - (off_t)sizeof(struct header)) / size;
    return (off_t)sizeof(struct header) + records * size;
}

void cache_put(struct cache *cache, const unsigned char (*keys)[KEY_BYTES], const float *vectors, size_t count,
               size_t dimensions)
{
    if (cache->dimensions == 0)
        cache->dimensions = dimensions;
    size_t size = record_bytes(cache);
    char *block = dimensions == cache->dimensions ? malloc(BLOCK_RECORDS * size) : NULL;
    if (!block)
        return;
    off_t at = lock_file(cache) == 0 ? end_of_records(cache) : -1;
    for (size_t done = 0; at >= 0 && done < count;) {
        size_t records = count - done < BLOCK_RECORDS ? count - done : BLOCK_RECORDS;
        for (size_t i = 0; i < records; i++)
            fill_record(cache, block + i * size, keys[done + i], vectors + (done + i) * dimensions);
        if (write_all(cache->fd, block, records * size, at) != 0)
            break;
        for (size_t i = 0; i < records; i++)
            keys_put(&cache->places, keys[done + i], (uint64_t)at + i * size);
        done += records;
        at += (off_t)(records * size);
    }
    if (cache->fd >= 0)
        flock(cache->fd, LOCK_UN);
    free(block);
}

/* Leaves the younger half of what may be kept, in a new file under the same name. */
static void halve(struct cache *cache, uint64_t most_bytes)
{
    size_t size = cache->dimensions ? record_bytes(cache) : 0;
    char *fresh = NULL, *block = malloc(BLOCK_RECORDS * size + 1);
    struct stat status;
    struct header header = {.magic = MAGIC, .dimensions = cache->dimensions};
    int fd = -1, failed = -1;
    if (size && block && lock_file(cache) == 0 && fstat(cache->fd, &status) == 0 && read_header(cache) &&
        asprintf(&fresh, "%s" UNFINISHED, cache->path) >= 0 &&
        (fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)) >= 0) {
        off_t records = (status.st_size - (off_t)sizeof header) / (off_t)size;
        off_t kept = (off_t)(most_bytes / 2 / size) < records ? (off_t)(most_bytes / 2 / size) : records;
        off_t from = (off_t)sizeof header + (records - kept) * (off_t)size, to = sizeof header;
        failed = write_all(fd, &header, sizeof header, 0);
        for (off_t left = kept * (off_t)size; !failed && left > 0;) {
            size_t part = left < (off_t)(BLOCK_RECORDS * size) ? (size_t)left : BLOCK_RECORDS * size;
            ssize_t got = pread(cache->fd, block, part, from);
            failed = got <= 0 ? -1 : write_all(fd, block, (size_t)got, to);
            from += got > 0 ? got : 0;
            to += got > 0 ? got : 0;
            left -= got > 0 ? got : 0;
        }
        if (failed || rename(fresh, cache->path) != 0)
            unlink(fresh);
    }
    flock(cache->fd, LOCK_UN);
    if (fd >= 0)
        close(fd);
    free(fresh);
    free(block);
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), wanted = strlen(ending);
    return length > wanted && strcmp(name + length - wanted, ending) == 0;
}

/* Removes an unfinished file whose writer was killed: nobody holds the lock of the file that it was to replace.
 * Returns whether it is gone. */
static bool remove_unfinished(int folder, const char *name)
{
    char whole[NAME_MAX + 1];
    struct stat ours, there;
    snprintf(whole, sizeof whole, "%.*s", (int)(strlen(name) - strlen(UNFINISHED)), name);
    int fd = openat(folder, whole, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is_left = fd < 0 ? errno == ENOENT
                          : flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &ours) == 0 &&
                                fstatat(folder, whole, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                                ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
    bool is_gone = is_left && unlinkat(folder, name, 0) == 0;
    if (fd >= 0)
        close(fd);
    return is_gone;
}

/* Removes what was left unfinished, and files of other embedders, those used longest ago first, until all fit. */
static void bound_folder(struct cache *cache, uint64_t most_bytes)
{
    for (;;) {
        uint64_t all = 0;
        char oldest[NAME_MAX + 1] = "";
        time_t oldest_s = 0;
        struct stat status;
        DIR *folder = opendir(cache->folder);
        if (!folder)
            return;
        for (struct dirent *entry; (entry = readdir(folder));) {
            bool unfinished = ends_with(entry->d_name, ENDING UNFINISHED);
            if ((!unfinished && !ends_with(entry->d_name, ENDING)) ||
                fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
                (unfinished && remove_unfinished(dirfd(folder), entry->d_name)))
                continue;
            all += (uint64_t)status.st_size;
            if (!unfinished && strcmp(entry->d_name, strrchr(cache->path, '/') + 1) != 0 &&
                (!*oldest || status.st_mtime < oldest_s)) {
                snprintf(oldest, sizeof oldest, "%s", entry->d_name);
                oldest_s = status.st_mtime;
            }
        }
        int gone = all > most_bytes && *oldest ? unlinkat(dirfd(folder), oldest, 0) : -1;
        closedir(folder);
        if (gone != 0)
            return;
    }
}

struct cache *cache_close(struct cache *cache, uint64_t most_bytes)
{
    struct stat status;
    if (!cache)
        return NULL;
    if (most_bytes > 0 && cache->fd >= 0) {
        futimens(cache->fd, NULL);
        if (fstat(cache->fd, &status) == 0 && (uint64_t)status.st_size > most_bytes)
            halve(cache, most_bytes);
        bound_folder(cache, most_bytes);
    }
    if (cache->fd >= 0)
        close(cache->fd);
    keys_clear(&cache->places);
    free(cache->record);
    free(cache->folder);
    free(cache->path);
    free(cache);
    return NULL;
}
