/* export-codesandbox, run as a host would, without a network: what it makes offline, and what it refuses unasked. */
#include "test_export_support.h"

static void run_good(struct exportd_harness *fake, json_t *repro, const char *options, json_t **result)
{
    if (fake_run(fake, repro, options, result) != EXPORTD_OK)
        fail_msg("%s: %s", fake->fail_code, fake->fail_message);
    assert_true(fake->fraction >= 1);
}

static void a_project_that_is_too_large_for_a_link_becomes_a_page(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-codesandbox");
    json_t *result;
    size_t size;
    run_good(fake, load_repro("bootstrap-20184"), "{\"offline\":true}", &result);
    assert_int_equal(json_array_size(fake->artifacts), 1);
    assert_string_equal(artifact_text(fake, 0, "name"), "repro-20184-codesandbox.html");
    assert_true(json_is_null(json_object_get(result, "url")));
    char *page = support_read_file(artifact_text(fake, 0, "path"), &size);
    assert_non_null(strstr(page, "action=\"https://codesandbox.io/api/v1/sandboxes/define\""));
    assert_non_null(strstr(page, "name=\"environment\" value=\"server\""));
    assert_non_null(strstr(page, "form-action https://codesandbox.io;"));
    free(page);
    json_decref(result);
    fake_close(fake);
}

static void a_longer_link_is_allowed_by_conf_d(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-codesandbox");
    json_t *result;
    exportd_harness_option(fake, "max_link", "100000");
    exportd_harness_option(fake, "web", "https://csb.example/");
    run_good(fake, load_repro("search-4711"), "{\"offline\":true}", &result);
    assert_int_equal(json_array_size(fake->artifacts), 0);
    const char *url = json_string_value(json_object_get(result, "url"));
    static const char begin[] = "https://csb.example/api/v1/sandboxes/define?environment=server&parameters=";
    assert_int_equal(strncmp(url, begin, strlen(begin)), 0);
    json_decref(result);
    fake_close(fake);
}

static void check_refused(const char *options, const char *key, const char *value, const char *code)
{
    struct exportd_harness *fake = fake_open("export-codesandbox");
    json_t *result;
    if (key)
        exportd_harness_option(fake, key, value);
    assert_int_equal(fake_run(fake, load_repro("bootstrap-20184"), options, &result), EXPORTD_FAIL);
    assert_string_equal(fake->fail_code, code);
    assert_int_equal(json_array_size(fake->artifacts), 0);
    fake_close(fake);
}

static void what_can_not_be_is_refused(void **state)
{
    (void)state;
    check_refused("{}", "api", "api.codesandbox.io", "option_invalid");
    check_refused("{}", "web", "https://x y", "option_invalid");
    check_refused("{\"offline\":true}", "privacy", "secret", "option_invalid");
    check_refused("{\"offline\":true}", "privacy", "private", "key_missing");
    check_refused("{\"privacy\":\"private\"}", NULL, NULL, "key_missing");
    check_refused("{\"offline\":true}", "max_files", "3", "repro_too_large");
    check_refused("{\"offline\":true}", "max_bytes", "100", "repro_too_large");
    check_refused("{\"offline\":true}", "max_file_bytes", "10", "repro_too_large");
    check_refused("{\"offline\":true,\"image\":\"$(x)\"}", NULL, NULL, "option_invalid");
    check_refused("{\"playwright_version\":\"1.2\"}", NULL, NULL, "playwright_version_unknown");
}

static void a_cancelled_job_ends(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-codesandbox");
    json_t *result;
    fake->cancel_after = 0;
    assert_int_equal(fake_run(fake, load_repro("bootstrap-20184"), "{\"offline\":true}", &result), EXPORTD_FAIL);
    assert_string_equal(fake->fail_code, "cancelled");
    fake_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_project_that_is_too_large_for_a_link_becomes_a_page),
        cmocka_unit_test(a_longer_link_is_allowed_by_conf_d),
        cmocka_unit_test(what_can_not_be_is_refused),
        cmocka_unit_test(a_cancelled_job_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
