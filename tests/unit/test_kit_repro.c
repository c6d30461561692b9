/* The kit's repro helpers: shape, accessors, time and content. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <exportd/kit/repro.h>
#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, 0, &error);
    assert_non_null(value);
    return value;
}

static void check_message(const char *repro_text, const char *expected)
{
    char message[256] = "";
    json_t *repro = parse(repro_text);
    assert_int_equal(exportd_repro_check(repro, message, sizeof message), -1);
    assert_string_equal(message, expected);
    json_decref(repro);
}

static void the_smallest_repro_passes(void **state)
{
    (void)state;
    char message[256];
    json_t *repro = parse("{\"id\":\"1\",\"title\":\"t\",\"test\":{\"code\":\"\"},\"bug\":null,\"unknown\":3}");
    assert_int_equal(exportd_repro_check(repro, message, sizeof message), 0);
    json_decref(repro);
}

static void a_missing_or_wrong_field_is_named_by_its_pointer(void **state)
{
    (void)state;
    check_message("[]", "the repro is an array; expected an object of the form exportd.repro/1");
    check_message("{\"title\":\"t\",\"test\":{\"code\":\"\"}}", "/id is missing; expected a non-empty string");
    check_message("{\"id\":\"1\",\"title\":\"\",\"test\":{\"code\":\"\"}}",
                  "/title is an empty string; expected a non-empty string");
    check_message("{\"id\":\"1\",\"title\":\"t\",\"test\":{}}", "/test/code is missing; expected a string");
    check_message("{\"id\":\"1\",\"title\":\"t\"}", "/test is missing; expected an object");
    check_message("{\"id\":\"1\",\"title\":\"t\",\"test\":{\"code\":\"\"},\"steps\":[{},{\"action\":4}]}",
                  "/steps/1/action is a number; expected a string");
    check_message("{\"id\":\"1\",\"title\":\"t\",\"test\":{\"code\":\"\"},\"steps\":[null]}",
                  "/steps/0 is missing; expected an object");
    check_message("{\"id\":\"1\",\"title\":\"t\",\"test\":{\"code\":\"\"},\"files\":[{\"path\":\"a\"}]}",
                  "/files/0/content is missing; expected a string");
    check_message("{\"schema\":\"exportd.repro/2\",\"id\":\"1\",\"title\":\"t\",\"test\":{\"code\":\"\"}}",
                  "/schema is \"exportd.repro/2\"; expected \"exportd.repro/1\"");
}

static void a_path_leads_to_a_string_or_to_what_was_given(void **state)
{
    (void)state;
    json_t *repro = parse("{\"bug\":{\"severity\":\"high\",\"id\":7,\"url\":null},\"runs\":[1],\"title\":\"t\"}");
    assert_string_equal(exportd_repro_string(repro, "bug.severity", "x"), "high");
    assert_string_equal(exportd_repro_string(repro, "title", "x"), "t");
    assert_string_equal(exportd_repro_string(repro, "bug.id", "x"), "x");
    assert_string_equal(exportd_repro_string(repro, "bug.url", "x"), "x");
    assert_string_equal(exportd_repro_string(repro, "bug.none.deeper", "x"), "x");
    assert_null(exportd_repro_string(repro, "none", NULL));
    assert_int_equal(json_array_size(exportd_repro_array(repro, "runs")), 1);
    assert_null(exportd_repro_array(repro, "bug"));
    json_decref(repro);
}

static void check_time(const char *created_at, int64_t expected)
{
    json_t *repro = json_pack("{s:s}", "created_at", created_at);
    assert_int_equal(exportd_repro_time(repro), expected);
    json_decref(repro);
}

static void the_time_is_that_of_the_repro(void **state)
{
    (void)state;
    unsetenv("SOURCE_DATE_EPOCH");
    check_time("2025-04-27T12:34:56.789Z", 1745757296);
    check_time("2025-04-27T12:34:56Z", 1745757296);
    check_time("2025-04-27T14:34:56+02:00", 1745757296);
    check_time("2025-04-27T12:34:56", 1745757296);
    check_time("2025-04-27", 1745712000);
    check_time("yesterday", 0);
    check_time("", 0);
    json_t *none = json_object();
    assert_int_equal(exportd_repro_time(none), 0);
    json_decref(none);
}

static void the_environments_epoch_wins(void **state)
{
    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    check_time("2025-04-27T12:34:56Z", 1700000000);
    setenv("SOURCE_DATE_EPOCH", "soon", 1);
    check_time("2025-04-27T12:34:56Z", 1745757296);
    unsetenv("SOURCE_DATE_EPOCH");
}

static void content_is_decoded_by_its_encoding(void **state)
{
    (void)state;
    size_t size_bytes;
    char message[256];
    json_t *entry = parse("{\"content\":\"aGkAaG8=\",\"encoding\":\"base64\"}");
    char *content = exportd_repro_content(entry, &size_bytes, message, sizeof message);
    assert_non_null(content);
    assert_int_equal(size_bytes, 5);
    assert_memory_equal(content, "hi\0ho", 6);
    free(content);
    json_decref(entry);

    entry = parse("{\"content\":\"plain\"}");
    content = exportd_repro_content(entry, &size_bytes, message, sizeof message);
    assert_int_equal(size_bytes, 5);
    assert_string_equal(content, "plain");
    free(content);
    json_decref(entry);
}

static void content_that_cannot_be_decoded_is_explained(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        const char *expected;
    } cases[] = {
        {"{}", "it has no content; expected a string"},
        {"{\"content\":\"aGk$\",\"encoding\":\"base64\"}",
         "its content is not base64 (character 4 of 4 does not belong)"},
        {"{\"content\":\"x\",\"encoding\":\"rot13\"}", "its encoding is \"rot13\"; expected \"utf-8\" or \"base64\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t size_bytes;
        char message[256] = "";
        json_t *entry = parse(cases[i].entry);
        assert_null(exportd_repro_content(entry, &size_bytes, message, sizeof message));
        assert_string_equal(message, cases[i].expected);
        json_decref(entry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_repro_passes),
        cmocka_unit_test(a_missing_or_wrong_field_is_named_by_its_pointer),
        cmocka_unit_test(a_path_leads_to_a_string_or_to_what_was_given),
        cmocka_unit_test(the_time_is_that_of_the_repro),
        cmocka_unit_test(the_environments_epoch_wins),
        cmocka_unit_test(content_is_decoded_by_its_encoding),
        cmocka_unit_test(content_that_cannot_be_decoded_is_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
