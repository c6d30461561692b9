/* vectors.h: the file, its form, and finding a word. */
#include "vectors_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP_BYTES ((size_t)16 << 20) /* of the map that stay in memory while it is read */

static uint64_t hash_of(const char *word, size_t length)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)word[i]) * 0x100000001B3u;
    return hash ^ hash >> 31;
}

static const char *text_of(const struct vectors *vectors, size_t rank)
{
    return (vectors->binary ? vectors->map : vectors->texts) + vectors->words[rank].text;
}

static uint32_t *slot_of(const struct vectors *vectors, const char *word, size_t length)
{
    for (size_t i = (size_t)hash_of(word, length) & (vectors->slot_count - 1);;
         i = (i + 1) & (vectors->slot_count - 1)) {
        uint32_t *slot = &vectors->slots[i];
        if (!*slot ||
            (vectors->words[*slot - 1].length == length && memcmp(text_of(vectors, *slot - 1), word, length) == 0))
            return slot;
    }
}

int64_t vectors_find(const struct vectors *vectors, const char *word, size_t length)
{
    return (int64_t)*slot_of(vectors, word, length) - 1;
}

static uint64_t memory_of(const struct vectors *vectors, size_t words)
{
    uint64_t each = sizeof *vectors->words + 2 * 2 * sizeof *vectors->slots +
                    (vectors->binary ? 0 : vectors->dimensions * sizeof(float) + 16);
    return words * each;
}

static int too_large(const struct vectors *vectors, uint64_t wanted, struct exportd_kit_error *error)
{
    return exportd_kit_fail(
        error, "vectors_too_large", 0,
        "the word vectors in %s take some %llu MB of memory, and the worker has not so much; raise "
        "memory in [plugin repo-embed], or take a file of fewer words%s",
        vectors->name, (unsigned long long)(wanted >> 20) + 1,
        vectors->binary ? "" : " or one in word2vec's binary format, which stays on the disk");
}

int vectors_reserve(struct vectors *vectors, struct exportd_kit_error *error)
{
    uint64_t bound = vectors->options->max_memory_bytes;
    if (vectors->count < vectors->room)
        return 0;
    size_t room = vectors->room ? vectors->room + vectors->room / 2 : 4096;
    if ((bound && memory_of(vectors, vectors->count + 1) > bound) || room > UINT32_MAX / 4)
        return too_large(vectors, memory_of(vectors, room), error);
    struct vectors_word *words = realloc(vectors->words, room * sizeof *words);
    if (words)
        vectors->words = words;
    float *numbers =
        vectors->binary || !words ? NULL : realloc(vectors->numbers, room * vectors->dimensions * sizeof *numbers);
    if (numbers)
        vectors->numbers = numbers;
    if (!words || (!vectors->binary && !numbers))
        return too_large(vectors, memory_of(vectors, room), error);
    vectors->room = room;
    return 0;
}

int vectors_step(struct vectors *vectors, size_t offset, struct exportd_kit_error *error)
{
    const struct vectors_options *options = vectors->options;
    if (offset - vectors->dropped > 2 * KEEP_BYTES) {
        madvise((char *)(uintptr_t)vectors->map + vectors->dropped, KEEP_BYTES, MADV_DONTNEED);
        vectors->dropped += KEEP_BYTES;
    }
    if (options->step && options->step(options->context, (double)offset / (double)vectors->size_bytes))
        return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
    return 0;
}

static int index_words(struct vectors *vectors, struct exportd_kit_error *error)
{
    vectors->slot_count = 16;
    while (vectors->slot_count < 2 * vectors->count)
        vectors->slot_count *= 2;
    vectors->slots = calloc(vectors->slot_count, sizeof *vectors->slots);
    if (!vectors->slots)
        return too_large(vectors, memory_of(vectors, vectors->count), error);
    for (size_t rank = 0; rank < vectors->count; rank++) {
        uint32_t *slot = slot_of(vectors, text_of(vectors, rank), vectors->words[rank].length);
        if (!*slot) /* of a word that is there twice, the first */
            *slot = (uint32_t)rank + 1;
        if (vectors->binary && rank % VECTORS_STEP == 0 &&
            vectors_step(vectors, (size_t)vectors->words[rank].text, error) != 0)
            return -1;
    }
    return 0;
}

/* Two whole numbers and nothing else in the first line: how many words, how many dimensions. Returns the line's
 * bytes, or 0 where it is none. */
static size_t read_counts(const struct vectors *vectors, size_t *words, size_t *dimensions)
{
    char line[64], *end;
    const char *newline = memchr(vectors->map, '\n', vectors->size_bytes < 60 ? vectors->size_bytes : 60);
    size_t length = newline ? (size_t)(newline - vectors->map) : 0;
    memcpy(line, vectors->map, length);
    line[length] = '\0';
    if (length == 0 || line[0] < '0' || line[0] > '9')
        return 0;
    *words = strtoull(line, &end, 10);
    if (end == line || *end != ' ' || end[1] < '0' || end[1] > '9')
        return 0;
    char *second = end + 1;
    *dimensions = strtoull(second, &end, 10);
    end += strspn(end, " \r");
    return *end == '\0' ? length + 1 : 0;
}

/* How many numbers end the line that begins at offset, or 0 where a field of it is no number. */
static size_t numbers_in_line(const struct vectors *vectors, size_t offset)
{
    const char *at = vectors->map + offset, *end = vectors->map + vectors->size_bytes;
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t count = 0;
    float number;
    end = newline ? newline : end;
    while (at < end && *at != ' ')
        at++;
    while (at < end && vectors_number(&at, end, &number))
        count++;
    while (at < end && (*at == ' ' || *at == '\r' || *at == '\t'))
        at++;
    return at == end ? count : 0;
}

/* Nonzero where the line at offset is a word with its numbers as text; the word may have blanks in it. */
static bool begins_as_text(const struct vectors *vectors, size_t offset)
{
    const char *begin = vectors->map + offset, *end = vectors->map + vectors->size_bytes;
    const char *newline = memchr(begin, '\n', (size_t)(end - begin)), *line_end = newline ? newline : end;
    float number;
    while (line_end > begin && strchr(" \t\r", line_end[-1]))
        line_end--;
    const char *at = vectors_before_numbers(begin, line_end, vectors->dimensions);
    bool is_text = at > begin;
    for (size_t i = 0; is_text && i < vectors->dimensions; i++)
        is_text = vectors_number(&at, line_end, &number);
    return is_text;
}

static int read_file(struct vectors *vectors, struct exportd_kit_error *error)
{
    size_t words = 0, offset = read_counts(vectors, &words, &vectors->dimensions);
    if (offset == 0)
        vectors->dimensions = numbers_in_line(vectors, 0);
    if (vectors->dimensions < 2 || vectors->dimensions > VECTORS_DIMENSIONS_MAX)
        return exportd_kit_fail(
            error, "vectors_invalid", 0,
            "%s, line 1: this is neither \"<words> <dimensions>\" nor a word with its numbers, with 2 "
            "to %d of them; vectors in [plugin repo-embed] takes word2vec's text or binary format",
            vectors->name, VECTORS_DIMENSIONS_MAX);
    vectors->binary = offset > 0 && !begins_as_text(vectors, offset);
    if (vectors->binary && memchr(vectors->map + offset, '\0', vectors->size_bytes - offset) == NULL &&
        memmem(vectors->map + offset, vectors->size_bytes - offset, "0.", 2))
        return exportd_kit_fail(
            error, "vectors_invalid", 0,
            "%s, line 2: %zu numbers were to come behind the word, by the first line; see that the "
            "file is whole",
            vectors->name, vectors->dimensions);
    if ((vectors->binary ? vectors_read_binary(vectors, offset, words, error)
                         : vectors_read_text(vectors, offset, offset ? 2 : 1, error)) != 0)
        return -1;
    if (vectors->count == 0 || (offset > 0 && vectors->count != words))
        return exportd_kit_fail(error, "vectors_invalid", 0,
                                "%s has %zu words where its first line promises %zu; the file is not whole",
                                vectors->name, vectors->count, words);
    vectors->dropped = 0;
    return index_words(vectors, error);
}

static int map_file(struct vectors *vectors, const char *path, struct exportd_kit_error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), failed = 0;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        failed = exportd_kit_fail(error, "vectors_missing", 0,
                                  "the word vectors %s can't be read: %s; see vectors in [plugin repo-embed]", path,
                                  fd >= 0 ? "it is no file" : strerror(errno));
    } else if (status.st_size < 8) {
        failed = exportd_kit_fail(error, "vectors_invalid", 0, "%s is empty, or nearly so: there are no word vectors",
                                  vectors->name);
    } else {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED) {
            failed = too_large(vectors, (uint64_t)status.st_size / 2, error);
        } else {
            vectors->map = map;
            vectors->size_bytes = (size_t)status.st_size;
            snprintf(vectors->stamp, sizeof vectors->stamp, "%lld %lld.%09ld", (long long)status.st_size,
                     (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
        }
    }
    if (fd >= 0)
        close(fd);
    return failed;
}

struct vectors *vectors_load(const char *path, const struct vectors_options *options, struct exportd_kit_error *error)
{
    struct vectors *vectors = calloc(1, sizeof *vectors);
    const char *slash = strrchr(path, '/');
    if (!vectors || !(vectors->name = strdup(slash ? slash + 1 : path))) {
        exportd_kit_no_memory(error);
        return vectors_free(vectors);
    }
    vectors->options = options;
    if (map_file(vectors, path, error) != 0 || !vectors->map || read_file(vectors, error) != 0)
        return vectors_free(vectors);
    if (vectors->binary) {
        madvise((char *)(uintptr_t)vectors->map, vectors->size_bytes, MADV_DONTNEED);
        madvise((char *)(uintptr_t)vectors->map, vectors->size_bytes, MADV_RANDOM);
    } else {
        munmap((char *)(uintptr_t)vectors->map, vectors->size_bytes);
        vectors->map = NULL;
    }
    vectors->options = NULL;
    return vectors;
}

struct vectors *vectors_free(struct vectors *vectors)
{
    if (vectors) {
        if (vectors->map)
            munmap((char *)(uintptr_t)vectors->map, vectors->size_bytes);
        free(vectors->name);
        free(vectors->words);
        free(vectors->numbers);
        free(vectors->texts);
        free(vectors->slots);
    }
    free(vectors);
    return NULL;
}

size_t vectors_dimensions(const struct vectors *vectors)
{
    return vectors->dimensions;
}

size_t vectors_count(const struct vectors *vectors)
{
    return vectors->count;
}

bool vectors_is_binary(const struct vectors *vectors)
{
    return vectors->binary;
}

const char *vectors_name(const struct vectors *vectors)
{
    return vectors->name;
}

const char *vectors_stamp(const struct vectors *vectors)
{
    return vectors->stamp;
}

void vectors_copy(const struct vectors *vectors, size_t rank, float *vector)
{
    size_t bytes = vectors->dimensions * sizeof *vector;
    if (vectors->binary)
        memcpy(vector, vectors->map + vectors->words[rank].numbers, bytes);
    else
        memcpy(vector, vectors->numbers + rank * vectors->dimensions, bytes);
}
