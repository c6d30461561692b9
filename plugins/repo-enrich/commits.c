/* commits.h: a heap of commits by time, and the set of those that were in it. */
#include "commits.h"

#include <stdlib.h>
#include <string.h>

#define COMMIT_BYTES ((size_t)4 << 20) /* the longest that is read: a message has no bound of its own */
#define AUTHOR_BYTES 1024

struct waiting {
    git_oid id;
    int64_t time_s;
    char *author;
    uint32_t parent_count;
    git_oid *parents;
};

struct commits {
    git_odb *odb;
    struct waiting *heap;
    size_t count, capacity;
    git_oid *seen; /* open addressing, by the id's own bytes; a zero id is an empty place */
    size_t seen_count, seen_capacity;
    struct waiting current;
};

static bool is_before(const struct waiting *one, const struct waiting *other)
{
    if (one->time_s != other->time_s)
        return one->time_s > other->time_s;
    return git_oid_cmp(&one->id, &other->id) < 0;
}

static void swap(struct waiting *one, struct waiting *other)
{
    struct waiting kept = *one;
    *one = *other;
    *other = kept;
}

static void clear(struct waiting *waiting)
{
    free(waiting->author);
    free(waiting->parents);
    *waiting = (struct waiting){0};
}

static int push(struct commits *commits, const struct waiting *waiting)
{
    if (commits->count == commits->capacity) {
        size_t capacity = commits->capacity ? 2 * commits->capacity : 64;
        struct waiting *heap = reallocarray(commits->heap, capacity, sizeof *heap);
        if (!heap)
            return -1;
        commits->heap = heap;
        commits->capacity = capacity;
    }
    size_t at = commits->count++;
    commits->heap[at] = *waiting;
    for (; at > 0 && is_before(&commits->heap[at], &commits->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&commits->heap[at], &commits->heap[(at - 1) / 2]);
    return 0;
}

static struct waiting pop(struct commits *commits)
{
    struct waiting top = commits->heap[0];
    commits->heap[0] = commits->heap[--commits->count];
    for (size_t at = 0;;) {
        size_t next = 2 * at + 1;
        if (next >= commits->count)
            return top;
        if (next + 1 < commits->count && is_before(&commits->heap[next + 1], &commits->heap[next]))
            next++;
        if (!is_before(&commits->heap[next], &commits->heap[at]))
            return top;
        swap(&commits->heap[at], &commits->heap[next]);
        at = next;
    }
}

static size_t place_of(const git_oid *places, size_t capacity, const git_oid *id)
{
    size_t at;
    memcpy(&at, id->id, sizeof at);
    for (at %= capacity; !git_oid_is_zero(&places[at]) && !git_oid_equal(&places[at], id); at = (at + 1) % capacity)
        ;
    return at;
}

/* Returns 0 where it is new, 1 where it has been seen, -1 when out of memory. */
static int see(struct commits *commits, const git_oid *id)
{
    if (2 * (commits->seen_count + 1) > commits->seen_capacity) {
        size_t capacity = commits->seen_capacity ? 2 * commits->seen_capacity : 1024;
        git_oid *seen = calloc(capacity, sizeof *seen);
        if (!seen)
            return -1;
        for (size_t i = 0; i < commits->seen_capacity; i++)
            if (!git_oid_is_zero(&commits->seen[i]))
                seen[place_of(seen, capacity, &commits->seen[i])] = commits->seen[i];
        free(commits->seen);
        commits->seen = seen;
        commits->seen_capacity = capacity;
    }
    size_t at = place_of(commits->seen, commits->seen_capacity, id);
    if (!git_oid_is_zero(&commits->seen[at]))
        return 1;
    commits->seen[at] = *id;
    commits->seen_count++;
    return 0;
}

/* The seconds in "Name <email> 1700000000 +0100". */
static int64_t time_of(const char *line, size_t length)
{
    const char *end = memrchr(line, '>', length);
    char digits[24] = "";
    if (!end)
        return 0;
    size_t left = length - (size_t)(end + 1 - line);
    memcpy(digits, end + 1, left < sizeof digits - 1 ? left : sizeof digits - 1);
    return strtoll(digits, NULL, 10);
}

/* The lines in front of a commit's message. */
static int read_head(struct waiting *waiting, const char *at, size_t size)
{
    const char *end = at + size;
    uint32_t capacity = 0;
    while (at < end && *at != '\n') {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((line_end ? line_end : end) - at);
        if (length == 47 && strncmp(at, "parent ", 7) == 0) {
            if (waiting->parent_count == capacity) {
                capacity = capacity ? 2 * capacity : 2;
                git_oid *parents = reallocarray(waiting->parents, capacity, sizeof *parents);
                if (!parents)
                    return -1;
                waiting->parents = parents;
            }
            if (git_oid_fromstrn(&waiting->parents[waiting->parent_count], at + 7, 40) != 0)
                return -1;
            waiting->parent_count++;
        } else if (length > 7 && strncmp(at, "author ", 7) == 0 && !waiting->author) {
            size_t kept = length - 7 < AUTHOR_BYTES ? length - 7 : AUTHOR_BYTES;
            waiting->author = strndup(at + 7, kept);
        } else if (length > 10 && strncmp(at, "committer ", 10) == 0) {
            waiting->time_s = time_of(at + 10, length - 10);
        }
        at += length + 1;
    }
    return 0;
}

/* Reads a commit and lets it wait, where it hasn't done so before. */
static int add(struct commits *commits, const git_oid *id)
{
    struct waiting waiting = {.id = *id};
    git_odb_object *object = NULL;
    int seen = see(commits, id);
    if (seen != 0)
        return seen < 0 ? -1 : 0;
    if (git_odb_read(&object, commits->odb, id) != 0)
        return -1;
    size_t size = git_odb_object_size(object);
    int failed = git_odb_object_type(object) != GIT_OBJECT_COMMIT
                     ? -1
                     : read_head(&waiting, git_odb_object_data(object), size < COMMIT_BYTES ? size : COMMIT_BYTES);
    git_odb_object_free(object);
    failed = failed ? failed : push(commits, &waiting);
    if (failed)
        clear(&waiting);
    return failed;
}

struct commits *commits_new(git_repository *repository, const git_oid *from)
{
    struct commits *commits = calloc(1, sizeof *commits);
    if (commits && git_repository_odb(&commits->odb, repository) == 0 && add(commits, from) == 0)
        return commits;
    return commits_free(commits);
}

struct commits *commits_free(struct commits *commits)
{
    if (!commits)
        return NULL;
    for (size_t i = 0; i < commits->count; i++)
        clear(&commits->heap[i]);
    clear(&commits->current);
    free(commits->heap);
    free(commits->seen);
    git_odb_free(commits->odb);
    free(commits);
    return NULL;
}

int commits_next(struct commits *commits, struct commit *commit)
{
    /* The parents of the one before: what can't be read ends the walk behind it. */
    for (uint32_t i = 0; i < commits->current.parent_count; i++)
        if (add(commits, &commits->current.parents[i]) != 0)
            return -1;
    clear(&commits->current);
    if (commits->count == 0)
        return 1;
    commits->current = pop(commits);
    const struct waiting *current = &commits->current;
    *commit = (struct commit){
        .id = current->id,
        .time_s = current->time_s,
        .author = current->author ? current->author : "",
        .root = current->parent_count == 0,
    };
    return 0;
}
