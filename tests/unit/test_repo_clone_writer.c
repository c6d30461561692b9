/* repo-clone: files that a thread of their own writes, while others are read. */
#include "repo-clone/checkout.c"
#include "repo-clone/rules.c"
#include "repo-clone/writer.c"

#include "support.h"

#define FILES 700 /* more than wait at once */

static const struct rules_limits limits = {.max_files = 10000, .max_bytes = 1 << 30, .max_file = 1 << 30};

struct fixture {
    char *folder, *top;
    git_repository *repository;
    git_odb *odb;
    json_t *notes;
    struct rules *rules;
    struct checkout *checkout;
    struct writer *writer;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct exportd_kit_error error = {0};
    git_libgit2_init();
    fixture->folder = support_make_folder();
    assert_int_not_equal(asprintf(&fixture->top, "%s/out", fixture->folder), -1);
    assert_int_equal(git_repository_init(&fixture->repository, fixture->folder, 1), 0);
    assert_int_equal(git_repository_odb(&fixture->odb, fixture->repository), 0);
    fixture->notes = json_array();
    fixture->rules = rules_new(&limits, fixture->notes);
    fixture->checkout = checkout_new(fixture->top, fixture->rules, &error);
    assert_non_null(fixture->checkout);
    fixture->writer = writer_start(fixture->checkout, &error);
    assert_non_null(fixture->writer);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    checkout_free(fixture->checkout);
    rules_free(fixture->rules);
    json_decref(fixture->notes);
    git_odb_free(fixture->odb);
    git_repository_free(fixture->repository);
    support_remove_folder(fixture->folder);
    free(fixture->top);
    free(fixture);
    git_libgit2_shutdown();
    return 0;
}

static git_odb_object *object_of(const struct fixture *fixture, const char *text)
{
    git_oid id;
    git_odb_object *object = NULL;
    assert_int_equal(git_odb_write(&id, fixture->odb, text, strlen(text), GIT_OBJECT_BLOB), 0);
    assert_int_equal(git_odb_read(&object, fixture->odb, &id), 0);
    return object;
}

static void every_file_is_there_with_its_bytes_and_mode(void **state)
{
    struct fixture *fixture = *state;
    struct exportd_kit_error error = {0};
    char paths[FILES][40], text[80], path[400];
    struct stat status;
    for (int i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "folder-%d/file-%d", i % 7, i);
        snprintf(text, sizeof text, "the text of file %d", i);
        assert_int_equal(writer_put(fixture->writer, paths[i],
                                    i % 2 ? GIT_FILEMODE_BLOB : GIT_FILEMODE_BLOB_EXECUTABLE,
                                    object_of(fixture, text)),
                         0);
    }
    assert_int_equal(writer_put(fixture->writer, "link", GIT_FILEMODE_LINK, object_of(fixture, "folder-0/file-0")),
                     0);
    assert_int_equal(writer_end(fixture->writer, &error), 0);
    assert_int_equal(checkout_finish(fixture->checkout, &error), 0);
    for (int i = 0; i < FILES; i++) {
        char read_text[80] = "";
        snprintf(path, sizeof path, "%s/%s", fixture->top, paths[i]);
        snprintf(text, sizeof text, "the text of file %d", i);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(read_text, sizeof read_text, file));
        assert_int_equal(fstat(fileno(file), &status), 0);
        fclose(file);
        assert_string_equal(read_text, text);
        assert_int_equal(status.st_mode & 0100, i % 2 ? 0 : 0100);
    }
    snprintf(path, sizeof path, "%s/link", fixture->top);
    assert_int_equal(lstat(path, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
}

static void a_file_that_can_not_be_written_stops_all_and_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct exportd_kit_error error = {0};
    int refused = 0;
    assert_int_equal(writer_put(fixture->writer, "twice", GIT_FILEMODE_BLOB, object_of(fixture, "1")), 0);
    for (int i = 0; i < FILES && !refused; i++)
        refused = writer_put(fixture->writer, "twice", GIT_FILEMODE_BLOB, object_of(fixture, "2"));
    assert_int_equal(refused, -1); /* at the latest when as many wait as may */
    assert_int_equal(writer_end(fixture->writer, &error), -1);
    assert_string_equal(error.code, "workspace_failed");
    assert_non_null(strstr(error.message, "twice"));
}

static void nothing_put_is_nothing_written(void **state)
{
    struct fixture *fixture = *state;
    struct exportd_kit_error error = {0};
    assert_int_equal(writer_end(fixture->writer, &error), 0);
    assert_int_equal(writer_end(NULL, &error), 0);
    assert_int_equal((int)checkout_count(fixture->checkout), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_file_is_there_with_its_bytes_and_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_can_not_be_written_stops_all_and_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_put_is_nothing_written, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
