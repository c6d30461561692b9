/* The harness that authors test with: what a task says is kept, and what breaks its contract is told. */
#include <exportd/kit/harness.h>

#include "support.h"

static enum exportd_status start(struct exportd_job *self, void **state)
{
    static int starts;
    const char *refuse = exportd_option(self, "refuse");
    if (refuse && strcmp(refuse, "yes") == 0)
        return exportd_fail(self, "refused", 0, "conf.d says so");
    *state = &starts;
    starts = 1;
    return EXPORTD_OK;
}

static void end(void *state)
{
    *(int *)state = 0;
}

static void write_note(struct exportd_job *job, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", exportd_workspace(job), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "a note");
    fclose(file);
}

/* Does what data.do says. */
static enum exportd_status act(struct exportd_job *job, const json_t *data, json_t **result)
{
    const char *what = json_string_value(json_object_get(data, "do"));
    assert_int_equal(*(int *)job->state, 1);
    exportd_log(job, EXPORTD_WARNING, "does %s", what);
    if (strcmp(what, "work") == 0) {
        exportd_progress(job, 0.5, "half");
        write_note(job, "note.txt");
        assert_int_equal(exportd_artifact(job, "note.txt", "note.txt", "text/plain"), 0);
        *result = json_pack(
            "{s:I, s:I, s:s?, s:s?, s:s?, s:s}", "wait", (json_int_t)exportd_option_integer(job, "wait", 0), "room",
            (json_int_t)exportd_option_integer(job, "room", 0), "secret", exportd_secret(job, "TOKEN"), "none",
            exportd_option(job, "none"), "cache", exportd_cache(job), "route", job->route);
        return EXPORTD_OK;
    }
    if (strcmp(what, "loop") == 0) {
        int turns = 0;
        while (!exportd_cancelled(job) && turns < 1000)
            turns++;
        return exportd_fail(job, "cancelled", 1, "after %d turns", turns);
    }
    if (strcmp(what, "wait") == 0) {
        exportd_retry_after(job, 1500);
        return exportd_fail(job, "busy", 1, "later");
    }
    if (strcmp(what, "go back") == 0) {
        exportd_progress(job, 0.9, "nearly");
        exportd_progress(job, 0.1, "no");
    }
    if (strcmp(what, "overdo") == 0)
        exportd_progress(job, 2, "too much");
    if (strcmp(what, "lead out") == 0)
        assert_int_equal(exportd_artifact(job, "../../etc/passwd", "passwd", NULL), -1);
    if (strcmp(what, "miss") == 0)
        assert_int_equal(exportd_artifact(job, "nothing.txt", "nothing.txt", NULL), -1);
    if (strcmp(what, "misname") == 0) {
        write_note(job, "note.txt");
        assert_int_equal(exportd_artifact(job, "note.txt", "a/b", NULL), -1);
    }
    if (strcmp(what, "give up") == 0)
        return EXPORTD_FAIL;
    if (strcmp(what, "array") == 0)
        *result = json_array();
    return EXPORTD_OK;
}

static const struct exportd_task tasks[] = {
    {.task = "act",
     .option = "kind",
     .value = "here",
     .summary = "Acts",
     .schema = EXPORTD_JSON({"properties" : {"do" : {"type" : "string", "default" : "work"}}}),
     .run = act},
    {0},
};
static const struct exportd_option options[] = {
    {.name = "wait", .type = EXPORTD_DURATION, .default_value = "2m", .help = "A wait"},
    {.name = "room", .type = EXPORTD_SIZE, .default_value = "64K", .help = "A size"},
    {.name = "none", .help = "One without a default"},
    {.name = "refuse", .type = EXPORTD_BOOLEAN, .default_value = "no", .help = "Whether init fails"},
    {0},
};
EXPORTD_PLUGIN(.name = "act", .version = "1.0.0", .summary = "Acts", .licence = "MIT", .tasks = tasks,
               .options = options, .init = start, .destroy = end)

static enum exportd_status run_it(struct exportd_harness *harness, const char *what, json_t **result)
{
    json_t *data = what ? json_pack("{s:s}", "do", what) : NULL;
    enum exportd_status status = exportd_harness_run(harness, "act/here", data, result);
    json_decref(data);
    return status;
}

static void a_job_gets_what_a_host_gives_and_all_it_says_is_kept(void **state)
{
    struct exportd_harness harness;
    json_t *result;
    size_t size = 0;
    (void)state;
    assert_int_equal(exportd_harness_open(&harness, &exportd_plugin_block), 0);
    exportd_harness_secret(&harness, "TOKEN", "open sesame");
    exportd_harness_option(&harness, "wait", "250");
    harness.cache = "/nowhere";
    assert_int_equal(run_it(&harness, NULL, &result), EXPORTD_OK);
    assert_string_equal(harness.fault, "");
    assert_int_equal(json_integer_value(json_object_get(result, "wait")), 250);
    assert_int_equal(json_integer_value(json_object_get(result, "room")), 65536);
    assert_string_equal(json_string_value(json_object_get(result, "secret")), "open sesame");
    assert_string_equal(json_string_value(json_object_get(result, "cache")), "/nowhere");
    assert_string_equal(json_string_value(json_object_get(result, "route")), "act/here");
    assert_true(json_is_null(json_object_get(result, "none")));
    assert_int_equal(json_array_size(harness.artifacts), 1);
    assert_int_equal(json_array_size(harness.progress), 1);
    assert_string_equal(json_string_value(json_object_get(json_array_get(harness.log, 0), "message")), "does work");
    char *note = exportd_harness_read(&harness, "note.txt", &size);
    assert_string_equal(note, "a note");
    assert_int_equal(size, 6);
    assert_null(exportd_harness_read(&harness, "other.txt", &size));
    free(note);
    json_decref(result);
    char root[200];
    snprintf(root, sizeof root, "%s", harness.root);
    exportd_harness_close(&harness);
    assert_int_equal(access(root, F_OK), -1);
}

static void a_cancel_comes_after_so_many_questions(void **state)
{
    struct exportd_harness harness;
    json_t *result;
    (void)state;
    assert_int_equal(exportd_harness_open(&harness, &exportd_plugin_block), 0);
    harness.cancel_after = 7;
    assert_int_equal(run_it(&harness, "loop", &result), EXPORTD_RETRY);
    assert_string_equal(harness.fail_code, "cancelled");
    assert_string_equal(harness.fail_message, "after 7 turns");
    harness.cancel_after = -1;
    assert_int_equal(run_it(&harness, "loop", &result), EXPORTD_RETRY);
    assert_string_equal(harness.fail_message, "after 1000 turns");
    assert_int_equal(run_it(&harness, "wait", &result), EXPORTD_RETRY);
    assert_int_equal(harness.retry_after_ms, 1500);
    assert_int_equal(harness.fail_retryable, 1);
    exportd_harness_close(&harness);
}

static void what_breaks_the_contract_is_told(void **state)
{
    static const struct {
        const char *what, *fault;
    } cases[] = {
        {"go back", "it goes back"},          {"overdo", "between 0 and 1"}, {"lead out", "in the workspace"},
        {"miss", "no regular file"},          {"misname", "A-Z a-z 0-9"},    {"give up", "gave no reason"},
        {"array", "the result is no object"},
    };
    struct exportd_harness harness;
    json_t *result;
    (void)state;
    assert_int_equal(exportd_harness_open(&harness, &exportd_plugin_block), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_it(&harness, cases[i].what, &result);
        if (!strstr(harness.fault, cases[i].fault))
            fail_msg("%s: \"%s\"", cases[i].what, harness.fault);
        json_decref(result);
    }
    assert_int_equal(exportd_harness_run(&harness, "other", NULL, &result), EXPORTD_FAIL);
    assert_non_null(strstr(harness.fault, "no route \"other\""));
    assert_int_equal(run_it(&harness, "work", &result), EXPORTD_OK);
    assert_string_equal(harness.fault, "");
    json_decref(result);
    exportd_harness_option(&harness, "misspelt", "1");
    assert_non_null(strstr(harness.fault, "declares no option"));
    assert_int_equal(run_it(&harness, "work", &result), EXPORTD_OK);
    assert_non_null(strstr(harness.fault, "declares no option")); /* a test that looks after the run sees it too */
    json_decref(result);
    exportd_harness_close(&harness);
}

static void an_init_that_fails_keeps_jobs_away(void **state)
{
    struct exportd_harness harness;
    json_t *result;
    (void)state;
    assert_int_equal(exportd_harness_open(&harness, &exportd_plugin_block), 0);
    exportd_harness_option(&harness, "refuse", "yes");
    assert_int_equal(run_it(&harness, "work", &result), EXPORTD_FAIL);
    assert_string_equal(harness.fail_code, "refused");
    exportd_harness_close(&harness);
}

static void a_shared_object_is_loaded_and_what_is_none_is_told(void **state)
{
    struct exportd_harness harness;
    json_t *result;
    char path[512];
    const char *build = getenv("EXPORTD_BUILD");
    (void)state;
    snprintf(path, sizeof path, "%s/test-plugins/bad-clock.so", build ? build : ".");
    assert_int_equal(exportd_harness_load(&harness, path), 0);
    assert_int_equal(exportd_harness_run(&harness, NULL, NULL, &result), EXPORTD_OK);
    assert_true(json_is_integer(json_object_get(result, "made_at")));
    json_decref(result);
    exportd_harness_close(&harness);
    assert_int_equal(exportd_harness_load(&harness, "/no/such.so"), -1);
    assert_non_null(strstr(harness.fault, "/no/such.so"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_gets_what_a_host_gives_and_all_it_says_is_kept),
        cmocka_unit_test(a_cancel_comes_after_so_many_questions),
        cmocka_unit_test(what_breaks_the_contract_is_told),
        cmocka_unit_test(an_init_that_fails_keeps_jobs_away),
        cmocka_unit_test(a_shared_object_is_loaded_and_what_is_none_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
