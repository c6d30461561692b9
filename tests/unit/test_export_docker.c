/* export-docker, run as a host would. */
#include "test_export_support.h"

#include <archive.h>
#include <archive_entry.h>

/* The text of one file in the first artifact (free it), or NULL. */
static char *unpacked(const struct exportd_harness *fake, const char *path)
{
    struct archive_entry *entry;
    char *content = NULL;
    struct archive *reader = archive_read_new();
    archive_read_support_format_tar(reader);
    archive_read_support_filter_all(reader);
    assert_int_equal(archive_read_open_filename(reader, artifact_text(fake, 0, "path"), 65536), ARCHIVE_OK);
    while (!content && archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        const char *name = strchr(archive_entry_pathname(entry), '/');
        assert_non_null(name);
        if (strcmp(name + 1, path) != 0)
            continue;
        size_t size = (size_t)archive_entry_size(entry);
        content = malloc(size + 1);
        assert_non_null(content);
        assert_int_equal(archive_read_data(reader, content, size), size);
        /* cppcheck-suppress nullPointerRedundantCheck ; asserted above */
        content[size] = '\0';
    }
    archive_read_free(reader);
    return content;
}

static void check_line(const struct exportd_harness *fake, const char *path, const char *part)
{
    char *content = unpacked(fake, path);
    if (!content)
        fail_msg("no %s", path);
    if (!strstr(content, part))
        fail_msg("\"%s\" is not in %s:\n%s", part, path, content);
    free(content);
}

static void check_no_line(const struct exportd_harness *fake, const char *path, const char *part)
{
    char *content = unpacked(fake, path);
    if (content && strstr(content, part))
        fail_msg("\"%s\" is in %s:\n%s", part, path, content);
    free(content);
}

static void run_good(struct exportd_harness *fake, json_t *repro, const char *options)
{
    json_t *result;
    if (fake_run(fake, repro, options, &result) != EXPORTD_OK)
        fail_msg("%s: %s", fake->fail_code, fake->fail_message);
    assert_true(fake->fraction >= 1);
    json_decref(result);
}

static void check_refused(json_t *repro, const char *options, const char *code, const char *expected)
{
    struct exportd_harness *fake = fake_open("export-docker");
    json_t *result;
    assert_int_not_equal(fake_run(fake, repro, options, &result), EXPORTD_OK);
    assert_string_equal(fake->fail_code, code);
    if (!strstr(fake->fail_message, expected))
        fail_msg("\"%s\" does not say \"%s\"", fake->fail_message, expected);
    assert_int_equal(json_array_size(fake->artifacts), 0);
    fake_close(fake);
}

static void a_real_repro_becomes_a_build_context(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-docker");
    run_good(fake, load_repro("bootstrap-20184"), NULL);
    assert_int_equal(json_array_size(fake->artifacts), 1);
    assert_string_equal(artifact_text(fake, 0, "name"), "repro-20184.tar.gz");
    assert_string_equal(artifact_text(fake, 0, "media_type"), "application/gzip");
    check_line(fake, "Dockerfile", "\nFROM mcr.microsoft.com/playwright:v1.65.1-noble\n");
    check_line(fake, "Dockerfile", "\nUSER pwuser\n");
    check_line(fake, "Dockerfile", "\"npx\", \"playwright\", \"test\", \"tests/regressions/20184.spec.js\"");
    check_line(fake, "docker-compose.yml", "    init: true\n    ipc: host\n    user: pwuser\n");
    check_line(fake, "docker-compose.yml", "- ./results:/results");
    check_line(fake, "README.md", "docker compose run --rm repro\n");
    check_line(fake, "package.json", "\"@playwright/test\": \"1.65.1\"");
    check_line(fake, "playwright.config.js", "testDir: 'tests'");
    check_line(fake, "tests/regressions/20184.spec.js", "data-target is a selector");
    check_line(fake, "public/index.html", "Collapse with a user-supplied target");
    check_no_line(fake, "screenshots/1-run-1.png", "");
    fake_close(fake);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    (void)state;
    static const char *const forms[] = {"{\"archive\":\"tar.gz\",\"include_screenshots\":true}",
                                        "{\"archive\":\"tar.zst\"}"};
    struct exportd_harness *fake = fake_open("export-docker");
    for (size_t i = 0; i < 2; i++) {
        size_t sizes[2];
        run_good(fake, load_repro("search-4711"), forms[i]);
        char *first = support_read_file(artifact_text(fake, 0, "path"), &sizes[0]);
        run_good(fake, load_repro("search-4711"), forms[i]);
        char *second = support_read_file(artifact_text(fake, 0, "path"), &sizes[1]);
        assert_int_equal(sizes[0], sizes[1]);
        assert_memory_equal(first, second, sizes[0]);
        free(first);
        free(second);
    }
    assert_string_equal(artifact_text(fake, 0, "name"), "repro-4711.tar.zst");
    assert_string_equal(artifact_text(fake, 0, "media_type"), "application/zstd");
    fake_close(fake);
}

static void options_shape_the_context(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-docker");
    exportd_harness_option(fake, "registry", "mirror.example:5000/mcr");
    exportd_harness_option(fake, "npm_registry", "https://npm.example/");
    run_good(fake, load_repro("bootstrap-20184"),
             "{\"distro\":\"jammy\",\"playwright_version\":\"1.40.0\",\"repeat\":20,\"offline\":true,"
             "\"include_screenshots\":true}");
    check_line(fake, "Dockerfile", "FROM mirror.example:5000/mcr/playwright:v1.40.0-jammy\n");
    check_line(fake, "Dockerfile", "ENV npm_config_registry=https://npm.example/\n");
    check_line(fake, "Dockerfile", "\"--repeat-each=20\"]");
    check_line(fake, "docker-compose.yml", "network_mode: none\n    volumes");
    check_line(fake, "package.json", "\"@playwright/test\": \"1.40.0\"");
    assert_non_null(strstr(artifact_text(fake, 0, "name"), ".tar.gz"));
    check_line(fake, "screenshots/1-run-1.png", "\x89PNG");
    run_good(fake, load_repro("bootstrap-20184"), "{\"image\":\"own.example/pw:v1.65.1-noble\"}");
    check_line(fake, "Dockerfile", "FROM own.example/pw:v1.65.1-noble\n");
    run_good(fake, load_repro("bootstrap-20184"), "{\"command\":[\"sh\",\"-c\",\"echo \\\"$HOME\\\"\"]}");
    check_line(fake, "Dockerfile", "\"repro\", \"sh\", \"-c\", \"echo \\\"$HOME\\\"\"]");
    fake_close(fake);
}

static void the_distro_follows_the_version(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-docker");
    run_good(fake, load_repro("bootstrap-20184"), "{\"playwright_version\":\"1.46.0\"}");
    check_line(fake, "Dockerfile", "v1.46.0-noble\n");
    run_good(fake, load_repro("bootstrap-20184"), "{\"playwright_version\":\"1.45.3\"}");
    check_line(fake, "Dockerfile", "v1.45.3-jammy\n");
    run_good(fake, load_repro("bootstrap-20184"), "{\"playwright_version\":\"1.20.0\"}");
    check_line(fake, "Dockerfile", "v1.20.0-focal\n");
    fake_close(fake);
}

static void options_that_would_inject_are_refused(void **state)
{
    (void)state;
    check_refused(load_repro("bootstrap-20184"), "{\"image\":\"a\\nRUN evil\"}", "option_invalid",
                  "\"a\\u{A}RUN evil\"");
    check_refused(load_repro("bootstrap-20184"), "{\"image\":\"$(x)\"}", "option_invalid", "the option image");
    check_refused(load_repro("bootstrap-20184"), "{\"image\":\"x/playwright:v1.64.0-noble\"}", "option_invalid",
                  "an image of Playwright 1.65.1");
    check_refused(load_repro("bootstrap-20184"), "{\"image\":\"x/playwright:v1.65.10\"}", "option_invalid", "1.65.1");
    check_refused(load_repro("bootstrap-20184"), "{\"distro\":\"noble AS x\"}", "option_invalid",
                  "the option distro");
    check_refused(load_repro("bootstrap-20184"), "{\"playwright_version\":\"1.2\"}", "playwright_version_unknown",
                  "one exact version");
    check_refused(load_repro("bootstrap-20184"), "{\"level\":12}", "option_invalid", "1 to 9 for tar.gz");
}

static void text_of_the_repro_stays_text(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-docker");
    json_t *repro = load_repro("bootstrap-20184");
    json_t *test = json_object_get(repro, "test");
    json_object_set_new(repro, "title", json_string("syntax=evil/x\nFROM evil\r\nRUN \x1b[31mevil"));
    json_object_set_new(test, "path", json_string("tests/a\"]$(x) [b].spec.js"));
    run_good(fake, repro, NULL);
    check_no_line(fake, "Dockerfile", "\nFROM evil");
    check_no_line(fake, "Dockerfile", "\nRUN evil");
    check_line(fake, "Dockerfile", "\n# Bug: syntax=evil/x FROM evil RUN evil\n");
    check_line(fake, "Dockerfile", "\"tests/a\\\"\\\\]\\\\$\\\\(x\\\\) \\\\[b\\\\].spec.js\"");
    fake_close(fake);
}

static void files_that_docker_would_read_are_put_aside(void **state)
{
    (void)state;
    static const char *const names[] = {"Dockerfile",    ".env",          "compose.yaml",
                                        "Containerfile", ".dockerignore", "README.md"};
    struct exportd_harness *fake = fake_open("export-docker");
    json_t *repro = load_repro("bootstrap-20184");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_array_append_new(json_object_get(repro, "files"),
                              json_pack("{s:s, s:s}", "path", names[i], "content", "evil"));
    json_array_append_new(json_object_get(repro, "files"),
                          json_pack("{s:s, s:s}", "path", "results/x", "content", "x"));
    run_good(fake, repro, NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char kept[64];
        check_no_line(fake, names[i], "evil");
        snprintf(kept, sizeof kept, "exportd-kept/%s", names[i]);
        check_line(fake, kept, "evil");
    }
    check_line(fake, "Dockerfile", "COPY --chown=pwuser:pwuser exportd-kept/ ./\n");
    check_line(fake, "docker-compose.yml", "./exportd-results:/results");
    check_line(fake, "results/x", "x");
    fake_close(fake);
}

static void a_lock_file_makes_it_npm_ci(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-docker");
    json_t *repro = load_repro("bootstrap-20184");
    json_array_append_new(json_object_get(repro, "files"),
                          json_pack("{s:s, s:s}", "path", "package-lock.json", "content", "{}"));
    run_good(fake, repro, NULL);
    check_line(fake, "Dockerfile",
               "COPY --chown=pwuser:pwuser package.json package-lock.json ./\nRUN npm ci --no-audit --no-fund\n");
    fake_close(fake);
}

static void a_hostile_repro_is_refused_by_name(void **state)
{
    (void)state;
    json_t *repro = load_repro("bootstrap-20184");
    json_array_append_new(json_object_get(repro, "files"), json_pack("{s:s, s:s}", "path", "../../x", "content", ""));
    check_refused(repro, NULL, "repro_unsafe", "/files/4: the path \"../../x\" leads out of its folder");
    repro = load_repro("bootstrap-20184");
    json_array_append_new(json_object_get(repro, "files"),
                          json_pack("{s:s, s:s, s:s}", "path", "x", "content", "/etc/passwd", "type", "symlink"));
    check_refused(repro, NULL, "repro_unsafe", "/files/4: the entry \"x\" has the type \"symlink\"");
    check_refused(json_object(), NULL, "repro_invalid", "/id is missing");
}

static json_t *many_files(int count)
{
    json_t *repro = load_repro("bootstrap-20184");
    for (int i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "many/%d/file-%d.js", i % 100, i);
        json_array_append_new(json_object_get(repro, "files"),
                              json_pack("{s:s, s:s}", "path", path, "content", path));
    }
    return repro;
}

static void ten_thousand_files_go_through_and_more_are_refused(void **state)
{
    (void)state;
    struct exportd_harness *fake = fake_open("export-docker");
    run_good(fake, many_files(10000), NULL);
    check_line(fake, "many/99/file-9999.js", "many/99/file-9999.js");
    fake_close(fake);
    check_refused(many_files(20001), NULL, "repro_too_large", "more than 20000 files");
}

static void a_cancelled_job_ends_and_leaves_no_archive(void **state)
{
    (void)state;
    for (int calls = 0; calls < 300; calls += 37) {
        struct exportd_harness *fake = fake_open("export-docker");
        char path[400];
        json_t *result;
        fake->cancel_after = calls;
        assert_int_equal(fake_run(fake, many_files(10000), NULL, &result), EXPORTD_FAIL);
        assert_string_equal(fake->fail_code, "cancelled");
        snprintf(path, sizeof path, "%s/repro-20184.tar.gz", fake->workspace);
        assert_int_equal(access(path, F_OK), -1);
        fake_close(fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_repro_becomes_a_build_context),
        cmocka_unit_test(the_same_input_gives_the_same_bytes),
        cmocka_unit_test(options_shape_the_context),
        cmocka_unit_test(the_distro_follows_the_version),
        cmocka_unit_test(options_that_would_inject_are_refused),
        cmocka_unit_test(text_of_the_repro_stays_text),
        cmocka_unit_test(files_that_docker_would_read_are_put_aside),
        cmocka_unit_test(a_lock_file_makes_it_npm_ci),
        cmocka_unit_test(a_hostile_repro_is_refused_by_name),
        cmocka_unit_test(ten_thousand_files_go_through_and_more_are_refused),
        cmocka_unit_test(a_cancelled_job_ends_and_leaves_no_archive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
