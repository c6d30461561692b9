/* The kit's project builder: version, package.json, config, test, README, hostile entries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <exportd/kit/project.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reserved[] = {"Dockerfile", ".env", NULL};

static struct exportd_project *build(const char *text, const char *version, struct exportd_kit_error *error)
{
    json_error_t json_error;
    struct exportd_project_options options = {.playwright_version = version, .reserved = reserved, .screenshots = 1};
    json_t *repro = json_loads(text, 0, &json_error);
    if (!repro)
        fail_msg("%s: %s", text, json_error.text);
    *error = (struct exportd_kit_error){0};
    struct exportd_project *project = exportd_project_new(repro, &options, error);
    if (project && (exportd_project_readme(project, repro, "Run it.\n", error) < 0 ||
                    exportd_bundle_finish(project->bundle, error) < 0))
        project = exportd_project_free(project);
    json_decref(repro);
    return project;
}

/* A repro with these further members; the Playwright version is 1.65.1. */
static struct exportd_project *build_with(const char *members, struct exportd_kit_error *error)
{
    char *text;
    assert_true(asprintf(&text,
                         "{\"id\":\"x\",\"title\":\"T\",\"test\":{\"path\":\"tests/a.spec.js\",\"code\":\"// test\"},"
                         "\"environment\":{\"playwright\":\"1.65.1\"}%s%s}",
                         *members ? "," : "", members) > 0);
    struct exportd_project *project = build(text, NULL, error);
    free(text);
    return project;
}

static struct exportd_project *build_good(const char *members)
{
    struct exportd_kit_error error;
    struct exportd_project *project = build_with(members, &error);
    if (!project)
        fail_msg("%s: %s", error.code, error.message);
    return project;
}

static void check_refused(const char *members, const char *code, const char *expected)
{
    struct exportd_kit_error error;
    assert_null(build_with(members, &error));
    assert_string_equal(error.code, code);
    if (!strstr(error.message, expected))
        fail_msg("\"%s\" does not say \"%s\"", error.message, expected);
}

static const char *content(const struct exportd_project *project, const char *path)
{
    struct exportd_bundle_file file;
    if (exportd_bundle_find(project->bundle, path, &file) < 0)
        fail_msg("no %s", path);
    return file.content;
}

static void check_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static const char *note_with(const struct exportd_project *project, const char *part)
{
    const char *note;
    for (size_t i = 0; (note = exportd_bundle_note(project->bundle, i)); i++)
        if (strstr(note, part))
            return note;
    fail_msg("no note says \"%s\"", part);
    return NULL;
}

static void only_exact_versions_are_exact(void **state)
{
    (void)state;
    static const char *const exact[] = {"1.65.1", "0.0.0", "10.20.30", "1.2.3-beta", "1.2.3-alpha.0", "1.2.3-x-y.7a"};
    static const char *const inexact[] = {"",        "1",       "1.2",        "1.2.x",    "^1.2.3",   "~1.2.3",
                                          ">=1.2.3", "latest",  "1.2.3 ",     " 1.2.3",   "1.2.3\n",  "01.2.3",
                                          "1.2.3-",  "1.2.3-.", "1.2.3-a..b", "1.2.3-01", "1.2.3+ab", "1.2.3-a.",
                                          "1.2.3/x", "1.2.3\"", "1.2.3 || 2", "v1.2.3",   "1..3"};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (!exportd_project_is_exact_version(exact[i]))
            fail_msg("%s is exact", exact[i]);
    for (size_t i = 0; i < sizeof inexact / sizeof *inexact; i++)
        if (exportd_project_is_exact_version(inexact[i]))
            fail_msg("\"%s\" is not exact", inexact[i]);
}

static void check_version(const char *repro, const char *option, const char *version, const char *from)
{
    struct exportd_kit_error error;
    struct exportd_project *project = build(repro, option, &error);
    if (!project)
        fail_msg("%s", error.message);
    assert_string_equal(project->playwright_version, version);
    assert_string_equal(project->playwright_from, from);
    char *package = strdup(content(project, "package.json"));
    char *out = package;
    for (const char *at = package; *at; at++)
        if (*at != ' ')
            *out++ = *at;
    *out = '\0';
    char pinned[64];
    snprintf(pinned, sizeof pinned, "\"@playwright/test\":\"%s\"", version);
    check_has(package, pinned);
    free(package);
    exportd_project_free(project);
}

#define BARE "{\"id\":\"x\",\"title\":\"T\",\"test\":{\"code\":\"\"}"
#define WITH_PACKAGE(version)                                                                                        \
    ",\"files\":[{\"path\":\"package.json\",\"content\":\"{\\\"devDependencies\\\":{\\\"@playwright/"                \
    "test\\\":\\\"" version "\\\"}}\"}"

static void the_version_comes_from_the_first_place_that_is_exact(void **state)
{
    (void)state;
    check_version(BARE
                  ",\"dependencies\":{\"@playwright/test\":\"1.2.3\"},\"environment\":{\"playwright\":\"1.2.4\"}}",
                  NULL, "1.2.3", "/dependencies/@playwright~1test");
    check_version(BARE
                  ",\"dependencies\":{\"@playwright/test\":\"^1.2.0\"},\"environment\":{\"playwright\":\"v1.2.4\"}}",
                  NULL, "1.2.4", "/environment/playwright");
    check_version(BARE ",\"environment\":{\"playwright\":\"Version 1.2.4\"}}", NULL, "1.2.4",
                  "/environment/playwright");
    check_version(BARE WITH_PACKAGE("1.5.0") "]}", NULL, "1.5.0", "package.json");
    check_version(
        BARE WITH_PACKAGE("^1.5.0") ",{\"path\":\"package-lock.json\",\"content\":"
                                    "\"{\\\"packages\\\":{\\\"node_modules/@playwright/test\\\":{\\\"version\\\":"
                                    "\\\"1.5.2\\\"}}}\"}]}",
        NULL, "1.5.2", "package-lock.json");
    check_version(BARE ",\"dependencies\":{\"@playwright/test\":\"^1\"}}", "1.9.0", "1.9.0",
                  "the option playwright_version");
}

static void a_version_that_nothing_names_is_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *repro;
        const char *option;
        const char *expected;
    } cases[] = {
        {BARE "}", NULL, "looked at /dependencies/@playwright~1test, /environment/playwright and package.json"},
        {BARE ",\"dependencies\":{\"@playwright/test\":\"^1.2\"}}", NULL,
         "\"^1.2\" in /dependencies/@playwright~1test, which is not one exact version"},
        {BARE WITH_PACKAGE("latest") "]}", NULL, "\"latest\" in package.json"},
        {BARE ",\"environment\":{\"playwright\":\"1.65.1\\nRUN evil\"}}", NULL, "\\u{A}RUN evil"},
        {BARE ",\"environment\":{\"playwright\":\"1.65.1\"}}", "1.x", "the option playwright_version is \"1.x\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct exportd_kit_error error;
        assert_null(build(cases[i].repro, cases[i].option, &error));
        assert_string_equal(error.code, "playwright_version_unknown");
        check_has(error.message, cases[i].expected);
    }
}

static void a_missing_package_and_config_are_made(void **state)
{
    (void)state;
    struct exportd_project *project =
        build_good("\"bug\":{\"id\":\"AB 12/3\"},\"dependencies\":{\"jquery\":\"3.4.1\",\"@scope/x\":\"1.0.0\"}");
    assert_string_equal(project->name, "repro-ab-12-3");
    assert_string_equal(
        content(project, "package.json"),
        "{\n  \"name\": \"repro-ab-12-3\",\n  \"private\": true,\n  \"scripts\": {\n    \"test\": "
        "\"playwright test\"\n  },\n  \"dependencies\": {\n    \"jquery\": \"3.4.1\",\n    \"@scope/x\": "
        "\"1.0.0\"\n  },\n  \"devDependencies\": {\n    \"@playwright/test\": \"1.65.1\"\n  }\n}\n");
    assert_true(project->config_made);
    check_has(content(project, "playwright.config.js"), "testDir: \"./tests\"");
    assert_string_equal(content(project, "tests/a.spec.js"), "// test");
    exportd_project_free(project);
}

static void a_package_that_fits_is_kept_byte_for_byte(void **state)
{
    (void)state;
    struct exportd_project *project =
        build_good("\"files\":[{\"path\":\"package.json\",\"content\":\"{ \\\"devDependencies\\\" : "
                   "{\\\"@playwright/test\\\":\\\"1.65.1\\\"} "
                   "}\"},{\"path\":\"playwright.config.ts\",\"content\":\"x\"},{\"path\":\"package-lock.json\","
                   "\"content\":\"{}\"}]");
    assert_string_equal(content(project, "package.json"),
                        "{ \"devDependencies\" : {\"@playwright/test\":\"1.65.1\"} }");
    assert_string_equal(project->config_path, "playwright.config.ts");
    assert_false(project->config_made);
    assert_true(project->npm_ci);
    exportd_project_free(project);
}

static void a_package_is_pinned_and_merged(void **state)
{
    (void)state;
    struct exportd_project *project = build_good(
        "\"dependencies\":{\"jquery\":\"3.4.1\",\"left\":\"^2\"},\"files\":[{\"path\":\"package-lock.json\","
        "\"content\":\"{}\"},"
        "{\"path\":\"package.json\",\"content\":\"{\\\"name\\\":\\\"n\\\",\\\"type\\\":\\\"module\\\","
        "\\\"devDependencies\\\":{"
        "\\\"jquery\\\":\\\"^3\\\",\\\"playwright\\\":\\\"1.0.0\\\"},\\\"dependencies\\\":{\\\"@playwright/"
        "test\\\":\\\"^1\\\"},"
        "\\\"scripts\\\":{\\\"postinstall\\\":\\\"x\\\"},\\\"overrides\\\":{\\\"playwright\\\":\\\"2.0.0\\\"}}\"}]");
    json_t *package = json_loads(content(project, "package.json"), 0, NULL);
    json_t *expected =
        json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s}, s:{s:s}}", "name", "n", "type", "module",
                  "devDependencies", "jquery", "3.4.1", "playwright", "1.65.1", "dependencies", "@playwright/test",
                  "1.65.1", "left", "^2", "scripts", "postinstall", "x", "overrides", "playwright", "1.65.1");
    assert_true(json_equal(package, expected));
    assert_false(project->npm_ci);
    assert_true(project->install_needs_files);
    check_has(content(project, "playwright.config.js"), "import { defineConfig }");
    note_with(project, "\"left\" is \"^2\"");
    json_decref(package);
    json_decref(expected);
    exportd_project_free(project);
}

static void a_broken_package_is_refused(void **state)
{
    (void)state;
    check_refused("\"files\":[{\"path\":\"package.json\",\"content\":\"{\"}]", "repro_invalid",
                  "package.json is not JSON");
    check_refused("\"files\":[{\"path\":\"package.json\",\"content\":\"[]\"}]", "repro_invalid", "no JSON object");
    check_refused("\"files\":[{\"path\":\"package.json\",\"content\":\"{\\\"dependencies\\\":[]}\"}]",
                  "repro_invalid", "\"dependencies\" in the repro's package.json");
    check_refused("\"dependencies\":{\"a\":1}", "repro_invalid", "names \"a\" without a version");
    check_refused("\"dependencies\":{\"a b\\n\":\"1.0.0\"}", "repro_unsafe",
                  "\"a b\\u{A}\", which is no npm package name");
    check_refused("\"dependencies\":{\"../x\":\"1.0.0\"}", "repro_unsafe", "no npm package name");
}

static void a_hostile_entry_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *entry;
        const char *expected;
    } cases[] = {
        {"{\"path\":\"/etc/cron.d/x\",\"content\":\"\"}", "/files/0: the path \"/etc/cron.d/x\" is absolute"},
        {"{\"path\":\"a/../../x\",\"content\":\"\"}", "leads out of its folder"},
        {"{\"path\":\"a\\u0007\",\"content\":\"\"}", "\"a\\u{7}\" has a control character"},
        {"{\"path\":\"a\",\"content\":\"/etc\",\"type\":\"symlink\"}", "the entry \"a\" has the type \"symlink\""},
        {"{\"path\":\"a\",\"content\":\"/etc\",\"type\":\"hardlink\"}", "has the type \"hardlink\""},
        {"{\"path\":\"a\",\"content\":\"\",\"type\":\"directory\"}", "has the type \"directory\""},
        {"{\"path\":\"a\",\"content\":\"/etc\",\"mode\":\"120000\"}", "has the mode \"120000\""},
        {"{\"path\":\"a\",\"content\":\"\",\"mode\":\"4755\"}", "has the mode \"4755\""},
        {"{\"path\":\"a\",\"content\":\"\",\"mode\":40960}", "has the mode 40960"},
        {"{\"path\":\"a\",\"content\":\"\",\"mode\":\"rwx\"}", "has the mode \"rwx\""},
        {"{\"path\":\"a\",\"content\":\"\"},{\"path\":\"a\",\"content\":\"x\"}", "\"a\" is there twice"},
        {"{\"path\":\"a\",\"content\":\"\"},{\"path\":\"A\",\"content\":\"x\"}", "differ in case alone"},
        {"{\"path\":\"a\",\"content\":\"\"},{\"path\":\"a/b\",\"content\":\"x\"}", "is also a folder"},
        {"{\"path\":\"tests\",\"content\":\"\"}", "\"tests\" is also a folder, that of \"tests/a.spec.js\""},
        {"{\"path\":\"Package.json\",\"content\":\"{}\"}", "differ in case alone"},
        {"{\"path\":\"package.json\",\"content\":\"{}\"},{\"path\":\"./package.json\",\"content\":\"{ }\"}",
         "\"package.json\" is there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char members[512];
        snprintf(members, sizeof members, "\"files\":[%s]", cases[i].entry);
        check_refused(members, "repro_unsafe", cases[i].expected);
    }
}

static void bad_content_is_refused_by_name(void **state)
{
    (void)state;
    check_refused("\"files\":[{\"path\":\"ok\",\"content\":\"\"},{\"path\":\"a.png\",\"content\":\"*\",\"encoding\":"
                  "\"base64\"}]",
                  "repro_invalid", "/files/1: the file \"a.png\" can't be read: its content is not base64");
    check_refused("\"files\":[{\"path\":\"a\",\"content\":\"\",\"encoding\":\"gzip\"}]", "repro_invalid",
                  "its encoding is");
    check_refused("\"screenshots\":[{\"name\":\"a\",\"content\":\"*\",\"encoding\":\"base64\"}]", "repro_invalid",
                  "/screenshots/0: the screenshot");
}

static void plain_modes_are_taken(void **state)
{
    (void)state;
    struct exportd_project *project =
        build_good("\"files\":[{\"path\":\"a\",\"content\":\"\",\"mode\":\"100755\",\"type\":\"file\"},{\"path\":"
                   "\"b\",\"content\":"
                   "\"#!x\",\"mode\":\"0600\"},{\"path\":\"c\",\"content\":\"\",\"mode\":493}]");
    struct exportd_bundle_file file;
    assert_int_equal(exportd_bundle_find(project->bundle, "a", &file), 0);
    assert_int_equal(file.mode, 0755);
    assert_int_equal(exportd_bundle_find(project->bundle, "b", &file), 0);
    assert_int_equal(file.mode, 0644);
    assert_int_equal(exportd_bundle_find(project->bundle, "c", &file), 0);
    assert_int_equal(file.mode, 0755);
    exportd_project_free(project);
}

static void files_of_reserved_names_are_put_aside(void **state)
{
    (void)state;
    struct exportd_project *project = build_good("\"files\":[{\"path\":\"readme.MD\",\"content\":\"mine\"},{\"path\":"
                                                 "\"./.ENV\",\"content\":\"COMPOSE_FILE=x\"},"
                                                 "{\"path\":\"sub/Dockerfile\",\"content\":\"x\"}]");
    assert_int_equal(project->kept, 2);
    assert_string_equal(content(project, EXPORTD_PROJECT_KEPT "/readme.MD"), "mine");
    assert_string_equal(content(project, EXPORTD_PROJECT_KEPT "/.ENV"), "COMPOSE_FILE=x");
    assert_string_equal(content(project, "sub/Dockerfile"), "x");
    check_has(content(project, "README.md"), "# T\n");
    note_with(project, "is kept as \"" EXPORTD_PROJECT_KEPT "/.ENV\"");
    exportd_project_free(project);
}

static void the_test_is_that_of_the_document(void **state)
{
    (void)state;
    struct exportd_project *project =
        build_good("\"files\":[{\"path\":\"./tests/a.spec.js\",\"content\":\"other\"}]");
    assert_string_equal(content(project, "tests/a.spec.js"), "// test");
    note_with(project, "differs from /test/code, which counts");
    exportd_project_free(project);
    check_refused("\"test\":{\"path\":\"../a.spec.js\",\"code\":\"\"}", "repro_unsafe",
                  "/test/path: the path \"../a.spec.js\"");
    check_refused("\"test\":{\"path\":\"Dockerfile\",\"code\":\"\"}", "repro_unsafe",
                  "is kept for a file that this export");
    check_refused("\"test\":{\"code\":\"\",\"framework\":\"cypress\"}", "unsupported_framework", "\"cypress\"");
}

static void screenshots_get_names_of_their_own(void **state)
{
    (void)state;
    struct exportd_project *project =
        build_good("\"screenshots\":[{\"name\":\"../../etc/run 1.png\",\"content\":\"AAAA\",\"encoding\":\"base64\"},"
                   "{\"content\":\"AAAA\",\"encoding\":\"base64\"},{\"name\":\"none\"}]");
    assert_int_equal(project->screenshots, 2);
    content(project, "screenshots/1-run1.png");
    content(project, "screenshots/2-screenshot.png");
    exportd_project_free(project);
}

static void the_readme_says_what_and_how_and_is_inert(void **state)
{
    (void)state;
    struct exportd_project *project = build_good(
        "\"title\":\"A <b> \\u001b[31m*x*\\n# no\",\"bug\":{\"id\":\"7\",\"url\":\"https://x.example/a "
        "b)>\"},\"steps\":[{\"action\":"
        "\"open [it](x)\",\"expected\":\"e\",\"actual\":\"a\"}],\"stability\":{\"runs\":20,\"reproduced\":7}");
    const char *readme = content(project, "README.md");
    check_has(readme, "# A &lt;b&gt; \\*x\\* # no\n");
    check_has(readme, "<https://x.example/a%20b%29%3E>");
    check_has(readme, "Run it.\n");
    check_has(readme, "1. open \\[it\\](x)\n   - Expected: e\n   - Actual: a\n");
    check_has(readme, "It came up in 7 of 20 runs, so run the test more than once.");
    assert_null(strchr(readme, '\x1b'));
    exportd_project_free(project);
    project = build_good("\"bug\":{\"id\":\"7\",\"url\":\"javascript:alert(1)\"}");
    assert_null(strstr(content(project, "README.md"), "<javascript"));
    exportd_project_free(project);
}

static void an_odd_test_name_is_matched_by_the_config(void **state)
{
    (void)state;
    struct exportd_project *project = build_good("\"test\":{\"path\":\"x y/a's.js\",\"code\":\"\"}");
    check_has(content(project, "playwright.config.js"), "testDir: \"./x y\"");
    check_has(
        content(project, "playwright.config.js"),
        "testMatch: new RegExp('(^|[\\\\\\\\/])' + \"a's.js\".replace(/[.*+?^${}()|[\\]\\\\]/g, '\\\\$&') + '$')");
    exportd_project_free(project);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_exact_versions_are_exact),
        cmocka_unit_test(the_version_comes_from_the_first_place_that_is_exact),
        cmocka_unit_test(a_version_that_nothing_names_is_asked_for),
        cmocka_unit_test(a_missing_package_and_config_are_made),
        cmocka_unit_test(a_package_that_fits_is_kept_byte_for_byte),
        cmocka_unit_test(a_package_is_pinned_and_merged),
        cmocka_unit_test(a_broken_package_is_refused),
        cmocka_unit_test(a_hostile_entry_is_refused_by_name),
        cmocka_unit_test(bad_content_is_refused_by_name),
        cmocka_unit_test(plain_modes_are_taken),
        cmocka_unit_test(files_of_reserved_names_are_put_aside),
        cmocka_unit_test(the_test_is_that_of_the_document),
        cmocka_unit_test(screenshots_get_names_of_their_own),
        cmocka_unit_test(the_readme_says_what_and_how_and_is_inert),
        cmocka_unit_test(an_odd_test_name_is_matched_by_the_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
