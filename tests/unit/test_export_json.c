/* export-json, run as a host would. */
#include "test_export_support.h"

/* The text of the report (free it). */
static char *run_good(struct exportd_harness *fake, json_t *repro, const char *options)
{
    json_t *result;
    size_t size;
    if (fake_run(fake, repro, options, &result) != EXPORTD_OK)
        fail_msg("%s: %s", fake->fail_code, fake->fail_message);
    json_decref(result);
    assert_true(fake->fraction >= 1);
    char *text = support_read_file(artifact_text(fake, json_array_size(fake->artifacts) - 1, "path"), &size);
    assert_true(size > 1 && text[size - 1] == '\n');
    return text;
}

static json_t *report_of(struct exportd_harness *fake, json_t *repro, const char *options)
{
    char *text = run_good(fake, repro, options);
    json_t *report = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(report);
    free(text);
    return report;
}

static const json_t *at(const json_t *value, const char *path)
{
    char key[64];
    while (value && *path) {
        size_t length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        value = json_is_array(value) ? json_array_get(value, (size_t)atol(key)) : json_object_get(value, key);
        path += length + (path[length] == '.');
    }
    return value;
}

static void check_keys(const json_t *object, const char *expected)
{
    char keys[1024] = "";
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        strncat(keys, key, sizeof keys - strlen(keys) - 1);
        strncat(keys, " ", sizeof keys - strlen(keys) - 1);
    }
    assert_string_equal(keys, expected);
}

static void a_report_carries_the_whole_repro(void **state)
{
    (void)state;
    static const char *const names[] = {"bootstrap-20184", "search-4711"};
    struct exportd_harness *fake = fake_open("export-json");
    for (size_t i = 0; i < 2; i++) {
        json_t *repro = load_repro(names[i]);
        json_t *report = report_of(fake, json_incref(repro), NULL);
        assert_true(json_equal(repro, at(report, "repro")));
        json_decref(report);
        json_decref(repro);
    }
    assert_string_equal(artifact_text(fake, 0, "name"), "report-4711.json");
    assert_string_equal(artifact_text(fake, 0, "media_type"), "application/json");
    fake_close(fake);
}

static void what_follows_from_the_runs_is_right(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    json_t *report = report_of(fake, load_repro("search-4711"), NULL);
    assert_int_equal(json_integer_value(at(report, "summary.runs.total")), 20);
    assert_int_equal(json_integer_value(at(report, "summary.runs.failed")), 7);
    assert_int_equal(json_integer_value(at(report, "summary.runs.by_status.passed")), 13);
    assert_int_equal(json_integer_value(at(report, "summary.durations_ms.min")), 1211);
    assert_int_equal(json_integer_value(at(report, "summary.durations_ms.max")), 2863);
    assert_true(json_real_value(at(report, "summary.durations_ms.median")) >= 2065.5);
    assert_int_equal(json_integer_value(at(report, "summary.first_failure.index")), 1);
    assert_non_null(strchr(json_string_value(at(report, "summary.first_failure.error")), '\x1b'));
    assert_null(strchr(json_string_value(at(report, "summary.first_failure.error_plain")), '\x1b'));
    assert_string_equal(json_string_value(at(report, "created_at")), "2026-11-21T19:32:08Z");
    assert_string_equal(json_string_value(at(report, "files.0.path")), "package.json");
    assert_int_equal(json_integer_value(at(report, "files.0.bytes")), 179);
    assert_string_equal(json_string_value(at(report, "files.0.sha256")),
                        "9bc908f52b183f5431c7bdf5a644d4d4b14cfc0849c7f280788276492ff8d337");
    json_decref(report);
    report = report_of(fake, json_pack("{s:s, s:s, s:{s:s}}", "id", "1", "title", "t", "test", "code", ""), NULL);
    assert_true(json_is_null(at(report, "summary.durations_ms")));
    assert_true(json_is_null(at(report, "summary.first_failure")));
    assert_true(json_is_null(at(report, "created_at")));
    json_decref(report);
    fake_close(fake);
}

static void the_order_of_keys_is_the_documented_one(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    json_t *one = json_loads(
        "{\"zz\":{\"b\":1,\"a\":[{\"y\":1,\"x\":2}]},\"created_at\":\"2026-01-01\",\"id\":\"1\",\"title\":\"t\","
        "\"aa\":1,\"test\":{\"code\":\"\",\"extra\":1,\"path\":\"a\"},\"bug\":{\"url\":\"u\",\"id\":\"7\"},"
        "\"stability\":{\"score\":0.35}}",
        0, NULL);
    json_t *two = json_loads(
        "{\"aa\":1,\"stability\":{\"score\":0.350},\"bug\":{\"id\":\"7\",\"url\":\"u\"},\"title\":\"t\",\"id\":"
        "\"1\",\"test\":{\"path\":\"a\",\"extra\":1,\"code\":\"\"},\"zz\":{\"a\":[{\"x\":2,\"y\":1}],\"b\":1},"
        "\"created_at\":\"2026-01-01\"}",
        0, NULL);
    char *first = run_good(fake, one, NULL);
    char *second = run_good(fake, two, NULL);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "\"score\": 0.35\n"));
    json_t *report = json_loads(first, 0, NULL);
    check_keys(report, "schema created_at generator sections summary files screenshots repro ");
    check_keys(at(report, "repro"), "id title bug test stability created_at aa zz ");
    check_keys(at(report, "repro.test"), "path code extra ");
    check_keys(at(report, "repro.zz.a.0"), "x y ");
    json_decref(report);
    free(first);
    free(second);
    fake_close(fake);
}

static void sections_can_be_left_out(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    json_t *report =
        report_of(fake, load_repro("bootstrap-20184"), "{\"include\":[\"runs\",\"bug\"],\"pretty\":false}");
    check_keys(at(report, "repro"), "schema id title bug runs created_at ");
    assert_int_equal(json_array_size(at(report, "sections")), 2);
    assert_int_equal(json_integer_value(at(report, "summary.files.count")), 4);
    json_decref(report);
    char *text = run_good(fake, load_repro("bootstrap-20184"), "{\"include\":[],\"pretty\":false}");
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
    fake_close(fake);
}

static void screenshots_are_embedded_beside_or_left_out(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    size_t size;
    json_t *report = report_of(fake, load_repro("bootstrap-20184"), "{\"screenshots\":\"artifact\"}");
    assert_int_equal(json_array_size(fake->artifacts), 3);
    assert_string_equal(artifact_text(fake, 0, "name"), "report-20184-screenshot-1.png");
    assert_string_equal(artifact_text(fake, 0, "media_type"), "image/png");
    assert_string_equal(json_string_value(at(report, "repro.screenshots.0.artifact")),
                        artifact_text(fake, 0, "name"));
    assert_string_equal(json_string_value(at(report, "screenshots.0.artifact")), artifact_text(fake, 0, "name"));
    assert_null(at(report, "repro.screenshots.0.content"));
    char *png = support_read_file(artifact_text(fake, 0, "path"), &size);
    assert_int_equal(size, json_integer_value(at(report, "screenshots.0.bytes")));
    free(png);
    json_decref(report);
    exportd_harness_option(fake, "screenshots", "omit");
    report = report_of(fake, load_repro("bootstrap-20184"), NULL);
    assert_int_equal(json_array_size(fake->artifacts), 1);
    assert_null(at(report, "repro.screenshots.0.content"));
    assert_null(at(report, "repro.screenshots.0.artifact"));
    json_decref(report);
    report = report_of(fake, load_repro("bootstrap-20184"), "{\"screenshots\":\"embed\"}");
    assert_non_null(at(report, "repro.screenshots.0.content"));
    json_decref(report);
    fake_close(fake);
}

static void a_screenshot_that_is_no_picture_is_handed_out_as_bytes(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    json_t *repro = load_repro("bootstrap-20184");
    json_t *screenshot = json_array_get(json_object_get(repro, "screenshots"), 0);
    json_object_set_new(screenshot, "media_type", json_string("text/html"));
    json_decref(report_of(fake, repro, "{\"screenshots\":\"artifact\"}"));
    assert_string_equal(artifact_text(fake, 0, "name"), "report-20184-screenshot-1.bin");
    assert_string_equal(artifact_text(fake, 0, "media_type"), "application/octet-stream");
    fake_close(fake);
}

static void errors_are_exact_unless_plain_is_asked_for(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    char *text = run_good(fake, load_repro("bootstrap-20184"), "{\"include\":[\"runs\"]}");
    assert_non_null(strstr(text, "\\u001b[31m"));
    free(text);
    json_t *report = report_of(fake, load_repro("bootstrap-20184"), "{\"plain_errors\":true}");
    assert_null(strchr(json_string_value(at(report, "repro.runs.0.error")), '\x1b'));
    json_decref(report);
    fake_close(fake);
}

static void a_repro_that_can_not_be_read_is_refused(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-json");
    json_t *result;
    json_t *repro = load_repro("bootstrap-20184");
    json_array_append_new(json_object_get(repro, "files"),
                          json_pack("{s:s, s:s, s:s}", "path", "a\n", "content", "*", "encoding", "base64"));
    assert_int_equal(fake_run(fake, repro, NULL, &result), EXPORTD_FAIL);
    assert_string_equal(fake->fail_code, "repro_invalid");
    assert_non_null(
        strstr(fake->fail_message, "/files/4: the file \"a\\u{A}\" can't be read: its content is not base64"));
    assert_int_equal(fake_run(fake, json_array(), NULL, &result), EXPORTD_FAIL);
    assert_string_equal(fake->fail_code, "repro_invalid");
    fake->cancel_after = 0;
    assert_int_equal(fake_run(fake, load_repro("bootstrap-20184"), NULL, &result), EXPORTD_FAIL);
    assert_string_equal(fake->fail_code, "cancelled");
    fake_close(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_carries_the_whole_repro),
        cmocka_unit_test(what_follows_from_the_runs_is_right),
        cmocka_unit_test(the_order_of_keys_is_the_documented_one),
        cmocka_unit_test(sections_can_be_left_out),
        cmocka_unit_test(screenshots_are_embedded_beside_or_left_out),
        cmocka_unit_test(a_screenshot_that_is_no_picture_is_handed_out_as_bytes),
        cmocka_unit_test(errors_are_exact_unless_plain_is_asked_for),
        cmocka_unit_test(a_repro_that_can_not_be_read_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
