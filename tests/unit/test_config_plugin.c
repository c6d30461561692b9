/* A plugin's section, held against its manifest. */
#include "test_config_support.h"

#define OPTION_COUNT 7

static const struct config_plugin_option options[OPTION_COUNT] = {
    {.name = "page", .type = EXPORTD_STRING, .default_value = "a4", .help = "Size of the page"},
    {.name = "copies", .type = EXPORTD_INTEGER},
    {.name = "colour", .type = EXPORTD_BOOLEAN, .default_value = "on"},
    {.name = "http_timeout", .type = EXPORTD_DURATION, .default_value = "10s"},
    {.name = "max-page", .type = EXPORTD_SIZE, .default_value = "1M"},
    {.name = "font", .type = EXPORTD_PATH},
    {.name = "owner", .type = EXPORTD_STRING, .help = "Who signs", .required = true},
};
static const char *const secrets_asked[] = {"FONT_TOKEN", NULL};

static int check(struct fixture *fixture, const char *name, char **values)
{
    size_t errors = fixture->problems.errors;
    int result =
        config_check_plugin(fixture->config, name, options, OPTION_COUNT, NULL, 0, values, &fixture->problems);
    assert_int_equal(result, fixture->problems.errors > errors ? -1 : 0);
    for (size_t i = 0; result && i < OPTION_COUNT; i++)
        assert_null(values[i]);
    return result;
}

static void free_values(char **values)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        free(values[i]);
}

static void expect_values(char *const *values, const char *const *wanted)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (wanted[i])
            assert_string_equal(values[i], wanted[i]);
        else
            assert_null(values[i]);
    }
}

static void options_are_normalised_and_defaults_filled_in(void **state)
{
    struct fixture *fixture = *state;
    char *values[OPTION_COUNT];
    load_text(fixture, "[plugin p]\nowner = me\n");
    assert_int_equal(check(fixture, "p", values), 0);
    expect_values(values, (const char *[]){"a4", NULL, "yes", "10000", "1048576", NULL, "me"});
    free_values(values);
    load_text(fixture, "[plugin p]\nowner = ${HOME:-x}\npage =\ncopies = -03\ncolour = No\nhttp_timeout = 250ms\n"
                       "max-page = 2K\nfont = /usr/share/f.ttf\n");
    assert_int_equal(check(fixture, "p", values), 0);
    expect_values(values, (const char *[]){"", "-3", "no", "250", "2048", "/usr/share/f.ttf", values[6]});
    free_values(values);
    expect_count(fixture, 0);
}

static void mistakes_in_options_name_their_line(void **state)
{
    struct fixture *fixture = *state;
    char *values[OPTION_COUNT];
    load_text(fixture, "[plugin p]\npgae = a5\ncopies = many\ncolour = perhaps\nhttp_timeout = 10\nmax-page = big\n"
                       "font = fonts/f.ttf\nowner =\nutterly_strange = 1\ntimout = 1s\n");
    expect_count(fixture, 0);
    assert_int_equal(check(fixture, "p", values), -1);
    expect_error(fixture, ":2", "did you mean \"page\"?");
    expect_error(fixture, ":3", "whole number");
    expect_error(fixture, ":4", "yes or no");
    expect_error(fixture, ":5", "with its unit");
    expect_error(fixture, ":6", "64K");
    expect_error(fixture, ":7", "absolute");
    expect_error(fixture, ":8", "needs a value");
    expect_error(fixture, ":9", "exportd inspect p");
    expect_error(fixture, ":10", "did you mean \"timeout\"?");
    expect_count(fixture, 9);
}

static void a_missing_required_option_names_the_section(void **state)
{
    struct fixture *fixture = *state;
    char *values[OPTION_COUNT];
    load_text(fixture, "\n[plugin p]\n");
    assert_int_equal(check(fixture, "p", values), -1);
    expect_error(fixture, "test.conf:2", "needs the key \"owner\": Who signs");
    load_text(fixture, "");
    assert_int_equal(check(fixture, "p", values), -1);
    expect_error(fixture, fixture->folder, "[plugin p] needs the key \"owner\"");
}

static void options_come_from_the_environment_with_and_without_a_section(void **state)
{
    struct fixture *fixture = *state;
    static const char *const texts[] = {"[plugin my-p]\nowner = me\nmax-page = 1G\n[plugin my]\n", ""};
    setenv("EXPORTD_PLUGIN_MY_P_OWNER", "you", 1);
    setenv("EXPORTD_PLUGIN_MY_P_MAX_PAGE", "3", 1);
    setenv("EXPORTD_PLUGIN_MY_P_HTTP_TIMEOUT", "2s", 1);
    setenv("EXPORTD_PLUGIN_MY_P_MEMORY", "1G", 1);
    for (size_t i = 0; i < 2; i++) {
        char *values[OPTION_COUNT];
        load_text(fixture, texts[i]);
        assert_int_equal(check(fixture, "my-p", values), 0);
        expect_values(values, (const char *[]){"a4", NULL, "yes", "2000", "3", NULL, "you"});
        free_values(values);
        assert_int_equal(config_worker_of(fixture->config, "my-p")->memory_bytes, 1 << 30);
        expect_count(fixture, 0);
    }
}

static void mistakes_in_the_environment_are_named(void **state)
{
    struct fixture *fixture = *state;
    char *values[OPTION_COUNT];
    setenv("EXPORTD_PLUGIN_P_COPIES", "many", 1);
    setenv("EXPORTD_PLUGIN_P_OWNR", "x", 1);
    setenv("EXPORTD_PLUGIN_P_OWNER", "file:/no/such/file", 1);
    load_text(fixture, "[plugin p]\n");
    assert_int_equal(check(fixture, "p", values), -1);
    expect_error(fixture, "environment EXPORTD_PLUGIN_P_COPIES", "whole number");
    expect_error(fixture, "environment EXPORTD_PLUGIN_P_OWNER", "No such file");
    expect(fixture, true, "environment EXPORTD_PLUGIN_P_OWNR", "did you mean \"owner\"?");
    expect_count(fixture, 3);
}

static void a_variable_of_a_longer_name_is_not_this_plugins(void **state)
{
    struct fixture *fixture = *state;
    char *values[OPTION_COUNT];
    setenv("EXPORTD_PLUGIN_P_PAGE", "other", 1);
    setenv("EXPORTD_PLUGIN_P_PAGE_PAGE", "a3", 1);
    load_text(fixture, "[plugin p]\nowner = me\n[plugin p-page]\nowner = me\n");
    assert_int_equal(check(fixture, "p", values), 0);
    assert_string_equal(values[0], "other");
    free_values(values);
    assert_int_equal(check(fixture, "p-page", values), 0);
    assert_string_equal(values[0], "a3");
    free_values(values);
    expect_count(fixture, 0);
}

static void secrets_that_are_granted_must_be_there(void **state)
{
    struct fixture *fixture = *state;
    unsetenv("FONT_TOKEN");
    load_text(fixture, "[plugin p]\n\nsecrets = FONT_TOKEN\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", NULL, 0, secrets_asked, 0, NULL, &fixture->problems),
                     -1);
    expect_error(fixture, "test.conf:3", "FONT_TOKEN, which is not there");
    expect_count(fixture, 1);
    load_text(fixture, "[plugin p]\nsecrets = FONT_TOKEN?\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", NULL, 0, secrets_asked, 0, NULL, &fixture->problems),
                     0);
    expect_count(fixture, 0);
    load_text(fixture, "[plugin p]\n[worker]\nsecrets = FONT_TOKEN\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", NULL, 0, secrets_asked, 0, NULL, &fixture->problems),
                     -1);
    expect_error(fixture, "test.conf:3", "FONT_TOKEN, which is not there");
    load_text(fixture, "[plugin p]\nsecrets = FONT_TOKEN\n[secrets]\nFONT_TOKEN = x\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", NULL, 0, secrets_asked, 0, NULL, &fixture->problems),
                     0);
    expect_count(fixture, 0);
}

static void what_is_asked_for_and_not_granted_is_a_warning(void **state)
{
    struct fixture *fixture = *state;
    uint32_t all = EXPORTD_GRANT_NETWORK | EXPORTD_GRANT_EXEC | EXPORTD_GRANT_CACHE;
    load_text(fixture, "[plugin p]\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", NULL, 0, secrets_asked, all, NULL, &fixture->problems),
                     0);
    expect_warning(fixture, "test.conf:1", "asks for the secret FONT_TOKEN");
    expect_warning(fixture, "test.conf:1", "network = yes");
    expect_warning(fixture, "test.conf:1", "exec = yes");
    expect_warning(fixture, "test.conf:1", "cache = NAME");
    expect_count(fixture, 4);
    load_text(fixture,
              "[plugin p]\nnetwork = yes\nexec = yes\ncache = p\nsecrets = FONT_TOKEN\n[secrets]\nFONT_TOKEN = x\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", NULL, 0, secrets_asked, all, NULL, &fixture->problems),
                     0);
    expect_count(fixture, 0);
}

static void faults_of_the_manifest_are_named(void **state)
{
    struct fixture *fixture = *state;
    static const struct config_plugin_option faulty[] = {
        {.name = "timeout", .type = EXPORTD_STRING},
        {.name = "count", .type = EXPORTD_INTEGER, .default_value = "some"},
        {.name = "strange", .type = (enum exportd_option_type)99, .default_value = "x"},
    };
    char *values[3];
    load_text(fixture, "[plugin p]\n");
    assert_int_equal(config_check_plugin(fixture->config, "p", faulty, 3, NULL, 0, values, &fixture->problems), -1);
    expect_error(fixture, ":1", "key of the host's");
    expect_error(fixture, ":1", "the default of \"count\"");
    expect_error(fixture, ":1", "doesn't know");
    expect_count(fixture, 3);
}

static void a_section_inherits_from_worker_wherever_that_stands(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "a.conf", "[plugin p]\nmemory = 1G\nsecrets =\n");
    write_conf(fixture, "z.conf", "[worker]\nmemory = 2G\nworkers = 7\nsecrets = A B\nread = /srv\n");
    load(fixture);
    expect_count(fixture, 0);
    const struct config_worker *worker = config_worker_of(fixture->config, "p");
    assert_int_equal(worker->memory_bytes, 1 << 30);
    assert_int_equal(worker->workers, 7);
    assert_int_equal(worker->secrets.count, 0);
    assert_int_equal(worker->read.count, 1);
    assert_string_equal(worker->read.items[0], "/srv");
    assert_int_equal(config_worker_of(fixture->config, "another")->secrets.count, 2);
    assert_null(config_find_plugin(fixture->config, "another"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(options_are_normalised_and_defaults_filled_in),
        TEST(mistakes_in_options_name_their_line),
        TEST(a_missing_required_option_names_the_section),
        TEST(options_come_from_the_environment_with_and_without_a_section),
        TEST(mistakes_in_the_environment_are_named),
        TEST(a_variable_of_a_longer_name_is_not_this_plugins),
        TEST(secrets_that_are_granted_must_be_there),
        TEST(what_is_asked_for_and_not_granted_is_a_warning),
        TEST(faults_of_the_manifest_are_named),
        TEST(a_section_inherits_from_worker_wherever_that_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
