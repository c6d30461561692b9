/* repo-embed: the cache, an endpoint's answers and what is written out, without a repository. */
#include "support.h"

#include "repo-embed/cache.h"
#include "repo-embed/endpoint_parts.h"
#include "repo-embed/npy.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void key_for(int number, unsigned char key[32])
{
    memset(key, 0, 32);
    memcpy(key, &number, sizeof number);
}

static void put(struct cache *cache, int number, size_t dimensions)
{
    unsigned char key[1][32];
    float vector[64];
    key_for(number, key[0]);
    for (size_t i = 0; i < dimensions; i++)
        vector[i] = (float)number + (float)i;
    cache_put(cache, (const unsigned char(*)[32])key, vector, 1, dimensions);
}

static int has(struct cache *cache, int number)
{
    unsigned char key[32];
    float vector[64];
    key_for(number, key);
    return cache_get(cache, key, vector) && vector[1] == (float)number + 1;
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void the_cache_keeps_what_is_whole(void **state)
{
    char *folder = support_make_folder(), path[300];
    struct exportd_kit_error error = {0};
    struct stat status;
    (void)state;
    struct cache *one = cache_open(folder, ID, 0, &error), *two = cache_open(folder, ID, 8, &error);
    assert_non_null(one);
    assert_non_null(two);
    assert_int_equal(cache_dimensions(one), 0);
    put(one, 1, 8);
    put(two, 2, 8); /* beside, not over */
    put(one, 3, 8);
    assert_true(has(one, 1) && has(two, 2) && has(one, 3) && !has(one, 4));
    cache_close(one, 1 << 20);
    cache_close(two, 1 << 20);
    one = cache_open(folder, ID, 0, &error);
    assert_int_equal(cache_dimensions(one), 8);
    assert_true(has(one, 1) && has(one, 2) && has(one, 3));
    cache_close(one, 1 << 20);
    /* A writer that was killed: half a record at the end, and one with a turned bit. */
    snprintf(path, sizeof path, "%s/" ID ".vectors", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size - 30), 0);
    int fd = open(path, O_RDWR);
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, 32 + 50), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 32 + 50), 1);
    close(fd);
    one = cache_open(folder, ID, 8, &error);
    assert_true(!has(one, 1) && has(one, 2) && !has(one, 3));
    put(one, 4, 8);
    cache_close(one, 1 << 20);
    one = cache_open(folder, ID, 8, &error);
    assert_true(has(one, 2) && has(one, 4) && !has(one, 3));
    cache_close(one, 1 << 20);
    support_remove_folder(folder);
}

static void the_cache_stays_within_its_size(void **state)
{
    char *folder = support_make_folder(), path[300];
    struct exportd_kit_error error = {0};
    struct stat status;
    (void)state;
    static const char other[] = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    struct cache *cache = cache_open(folder, other, 8, &error);
    for (int i = 0; i < 500; i++)
        put(cache, i, 8); /* 72 bytes each */
    cache_close(cache, 1 << 20);
    struct cache *beside = cache_open(folder, ID, 8, &error);
    cache = cache_open(folder, ID, 8, &error);
    for (int i = 0; i < 1000; i++)
        put(cache, i, 8);
    cache_close(cache, 80000);
    snprintf(path, sizeof path, "%s/%s.vectors", folder, other);
    assert_int_equal(stat(path, &status), -1); /* used longest ago */
    snprintf(path, sizeof path, "%s/" ID ".vectors", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 32 + 72000);
    cache_close(cache_open(folder, ID, 8, &error), 20000);
    assert_int_equal(stat(path, &status), 0);
    assert_in_range(status.st_size, 9000, 20000); /* its younger half */
    put(beside, 5000, 8);                         /* it had the file that is gone */
    cache_close(beside, 20000);
    cache = cache_open(folder, ID, 8, &error);
    assert_true(has(cache, 999) && has(cache, 5000) && !has(cache, 0));
    cache_close(cache, 20000);
    support_remove_folder(folder);
}

static void unfinished_files_of_the_cache_go(void **state)
{
    static const char *const names[] = {"one.vectors.new", "two.vectors.new", ID ".vectors.new", "three.new"};
    char *folder = support_make_folder(), path[300];
    struct exportd_kit_error error = {0};
    struct stat status;
    (void)state;
    struct cache *cache = cache_open(folder, ID, 8, &error);
    put(cache, 1, 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        support_write_file(folder, names[i], "unfinished", 10, path, sizeof path);
    support_write_file(folder, "two.vectors", "", 0, path, sizeof path);
    int writer = open(path, O_RDWR); /* of two.vectors.new: it holds the lock */
    assert_int_equal(flock(writer, LOCK_EX), 0);
    cache_close(cache, 1 << 20);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(stat(path, &status), i % 2 ? 0 : -1);
    }
    close(writer);
    /* One's own, while the file is too large. */
    snprintf(path, sizeof path, "%s/" ID ".vectors.new", folder);
    cache = cache_open(folder, ID, 8, &error);
    for (int i = 0; i < 100; i++)
        put(cache, i, 8);
    support_write_file(folder, ID ".vectors.new", "unfinished", 10, path, sizeof path);
    cache_close(cache, 2000);
    assert_int_equal(stat(path, &status), -1);
    support_remove_folder(folder);
}

static int answer_of(const char *body, size_t count, size_t *dimensions, float **vectors)
{
    struct exportd_kit_error error = {0};
    const struct exportd_http_answer answer = {
        .status = 200, .body = (char *)(uintptr_t)body, .body_bytes = strlen(body)};
    int64_t tokens = 0;
    int failed = endpoint_read_vectors(&answer, count, dimensions, vectors, &tokens, &error);
    if (failed)
        assert_string_equal(error.code, "answer_invalid");
    else
        assert_int_equal(tokens, 7);
    return failed;
}

static void answers_are_read_by_their_indexes_and_checked(void **state)
{
    static const char *const refused[] = {
        "",
        "[]",
        "{}",
        "{\"data\":7}",
        "{\"data\":[]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":0,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":2,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":-1,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[1,2,3]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[1,\"2\"]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[1,1e300]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":\"AACAPwAAAEAA\"}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":\"AACAPwAAwH8=\"}]}", /* NaN */
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":\"!!!!!!!!!!!=\"}]}",
    };
    static const char taken[] = "{\"data\":[{\"index\":1,\"embedding\":[3,4.5]},{\"index\":0,\"embedding\":"
                                "\"AACAPwAAAEA=\"}],\"usage\":{\"total_tokens\":7}}";
    const float expected[] = {1, 2, 3, 4.5f};
    float *vectors = NULL;
    size_t dimensions;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dimensions = 0;
        if (answer_of(refused[i], 2, &dimensions, &vectors) == 0)
            fail_msg("taken: %s", refused[i]);
        assert_null(vectors);
    }
    dimensions = 0;
    assert_int_equal(answer_of(taken, 2, &dimensions, &vectors), 0);
    assert_int_equal(dimensions, 2);
    assert_memory_equal(vectors, expected, sizeof expected);
    free(vectors);
    dimensions = 3;
    assert_int_equal(answer_of(taken, 2, &dimensions, &vectors), -1);
}

static void a_refusal_never_repeats_the_key(void **state)
{
    static const int statuses[] = {400, 401, 403, 404, 422, 429, 500};
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct exportd_kit_error error = {0};
        char body[] = "{\"error\":{\"message\":\"the key sk-secret-1 is bad\"}}";
        const struct exportd_http_answer answer = {
            .status = statuses[i], .body = body, .body_bytes = sizeof body - 1};
        assert_int_equal(endpoint_refuse(&answer, "m", "sk-secret-1", &error), -1);
        assert_null(strstr(error.message, "sk-"));
        assert_int_equal(error.retryable, statuses[i] == 429 || statuses[i] == 500);
    }
}

static void a_matrix_of_numpy_has_its_header_and_rows(void **state)
{
    char *folder = support_make_folder(), path[300], header[129] = "";
    const float rows[] = {1, 2, 3, 4, 5, 6};
    float back[3];
    (void)state;
    snprintf(path, sizeof path, "%s/a.npy", folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(npy_write_rows(fd, 1, 1, 3, rows + 3), 0);
    assert_int_equal(npy_write_rows(fd, 0, 1, 3, rows), 0);
    assert_int_equal(npy_write_header(fd, 2, 3), 0);
    assert_int_equal(pread(fd, header, 128, 0), 128);
    assert_memory_equal(header,
                        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 66);
    assert_int_equal(header[127], '\n');
    assert_int_equal(npy_read_rows(fd, 1, 1, 3, back), 0);
    assert_memory_equal(back, rows + 3, sizeof back);
    assert_int_equal(npy_read_rows(fd, 2, 1, 3, back), -1);
    close(fd);
    support_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cache_keeps_what_is_whole),
        cmocka_unit_test(the_cache_stays_within_its_size),
        cmocka_unit_test(unfinished_files_of_the_cache_go),
        cmocka_unit_test(answers_are_read_by_their_indexes_and_checked),
        cmocka_unit_test(a_refusal_never_repeats_the_key),
        cmocka_unit_test(a_matrix_of_numpy_has_its_header_and_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
