/* repo-clone: the rules of paths and links, without a repository. */
#include "repo-clone/rules.c"

#include "support.h"

static const struct rules_limits limits = {.max_files = 5, .max_bytes = 1000, .max_file = 600};

static int take(const char *path, enum rules_kind kind)
{
    struct exportd_kit_error error = {0};
    json_t *notes = json_array();
    struct rules *rules = rules_new(&limits, notes);
    int failed = rules_take(rules, path, kind, 1, &error);
    if (failed)
        assert_string_equal(error.code, "repository_unsafe");
    rules_free(rules);
    json_decref(notes);
    return failed;
}

static void names_that_git_keeps_for_itself_are_refused_however_they_are_written(void **state)
{
    static const char *const refused[] = {".git",
                                          ".GIT",
                                          "a/.Git",
                                          "git~1",
                                          "GIT~1",
                                          ".git.",
                                          ".git ",
                                          ".git . ",
                                          ".git::$INDEX_ALLOCATION",
                                          ".git:x",
                                          ".g\xe2\x80\x8cit",
                                          "\xef\xbb\xbf.git",
                                          ".gi\xe2\x80\x8dt",
                                          "x\\.git",
                                          ".git\\config",
                                          "..",
                                          "a/..",
                                          "..\\x",
                                          ".",
                                          "",
                                          "a/"};
    static const char *const taken[] = {".gitignore", ".gitmodules", ".github", "git",   "git~2", "a.git",
                                        "..a",        "...",         ".git_",   ".gitx", "x\\y",  "\xc3\xa4.git"};
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (take(refused[i], RULES_FILE) == 0)
            fail_msg("taken: %s", refused[i]);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (take(taken[i], RULES_FILE) != 0)
            fail_msg("refused: %s", taken[i]);
}

static void a_link_is_safe_where_it_goes_up_at_its_beginning_alone_and_stays_inside(void **state)
{
    static const struct {
        const char *path, *target;
        int safe;
    } cases[] = {
        {"a", "b", 1},        {"a", "./b/c", 1},     {"d/a", "../b", 1},    {"d/e/a", "../../b", 1}, {"a", ".", 1},
        {"d/a", "..", 1},     {"a", "..", 0},        {"a", "../b", 0},      {"d/a", "../../b", 0},   {"a", "/b", 0},
        {"a", "b/../c", 0},   {"d/a", "../b/..", 0}, {"d/a", "./../b", 1},  {"a", "./../b", 0},      {"a", "", 0},
        {"a", ".git/x", 0},   {"a", "x\ny", 0},      {"a", "..\\..\\x", 0}, {"d/a", "..//b", 1},     {"a", "//b", 0},
        {"a", "b/.GIT/c", 0}, {"a", "...", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (rules_link_is_safe(cases[i].path, cases[i].target, strlen(cases[i].target)) != cases[i].safe)
            fail_msg("%s -> %s", cases[i].path, cases[i].target);
    assert_int_equal(rules_link_is_safe("a", "b\0c", 3), 0);
}

static void limits_hold_to_the_last_file_and_byte(void **state)
{
    struct exportd_kit_error error = {0};
    json_t *notes = json_array();
    struct rules *rules = rules_new(&limits, notes);
    (void)state;
    assert_int_equal(rules_take(rules, "a", RULES_FILE, 601, &error), -1);
    assert_string_equal(error.code, "repository_too_large");
    assert_int_equal(rules_take(rules, "b", RULES_FILE, 600, &error), 0);
    assert_int_equal(rules_take(rules, "c", RULES_FILE, 401, &error), -1);
    assert_int_equal(rules_take(rules, "c", RULES_FILE, 400, &error), 0);
    assert_int_equal(rules_take(rules, "d", RULES_FOLDER, 0, &error), 0);
    assert_int_equal(rules_take(rules, "e", RULES_LINK, 0, &error), 0);
    assert_int_equal(rules_take(rules, "f", RULES_FILE, 0, &error), 0);
    assert_int_equal(rules_take(rules, "g", RULES_FILE, 0, &error), -1);
    assert_string_equal(error.code, "repository_too_large");
    struct rules_counts counts = rules_counts(rules);
    assert_int_equal(counts.files, 4);
    assert_int_equal(counts.folders, 1);
    assert_int_equal(counts.bytes, 1000);
    rules_free(rules);
    json_decref(notes);
}

static void twins_are_told_apart_by_what_they_are(void **state)
{
    struct exportd_kit_error error = {0};
    json_t *notes = json_array();
    struct rules *rules = rules_new(&(struct rules_limits){.max_files = 20}, notes);
    (void)state;
    assert_int_equal(rules_take(rules, "A", RULES_FILE, 0, &error), 0);
    assert_int_equal(rules_take(rules, "a", RULES_FILE, 0, &error), 0);
    assert_int_equal(json_array_size(notes), 1);
    assert_int_equal(rules_take(rules, "A", RULES_FILE, 0, &error), -1);
    assert_int_equal(rules_take(rules, "a", RULES_FILE, 0, &error), -1);
    assert_int_equal(rules_take(rules, "\xc3\x84", RULES_FOLDER, 0, &error), 0);
    assert_true(rules_has_folder(rules, "\xc3\x84"));
    assert_false(rules_has_folder(rules, "\xc3\xa4"));
    assert_int_equal(rules_take(rules, "\xc3\xa4", RULES_LINK, 0, &error), -1);
    assert_string_equal(error.code, "repository_unsafe");
    rules_free(rules);
    json_decref(notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_git_keeps_for_itself_are_refused_however_they_are_written),
        cmocka_unit_test(a_link_is_safe_where_it_goes_up_at_its_beginning_alone_and_stays_inside),
        cmocka_unit_test(limits_hold_to_the_last_file_and_byte),
        cmocka_unit_test(twins_are_told_apart_by_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
