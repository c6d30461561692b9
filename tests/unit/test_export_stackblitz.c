/* export-stackblitz, run as a host would. */
#include "test_export_support.h"

static char *run_good(struct exportd_harness *fake, json_t *repro, const char *options, json_t **result)
{
    size_t size;
    if (fake_run(fake, repro, options, result) != EXPORTD_OK)
        fail_msg("%s: %s", fake->fail_code, fake->fail_message);
    assert_true(fake->fraction >= 1);
    assert_int_equal(json_array_size(fake->artifacts), 1);
    return support_read_file(artifact_text(fake, 0, "path"), &size);
}

static void a_real_repro_becomes_a_page(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-stackblitz");
    json_t *result;
    char *page = run_good(fake, load_repro("bootstrap-20184"), NULL, &result);
    assert_string_equal(artifact_text(fake, 0, "name"), "repro-20184-stackblitz.html");
    assert_string_equal(json_string_value(json_object_get(result, "page")), "repro-20184-stackblitz.html");
    assert_string_equal(json_string_value(json_object_get(result, "opens")),
                        "https://stackblitz.com/run?file=tests%2Fregressions%2F20184.spec.js%2CREADME.md");
    assert_int_equal(json_integer_value(json_object_get(result, "files")), 7);
    assert_non_null(strstr(page, "name=\"project[files][tests/regressions/20184.spec.js]\""));
    assert_non_null(strstr(page, "name=\"project[template]\" value=\"node\""));
    assert_null(strstr(page, "project[dependencies]"));
    free(page);
    json_decref(result);
    fake_close(fake);
}

static void a_page_that_waits_has_no_script(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-stackblitz");
    json_t *result;
    char *page = run_good(fake, load_repro("search-4711"), "{\"opens_itself\":false}", &result);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "script-src"));
    free(page);
    json_decref(result);
    fake_close(fake);
}

static json_t *many_files(int count)
{
    json_t *repro = load_repro("bootstrap-20184");
    for (int i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "many/%d/file-%d.js", i % 100, i);
        json_array_append_new(json_object_get(repro, "files"),
                              json_pack("{s:s, s:s}", "path", path, "content", path));
    }
    return repro;
}

static void a_cancelled_job_ends_without_a_page(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-stackblitz");
    json_t *result;
    for (int calls = 0; calls < 12; calls += 3) {
        fake->cancel_after = calls;
        assert_int_equal(fake_run(fake, many_files(900), NULL, &result), EXPORTD_FAIL);
        assert_string_equal(fake->fail_code, "cancelled");
        assert_int_equal(json_array_size(fake->artifacts), 0);
    }
    fake_close(fake);
}

static void more_than_the_limits_is_refused(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-stackblitz");
    json_t *result;
    assert_int_equal(fake_run(fake, many_files(1000), NULL, &result), EXPORTD_FAIL);
    assert_string_equal(fake->fail_code, "repro_too_large");
    assert_int_equal(json_array_size(fake->artifacts), 0);
    fake_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_repro_becomes_a_page),
        cmocka_unit_test(a_page_that_waits_has_no_script),
        cmocka_unit_test(a_cancelled_job_ends_without_a_page),
        cmocka_unit_test(more_than_the_limits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
