/* The kit's archives: same bundle, same bytes, and what a reader finds in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <exportd/kit/archive.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TIME_S 1795289485

struct place {
    char folder[64];
    char path[128];
};

static void open_place(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/test_kit_archive.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/a", place->folder);
}

static void close_place(struct place *place)
{
    unlink(place->path);
    assert_int_equal(rmdir(place->folder), 0);
}

static struct exportd_bundle *make_bundle(const char *const *paths, size_t count)
{
    struct exportd_kit_error error;
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(exportd_bundle_add(bundle, paths[i], strdup(paths[i]), strlen(paths[i]), 0, &error), 0);
    assert_int_equal(exportd_bundle_finish(bundle, &error), 0);
    return bundle;
}

static char *read_file(const char *path, size_t *size)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &info), 0);
    char *content = malloc((size_t)info.st_size + 1);
    *size = fread(content, 1, (size_t)info.st_size, file);
    fclose(file);
    return content;
}

static char *write_to(struct place *place, const struct exportd_bundle *bundle, enum exportd_archive_format format,
                      size_t *size)
{
    struct exportd_kit_error error = {0};
    struct exportd_archive_options options = {.format = format, .top = "top", .time_s = TIME_S};
    unlink(place->path);
    if (exportd_archive_write(bundle, &options, place->path, &error) < 0)
        fail_msg("%s", error.message);
    return read_file(place->path, size);
}

static void the_same_bundle_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const forward[] = {"b/c", "a", "検索/🔎.js", "d.sh"};
    static const char *const backward[] = {"d.sh", "検索/🔎.js", "a", "b/c"};
    struct exportd_bundle *one = make_bundle(forward, 4);
    struct exportd_bundle *two = make_bundle(backward, 4);
    struct place place;
    open_place(&place);
    for (int format = EXPORTD_ARCHIVE_TAR_GZ; format <= EXPORTD_ARCHIVE_TAR_ZST; format++) {
        size_t size[2];
        char *first = write_to(&place, one, (enum exportd_archive_format)format, &size[0]);
        setlocale(LC_ALL, "C.UTF-8");
        umask(077);
        char *second = write_to(&place, two, (enum exportd_archive_format)format, &size[1]);
        umask(022);
        setlocale(LC_ALL, "C");
        assert_int_equal(size[0], size[1]);
        assert_memory_equal(first, second, size[0]);
        if (format == EXPORTD_ARCHIVE_TAR_GZ)
            assert_memory_equal(first + 4, "\0\0\0\0", 4); /* gzip's time */
        free(first);
        free(second);
    }
    close_place(&place);
    exportd_bundle_free(one);
    exportd_bundle_free(two);
}

static void a_reader_finds_folders_files_modes_and_times(void **state)
{
    (void)state;
    static const char *const paths[] = {"b/c/d.js", "b/c/e.js", "a", "b-x", "検索/🔎.js", "#!run"};
    static const char *const expected[] = {"top/",     "top/#!run",    "top/a",        "top/b-x",   "top/b/",
                                           "top/b/c/", "top/b/c/d.js", "top/b/c/e.js", "top/検索/", "top/検索/🔎.js"};
    struct exportd_bundle *bundle = make_bundle(paths, 6);
    struct place place;
    size_t size;
    open_place(&place);
    setlocale(LC_ALL, "C.UTF-8");
    for (int format = EXPORTD_ARCHIVE_TAR_GZ; format <= EXPORTD_ARCHIVE_TAR_ZST; format++) {
        struct archive_entry *entry;
        size_t count = 0;
        free(write_to(&place, bundle, (enum exportd_archive_format)format, &size));
        struct archive *reader = archive_read_new();
        archive_read_support_format_tar(reader);
        archive_read_support_filter_all(reader);
        assert_int_equal(archive_read_open_filename(reader, place.path, 65536), ARCHIVE_OK);
        while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
            const char *path = archive_entry_pathname(entry);
            int folder = archive_entry_filetype(entry) == AE_IFDIR;
            char content[64];
            assert_true(count < sizeof expected / sizeof *expected);
            assert_string_equal(path, expected[count++]);
            assert_int_equal(archive_entry_perm(entry), folder || strstr(path, "#!") ? 0755 : 0644);
            assert_int_equal(archive_entry_mtime(entry), TIME_S);
            assert_int_equal(archive_entry_uid(entry), 0);
            assert_int_equal(archive_entry_gid(entry), 0);
            if (!folder) {
                assert_int_equal(archive_read_data(reader, content, sizeof content), strlen(path + 4));
                assert_memory_equal(content, path + 4, strlen(path + 4));
            }
        }
        assert_int_equal(count, sizeof expected / sizeof *expected);
        archive_read_free(reader);
    }
    setlocale(LC_ALL, "C");
    close_place(&place);
    exportd_bundle_free(bundle);
}

static void a_long_path_comes_back_whole(void **state)
{
    (void)state;
    char path[900];
    memset(path, 'x', sizeof path);
    for (size_t i = 200; i < sizeof path; i += 200)
        path[i] = '/';
    path[sizeof path - 1] = '\0';
    const char *const paths[] = {path};
    struct exportd_bundle *bundle = make_bundle(paths, 1);
    struct place place;
    struct archive_entry *entry;
    char last[2048] = "";
    size_t size;
    open_place(&place);
    free(write_to(&place, bundle, EXPORTD_ARCHIVE_TAR_GZ, &size));
    struct archive *reader = archive_read_new();
    archive_read_support_format_tar(reader);
    archive_read_support_filter_all(reader);
    assert_int_equal(archive_read_open_filename(reader, place.path, 65536), ARCHIVE_OK);
    while (archive_read_next_header(reader, &entry) == ARCHIVE_OK)
        snprintf(last, sizeof last, "%s", archive_entry_pathname(entry));
    assert_string_equal(last + strlen("top/"), path);
    archive_read_free(reader);
    close_place(&place);
    exportd_bundle_free(bundle);
}

static int stop_at_once(void *context, size_t done, size_t all)
{
    (void)done;
    (void)all;
    ++*(int *)context;
    return 1;
}

static void a_cancelled_archive_leaves_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {"a"};
    struct exportd_bundle *bundle = make_bundle(paths, 1);
    struct exportd_kit_error error = {0};
    int calls = 0;
    struct exportd_archive_options options = {.top = "top", .step = stop_at_once, .context = &calls};
    struct place place;
    open_place(&place);
    assert_int_equal(exportd_archive_write(bundle, &options, place.path, &error), -1);
    assert_string_equal(error.code, "cancelled");
    assert_int_equal(calls, 1);
    assert_int_equal(access(place.path, F_OK), -1);
    close_place(&place);
    exportd_bundle_free(bundle);
}

static void an_existing_file_or_link_is_never_written_to(void **state)
{
    (void)state;
    static const char *const paths[] = {"a"};
    struct exportd_bundle *bundle = make_bundle(paths, 1);
    struct exportd_kit_error error = {0};
    struct exportd_archive_options options = {.top = "top"};
    struct place place;
    open_place(&place);
    assert_int_equal(symlink("/tmp/nowhere-of-test_kit_archive", place.path), 0);
    assert_int_equal(exportd_archive_write(bundle, &options, place.path, &error), -1);
    assert_string_equal(error.code, "archive_failed");
    close_place(&place);
    exportd_bundle_free(bundle);
}

static void a_level_that_is_none_is_an_error(void **state)
{
    (void)state;
    static const char *const paths[] = {"a"};
    struct exportd_bundle *bundle = make_bundle(paths, 1);
    struct exportd_kit_error error = {0};
    struct exportd_archive_options options = {.top = "top", .level = 99};
    struct place place;
    open_place(&place);
    assert_int_equal(exportd_archive_write(bundle, &options, place.path, &error), -1); /* no such level */
    assert_string_equal(error.code, "archive_failed");
    assert_int_equal(access(place.path, F_OK), -1);
    close_place(&place);
    exportd_bundle_free(bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bundle_gives_the_same_bytes),
        cmocka_unit_test(a_reader_finds_folders_files_modes_and_times),
        cmocka_unit_test(a_long_path_comes_back_whole),
        cmocka_unit_test(a_cancelled_archive_leaves_nothing),
        cmocka_unit_test(an_existing_file_or_link_is_never_written_to),
        cmocka_unit_test(a_level_that_is_none_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
