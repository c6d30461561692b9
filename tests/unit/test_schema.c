#include "support.h"

#include "job/schema.h"

#include <string.h>

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

/* "" where value is as the schema says, else the message. */
static const char *apply(const char *schema_text, const char *value_text)
{
    static struct error error;
    error_clear(&error);
    json_t *schema = parse(schema_text);
    json_t *value = parse(value_text);
    int failed = schema_apply(schema, value, "/data", &error);
    assert_int_equal(failed != 0, error_is_set(&error));
    if (failed)
        assert_string_equal(error.code, "options_invalid");
    json_decref(value);
    json_decref(schema);
    return error.message;
}

static void types_are_held_to(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"{\"type\":\"string\"}", "\"a\""}, {"{\"type\":\"integer\"}", "1"},     {"{\"type\":\"number\"}", "1"},
        {"{\"type\":\"number\"}", "1.5"},   {"{\"type\":\"boolean\"}", "false"}, {"{\"type\":\"null\"}", "null"},
        {"{\"type\":\"array\"}", "[]"},     {"{\"type\":\"object\"}", "{}"},     {"{}", "[1,\"a\"]"},
    };
    static const char *const bad[][2] = {
        {"{\"type\":\"string\"}", "1"},  {"{\"type\":\"integer\"}", "1.5"}, {"{\"type\":\"number\"}", "\"1\""},
        {"{\"type\":\"boolean\"}", "0"}, {"{\"type\":\"array\"}", "{}"},    {"{\"type\":\"object\"}", "[]"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_string_equal(apply(good[i][0], good[i][1]), "");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(strstr(apply(bad[i][0], bad[i][1]), "/data: must be of type"));
}

static void bounds_and_choices_are_held_to(void **state)
{
    (void)state;
    assert_string_equal(apply("{\"minimum\":1,\"maximum\":3}", "3"), "");
    assert_string_equal(apply("{\"minimum\":1}", "0"), "/data: must be at least 1");
    assert_string_equal(apply("{\"maximum\":3}", "4"), "/data: must be at most 3");
    assert_string_equal(apply("{\"maxLength\":2}", "\"öß\""), "");
    assert_string_equal(apply("{\"maxLength\":2}", "\"abc\""), "/data: must be at most 2 characters");
    assert_string_equal(apply("{\"maxItems\":1}", "[1,2]"), "/data: must be at most 1 items");
    assert_string_equal(apply("{\"enum\":[\"A4\",\"Letter\"]}", "\"A5\""),
                        "/data: must be one of [\"A4\",\"Letter\"]");
    assert_string_equal(apply("{\"const\":\"pdf\"}", "\"json\""), "/data: must be \"pdf\"");
    assert_string_equal(apply("{\"items\":{\"type\":\"string\"}}", "[\"a\",1]"), "/data/1: must be of type string");
}

static void unknown_members_are_refused_with_the_nearest(void **state)
{
    (void)state;
    const char *schema = "{\"properties\":{\"page\":{\"type\":\"string\"},\"title\":{}}}";
    assert_string_equal(apply(schema, "{\"page\":\"A4\"}"), "");
    assert_string_equal(apply(schema, "{\"paeg\":\"A4\"}"),
                        "/data/paeg: there is no such option; did you mean \"page\"?");
    assert_non_null(strstr(apply(schema, "{\"zzzzzz\":1}"), "`exportd inspect` lists"));
    assert_string_equal(apply("{\"properties\":{},\"additionalProperties\":true}", "{\"x\":1}"), "");
    assert_string_equal(apply("{\"properties\":{\"a\":{}},\"required\":[\"a\"]}", "{}"), "/data/a: is missing");
}

static void defaults_are_filled_in_and_not_shared(void **state)
{
    (void)state;
    struct error error = {0};
    json_t *schema =
        parse("{\"properties\":{\"page\":{\"type\":\"string\",\"default\":\"A4\"},\"list\":{\"default\":[1]}}}");
    json_t *first = json_object();
    json_t *second = parse("{\"page\":\"Letter\"}");
    assert_int_equal(schema_apply(schema, first, "/data", &error), 0);
    assert_int_equal(schema_apply(schema, second, "/data", &error), 0);
    assert_string_equal(json_string_value(json_object_get(first, "page")), "A4");
    assert_string_equal(json_string_value(json_object_get(second, "page")), "Letter");
    json_array_append_new(json_object_get(first, "list"), json_integer(2));
    assert_int_equal(json_array_size(json_object_get(second, "list")), 1);
    json_decref(first);
    json_decref(second);
    json_decref(schema);
}

static void a_schema_that_says_more_than_is_understood_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",
        "{\"patternProperties\":{}}",
        "{\"type\":\"text\"}",
        "{\"properties\":{\"a\":{\"oneOf\":[]}}}",
        "{\"properties\":{\"a\":{\"type\":\"integer\",\"default\":\"x\"}}}",
        "{\"items\":{\"format\":\"uri\"}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error error = {0};
        json_t *schema = parse(bad[i]);
        assert_int_equal(schema_check(schema, &error), -1);
        assert_string_equal(error.code, "plugin_invalid");
        json_decref(schema);
    }
    struct error error = {0};
    json_t *good = parse("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"enum\":[\"x\"]}"
                         ",\"default\":[\"x\"]}}}");
    assert_int_equal(schema_check(good, &error), 0);
    json_decref(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_held_to),
        cmocka_unit_test(bounds_and_choices_are_held_to),
        cmocka_unit_test(unknown_members_are_refused_with_the_nearest),
        cmocka_unit_test(defaults_are_filled_in_and_not_shared),
        cmocka_unit_test(a_schema_that_says_more_than_is_understood_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
