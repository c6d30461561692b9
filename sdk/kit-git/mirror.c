/* exportd/kit/git.h: where mirrors lie. */
#include "parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 60000
#define POLL_MS 50
#define FETCH_BYTES ((uint64_t)2 << 30) /* as git.h says */
#define CACHE_BYTES ((uint64_t)4 << 30)
#define PACKS_MAX 100 /* each fetch may add one; a mirror of more is slow, and fetched anew */
#define MIRRORS_MAX 4096
#define WINDOW_BYTES ((size_t)32 << 20) /* of packs that are mapped: a worker has limits */
#define WINDOWS_BYTES ((size_t)256 << 20)

int git_kit_fail(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    error->retryable = retryable;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

/* Once in a process' life: libgit2 reads the certificates of all authorities each time. Nobody's configuration but
 * the mirror's own is read. */
static void set_up(void)
{
    git_libgit2_init();
    for (int level = GIT_CONFIG_LEVEL_PROGRAMDATA; level <= GIT_CONFIG_LEVEL_GLOBAL; level++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0); /* the cache is this user's by its mode */
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, WINDOW_BYTES);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, WINDOWS_BYTES);
    /* As git does: the fetch computed each object's id, and what zlib unpacks has a checksum of its own. */
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
}

/* Calls take() for all that lies in folder and for itself, what is in a folder before it; follows no links. */
static void walk(const char *folder, void (*take)(const FTSENT *entry, void *context), void *context)
{
    char *paths[] = {(char *)(uintptr_t)folder, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    while (tree && (entry = fts_read(tree)))
        if (entry->fts_info != FTS_D)
            take(entry, context);
    if (tree)
        fts_close(tree);
}

static void remove_one(const FTSENT *entry, void *context)
{
    (void)context;
    if (entry->fts_info == FTS_DP)
        rmdir(entry->fts_accpath);
    else
        unlink(entry->fts_accpath);
}

static void remove_tree(const char *path)
{
    walk(path, remove_one, NULL);
}

/* What a killed worker left: locks of references, packs that never came in whole. */
static void remove_left_over(const FTSENT *entry, void *context)
{
    const char *name = entry->fts_name;
    size_t length = strlen(name);
    (void)context;
    if (entry->fts_info == FTS_F && ((length > 5 && strcmp(name + length - 5, ".lock") == 0) ||
                                     strncmp(name, "pack_git2_", 10) == 0 || strncmp(name, "tmp_", 4) == 0))
        unlink(entry->fts_accpath);
}

struct measure {
    uint64_t bytes;
    size_t packs;
};

static void measure_one(const FTSENT *entry, void *context)
{
    struct measure *measure = context;
    size_t length = entry->fts_namelen;
    if (entry->fts_info != FTS_F)
        return;
    measure->bytes += (uint64_t)entry->fts_statp->st_blocks * 512;
    measure->packs += length > 5 && strcmp(entry->fts_name + length - 5, ".pack") == 0;
}

/* The lock's file may have been thrown out, with its mirror, between open and lock: then it is another file now. */
static int is_still_there(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

/* Returns a descriptor, -1 where the file can't be had (errno), -2 where somebody else has the lock. */
static int try_lock(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still_there(fd, path))
        return fd;
    close(fd);
    return -2;
}

static int wait_for_lock(struct exportd_git_mirror *mirror, struct exportd_kit_error *error)
{
    const struct exportd_git_options *options = &mirror->options;
    int64_t left_ms = options->wait_ms > 0 ? options->wait_ms : WAIT_MS;
    for (;; left_ms -= POLL_MS) {
        mirror->lock_fd = try_lock(mirror->lock_path);
        if (mirror->lock_fd >= 0)
            return 0;
        if (mirror->lock_fd == -1)
            return git_kit_fail(error, "mirror_failed", 1, "%s can't be made: %s", mirror->lock_path,
                                strerror(errno));
        mirror->lock_fd = -1;
        if (options->step && options->step(options->context, 0, 0, 0))
            return git_kit_fail(error, "cancelled", 0, "the job was cancelled");
        if (left_ms <= 0)
            return git_kit_fail(error, "mirror_busy", 1, "another job has had the mirror of %s for too long",
                                mirror->url);
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000}, NULL);
    }
}

/* By the URL alone: whoever uses a mirror asks the remote first, with the token it has. */
static int name_mirror(struct exportd_git_mirror *mirror)
{
    unsigned char hash[16];
    char hex[sizeof hash * 2 + 1];
    const char *url = mirror->url;
    crypto_generichash(hash, sizeof hash, (const unsigned char *)url, strlen(url), NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    if (!mirror->options.cache)
        return asprintf(&mirror->folder, "%s/.mirror-%s", mirror->options.workspace, hex);
    char *top = NULL;
    if (asprintf(&top, "%s/mirrors", mirror->options.cache) < 0)
        return -1;
    mkdir(top, 0700);
    int made =
        asprintf(&mirror->folder, "%s/%s", top, hex) < 0 || asprintf(&mirror->lock_path, "%s/%s.lock", top, hex) < 0;
    free(top);
    return made ? -1 : 0;
}

int git_kit_renew(struct exportd_git_mirror *mirror, struct exportd_kit_error *error)
{
    git_kit_disconnect(mirror);
    git_repository_free(mirror->repository);
    mirror->repository = NULL;
    remove_tree(mirror->folder);
    if (git_repository_init(&mirror->repository, mirror->folder, 1) == 0)
        return 0;
    const git_error *cause = git_error_last();
    return git_kit_fail(error, "mirror_failed", 1, "the mirror of %s can't be made in %s: %s", mirror->url,
                        mirror->folder, cause ? cause->message : "unknown");
}

static struct exportd_git_mirror *new_mirror(const struct exportd_git_options *options, const char *url,
                                             struct exportd_kit_error *error)
{
    struct exportd_git_mirror *mirror = calloc(1, sizeof *mirror);
    if (mirror) {
        mirror->options = *options;
        mirror->lock_fd = -1;
        mirror->url = strdup(url);
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, set_up);
    }
    if (mirror && mirror->url && sodium_init() >= 0)
        return mirror;
    git_kit_fail(error, "out_of_memory", 1, "out of memory");
    return exportd_git_close(mirror);
}

struct exportd_git_mirror *exportd_git_look(const struct exportd_git_options *options, const char *url,
                                            struct exportd_kit_error *error)
{
    return new_mirror(options, url, error);
}

/* Until it is closed a new mirror counts with all that it may fetch: its worker may be killed in the middle. */
static void expect_the_worst(const struct exportd_git_mirror *mirror)
{
    char text[32];
    struct stat status;
    uint64_t bytes = mirror->options.max_bytes > 0 ? mirror->options.max_bytes : FETCH_BYTES;
    int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
    if (fstat(mirror->lock_fd, &status) == 0 && status.st_size == 0 &&
        pwrite(mirror->lock_fd, text, (size_t)length, 0) != length)
        return; /* a full disk: what follows says so */
}

struct exportd_git_mirror *exportd_git_open(const struct exportd_git_options *options, const char *url,
                                            struct exportd_kit_error *error)
{
    struct exportd_git_mirror *mirror = new_mirror(options, url, error);
    if (!mirror)
        return NULL;
    if (name_mirror(mirror) < 0) {
        git_kit_fail(error, "out_of_memory", 1, "out of memory");
        return exportd_git_close(mirror);
    }
    if (mirror->lock_path && wait_for_lock(mirror, error) != 0)
        return exportd_git_close(mirror);
    if (mirror->lock_fd >= 0)
        expect_the_worst(mirror);
    walk(mirror->folder, remove_left_over, NULL);
    if (git_repository_open_bare(&mirror->repository, mirror->folder) != 0 && git_kit_renew(mirror, error) != 0)
        return exportd_git_close(mirror);
    return mirror;
}

void exportd_git_discard(struct exportd_git_mirror *mirror)
{
    mirror->damaged = 1;
}

git_repository *exportd_git_repository(const struct exportd_git_mirror *mirror)
{
    return mirror->repository;
}

/* A mirror of the cache: its lock's file holds its size, and was changed when it was last used. */
struct kept {
    char *lock_path;
    uint64_t bytes;
    struct timespec used;
};

static int by_use(const void *a, const void *b)
{
    const struct kept *one = a, *other = b;
    if (one->used.tv_sec != other->used.tv_sec)
        return one->used.tv_sec < other->used.tv_sec ? -1 : 1;
    return one->used.tv_nsec < other->used.tv_nsec ? -1 : one->used.tv_nsec > other->used.tv_nsec;
}

static size_t list_kept(const char *top, struct kept *kept, size_t most)
{
    size_t count = 0;
    DIR *folder = opendir(top);
    struct dirent *entry;
    while (folder && count < most && (entry = readdir(folder))) {
        size_t length = strlen(entry->d_name);
        struct stat status;
        char text[32] = "";
        if (length < 6 || strcmp(entry->d_name + length - 5, ".lock") != 0 ||
            asprintf(&kept[count].lock_path, "%s/%s", top, entry->d_name) < 0)
            continue;
        int fd = open(kept[count].lock_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fstat(fd, &status) != 0 || read(fd, text, sizeof text - 1) < 0) {
            free(kept[count].lock_path);
        } else {
            kept[count].bytes = strtoull(text, NULL, 10);
            kept[count++].used = status.st_mtim;
        }
        if (fd >= 0)
            close(fd);
    }
    if (folder)
        closedir(folder);
    qsort(kept, count, sizeof *kept, by_use);
    return count;
}

static void throw_out(const char *lock_path)
{
    char folder[4096];
    int fd = try_lock(lock_path);
    if (fd < 0)
        return; /* it is used just now */
    snprintf(folder, sizeof folder, "%.*s", (int)(strlen(lock_path) - 5), lock_path);
    remove_tree(folder);
    unlink(lock_path);
    close(fd);
}

static void bound_cache(const struct exportd_git_options *options)
{
    uint64_t most = options->cache_bytes > 0 ? options->cache_bytes : CACHE_BYTES, all = 0;
    char top[4096];
    snprintf(top, sizeof top, "%s/mirrors", options->cache);
    struct kept *kept = calloc(MIRRORS_MAX, sizeof *kept);
    size_t count = kept ? list_kept(top, kept, MIRRORS_MAX) : 0;
    for (size_t i = 0; i < count; i++)
        all += kept[i].bytes;
    for (size_t i = 0; i < count; i++) {
        if (all > most) {
            all -= kept[i].bytes;
            throw_out(kept[i].lock_path);
        }
        free(kept[i].lock_path);
    }
    free(kept);
}

static void note_use(struct exportd_git_mirror *mirror)
{
    char text[32];
    struct measure measure = {0};
    walk(mirror->folder, measure_one, &measure);
    if (measure.packs > PACKS_MAX || mirror->damaged) {
        remove_tree(mirror->folder);
        measure.bytes = 0;
    }
    int length = snprintf(text, sizeof text, "%llu\n", (unsigned long long)measure.bytes);
    if (ftruncate(mirror->lock_fd, 0) == 0 && pwrite(mirror->lock_fd, text, (size_t)length, 0) == length)
        futimens(mirror->lock_fd, NULL);
}

struct exportd_git_mirror *exportd_git_close(struct exportd_git_mirror *mirror)
{
    if (!mirror)
        return NULL;
    git_kit_disconnect(mirror);
    git_repository_free(mirror->repository);
    if (mirror->lock_fd >= 0) {
        note_use(mirror);
        close(mirror->lock_fd);
        bound_cache(&mirror->options);
    }
    free(mirror->lock_path);
    free(mirror->folder);
    free(mirror->url);
    free(mirror);
    return NULL;
}
