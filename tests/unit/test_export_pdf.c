/*
 * The plugin export-pdf, run as a worker would: the built plugins/export-pdf.so is loaded and the host is played.
 * The plugin is looked for in $EXPORTD_BUILD/plugins, else in plugins/ beside or above this program; where it was not
 * built (its libraries are not installed), the tests are skipped.
 */
#include <exportd/plugin.h> /* before cmocka.h, whose macro fail() would change it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const struct exportd_plugin *plugin;
    char folder[64];
    char data[PATH_MAX - 64]; /* tests/data */
    char font[PATH_MAX];      /* an option of conf.d, or "" */
    char artifact[PATH_MAX];
    char log[8192];
    char code[64];
    char message[2048];
    int cancel;
} fixture;

static void host_log(struct exportd_job *job, enum exportd_log_level level, const char *message)
{
    size_t length = strlen(fixture.log);
    (void)job;
    (void)level;
    snprintf(fixture.log + length, sizeof fixture.log - length, "%s\n", message);
}

static void host_progress(struct exportd_job *job, double fraction, const char *stage)
{
    (void)job;
    assert_true(fraction >= 0 && fraction <= 1);
    assert_non_null(stage);
}

static int host_cancelled(struct exportd_job *job)
{
    (void)job;
    return fixture.cancel;
}

static const char *host_option(struct exportd_job *job, const char *name)
{
    (void)job;
    if (strcmp(name, "font") == 0 && fixture.font[0])
        return fixture.font;
    for (const struct exportd_option *option = fixture.plugin->options; option->name; option++)
        if (strcmp(option->name, name) == 0)
            return option->default_value;
    fail_msg("the option %s was not declared", name);
    return NULL;
}

static const char *host_secret(struct exportd_job *job, const char *name)
{
    (void)job;
    (void)name;
    return NULL;
}

static const char *host_workspace(struct exportd_job *job)
{
    (void)job;
    return fixture.folder;
}

static int host_artifact(struct exportd_job *job, const char *path, const char *name, const char *media_type)
{
    (void)job;
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"), strlen(name));
    assert_string_equal(media_type, "application/pdf");
    snprintf(fixture.artifact, sizeof fixture.artifact, "%s", path);
    return 0;
}

static enum exportd_status host_fail(struct exportd_job *job, const char *code, int retryable, const char *message)
{
    (void)job;
    snprintf(fixture.code, sizeof fixture.code, "%s", code);
    snprintf(fixture.message, sizeof fixture.message, "%s", message);
    return retryable ? EXPORTD_RETRY : EXPORTD_FAIL;
}

static const struct exportd_host host = {sizeof host, host_log,       host_progress, host_cancelled, host_option,
                                         host_secret, host_workspace, host_artifact, host_fail,      NULL,
                                         NULL};

/* Runs one job in a process of its own making: init, task, destroy. data is taken. */
static enum exportd_status run(json_t *data, json_t **result)
{
    struct exportd_job job = {.size = sizeof job, .host = &host, .id = "", .route = "", .attempt = 1};
    fixture.artifact[0] = fixture.log[0] = fixture.code[0] = fixture.message[0] = '\0';
    *result = NULL;
    enum exportd_status status = fixture.plugin->init(&job, &job.state);
    if (status == EXPORTD_OK) {
        job.id = "job";
        job.route = "report/pdf";
        status = fixture.plugin->tasks[0].run(&job, data, result);
        fixture.plugin->destroy(job.state);
    }
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
    if (!fixture.plugin)
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
    assert_string_equal(fixture.code, "option_invalid");
    assert_non_null(strstr(fixture.message, "six hex digits"));
}

static void a_repro_without_a_test_is_refused(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    assert_int_equal(run(json_pack("{s:{s:s, s:s}}", "repro", "id", "1", "title", "t"), &result), EXPORTD_FAIL);
    assert_string_equal(fixture.code, "repro_invalid");
    assert_non_null(strstr(fixture.message, "/test"));
    assert_string_equal(fixture.artifact, "");
}

static void an_unusable_font_is_named_with_the_mend(void **state)
{
    (void)state;
    require_plugin();
    json_t *result;
    snprintf(fixture.font, sizeof fixture.font, "/nowhere/font.ttf");
    assert_int_equal(run(describe(""), &result), EXPORTD_FAIL);
    assert_string_equal(fixture.code, "font_unusable");
    assert_non_null(strstr(fixture.message, "/nowhere/font.ttf"));
    assert_non_null(strstr(fixture.message, "apt-get install"));
    snprintf(fixture.font, sizeof fixture.font, "%s/search-4711.json", fixture.data);
    assert_int_equal(run(describe(""), &result), EXPORTD_FAIL);
    assert_non_null(strstr(fixture.message, "no TrueType font"));
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
    json_t *schema = json_loads(fixture.plugin->tasks[0].schema, 0, &error);
    assert_non_null(schema);
    const json_t *format = json_object_get(json_object_get(schema, "properties"), "format");
    assert_string_equal(json_string_value(json_object_get(format, "const")), "pdf");
    json_decref(schema);
}

/* Loads the plugin from the first of the places where a build may have put it. */
static void *load_plugin(void)
{
    static const char *const beside[] = {"plugins", "../plugins", "../../plugins"};
    char program[PATH_MAX - 64];
    char path[PATH_MAX];
    void *module = NULL;
    const char *build = getenv("EXPORTD_BUILD");
    if (build) {
        snprintf(path, sizeof path, "%s/plugins/export-pdf.so", build);
        module = dlopen(path, RTLD_NOW);
    }
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return NULL;
    program[length] = '\0';
    char *slash = strrchr(program, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof beside / sizeof *beside && !module; i++) {
        snprintf(path, sizeof path, "%s/%s/export-pdf.so", program, beside[i]);
        if (access(path, R_OK) == 0)
            module = dlopen(path, RTLD_NOW);
    }
    return module;
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
    snprintf(fixture.folder, sizeof fixture.folder, "/tmp/test-export-pdf-XXXXXX");
    if (!mkdtemp(fixture.folder))
        return -1;
    unsetenv("SOURCE_DATE_EPOCH");
    void *module = load_plugin();
    const struct exportd_block *block = module ? dlsym(module, "exportd_plugin_block") : NULL;
    if (block)
        fixture.plugin = block->plugin;
    else
        fprintf(stderr, "export-pdf.so was not found; its tests are skipped\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char path[128];
    static const char *const names[] = {"bug-20184.pdf", "bug-4711.pdf", "report.pdf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", fixture.folder, names[i]);
        unlink(path);
    }
    return rmdir(fixture.folder);
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
