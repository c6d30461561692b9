/* repo-template: placeholders among other people's braces, the ways to write a name, and patterns of paths. */
#include "repo-template/fill.c"
#include "repo-template/values.c"

#include "support.h"

/* What text becomes where name is "My app". What has no value is behind a "!". */
static void check(const char *text, const char *expected)
{
    struct exportd_kit_error error = {0};
    struct values values = {.known = json_pack("{s:s, s:s}", "name", "My app", "a_b-1", "x")};
    json_t *unknown = json_array();
    char *filled = NULL, result[1000];
    if (fill_text(text, strlen(text), &values, "file", &filled, NULL, unknown, &error) != 0)
        snprintf(result, sizeof result, "%s", error.code);
    else
        snprintf(result, sizeof result, "%s", filled);
    for (size_t i = 0; i < json_array_size(unknown); i++)
        snprintf(result + strlen(result), sizeof result - strlen(result), "!%s",
                 json_string_value(json_array_get(unknown, i)));
    assert_string_equal(result, expected);
    free(filled);
    json_decref(unknown);
    json_decref(values.known);
}

static void a_placeholder_is_filled_and_all_else_stays(void **state)
{
    static const char *const same[] = {
        "",
        "{{",
        "}}",
        "{{}}",
        "{{ }}",
        "${{ name }}",
        "{{{name}}}",
        "{{#if name}}",
        "{{/if}}",
        "{{a.b}}",
        "{{f(x)}}",
        "{{1a}}",
        "{{name\n}}",
        "{{name",
        "{{name}",
        "{{\"name\"}}",
        "{{-name}}",
        "{{name }",
        "{{ name + 1 }}",
        "{{! name}}",
        "{ {name} }",
        "{{name|",
        "{{name|upper",
        "{{{{name}}}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        check(same[i], same[i]);
    check("{{name}}", "My app");
    check("a{{ name }}b{{name}}", "aMy appbMy app");
    check("{{name|upper}} {{ name | slug }} {{name|cut:2}}", "MY APP my-app My");
    check("{{a_b-1}}", "x");
    check("\\{{name}} \\{{other}}", "{{name}} {{other}}");
    check("{{name}}}", "{{name}}}");
    check("\xc3\xa4{{name}}\xc3\xb6", "\xc3\xa4My app\xc3\xb6");
}

static void what_has_no_value_is_named_with_its_line(void **state)
{
    (void)state;
    check("a\nb {{one}}\n\n{{two|upper}}{{name}}", "a\nb {{one}}\n\n{{two|upper}}My app!one (file:2)!two (file:4)");
    check("{{name|rot13}}", "template_invalid");
}

static void a_name_is_written_in_every_way(void **state)
{
    static const struct {
        const char *name, *camel, *snake;
    } cases[] = {
        {"My app", "myApp", "my_app"},
        {"myApp2", "myApp2", "my_app2"},
        {"HTTPServer error", "httpServerError", "http_server_error"},
        {"--a--b--", "aB", "a_b"},
        {"", "", ""},
        {"\xc3\x9c"
         "ber app",
         "\xc3\x9c"
         "berApp",
         "\xc3\x9c"
         "ber_app"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *camel = join_words(cases[i].name, "camel"), *snake = join_words(cases[i].name, "snake");
        assert_string_equal(camel, cases[i].camel);
        assert_string_equal(snake, cases[i].snake);
        free(camel);
        free(snake);
    }
}

static void patterns_are_those_that_people_know(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool matches;
    } cases[] = {
        {"*.tmp", "a.tmp", true},
        {"*.tmp", "x/y/a.tmp", true},
        {"*.tmp", "a.tmp.c", false},
        {"docs/", "docs/a/b.md", true},
        {"docs/", "x/docs/a.md", true},
        {"docs/", "docs", false},
        {"docs/*", "docs/a.md", true},
        {"docs/*", "docs/a/b.md", true},
        {"docs/*.md", "docs/a/b.md", false},
        {"docs/**.md", "docs/a/b.md", true},
        {"a.txt", "b/a.txt", true},
        {"b/a.txt", "c/b/a.txt", false},
        {"?.c", "a.c", true},
        {"[ab].c", "c.c", false},
        {"", "a", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (values_match(cases[i].pattern, cases[i].path) != cases[i].matches)
            fail_msg("%s, %s", cases[i].pattern, cases[i].path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_placeholder_is_filled_and_all_else_stays),
        cmocka_unit_test(what_has_no_value_is_named_with_its_line),
        cmocka_unit_test(a_name_is_written_in_every_way),
        cmocka_unit_test(patterns_are_those_that_people_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
