/* exportd/kit/page.h, and what of exportd/kit/project.h is about text and commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <exportd/kit/page.h>
#include <exportd/kit/project.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_field(const char *name, const char *value, const char *expected)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    exportd_page_field(out, name, value);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void a_field_holds_any_text(void **state)
{
    (void)state;
    check_field("a", "", "<input type=\"hidden\" name=\"a\" value=\"\">\n");
    check_field("p[<\">]", "\"><script>&amp;\r\n</script>\n\t'",
                "<input type=\"hidden\" name=\"p[&lt;&quot;&gt;]\" "
                "value=\"&quot;&gt;&lt;script&gt;&amp;amp;&#13;\n&lt;/script&gt;\n\t'\">\n");
    check_field("x", "検索 😀", "<input type=\"hidden\" name=\"x\" value=\"検索 😀\">\n");
}

static void an_address_is_one_of_the_web(void **state)
{
    (void)state;
    static const char *const good[] = {"https://stackblitz.com", "https://stackblitz.com/", "http://127.0.0.1:8080",
                                       "http://[::1]:8080/base", "https://proxy.example/to/stackblitz"};
    static const char *const bad[] = {"",
                                      "stackblitz.com",
                                      "ftp://x.example",
                                      "javascript:alert(1)",
                                      "https://",
                                      "https:///path",
                                      "https://a b",
                                      "https://a;b",
                                      "https://a'b",
                                      "https://u:p@x.example",
                                      "https://x.example?q",
                                      "https://x.example/#f",
                                      "https://x.example/a\nb",
                                      " https://x.example"};
    struct exportd_kit_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(exportd_page_check_address("web", good[i], &error), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (exportd_page_check_address("web", bad[i], &error) == 0)
            fail_msg("\"%s\" is taken", bad[i]);
        assert_string_equal(error.code, "option_invalid");
    }
}

static void no_fields(FILE *out, void *context)
{
    (void)out;
    (void)context;
}

static void a_page_that_can_not_be_written_leaves_nothing(void **state)
{
    (void)state;
    json_t *repro = json_pack("{s:s}", "title", "T");
    const struct exportd_project project = {.playwright_version = "1.2.3"};
    struct exportd_page page = {.repro = repro,
                                .project = &project,
                                .service = "X",
                                .action = "https://x.example/run",
                                .lead = "",
                                .fields = no_fields};
    struct exportd_kit_error error = {0};
    char path[] = "/tmp/test_kit_page.XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(exportd_page_write(&page, path, &error), -1); /* it is there already */
    assert_string_equal(error.code, "page_not_written");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(exportd_page_write(&page, path, &error), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(exportd_page_write(&page, "/dev/full", &error), -1);
    json_decref(repro);
}

static void check_title(const char *title, size_t max_bytes, const char *expected)
{
    json_t *repro = json_pack("{s:s}", "title", title);
    char *found = exportd_project_title(repro, max_bytes);
    assert_string_equal(found, expected);
    free(found);
    json_decref(repro);
}

static void a_title_is_one_line(void **state)
{
    (void)state;
    check_title("", 100, "");
    check_title("plain", 100, "plain");
    check_title(" \n two\r\n\twords \xE2\x80\xA8 and \x1b[31mred\x1b[0m ", 100, "two words and red");
    check_title("検索検索", 7, "検索");
    check_title("abc def", 4, "abc");
}

static void check_word(const char *text, const char *expected)
{
    char *word = exportd_project_shell_word(text);
    assert_string_equal(word, expected);
    free(word);
}

static void a_word_stays_one_word_of_the_shell(void **state)
{
    (void)state;
    check_word("tests/a.spec.js", "tests/a.spec.js");
    check_word("", "''");
    check_word("a b", "'a b'");
    check_word("it's $(x) `y` \\", "'it'\\''s $(x) `y` \\'");
    check_word("~", "'~'");
}

static void a_pattern_matches_the_very_path(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"tests/a.spec.js", "tests/a.spec.js"},
                                           {"tests/[id](1)+a.spec.js", "tests/\\[id\\]\\(1\\)\\+a.spec.js"},
                                           {"-x.spec.js", "/-x.spec.js"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *pattern = exportd_project_test_pattern(cases[i][0]);
        assert_string_equal(pattern, cases[i][1]);
        free(pattern);
    }
}

static void text_is_utf8_without_a_nul(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        size_t size;
        int text;
    } cases[] = {
        {"", 0, 1},
        {"a\n", 2, 1},
        {"検索 😀", 11, 1},
        {"\xEF\xBF\xBD", 3, 1},
        {"\xEF\xBB\xBFx", 4, 1},
        {"a\0b", 3, 0},
        {"a\0", 2, 0},
        {"\xFF", 1, 0},
        {"caf\xE9", 4, 0},
        {"\xED\xA0\x80", 3, 0},
        {"\xC0\x80", 2, 0},
        {"\xF4\x90\x80\x80", 4, 0},
        {"\xE6\xA4", 2, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (exportd_project_is_text(cases[i].content, cases[i].size) != cases[i].text)
            fail_msg("case %zu is taken for %s", i, cases[i].text ? "binary" : "text");
}

static void an_image_is_of_the_version_and_harmless(void **state)
{
    (void)state;
    char out[320];
    char small[16];
    struct exportd_kit_error error;
    struct exportd_project_image wanted = {.plugin = "export-x", .registry = "mcr.microsoft.com"};
    assert_int_equal(exportd_project_image_choose("1.65.1", &wanted, out, sizeof out, &error), 0);
    assert_string_equal(out, "mcr.microsoft.com/playwright:v1.65.1-noble");
    assert_int_equal(exportd_project_image_choose("1.65.1", &wanted, small, sizeof small, &error), -1);
    wanted.registry = "x y";
    assert_int_equal(exportd_project_image_choose("1.65.1", &wanted, out, sizeof out, &error), -1);
    assert_non_null(strstr(error.message, "registry in [plugin export-x] is \"x y\""));
    wanted.image = "own.example/pw:v1.64.0-noble";
    assert_int_equal(exportd_project_image_choose("1.65.1", &wanted, out, sizeof out, &error), -1);
    assert_string_equal(error.code, "option_invalid");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_holds_any_text),
        cmocka_unit_test(an_address_is_one_of_the_web),
        cmocka_unit_test(a_page_that_can_not_be_written_leaves_nothing),
        cmocka_unit_test(a_title_is_one_line),
        cmocka_unit_test(a_word_stays_one_word_of_the_shell),
        cmocka_unit_test(a_pattern_matches_the_very_path),
        cmocka_unit_test(text_is_utf8_without_a_nul),
        cmocka_unit_test(an_image_is_of_the_version_and_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
