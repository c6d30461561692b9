/* repo-enrich: what is read out of readmes, and the document that it all ends up in. */
#include "repo-enrich/document.h"
#include "repo-enrich/readme.h"
#include "repo-enrich/rst.h"
#include "repo-enrich/value.h"

#include "support.h"

#include <string.h>

static void expect_readme(const char *path, const char *text, const char *title, const char *summary)
{
    json_t *readme = readme_read(path, text, strlen(text), strlen(text), 60);
    const char *found[] = {json_string_value(json_object_get(readme, "title")),
                           json_string_value(json_object_get(readme, "summary"))};
    const char *wanted[] = {title, summary};
    for (size_t i = 0; i < 2; i++)
        if ((found[i] == NULL) != (wanted[i] == NULL) || (found[i] && strcmp(found[i], wanted[i]) != 0))
            fail_msg("%s: %s", text, found[i] ? found[i] : "null");
    json_decref(readme);
}

static void a_readme_is_its_title_and_first_real_paragraph(void **state)
{
    (void)state;
    expect_readme("README.md",
                  "# A *tool*\n\n[![b](x)](y) ![c](z)\n\n<!-- no -->\n\nIt does `this` and\n[that](x).\n", "A tool",
                  "It does this and that.");
    expect_readme("README.md",
                  "<h1 align=\"center\">\n  <img src=x> Tool\n</h1>\n<p align=center><a href=x>Docs</a> | "
                  "<a href=y>Site</a></p>\n<p align=\"center\">Does &amp; <b>says</b> something.</p>\n",
                  "Tool", "Does & says something.");
    expect_readme("README.md", "Just words that say something here.\n\n## Part\n", NULL,
                  "Just words that say something here.");
    expect_readme("README.md", "Setext title\n===\n\n- a list\n\n    code\n", "Setext title", NULL);
    expect_readme("README.md",
                  "# T\n\n0123456789 abcdefghij 0123456789 abcdefghij 0123456789 \xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4",
                  "T", "0123456789 abcdefghij 0123456789 abcdefghij 0123456789 \xc3\xa4\xc3\xa4\xe2\x80\xa6");
    expect_readme("README.md", "# \x1b[31mred\xe2\x80\xae\xff\n", "[31mred\xef\xbf\xbd", NULL);
    expect_readme("README.rst",
                  "=====\nTitle\n=====\n\n.. image:: x\n   :target: y\n\nWhat it is\nand does.\n\nMore.\n", "Title",
                  "What it is and does.");
    expect_readme("README.rst",
                  "Jansson README\n==============\n\nJansson_ is a C_ library for `encoding and\ndecoding "
                  "<https://example.org/a>`__ JSON.\n\n.. _C: x\n",
                  "Jansson README", "Jansson is a C library for encoding and decoding JSON.");
    expect_readme("README.rst", "``tool``\n========\n\n**Tool** reads many words.\n", "tool",
                  "Tool reads many words.");
    expect_readme("README.adoc", "= Title\n:toc:\n\nWhat it is and does.\n", "Title", "What it is and does.");
    expect_readme("README.md",
                  "# T\n\nURL <https://example.org/somewhere>\n\nCopyright 2000 by Somebody\n\nIt makes documents.\n",
                  "T", "It makes documents.");
    expect_readme("README", "", NULL, NULL);
    assert_true(readme_rank("README.md") < readme_rank("README.rst"));
    assert_true(readme_rank(".github/README.md") < readme_rank("README.md"));
    assert_int_equal(readme_rank("src/README.md"), 0);
    assert_int_equal(readme_rank("README.js"), 0);
}

static void marks_in_restructured_text_are_left_out(void **state)
{
    static const char *const cases[][2] = {
        {"a ``b_ *c*`` d", "a b_ *c* d"},
        {"**a b** and *c*", "a b and c"},
        {"2 * 3 * 4, a*b*c", "2 * 3 * 4, a*b*c"},
        {"`a b`_ `c <d>`_ `<e>`__ `f`", "a b c e f"},
        {":doc:`a <b>` :py:func:`~x.y`.", "a x.y."},
        {"it is: so, 12:30: `x`", "it is: so, 12:30: x"},
        {"word_, snake_case __init__ a_b_ x__.", "word, snake_case __init__ a_b x."},
        {"\\*a\\* b\\ c", "*a* bc"},
        {"`a **b ``c", "`a **b ``c"},
        {"_ __ ` * ** `` : :: :a:", "_ __ ` * ** `` : :: :a:"},
        {"ends with \\", "ends with \\"},
        {"", ""},
    };
    static const char *const seeds[] = {"`", "*x ", ":a", "_", "a_", "`<", "\\"};
    char *large = calloc(1, README_BYTES + 1);
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *plain = rst_plain(cases[i][0]);
        assert_string_equal(plain, cases[i][1]);
        free(plain);
    }
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        for (size_t at = 0; at < README_BYTES; at++)
            large[at] = seeds[i][at % strlen(seeds[i])];
        char *plain = rst_plain(large);
        assert_in_range(strlen(plain), 1, README_BYTES);
        free(plain);
    }
    free(large);
}

static void text_from_outside_is_one_harmless_line(void **state)
{
    static const char *const cases[][2] = {
        {"  a \t\n b\r\n", "a b"},
        {"\x1b]0;x\x07y", "]0;xy"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\xe2\x80\xae"
         "b",
         "ab"},
        {"0123456789\xc3\xa4\xc3\xa4", "0123456789\xe2\x80\xa6"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *value = value_text(cases[i][0], strlen(cases[i][0]), 11);
        assert_string_equal(json_string_value(value), cases[i][1]);
        json_decref(value);
    }
    json_t *value = value_text("a\0b", 3, 10);
    assert_string_equal(json_string_value(value), "a b");
    json_decref(value);
    assert_true(json_is_null(value_string(" \n", 10)));
}

static void a_document_that_is_too_large_is_cut_and_says_so(void **state)
{
    json_t *document = json_pack("{s:s, s:[]}", "schema", DOCUMENT_SCHEMA, "manifests");
    (void)state;
    for (int i = 0; i < 150; i++) {
        json_t *one = json_pack("{s:s, s:b, s:[]}", "file", "package.json", "truncated", 0, "dependencies");
        for (int k = 0; k < 150; k++)
            json_array_append_new(json_object_get(one, "dependencies"), json_string("a dependency of some length"));
        json_array_append_new(json_object_get(document, "manifests"), one);
    }
    json_t *whole = json_deep_copy(document);
    json_t *same = document_trim(document, 10 << 20);
    assert_true(same == document);
    json_decref(same);
    for (size_t limit = 400000; limit >= 100; limit /= 8) {
        json_t *cut = document_trim(document, limit);
        assert_true(json_dumpb(cut, NULL, 0, JSON_COMPACT) <= limit);
        assert_true(json_is_true(json_object_get(cut, "trimmed")));
        json_t *first = json_array_get(json_object_get(cut, "manifests"), 0);
        assert_true(!first || json_is_true(json_object_get(first, "truncated")));
        json_decref(cut);
    }
    assert_true(json_equal(document, whole));
    json_decref(whole);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_readme_is_its_title_and_first_real_paragraph),
        cmocka_unit_test(marks_in_restructured_text_are_left_out),
        cmocka_unit_test(text_from_outside_is_one_harmless_line),
        cmocka_unit_test(a_document_that_is_too_large_is_cut_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
