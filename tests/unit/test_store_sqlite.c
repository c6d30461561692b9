/* What is SQLite's alone: the file, its schema, a disk that refuses. */
#include "store_support.h"

#include <sqlite3.h>

static void write_file(const char *folder, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/store.db", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void a_file_that_is_no_store_is_refused(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    char wal[4096];
    snprintf(wal, sizeof wal, "%s/store.db-wal", fixture->folder);
    unlink(wal);
    write_file(
        fixture->folder,
        "this is a letter, and no database; it is long enough to be looked at as one, though, is it not? Yes.\n");
    struct error error = {0};
    struct store_options options = {.folder = fixture->folder, .queue_limit = 10, .create = true};
    assert_null(store_open(&options, &fixture->loop, &error));
    assert_string_equal(error.code, "store_unreadable");
    assert_non_null(strstr(error.message, "store.db"));
}

static void a_newer_schema_is_refused(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    char path[4096];
    snprintf(path, sizeof path, "%s/store.db", fixture->folder);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    struct error error = {0};
    struct store_options options = {.folder = fixture->folder, .queue_limit = 10, .create = true};
    assert_null(store_open(&options, &fixture->loop, &error));
    assert_string_equal(error.code, "store_too_new");
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char *text = calloc(1, 65536);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

static void the_schema_before_is_brought_up_with_all_that_is_in_it(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    char path[4096];
    snprintf(path, sizeof path, "%s/store.db", fixture->folder);
    assert_int_equal(unlink(path), 0);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char source[4096];
    snprintf(source, sizeof source, "%s/tests/data/store-schema-1.sql", getenv("EXPORTD_SOURCE"));
    char *sql = read_text(source);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    free(sql);
    sqlite3_close(db);
    open_store(fixture);
    struct job *job = claim_one(fixture, "noop");
    assert_string_equal(job->id, "waits");
    assert_string_equal(job->data, "{\"x\":1}");
    assert_int_equal(job->door, JOB_DOOR_HTTP);
    assert_true(finish(fixture, job, STORE_FINISH_COMPLETED, job->lease, NULL));
    job_free(job);
    assert_int_equal(state_of(fixture, "over"), JOB_COMPLETED);
    expect_due(fixture, "msg_1");
}

static void a_batch_that_can_not_be_written_fails_whole_and_the_next_goes_on(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    char path[4096];
    snprintf(path, sizeof path, "%s/store.db", fixture->folder);
    sqlite3 *db = NULL;
    /* Someone else's trigger stands in for a disk that refuses. */
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(
        sqlite3_exec(db,
                     "CREATE TRIGGER refuse BEFORE INSERT ON payloads WHEN new.data = '{\"bad\":1}' BEGIN"
                     " SELECT RAISE(ABORT, 'no'); END",
                     NULL, NULL, NULL),
        SQLITE_OK);
    struct job *bad = make_job("bad", "noop");
    free(bad->data);
    bad->data = memory_text("{\"bad\":1}");
    bad->data_length = strlen(bad->data);
    struct store_op *op = store_op_new(STORE_SUBMIT, on_done, fixture);
    op->submit.job = bad;
    fixture->done = NULL;
    store_enqueue(fixture->store, op);
    while (!fixture->done)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    assert_true(error_is_set(&op->error));
    assert_true(op->error.retryable);
    store_op_free(op);
    assert_null(get(fixture, "bad"));
    submit_plain(fixture, "b");
    sqlite3_close(db);
}

int main(void)
{
    unsetenv("EXPORTD_TEST_DATABASE");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_is_no_store_is_refused),
        TEST(a_newer_schema_is_refused),
        TEST(the_schema_before_is_brought_up_with_all_that_is_in_it),
        TEST(a_batch_that_can_not_be_written_fails_whole_and_the_next_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
