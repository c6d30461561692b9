/* EXPORTD_<SECTION>_<KEY>: over conf.d, checked as it is. */
#include "test_config_support.h"

#include <ctype.h>

static void name_of(const struct config_setting *setting, const char *section, char *name, size_t size)
{
    snprintf(name, size, "EXPORTD_%s_%s", section, setting->key);
    for (char *at = name; *at; at++)
        *at = (char)toupper((unsigned char)*at);
}

static void every_setting_can_be_given_over_conf_d(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_setting *setting = &settings[i];
        char name[128];
        char place[160];
        char value[128];
        char wanted[128];
        char loaded[128];
        char text[256];
        name_of(setting, section_name(setting), name, sizeof name);
        snprintf(place, sizeof place, "environment %s", name);
        good_value(setting, value, sizeof value);
        if (!strcmp(setting->key, "backoff"))
            snprintf(value, sizeof value, "2s");
        snprintf(text, sizeof text, "[%s]\n%s = %s\n", section_name(setting), setting->key, setting->default_text);
        setenv(name, value, 1);
        load_text(fixture, text);
        expect_count(fixture, 0);
        written_value(setting, value, wanted, sizeof wanted);
        loaded_value(fixture->config, setting, loaded, sizeof loaded);
        assert_string_equal(loaded, wanted);
        assert_string_equal(config_place(fixture->config, section_name(setting), setting->key), place);

        if (bad_value(setting)) {
            setenv(name, bad_value(setting), 1);
            load_text(fixture, text);
            expect_error(fixture, place, setting->key);
            expect_count(fixture, 1);
        }

        setenv(name, "", 1);
        load_text(fixture, text);
        if (setting->may_be_empty)
            expect_count(fixture, 0);
        else
            expect_error(fixture, place, "needs a value");
        unsetenv(name);
    }
}

static void every_key_of_a_plugin_can_be_given_with_and_without_a_section(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_setting *setting = &settings[i];
        if (strcmp(setting->section, "plugin") != 0)
            continue;
        char name[128];
        char value[128];
        char wanted[128];
        char loaded[128];
        name_of(setting, "plugin_export_pdf", name, sizeof name);
        good_value(setting, value, sizeof value);
        written_value(setting, value, wanted, sizeof wanted);
        setenv(name, value, 1);
        for (int with = 0; with < 2; with++) {
            load_text(fixture, with ? "[plugin export-pdf]\n" : "");
            expect_count(fixture, 0);
            struct config probe = {.worker = *config_worker_of(fixture->config, "export-pdf")};
            loaded_value(&probe, setting, loaded, sizeof loaded);
            assert_string_equal(loaded, wanted);
            assert_int_equal(config_find_plugin(fixture->config, "export-pdf")->place != NULL, with);
        }
        unsetenv(name);
    }
}

static void a_misspelt_name_is_a_warning_with_the_nearest(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_HTTP_LISEN", "127.0.0.1:1", 1);
    setenv("EXPORTD_COLOUR", "blue", 1);
    setenv("EXPORTD_WORKER_MEMROY", "1G", 1);
    load(fixture);
    expect_warning(fixture, "environment EXPORTD_HTTP_LISEN", "did you mean EXPORTD_HTTP_LISTEN?");
    expect_warning(fixture, "environment EXPORTD_WORKER_MEMROY", "did you mean EXPORTD_WORKER_MEMORY?");
    expect_warning(fixture, "environment EXPORTD_COLOUR", "EXPORTD_<SECTION>_<KEY>");
    expect_count(fixture, 3);
}

static void what_kubernetes_sets_for_a_service_of_our_name_is_passed_over(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_PORT", "tcp://10.0.0.1:8080", 1);
    setenv("EXPORTD_PORT_8080_TCP_ADDR", "10.0.0.1", 1);
    setenv("EXPORTD_SERVICE_HOST", "10.0.0.1", 1);
    load(fixture);
    expect_count(fixture, 0);
}

static void mistakes_of_conf_d_stay_mistakes_under_the_environment(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_HTTP_TIMEOUT", "2s", 1);
    load_text(fixture, "[http]\ntimeout = never\n");
    expect_error(fixture, ":2", "never");
}

static void values_are_taken_as_they_are_but_for_files(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "token", "from-file\n");
    char value[256];
    snprintf(value, sizeof value, "file:%s/token", fixture->folder);
    setenv("EXPORTD_HTTP_TOKEN", value, 1);
    setenv("EXPORTD_WEBHOOK_SECRET", "a${b}\"c", 1);
    setenv("EXPORTD_HTTP_LISTEN", "0.0.0.0:80", 1);
    load(fixture);
    expect_count(fixture, 0);
    assert_string_equal(fixture->config->http.token, "from-file");
    assert_string_equal(fixture->config->webhook.secret, "a${b}\"c");
    setenv("EXPORTD_HTTP_TOKEN", "", 1);
    load(fixture);
    expect_error(fixture, "environment EXPORTD_HTTP_LISTEN", "there is no token");
    setenv("EXPORTD_WEBHOOK_SECRET", "\xff", 1);
    load(fixture);
    expect_error(fixture, "environment EXPORTD_WEBHOOK_SECRET", "UTF-8");
}

static void secrets_come_from_conf_d_the_environment_or_their_own_variable(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_SECRETS_FIRST_TOKEN", "over", 1);
    setenv("SECOND_TOKEN", "own", 1);
    load_text(fixture, "[secrets]\nFIRST_TOKEN = under\n");
    expect_count(fixture, 0);
    assert_string_equal(config_secret(fixture->config, "FIRST_TOKEN"), "over");
    assert_string_equal(config_secret(fixture->config, "SECOND_TOKEN"), "own");
    assert_null(config_secret(fixture->config, "THIRD_TOKEN"));
    unsetenv("SECOND_TOKEN");
}

static void routes_can_be_given_and_taken_away(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_ROUTE_REPORT_DEFAULT", "json", 1);
    setenv("EXPORTD_ROUTE_PROCESS_WITH_REPO_DEFAULT", "full", 1);
    setenv("EXPORTD_ROUTE_UNDER_SCORE_DEFAULT", "x", 1);
    load_text(fixture, "[route report]\ndefault = pdf\n[route under_score]\ndefault = y\n");
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->route_count, 3);
    assert_string_equal(fixture->config->routes[0].default_value, "json");
    assert_string_equal(fixture->config->routes[0].place, "environment EXPORTD_ROUTE_REPORT_DEFAULT");
    assert_string_equal(fixture->config->routes[1].default_value, "x");
    assert_string_equal(fixture->config->routes[2].task, "process-with-repo");
    setenv("EXPORTD_ROUTE_REPORT_DEFAULT", "", 1);
    load_text(fixture, "[route report]\ndefault = pdf\n[route under_score]\ndefault = y\n");
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->route_count, 2);
    assert_string_equal(fixture->config->routes[0].task, "under_score");
}

static void the_longest_name_of_a_plugin_wins(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_PLUGIN_EXPORT_PDF_TIMEOUT", "9s", 1);
    load_text(fixture, "[plugin export]\n[plugin export-pdf]\n");
    expect_count(fixture, 0);
    assert_int_equal(config_worker_of(fixture->config, "export-pdf")->timeout_ms, 9000);
    assert_int_equal(config_worker_of(fixture->config, "export")->timeout_ms, 300000);
}

static void the_machines_defaults_follow_home_and_give_way(void **state)
{
    struct fixture *fixture = *state;
    load(fixture);
    if (geteuid() == 0)
        assert_string_equal(fixture->config->host.state, "/var/lib/exportd");
    else
        assert_true(ends_with(fixture->config->host.state, "/exportd"));
    assert_true(*fixture->config->host.plugins == '/');
    setenv("EXPORTD_HOST_STATE", "/srv/state", 1);
    load_text(fixture, "[host]\nstate = /srv/other\nplugins = /srv/plugins\n");
    assert_string_equal(fixture->config->host.state, "/srv/state");
    assert_string_equal(fixture->config->host.plugins, "/srv/plugins");
}

static void a_relative_folder_becomes_absolute(void **state)
{
    struct fixture *fixture = *state;
    setenv("EXPORTD_HOST_STATE", "here/state", 1);
    load(fixture);
    assert_true(*fixture->config->host.state == '/');
    assert_true(ends_with(fixture->config->host.state, "/here/state"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_setting_can_be_given_over_conf_d),
        TEST(every_key_of_a_plugin_can_be_given_with_and_without_a_section),
        TEST(a_misspelt_name_is_a_warning_with_the_nearest),
        TEST(what_kubernetes_sets_for_a_service_of_our_name_is_passed_over),
        TEST(mistakes_of_conf_d_stay_mistakes_under_the_environment),
        TEST(values_are_taken_as_they_are_but_for_files),
        TEST(secrets_come_from_conf_d_the_environment_or_their_own_variable),
        TEST(routes_can_be_given_and_taken_away),
        TEST(the_longest_name_of_a_plugin_wins),
        TEST(the_machines_defaults_follow_home_and_give_way),
        TEST(a_relative_folder_becomes_absolute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
