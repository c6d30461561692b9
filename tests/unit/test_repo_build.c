/* repo-build: how a repository builds, what a program's last words are, and which links may go into a tarball. */
#include "repo-build/made.c"
#include "repo-build/output.c"
#include "repo-build/plan.c"

#include "support.h"

static struct output *say(struct output *output, const char *text)
{
    *output = (struct output){.log = -1};
    output_take(output, text, strlen(text));
    return output;
}

static void the_last_lines_are_plain_text(void **state)
{
    struct output output;
    char tail[400];
    (void)state;
    assert_string_equal(output_tail(say(&output, "one\n\n  \ntwo\n"), tail, sizeof tail), "one\ntwo");
    assert_string_equal(output_tail(say(&output, "\033[1;31mred\033[0m\033]0;title\007 text\r\n"), tail, sizeof tail),
                        "red text");
    assert_string_equal(output_tail(say(&output, "10%\r20%\r100%"), tail, sizeof tail), "10%\n20%\n100%");
    assert_string_equal(output_last(say(&output, "last\nnot yet")), "last");
    assert_string_equal(output_last(say(&output, "")), "");
    assert_string_equal(output_tail(say(&output, "a\tb\x01\x7f"
                                                 "c\n"),
                                    tail, sizeof tail),
                        "a b c");
}

static void the_oldest_lines_go_where_there_is_no_room(void **state)
{
    struct output output;
    char tail[12], text[2000] = "";
    (void)state;
    for (int i = 0; i < 50; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "line %d\n", i);
    say(&output, text);
    assert_string_equal(output_tail(&output, tail, sizeof tail), "line 49");
    char all[1000];
    output_tail(&output, all, sizeof all);
    assert_true(strncmp(all, "line 30\n", 8) == 0);
    assert_int_equal(output.bytes, strlen(text));
}

/* However a character lies across the cut, what is left is UTF-8. */
static void a_long_line_is_cut_between_characters(void **state)
{
    static const char *const characters[] = {"\xc3\xa4", "\xe2\x9c\x93", "\xf0\x9f\x98\x80"};
    (void)state;
    for (size_t kind = 0; kind < 3; kind++) {
        for (size_t ahead = 0; ahead < 5; ahead++) {
            struct output output;
            char text[2000] = "xxxxx";
            text[ahead] = '\0';
            while (strlen(text) < 600)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s", characters[kind]);
            snprintf(text + strlen(text), sizeof text - strlen(text), "\n");
            json_t *string = json_string(output_last(say(&output, text)));
            assert_non_null(string);
            assert_true(json_string_length(string) >= TAIL_LINE_BYTES - 5);
            json_decref(string);
        }
    }
}

static void a_link_is_kept_where_it_stays_in_the_output(void **state)
{
    static const struct {
        const char *path, *target;
        bool inside;
    } cases[] = {
        {"a", "b", true},          {"a/b", "../c", true},     {"a/b/c", "../../d", true}, {"a", "..", false},
        {"a", "../b", false},      {"a/b", "../../c", false}, {"a", "/etc", false},       {"a", "", false},
        {"a", "x/../../b", false}, {"a", "x/..", false},      {"a/b", "..", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (is_inside(cases[i].path, cases[i].target) != cases[i].inside)
            fail_msg("%s -> %s", cases[i].path, cases[i].target);
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* The commands for a folder of these files, one below the other. */
static void check_plan(const char *const (*files)[2], const struct plan_wish *wish, const char *expected)
{
    char folder[] = "/tmp/test-repo-build-XXXXXX", commands[2000] = "", text[500], command[4200];
    assert_non_null(mkdtemp(folder));
    struct exportd_checkout checkout = {.folder = folder};
    struct exportd_kit_error error = {0};
    struct plan plan;
    for (; (*files)[0]; files++)
        put(folder, (*files)[0], (*files)[1]);
    if (plan_make(&checkout, wish, &plan, &error) != 0)
        snprintf(commands, sizeof commands, "%s", error.code);
    for (size_t i = 0; i < plan.step_count; i++)
        snprintf(commands + strlen(commands), sizeof commands - strlen(commands), "%s%s", i ? "\n" : "",
                 plan_text(&plan.steps[i], text, sizeof text));
    plan_clear(&plan);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_string_equal(commands, expected);
}

#define PACKAGE "{\"scripts\":{\"build\":\"x\"},\"dependencies\":{\"a\":\"1\"}}"
#define FILES(...)                                                                                                   \
    (const char *const[][2])                                                                                         \
    {                                                                                                                \
        __VA_ARGS__,                                                                                                 \
        {                                                                                                            \
            NULL, NULL                                                                                               \
        }                                                                                                            \
    }

static void the_lock_file_tells_the_manager(void **state)
{
    const struct plan_wish wish = {.script = "build", .install = true, .jobs = 2, .workspace = "/tmp"};
    (void)state;
    check_plan(FILES({"package.json", PACKAGE}), &wish,
               "npm install --no-audit --no-fund --no-package-lock\nnpm run build");
    check_plan(FILES({"package.json", PACKAGE}, {"package-lock.json", "{}"}), &wish,
               "npm ci --no-audit --no-fund\nnpm run build");
    check_plan(FILES({"package.json", PACKAGE}, {"pnpm-lock.yaml", ""}), &wish,
               "pnpm install --frozen-lockfile\npnpm run build");
    check_plan(FILES({"package.json", PACKAGE}, {"yarn.lock", "# yarn lockfile v1\n"}), &wish,
               "yarn install --non-interactive --frozen-lockfile\nyarn run build");
    check_plan(FILES({"package.json", PACKAGE}, {"yarn.lock", "__metadata:\n  version: 6\n"}), &wish,
               "yarn install --immutable\nyarn run build");
    check_plan(FILES({"package.json", "{\"scripts\":{\"build\":\"x\"}}"}), &wish, "npm run build");
}

static void the_files_tell_the_system(void **state)
{
    const struct plan_wish wish = {.script = "build", .install = true, .jobs = 3, .workspace = "/tmp"};
    struct plan_wish make = wish, script = wish, command = wish;
    make.system = "make";
    script.script = "test";
    command.command = "echo";
    (void)state;
    check_plan(FILES({"Makefile", ""}), &wish, "make -j3");
    check_plan(FILES({"configure", ""}), &wish, "sh ./configure --prefix=/usr\nmake -j3");
    check_plan(FILES({"configure", ""}, {"Makefile", ""}), &wish, "make -j3");
    check_plan(FILES({"package.json", "{}"}, {"Makefile", ""}), &wish, "make -j3");
    check_plan(FILES({"package.json", PACKAGE}, {"Makefile", ""}), &make, "make -j3");
    check_plan(FILES({"package.json", PACKAGE}), &script, "build_unknown");
    check_plan(FILES({"package.json", "["}), &wish, "package_invalid");
    check_plan(FILES({"CMakeLists.txt", ""}), &wish,
               "cmake -S . -B ../build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr\n"
               "cmake --build ../build --parallel 3\ncmake --install ../build --prefix ../install");
    check_plan(FILES({"x", ""}), &wish, "build_unknown");
    check_plan(FILES({"x", ""}), &command, "sh -c echo");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_lines_are_plain_text),
        cmocka_unit_test(the_oldest_lines_go_where_there_is_no_room),
        cmocka_unit_test(a_long_line_is_cut_between_characters),
        cmocka_unit_test(a_link_is_kept_where_it_stays_in_the_output),
        cmocka_unit_test(the_lock_file_tells_the_manager),
        cmocka_unit_test(the_files_tell_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
