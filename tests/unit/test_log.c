/* What the log writes, where it may be read by a machine, a terminal or systemd's journal. */
#include "support.h"

#include "base/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What write() puts on standard error, which is a file meanwhile. journal: it is systemd's. */
static const char *capture(void (*write_lines)(void), bool json, bool journal)
{
    char path[] = "/tmp/exportd-log-XXXXXX", stream[64];
    static char text[20000];
    struct stat status;
    int fd = mkstemp(path), before = dup(STDERR_FILENO);
    assert_true(fd >= 0 && before >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino + (journal ? 0 : 1));
    setenv("JOURNAL_STREAM", stream, 1);
    dup2(fd, STDERR_FILENO);
    log_setup(LOG_LEVEL_INFO, json);
    write_lines();
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    close(fd);
    unlink(path);
    unsetenv("JOURNAL_STREAM");
    return text;
}

static void about_a_job(void)
{
    log_attempt(LOG_LEVEL_WARNING, "dispatch", "job-1", 3, "broke\nout \033[31m of \"%s\"", "it");
    log_write(LOG_LEVEL_INFO, "http", NULL, "a line");
    log_write(LOG_LEVEL_DEBUG, "http", NULL, "not wanted");
    log_attempt(LOG_LEVEL_ERROR, "noop", NULL, 0, "of no job");
}

static void text_has_a_time_a_level_the_job_and_its_attempt(void **state)
{
    (void)state;
    const char *text = capture(about_a_job, false, false);
    assert_non_null(strstr(text, "Z warning dispatch: broke out  [31m of \"it\" [job job-1, attempt 3]\n"));
    assert_non_null(strstr(text, "Z info    http: a line\n"));
    assert_non_null(strstr(text, "Z error   noop: of no job\n"));
    assert_null(strstr(text, "not wanted"));
}

static void the_journal_gets_priorities_and_no_time(void **state)
{
    (void)state;
    assert_string_equal(capture(about_a_job, false, true),
                        "<4>dispatch: broke out  [31m of \"it\" [job job-1, attempt 3]\n<6>http: a line\n"
                        "<3>noop: of no job\n");
}

static void json_has_a_member_for_each(void **state)
{
    (void)state;
    const char *text = capture(about_a_job, true, true);
    json_t *line = json_loads(text, JSON_DISABLE_EOF_CHECK, NULL);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "warning");
    assert_string_equal(json_string_value(json_object_get(line, "part")), "dispatch");
    assert_string_equal(json_string_value(json_object_get(line, "job")), "job-1");
    assert_int_equal((int)json_integer_value(json_object_get(line, "attempt")), 3);
    assert_string_equal(json_string_value(json_object_get(line, "message")), "broke\nout \033[31m of \"it\"");
    json_decref(line);
    line = json_loads(strchr(text, '\n'), JSON_DISABLE_EOF_CHECK, NULL);
    assert_null(json_object_get(line, "job"));
    assert_null(json_object_get(line, "attempt"));
    json_decref(line);
}

static void in_parts(void)
{
    char *parts[] = {(char *)"nats:debug", (char *)"http:error"};
    log_set_parts(parts, 2);
    log_write(LOG_LEVEL_DEBUG, "nats", NULL, "one");
    log_write(LOG_LEVEL_WARNING, "http", NULL, "two");
    log_write(LOG_LEVEL_ERROR, "http", NULL, "three");
    log_write(LOG_LEVEL_DEBUG, "store", NULL, "four");
    log_write(LOG_LEVEL_INFO, "store", NULL, "five");
}

static void parts_have_levels_of_their_own(void **state)
{
    (void)state;
    assert_string_equal(capture(in_parts, false, true), "<7>nats: one\n<3>http: three\n<6>store: five\n");
    assert_string_equal(capture(about_a_job, false, true) + strlen("<4>dispatch: broke out  [31m of \"it\" [job "
                                                                   "job-1, attempt 3]\n"),
                        "<6>http: a line\n<3>noop: of no job\n"); /* a new setup forgets them */
}

static void a_part_is_a_name_and_a_level(void **state)
{
    (void)state;
    assert_true(log_part_is_good("export-pdf:debug"));
    static const char *const bad[] = {
        "", "nats", ":debug", "nats:", "nats:loud", "nats:debug ", "nats : debug", "nats=debug"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(log_part_is_good(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_has_a_time_a_level_the_job_and_its_attempt),
        cmocka_unit_test(the_journal_gets_priorities_and_no_time),
        cmocka_unit_test(json_has_a_member_for_each),
        cmocka_unit_test(parts_have_levels_of_their_own),
        cmocka_unit_test(a_part_is_a_name_and_a_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
