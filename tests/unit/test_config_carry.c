/* What a reload can't change keeps the running host's value, and is named. */
#include "test_config_support.h"

#include "config/internal.h"

static void what_a_host_stands_on_needs_a_start(void **state)
{
    static const char *const needing[][2] = {
        {"host", "state"},   {"http", "listen"},  {"http", "public_url"}, {"http", "max_connections"},
        {"http", "timeout"}, {"store", "url"},    {"nats", "url"},        {"redis", "url"},
        {"s3", "bucket"},    {"repros", "query"}, {"upstream", "tasks"}};
    static const char *const live[][2] = {{"host", "plugins"},  {"host", "log_level"}, {"http", "token"},
                                          {"http", "max_body"}, {"jobs", "retention"}, {"webhook", "secret"},
                                          {"plugin", "timeout"}};
    (void)state;
    for (size_t i = 0; i < sizeof needing / sizeof *needing; i++) {
        const struct config_setting *setting = config_setting_find(needing[i][0], needing[i][1]);
        assert_non_null(setting);
        if (!config_setting_needs_start(setting))
            fail_msg("[%s] %s", needing[i][0], needing[i][1]);
    }
    for (size_t i = 0; i < sizeof live / sizeof *live; i++) {
        const struct config_setting *setting = config_setting_find(live[i][0], live[i][1]);
        assert_non_null(setting);
        if (config_setting_needs_start(setting))
            fail_msg("[%s] %s", live[i][0], live[i][1]);
    }
}

static const char *const texts[] = {"[host]\nlog_level = info\n[http]\ntimeout = 5s\nmax_body = 1M\n[s3]\naddressing "
                                    "= path\n[upstream]\ntasks = a, b\n"
                                    "simulate = yes\n[repros]\nmax_files = 7\n[store]\nurl = postgresql://one\n",
                                    "[host]\nlog_level = debug\n[http]\ntimeout = 6s\nmax_body = "
                                    "2M\n[s3]\naddressing = virtual\n[upstream]\ntasks = a, c\n"
                                    "simulate = no\n[repros]\nmax_files = 8\n[store]\nurl = postgresql://two\n"};

static struct config *loaded(struct fixture *fixture, const char *text)
{
    struct config *config = NULL;
    write_conf(fixture, "a.conf", text);
    assert_int_equal(config_load(fixture->folder, &config, &fixture->problems), 0);
    config_problems_clear(&fixture->problems);
    return config;
}

static void such_values_are_carried_over_and_the_others_are_not(void **state)
{
    struct fixture *fixture = *state;
    struct config *running = loaded(fixture, texts[0]), *fresh = loaded(fixture, texts[1]);
    assert_int_equal(config_carry(fresh, running, &fixture->problems), 0);
    assert_int_equal((int)fresh->http.timeout_ms, 5000);
    assert_int_equal(fresh->s3.addressing, running->s3.addressing);
    assert_string_equal(fresh->upstream.tasks.items[1], "b");
    assert_true(fresh->upstream.simulate);
    assert_int_equal((int)fresh->repros.max_files, 7);
    assert_string_equal(fresh->store.url, "postgresql://one");
    assert_int_equal((int)fresh->http.max_body_bytes, 2 << 20);
    assert_int_equal(fresh->host.log_level, 0);
    assert_int_equal((int)fixture->problems.count, 6);
    assert_int_equal((int)fixture->problems.errors, 0);
    for (size_t i = 0; i < fixture->problems.count; i++) {
        assert_non_null(strstr(fixture->problems.items[i].place, "a.conf:"));
        assert_non_null(strstr(fixture->problems.items[i].message, "at the next start"));
        assert_null(strstr(fixture->problems.items[i].message, "postgresql"));
    }
    config_problems_clear(&fixture->problems);
    assert_int_equal(config_carry(fresh, running, &fixture->problems), 0);
    assert_int_equal((int)fixture->problems.count, 0);
    config_free(running);
    config_free(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_host_stands_on_needs_a_start),
        cmocka_unit_test_setup_teardown(such_values_are_carried_over_and_the_others_are_not, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
