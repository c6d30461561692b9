/*
 * The plugin export-pdf, run as a worker would: the built plugins/export-pdf.so is loaded into the authors' harness.
 * The plugin is looked for in $EXPORTD_BUILD/plugins, else in plugins/ beside or above this program; where it was not
 * built (its libraries are not installed), the tests are skipped.
 */
#include <exportd/kit/harness.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    struct exportd_harness harness; /* of the last run */
    bool open;
    char plugin[PATH_MAX];    /* its path; "": it was not built */
    char data[PATH_MAX - 64]; /* tests/data */
    char font[PATH_MAX];      /* an option of conf.d, or "" */
    char artifact[PATH_MAX];
    char log[8192];
    int cancel;
} fixture;

static void note_log(void)
{
    size_t index, length = 0;
    json_t *line;
    fixture.log[0] = '\0';
    json_array_foreach(fixture.harness.log, index, line)
    {
        snprintf(fixture.log + length, sizeof fixture.log - length, "%s\n",
                 json_string_value(json_object_get(line, "message")));
        length = strlen(fixture.log);
    }
}

static void forget(void)
{
    if (fixture.open)
        exportd_harness_close(&fixture.harness);
    fixture.open = false;
}

/* Runs one job in a process of its own making: init and task, and at the next run destroy. data is taken. */
static enum exportd_status run(json_t *data, json_t **result)
{
    forget();
    if (exportd_harness_load(&fixture.harness, fixture.plugin) != 0)
        fail_msg("%s", fixture.harness.fault);
    fixture.open = true;
    if (fixture.font[0])
        exportd_harness_option(&fixture.harness, "font", fixture.font);
    fixture.harness.cancel_after = fixture.cancel ? 0 : -1;
    enum exportd_status status = exportd_harness_run(&fixture.harness, "report/pdf", data, result);
    assert_string_equal(fixture.harness.fault, "");
    const json_t *artifact = json_array_get(fixture.harness.artifacts, 0);
    const char *path = json_string_value(json_object_get(artifact, "path"));
    const char *media_type = json_string_value(json_object_get(artifact, "media_type"));
    snprintf(fixture.artifact, sizeof fixture.artifact, "%s", path ? path : "");
    if (artifact)
        assert_string_equal(media_type, "application/pdf");
    note_log();
    json_decref(data);
    return status;
}

/* The file that the last run made. Free it. */
static char *read_artifact(size_t *size_bytes)
{
    FILE *file = fopen(fixture.artifact, "rb");
    assert_non_null(file);
    char *content = calloc(1, 4 << 20);
    assert_non_null(content);
    *size_bytes = fread(content, 1, (4 << 20) - 1, file);
    fclose(file);
    return content;
}

static int artifact_has(const char *needle)
{
    size_t size_bytes;
    char *content = read_artifact(&size_bytes);
    int found = memmem(content, size_bytes, needle, strlen(needle)) != NULL;
    free(content);
    return found;
}

static json_t *load(const char *name)
{
    char path[PATH_MAX + 64];
    json_error_t error;
    snprintf(path, sizeof path, "%s/%s", fixture.data, name);
    json_t *repro = json_load_file(path, 0, &error);
    assert_non_null(repro);
    return json_pack("{s:o}", "repro", repro);
}

/* The smallest repro, with a description. */
static json_t *describe(const char *description)
{
    return json_pack("{s:{s:s, s:s, s:{s:s}, s:s}}", "repro", "id", "1", "title", "A title", "test", "code", "x();",
                     "description", description);
}

static void require_plugin(void)
{
    if (!fixture.plugin[0])
        skip();
}

static void a_repro_becomes_a_pdf(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    size_t size_bytes;
    assert_int_equal(run(load("bootstrap-20184.json"), &result), EXPORTD_OK);
    assert_true(json_integer_value(json_object_get(result, "pages")) >= 3);
    assert_int_equal(json_array_size(json_object_get(result, "missing_glyphs")), 0);
    assert_true(json_array_size(json_object_get(result, "fonts")) >= 2);
    char *content = read_artifact(&size_bytes);
    assert_memory_equal(content, "%PDF-1.7", 8);
    assert_true(size_bytes > 20000 && size_bytes < 200000);
    free(content);
    /* libharu writes slashes as \\057 */
    assert_true(artifact_has("/URI (https:\\057\\057github.com\\057twbs\\057bootstrap\\057issues\\05720184)"));
    assert_true(artifact_has("/Type /Outlines") || artifact_has("/Outlines"));
    assert_non_null(strstr(fixture.artifact, "bug-20184.pdf"));
    json_decref(result);
}

static void the_same_input_gives_the_same_bytes(void **state)
{
    (void)state;
    require_plugin();
    static const char *const names[] = {"bootstrap-20184.json", "search-4711.json"};
    for (int i = 0; i < 2; i++) {
        json_t *result;
        size_t first_size;
        size_t second_size;
        assert_int_equal(run(load(names[i]), &result), EXPORTD_OK);
        json_decref(result);
        char *first = read_artifact(&first_size);
        assert_int_equal(run(load(names[i]), &result), EXPORTD_OK);
        json_decref(result);
        char *second = read_artifact(&second_size);
        assert_int_equal(first_size, second_size);
        assert_memory_equal(first, second, first_size);
        free(first);
        free(second);
    }
}

static void the_date_is_the_environments_or_the_repros(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    setenv("SOURCE_DATE_EPOCH", "1700000000", 1);
    assert_int_equal(run(load("bootstrap-20184.json"), &result), EXPORTD_OK);
    json_decref(result);
    assert_true(artifact_has("(D:20231114221320Z"));
    unsetenv("SOURCE_DATE_EPOCH");
    assert_int_equal(run(load("bootstrap-20184.json"), &result), EXPORTD_OK);
    json_decref(result);
    assert_true(artifact_has("(D:20261121193125Z"));
}

static void a_page_can_be_letter(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    json_t *data = load("search-4711.json");
    json_object_set_new(data, "page", json_string("Letter"));
    assert_int_equal(run(data, &result), EXPORTD_OK);
    json_decref(result);
    assert_true(artifact_has("612 792 ]"));
}

static void only_the_sections_asked_for_are_drawn(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    json_t *data = load("bootstrap-20184.json");
    json_object_set_new(data, "sections", json_pack("[s]", "steps"));
    assert_int_equal(run(data, &result), EXPORTD_OK);
    assert_int_equal(json_integer_value(json_object_get(result, "pages")), 1);
    assert_false(artifact_has("/Subtype /Image"));
    json_decref(result);
}

static void a_wrong_option_is_refused_with_what_was_expected(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    json_t *data = describe("");
    json_object_set_new(data, "colour", json_string("mauve"));
    assert_int_equal(run(data, &result), EXPORTD_FAIL);
    assert_string_equal(fixture.harness.fail_code, "option_invalid");
    assert_non_null(strstr(fixture.harness.fail_message, "six hex digits"));
}

static void a_repro_without_a_test_is_refused(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    assert_int_equal(run(json_pack("{s:{s:s, s:s}}", "repro", "id", "1", "title", "t"), &result), EXPORTD_FAIL);
    assert_string_equal(fixture.harness.fail_code, "repro_invalid");
    assert_non_null(strstr(fixture.harness.fail_message, "/test"));
    assert_string_equal(fixture.artifact, "");
}

static void an_unusable_font_is_named_with_the_mend(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    snprintf(fixture.font, sizeof fixture.font, "/nowhere/font.ttf");
    assert_int_equal(run(describe(""), &result), EXPORTD_FAIL);
    assert_string_equal(fixture.harness.fail_code, "font_unusable");
    assert_non_null(strstr(fixture.harness.fail_message, "/nowhere/font.ttf"));
    assert_non_null(strstr(fixture.harness.fail_message, "apt-get install"));
    snprintf(fixture.font, sizeof fixture.font, "%s/search-4711.json", fixture.data);
    assert_int_equal(run(describe(""), &result), EXPORTD_FAIL);
    assert_non_null(strstr(fixture.harness.fail_message, "no TrueType font"));
    fixture.font[0] = '\0';
}

static void characters_that_no_font_has_are_reported_in_order(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    assert_int_equal(run(describe("\364\217\277\275 and \364\217\277\274 and \364\217\277\275"), &result),
                     EXPORTD_OK);
    json_t *missing = json_object_get(result, "missing_glyphs");
    assert_int_equal(json_array_size(missing), 2);
    assert_string_equal(json_string_value(json_array_get(missing, 0)), "U+10FFFC");
    assert_string_equal(json_string_value(json_array_get(missing, 1)), "U+10FFFD");
    json_decref(result);
}

static void only_safe_links_can_be_clicked(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    assert_int_equal(
        run(describe("[a](https://example.com/ok) [b](javascript:alert(1)) [c](file:///etc/passwd)"), &result),
        EXPORTD_OK);
    json_decref(result);
    assert_true(artifact_has("/URI (https:\\057\\057example.com\\057ok)"));
    assert_false(artifact_has("javascript"));
    assert_false(artifact_has("file:"));
}

static void a_picture_of_monstrous_size_is_refused_before_it_is_decoded(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    json_t *data = describe("");
    json_object_set_new(json_object_get(data, "repro"), "screenshots",
                        json_pack("[{s:s, s:s, s:s}]", "name", "bomb.png", "encoding", "base64", "content",
                                  "iVBORw0KGgoAAAANSUhEUgAA6mAAAOpgCAIAAAAAAAAAAAAAAAAAAAA="));
    assert_int_equal(run(data, &result), EXPORTD_OK);
    assert_non_null(strstr(fixture.log, "bomb.png could not be shown: its size of 60000 × 60000 pixels"));
    json_decref(result);
}

static void hostile_markdown_is_bounded(void **state)
{
    (void)state;
    require_plugin();
    static const char *const patterns[] = {">", "- ", "*a ", "![[", "|a", "<!--", "\342\200\256", "\331\205 "};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        const size_t length = strlen(patterns[i]);
        char *text = calloc(1, 20001 * length);
        json_t *result;
        assert_non_null(text);
        for (size_t j = 0; j < 20000; j++)
            memcpy(text + j * length, patterns[i], length);
        assert_int_equal(run(describe(text), &result), EXPORTD_OK);
        json_decref(result);
        free(text);
    }
}

static void what_is_left_out_is_bounded_and_said(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    json_t *data = describe("x");
    char *code = calloc(1, 5000001);
    assert_non_null(code);
    memset(code, 'x', 5000000);
    for (size_t i = 80; i < 5000000; i += 81)
        code[i] = '\n';
    json_object_set_new(json_object_get(json_object_get(data, "repro"), "test"), "code", json_string(code));
    assert_int_equal(run(data, &result), EXPORTD_OK);
    assert_true(json_integer_value(json_object_get(result, "pages")) < 60);
    json_decref(result);
    free(code);
}

static void a_cancelled_job_leaves_no_artifact(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    fixture.cancel = 1;
    assert_int_not_equal(run(load("bootstrap-20184.json"), &result), EXPORTD_OK);
    fixture.cancel = 0;
    assert_null(result);
    assert_string_equal(fixture.artifact, "");
}

static void the_schema_is_json_and_names_the_selector(void **state)
{
    (void)state;
    require_plugin();
    json_error_t error;
    json_t *result;
    assert_int_equal(run(describe(""), &result), EXPORTD_OK);
    json_decref(result);
    json_t *schema = json_loads(fixture.harness.plugin->tasks[0].schema, 0, &error);
    assert_non_null(schema);
    const json_t *format = json_object_get(json_object_get(schema, "properties"), "format");
    assert_string_equal(json_string_value(json_object_get(format, "const")), "pdf");
    json_decref(schema);
}

/* The first of the places where a build may have put it; false: it is in none. */
static bool find_plugin(char *path, size_t size)
{
    static const char *const beside[] = {"plugins", "../plugins", "../../plugins"};
    char program[PATH_MAX - 64];
    const char *build = getenv("EXPORTD_BUILD");
    if (build) {
        snprintf(path, size, "%s/plugins/export-pdf.so", build);
        if (access(path, R_OK) == 0)
            return true;
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return false;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(path, size, "%s/%s/export-pdf.so", program, beside[i]);
        if (access(path, R_OK) == 0)
            return true;
    }
    return false;
}

static int set_up(void **state)
{
    (void)state;
    const char *slash = strrchr(__FILE__, '/');
    const char *source = getenv("EXPORTD_SOURCE");
    if (source)
        snprintf(fixture.data, sizeof fixture.data, "%s/tests/data", source);
    else
        snprintf(fixture.data, sizeof fixture.data, "%.*s/../data", slash ? (int)(slash - __FILE__) : 1,
                 slash ? __FILE__ : ".");
    unsetenv("SOURCE_DATE_EPOCH");
    if (!find_plugin(fixture.plugin, sizeof fixture.plugin)) {
        fixture.plugin[0] = '\0';
        fprintf(stderr, "export-pdf.so was not found; its tests are skipped\n");
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    forget();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repro_becomes_a_pdf),
        cmocka_unit_test(the_same_input_gives_the_same_bytes),
        cmocka_unit_test(the_date_is_the_environments_or_the_repros),
        cmocka_unit_test(a_page_can_be_letter),
        cmocka_unit_test(only_the_sections_asked_for_are_drawn),
        cmocka_unit_test(a_wrong_option_is_refused_with_what_was_expected),
        cmocka_unit_test(a_repro_without_a_test_is_refused),
        cmocka_unit_test(an_unusable_font_is_named_with_the_mend),
        cmocka_unit_test(characters_that_no_font_has_are_reported_in_order),
        cmocka_unit_test(only_safe_links_can_be_clicked),
        cmocka_unit_test(a_picture_of_monstrous_size_is_refused_before_it_is_decoded),
        cmocka_unit_test(hostile_markdown_is_bounded),
        cmocka_unit_test(what_is_left_out_is_bounded_and_said),
        cmocka_unit_test(a_cancelled_job_leaves_no_artifact),
        cmocka_unit_test(the_schema_is_json_and_names_the_selector),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
