/* The kit's bundle: which paths it takes, makes safe and refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <exportd/kit/bundle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add(struct exportd_bundle *bundle, const char *path, const char *content, struct exportd_kit_error *error)
{
    return exportd_bundle_add(bundle, path, strdup(content), strlen(content), 0, error);
}

/* Refused, with a message that has this in it. */
static void check_refused(const char *path, const char *expected)
{
    char out[EXPORTD_BUNDLE_PATH_MAX + 1];
    struct exportd_kit_error error = {0};
    assert_int_equal(exportd_bundle_safe_path(path, out, &error), -1);
    assert_string_equal(error.code, "repro_unsafe");
    if (!strstr(error.message, expected))
        fail_msg("\"%s\" does not say \"%s\"", error.message, expected);
}

static void check_safe(const char *path, const char *expected, int changed)
{
    char out[EXPORTD_BUNDLE_PATH_MAX + 1];
    struct exportd_kit_error error = {0};
    assert_int_equal(exportd_bundle_safe_path(path, out, &error), changed);
    assert_string_equal(out, expected);
}

static void a_plain_path_stays_as_it_is(void **state)
{
    (void)state;
    check_safe("a", "a", 0);
    check_safe("public/index.html", "public/index.html", 0);
    check_safe("src/[id]/…/検索 🔎.ts", "src/[id]/…/検索 🔎.ts", 0);
    check_safe("..a/b..", "..a/b..", 0);
    check_safe("...", "...", 0);
    check_safe(".gitignore", ".gitignore", 0);
}

static void a_harmless_path_is_made_safe(void **state)
{
    (void)state;
    check_safe("./a", "a", 1);
    check_safe("a//b", "a/b", 1);
    check_safe("a/./b", "a/b", 1);
    check_safe("public\\js\\app.js", "public/js/app.js", 1);
}

static void a_path_that_leads_out_is_refused(void **state)
{
    (void)state;
    check_refused("/etc/passwd", "is absolute");
    check_refused("\\\\server\\share", "is absolute");
    check_refused("C:\\Windows\\x", "is absolute");
    check_refused("c:x", "is absolute");
    check_refused("..", "leads out");
    check_refused("../x", "leads out");
    check_refused("a/../../x", "leads out");
    check_refused("a/b/..", "leads out");
    check_refused("a\\..\\..\\x", "leads out");
}

static void a_path_with_odd_characters_is_refused_and_quoted(void **state)
{
    (void)state;
    check_refused("a\nb", "\"a\\u{A}b\" has a control character");
    check_refused("a\x1b[31m", "\\u{1B}[31m\" has a control character");
    check_refused("a\x7f", "control character");
    check_refused("a\xc2\x9b", "\\u{9B}");
    check_refused("a\xe2\x80\xae.js", "\\u{202E}.js\" has a mark in it");
    check_refused("a\xff", "\"a\\u{FF}\" is not UTF-8");
    check_refused("a\xc0\xaf", "is not UTF-8");
}

static void a_path_that_names_no_file_is_refused(void **state)
{
    (void)state;
    check_refused("", "is empty");
    check_refused("a/", "is a folder");
    check_refused("a/.", "is a folder");
    check_refused(".", "is a folder");
    check_refused("./", "is a folder");
}

static void a_git_folder_is_refused(void **state)
{
    (void)state;
    check_refused(".git/hooks/post-checkout", ".git folder");
    check_refused("sub/.GIT/config", ".git folder");
}

static void a_long_path_is_refused(void **state)
{
    (void)state;
    char path[EXPORTD_BUNDLE_PATH_MAX + 2];
    memset(path, 'a', sizeof path);
    path[256] = '\0';
    check_refused(path, "over 255 bytes");
    path[255] = '\0';
    check_safe(path, path, 0);
    memset(path, 'a', sizeof path);
    path[sizeof path - 1] = '\0';
    check_refused(path, "over 1024 bytes");
}

static void check_conflict(const char *first, const char *second, const char *expected)
{
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    assert_int_equal(add(bundle, "0", "zero", &error), 0);
    assert_int_equal(add(bundle, "z", "z", &error), 0);
    assert_int_equal(add(bundle, first, "one", &error), 0);
    assert_int_equal(add(bundle, second, "two", &error), 0);
    assert_int_equal(exportd_bundle_finish(bundle, &error), -1);
    assert_string_equal(error.code, "repro_unsafe");
    if (!strstr(error.message, expected))
        fail_msg("\"%s\" does not say \"%s\"", error.message, expected);
    exportd_bundle_free(bundle);
}

static void two_files_of_one_path_are_refused(void **state)
{
    (void)state;
    check_conflict("a/b", "a/b", "\"a/b\" is there twice with different content");
    check_conflict("a/b", "./a//b", "\"a/b\" is there twice");
}

static void paths_that_case_alone_tells_apart_are_refused(void **state)
{
    (void)state;
    check_conflict("a/README.md", "a/readme.md", "differ in case alone");
    check_conflict("ÄÖ.js", "äö.js", "differ in case alone");
    check_conflict("ſ.js", "S.js", "differ in case alone");
}

static void a_file_that_is_a_folder_is_refused(void **state)
{
    (void)state;
    check_conflict("a", "a/b", "\"a\" is also a folder, that of \"a/b\"");
    check_conflict("src/x/y/z", "src/x", "\"src/x\" is also a folder");
    check_conflict("A", "a/b", "is also a folder");
}

static void a_neighbour_by_name_is_no_conflict(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    static const char *const paths[] = {"a.b", "a-b", "a/b", "a0", "A/c", "ab"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        assert_int_equal(add(bundle, paths[i], paths[i], &error), 0);
    assert_int_equal(exportd_bundle_finish(bundle, &error), 0);
    for (size_t i = 1; i < exportd_bundle_count(bundle); i++)
        assert_true(strcmp(exportd_bundle_get(bundle, i - 1).path, exportd_bundle_get(bundle, i).path) < 0);
    assert_true(exportd_bundle_has_folder(bundle, "a"));
    assert_false(exportd_bundle_has_folder(bundle, "ab"));
    exportd_bundle_free(bundle);
}

static void the_same_file_twice_is_kept_once_and_noted(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    assert_int_equal(add(bundle, "a", "same", &error), 0);
    assert_int_equal(add(bundle, "./a", "same", &error), 0);
    assert_int_equal(add(bundle, "a", "same", &error), 0);
    assert_int_equal(exportd_bundle_finish(bundle, &error), 0);
    assert_int_equal(exportd_bundle_count(bundle), 1);
    assert_int_equal(exportd_bundle_bytes(bundle), 4);
    assert_string_equal(exportd_bundle_note(bundle, 0), "the path \"./a\" was made \"a\"");
    assert_string_equal(exportd_bundle_note(bundle, 1), "the file \"a\" was there twice, and is kept once");
    assert_null(exportd_bundle_note(bundle, 3));
    exportd_bundle_free(bundle);
}

static void a_reserved_path_is_the_makers_own(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    assert_int_equal(exportd_bundle_reserve(bundle, "Dockerfile"), 0);
    assert_true(exportd_bundle_is_reserved(bundle, "./dockerFILE"));
    assert_false(exportd_bundle_is_reserved(bundle, "sub/Dockerfile"));
    assert_int_equal(add(bundle, "DOCKERFILE", "x", &error), -1);
    assert_non_null(strstr(error.message, "is kept for a file that this export makes"));
    assert_int_equal(exportd_bundle_add_own(bundle, "Dockerfile", strdup("y"), 1, 0, &error), 0);
    assert_int_equal(exportd_bundle_finish(bundle, &error), 0);
    exportd_bundle_free(bundle);
}

static void limits_hold(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(2, 10);
    assert_int_equal(add(bundle, "a", "12345", &error), 0);
    assert_int_equal(add(bundle, "b", "123456", &error), -1);
    assert_string_equal(error.code, "repro_too_large");
    assert_non_null(strstr(error.message, "with \"b\" the repro's files are over 10 bytes"));
    assert_int_equal(add(bundle, "b", "12345", &error), 0);
    assert_int_equal(add(bundle, "c", "", &error), -1);
    assert_non_null(strstr(error.message, "more than 2 files"));
    exportd_bundle_free(bundle);
}

static void modes_come_from_the_content_or_are_plain(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    assert_int_equal(add(bundle, "a", "#!/bin/sh\n", &error), 0);
    assert_int_equal(add(bundle, "b", "text", &error), 0);
    assert_int_equal(exportd_bundle_add(bundle, "c", strdup(""), 0, 04755, &error), -1);
    assert_int_equal(exportd_bundle_add(bundle, "c", strdup(""), 0, 0120777, &error), -1);
    assert_string_equal(error.code, "repro_unsafe");
    assert_int_equal(exportd_bundle_get(bundle, 0).mode, 0755);
    assert_int_equal(exportd_bundle_get(bundle, 1).mode, 0644);
    exportd_bundle_free(bundle);
}

static void ten_thousand_files_are_quick(void **state)
{
    (void)state;
    struct exportd_kit_error error = {0};
    struct exportd_bundle *bundle = exportd_bundle_new(0, 0);
    for (int i = 0; i < 10000; i++) {
        char path[64];
        snprintf(path, sizeof path, "folder-%d/file-%d.js", i % 100, i * 7919 % 10000);
        assert_int_equal(add(bundle, path, path, &error), 0);
    }
    assert_int_equal(exportd_bundle_finish(bundle, &error), 0);
    assert_int_equal(exportd_bundle_count(bundle), 10000);
    exportd_bundle_free(bundle);
}

static void a_quoted_name_fits_and_is_cut(void **state)
{
    (void)state;
    char out[16];
    assert_string_equal(exportd_bundle_quote("a\"b", out, sizeof out), "\"a\\\"b\"");
    exportd_bundle_quote("abcdefghijklmnopqrstuvwxyz", out, sizeof out);
    assert_true(strlen(out) < sizeof out);
    assert_non_null(strstr(out, "…\""));
    assert_string_equal(exportd_bundle_quote("abc", out, 2), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_path_stays_as_it_is),
        cmocka_unit_test(a_harmless_path_is_made_safe),
        cmocka_unit_test(a_path_that_leads_out_is_refused),
        cmocka_unit_test(a_path_with_odd_characters_is_refused_and_quoted),
        cmocka_unit_test(a_path_that_names_no_file_is_refused),
        cmocka_unit_test(a_git_folder_is_refused),
        cmocka_unit_test(a_long_path_is_refused),
        cmocka_unit_test(two_files_of_one_path_are_refused),
        cmocka_unit_test(paths_that_case_alone_tells_apart_are_refused),
        cmocka_unit_test(a_file_that_is_a_folder_is_refused),
        cmocka_unit_test(a_neighbour_by_name_is_no_conflict),
        cmocka_unit_test(the_same_file_twice_is_kept_once_and_noted),
        cmocka_unit_test(a_reserved_path_is_the_makers_own),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(modes_come_from_the_content_or_are_plain),
        cmocka_unit_test(ten_thousand_files_are_quick),
        cmocka_unit_test(a_quoted_name_fits_and_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
