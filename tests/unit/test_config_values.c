/* What a value may be: types, bounds, ${NAME}, file:PATH, and what must fit together. */
#include "test_config_support.h"

static void load_setting(struct fixture *fixture, const struct config_setting *setting, const char *value)
{
    char text[512];
    snprintf(text, sizeof text, "# one\n[%s]\n\n%s = %s\n", section_name(setting), setting->key, value);
    load_text(fixture, text);
}

static void every_setting_refuses_what_is_of_a_wrong_type(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        if (!bad_value(&settings[i]))
            continue;
        load_setting(fixture, &settings[i], bad_value(&settings[i]));
        expect_error(fixture, "test.conf:4", settings[i].key);
        expect_count(fixture, 1);
    }
}

static void every_bound_is_held_and_named(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_setting *setting = &settings[i];
        if (setting->kind > CONFIG_KIND_SIZE || setting->kind == CONFIG_KIND_BOOLEAN)
            continue;
        const char *unit = setting->kind == CONFIG_KIND_DURATION ? "ms" : "";
        char value[64];
        snprintf(value, sizeof value, "%lld%s", (long long)setting->maximum + 1, unit);
        load_setting(fixture, setting, value);
        expect_error(fixture, "test.conf:4", "out of bounds");
        if (setting->minimum > 0) {
            snprintf(value, sizeof value, "%lld%s", (long long)setting->minimum - 1, unit);
            load_setting(fixture, setting, value);
            expect_error(fixture, "test.conf:4", "out of bounds");
        }
        load_setting(fixture, setting, "99999999999999999999");
        expect_error(fixture, "test.conf:4", " from ");
        load_setting(fixture, setting, "-1");
        expect_error(fixture, "test.conf:4", " from ");
    }
    load_text(fixture, "[jobs]\nmax_attempts = 0\nbackoff = 2d\nmax_result = 1\n");
    expect_error(fixture, ":2", "from 1 to 100");
    expect_error(fixture, ":3", "from 1ms to 1d");
    expect_error(fixture, ":4", "from 1K to 256M");
}

static void every_setting_without_an_empty_form_needs_a_value(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        load_setting(fixture, &settings[i], "");
        if (settings[i].may_be_empty)
            expect_count(fixture, 0);
        else
            expect_error(fixture, "test.conf:4", "needs a value");
    }
}

static void every_setting_takes_a_good_value_and_knows_its_place(void **state)
{
    struct fixture *fixture = *state;
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < count; i++) {
        char value[128];
        char wanted[128];
        char loaded[128];
        good_value(&settings[i], value, sizeof value);
        /* The one pair that must fit together. */
        if (!strcmp(settings[i].key, "backoff"))
            snprintf(value, sizeof value, "2s");
        load_setting(fixture, &settings[i], value);
        expect_count(fixture, 0);
        written_value(&settings[i], value, wanted, sizeof wanted);
        loaded_value(fixture->config, &settings[i], loaded, sizeof loaded);
        assert_string_equal(loaded, wanted);
        const char *place = config_place(fixture->config, section_name(&settings[i]), settings[i].key);
        assert_non_null(place);
        assert_true(ends_with(place, "test.conf:4"));
    }
    assert_null(config_place(fixture->config, "http", "max_body"));
}

static void the_defaults_are_those_of_the_contract(void **state)
{
    struct fixture *fixture = *state;
    load_folder(fixture, NULL);
    expect_count(fixture, 0);
    const struct config *config = fixture->config;
    assert_null(config->folder);
    assert_string_equal(config->http.listen, "127.0.0.1:8080");
    assert_string_equal(config->http.token, "");
    assert_string_equal(config->host.log_level_name, "info");
    assert_int_equal(config->host.log_level, CONFIG_LOG_INFO);
    assert_int_equal(config->host.sandbox, CONFIG_SANDBOX_AUTO);
    assert_int_equal(config->host.drain_timeout_ms, 30000);
    assert_int_equal(config->http.max_body_bytes, 64 << 20);
    assert_int_equal(config->jobs.retention_failed_ms, 30LL * 86400000);
    assert_int_equal(config->jobs.max_artifact_bytes, 2LL << 30);
    assert_int_equal(config->webhook.retry_for_ms, 86400000);
    assert_true(config->worker.enabled);
    assert_false(config->worker.network);
    assert_int_equal(config->worker.memory_bytes, 512 << 20);
    assert_int_equal(config->worker.secrets.count, 0);
}

static void log_levels_and_sandbox_name_what_is_allowed(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[host]\nlog_level = warning\nsandbox = required\n");
    assert_int_equal(fixture->config->host.log_level, CONFIG_LOG_WARNING);
    assert_string_equal(fixture->config->host.log_level_name, "warning");
    assert_int_equal(fixture->config->host.sandbox, CONFIG_SANDBOX_REQUIRED);
    load_text(fixture, "[host]\nlog_level = warn\nsandbox = aut\n");
    expect_error(fixture, ":2", "debug|info|warning|error");
    expect_error(fixture, ":3", "auto|required|off");
}

static void durations_have_units_and_do_not_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wanted;
    } good[] = {{"250ms", 250},    {"30s", 30000}, {"5m", 300000}, {"2h", 7200000},
                {"7d", 604800000}, {"0", 0},       {"0s", 0},      {"9223372036854775807ms", INT64_MAX}};
    static const char *const bad[] = {"",
                                      "s",
                                      "30",
                                      "-1s",
                                      "+1s",
                                      " 1s",
                                      "1s ",
                                      "1 s",
                                      "1.5h",
                                      "1S",
                                      "1w",
                                      "0x10s",
                                      "9223372036854775808ms",
                                      "9223372036854775807s",
                                      "1ss"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value = -1;
        assert_int_equal(config_parse_duration(good[i].text, &value), 0);
        assert_true(value == good[i].wanted);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value = 42;
        assert_int_equal(config_parse_duration(bad[i], &value), -1);
        assert_int_equal(value, 42);
    }
}

static void sizes_are_binary_and_do_not_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t wanted;
    } good[] = {{"0", 0},        {"17", 17},        {"64K", 65536},  {"10M", 10485760},
                {"1G", 1 << 30}, {"2T", 2LL << 40}, {"1g", 1 << 30}, {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"", "K", "-1", "1.5G", "1KB", "1 K", "8388608T", "9223372036854775808", "1P"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t value = -1;
        assert_int_equal(config_parse_size(good[i].text, &value), 0);
        assert_true(value == good[i].wanted);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t value = 42;
        assert_int_equal(config_parse_size(bad[i], &value), -1);
        assert_int_equal(value, 42);
    }
}

static void listen_addresses_are_checked(void **state)
{
    struct fixture *fixture = *state;
    static const char *const good[] = {"127.0.0.1:0", "127.9.9.9:65535", "[::1]:8080", "[::ffff:127.0.0.1]:1"};
    static const char *const bad[][2] = {
        {"127.0.0.1", "without a port"},   {":8080", "without an address"}, {"*:8080", "no IP address"},
        {"localhost:8080", "127.0.0.1"},   {"::1:8080", "in brackets"},     {"127.0.0.1:65536", "0 to 65535"},
        {"127.0.0.1:-1", "0 to 65535"},    {"127.0.0.1:http", "no port"},   {"[127.0.0.1]:80", "no IPv6"},
        {"256.0.0.1:80", "no IP address"}, {"127.1:80", "no IP address"},   {"[::1:80", "no IP address"},
        {"127.0.0.1:", "no port"},
    };
    char text[256];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, "[http]\nlisten = %s\n", good[i]);
        load_text(fixture, text);
        expect_count(fixture, 0);
        assert_string_equal(fixture->config->http.listen, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "[http]\nlisten = %s\n", bad[i][0]);
        load_text(fixture, text);
        expect_error(fixture, ":2", bad[i][1]);
    }
}

static void an_open_address_without_a_token_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const open[] = {"0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[::ffff:10.0.0.1]:80",
                                       "[fe80::1]:80"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        char text[256];
        snprintf(text, sizeof text, "[http]\nlisten = %s\n", open[i]);
        load_text(fixture, text);
        expect_error(fixture, "test.conf:2", "there is no token");
        snprintf(text, sizeof text, "[http]\nlisten = %s\ntoken = 0123456789abcdef\n", open[i]);
        load_text(fixture, text);
        expect_count(fixture, 0);
    }
}

static void networks_hosts_and_urls_are_checked(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[webhook]\nallow = 10.0.0.0/8,192.168.1.7 , fd00::/8\t::1 0.0.0.0/0\n"
                       "[http]\nhosts = a.example, 192.168.1.7 [::1] my_host\npublic_url = http://[::1]:80/x\n");
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->webhook.allow.count, 5);
    assert_string_equal(fixture->config->webhook.allow.items[1], "192.168.1.7");
    assert_int_equal(fixture->config->http.hosts.count, 4);
    static const char *const bad[] = {"10.0.0.0/33", "fd00::/129", "10.0.0.1/8",   "10.0.0/8",  "example.org",
                                      "10.0.0.0/",   "/8",         "10.0.0.0/8/8", "10.0.0.0/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "[webhook]\nallow = 10.0.0.0/8 %s\n", bad[i]);
        load_text(fixture, text);
        expect_error(fixture, ":2", bad[i]);
    }
}

static void signing_secrets_are_base64_after_their_prefix(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[webhook]\nsecret = whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    expect_count(fixture, 0);
    load_text(fixture, "[webhook]\nsecret = any text at all\n");
    expect_count(fixture, 0);
    load_text(fixture, "[webhook]\nsecret = whsec_abc\n");
    expect_error(fixture, ":2", "base64");
    assert_null(strstr(fixture->problems.items[0].message, "whsec_abc"));
}

static void a_backoff_beyond_its_most_is_refused(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[jobs]\nbackoff = 10m\n[webhook]\nbackoff = 10s\nbackoff_max = 5s\n");
    expect_error(fixture, ":2", "\"backoff\" in [jobs] is 10m");
    expect_error(fixture, ":5", "\"backoff\" in [webhook] is 10s");
    expect_count(fixture, 2);
}

static void variables_are_filled_in(void **state)
{
    struct fixture *fixture = *state;
    setenv("TEST_A", "one", 1);
    setenv("TEST_EMPTY", "", 1);
    unsetenv("TEST_NOT_SET");
    load_text(fixture,
              "[repros]\nfolder = /${TEST_A}/${TEST_NOT_SET:-two}${TEST_EMPTY}/${TEST_EMPTY:-three}/$x/$${y}$\n"
              "[http]\ntimeout = ${TEST_NOT_SET:-7s}\n");
    expect_count(fixture, 0);
    assert_string_equal(fixture->config->repros.folder, "/one/two/three/$x/${y}$");
    assert_int_equal(fixture->config->http.timeout_ms, 7000);
    load_text(fixture,
              "[http]\ntimeout = ${TEST_NOT_SET}\nmax_wait = ${TEST_A\nmax_body = ${}\nhosts = ${a-b}\n"
              "listen = ${TEST_NOT_SET:-${TEST_A}}\ntoken = ${TEST_NOT_SET:-}\nmax_json_depth = ${TEST_A}\n");
    expect_error(fixture, ":2", "TEST_NOT_SET, which is not set");
    expect_error(fixture, ":3", "without its }");
    expect_error(fixture, ":4", "names no variable");
    expect_error(fixture, ":5", "names no variable");
    expect_error(fixture, ":6", "can't hold another");
    expect_error(fixture, ":8", "\"one\"");
    expect_count(fixture, 6);
    unsetenv("TEST_A");
    unsetenv("TEST_EMPTY");
}

static void a_variables_text_is_not_read_as_configuration(void **state)
{
    struct fixture *fixture = *state;
    setenv("TEST_A", "file:/etc/passwd", 1);
    setenv("TEST_B", "a ; b ${TEST_A} \"", 1);
    load_text(fixture, "[secrets]\nA = ${TEST_A}\nB = ${TEST_B}\n");
    expect_count(fixture, 0);
    assert_string_equal(config_secret(fixture->config, "A"), "file:/etc/passwd");
    assert_string_equal(config_secret(fixture->config, "B"), "a ; b ${TEST_A} \"");
    unsetenv("TEST_A");
    unsetenv("TEST_B");
}

static void values_come_from_files(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "one", "s3cret\r\n");
    write_conf(fixture, "lines", "first\nsecond\n\n");
    setenv("TEST_FOLDER", fixture->folder, 1);
    load_text(fixture, "[http]\ntoken = file:${TEST_FOLDER}/one\n[secrets]\nA = file:${TEST_FOLDER}/lines\n");
    expect_count(fixture, 0);
    assert_string_equal(fixture->config->http.token, "s3cret");
    assert_string_equal(config_secret(fixture->config, "A"), "first\nsecond\n");
    unsetenv("TEST_FOLDER");
}

static void a_value_file_that_can_not_be_taken_is_named(void **state)
{
    struct fixture *fixture = *state;
    char *big = malloc(65537);
    assert_non_null(big);
    memset(big, 'x', 65537);
    write_bytes(fixture, "big", big, 65537);
    write_bytes(fixture, "most", big, 65536);
    free(big);
    write_bytes(fixture, "nul", "a\0b", 3);
    write_bytes(fixture, "latin", "caf\xe9", 4);
    setenv("F", fixture->folder, 1);
    load_text(fixture,
              "[secrets]\nA = file:/no/such/file\nB = file:${F}\nC = file:relative\nD = file:${F}/big\n"
              "E = file:${F}/most\nF = file:${F}/nul\nG = file:${F}/latin\nH = file:\nI = file:${NOT_SET_AT_ALL}\n"
              "[http]\ntoken = file:${F}/most\nlisten = file:${F}/latin\n");
    expect_error(fixture, ":2", "/no/such/file, which can't be read: No such file");
    expect_error(fixture, ":3", "is a folder");
    expect_error(fixture, ":4", "relative path");
    expect_error(fixture, ":5", "64 KiB");
    expect_error(fixture, ":7", "NUL");
    expect_error(fixture, ":8", "UTF-8");
    expect_error(fixture, ":9", "relative path");
    expect_error(fixture, ":10", "NOT_SET_AT_ALL");
    expect_error(fixture, ":13", "UTF-8");
    expect_count(fixture, 9);
    unsetenv("F");
}

static void the_nearest_word_is_found(void **state)
{
    (void)state;
    static const char *const names[] = {"listen", "timeout", "memory", "max_body", "idle", "exec"};
    static const char *const pairs[][2] = {{"lisen", "listen"},  {"LISTEN", "listen"},     {"tiemout", "timeout"},
                                           {"memroy", "memory"}, {"maxbody", "max_body"},  {"idel", "idle"},
                                           {"exc", "exec"},      {"timeout_ms", "timeout"}};
    static const char *const far[] = {"", "x", "colour", "zzzzzz", "li"};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *nearest = config_nearest(pairs[i][0], names, 6);
        assert_non_null(nearest);
        assert_string_equal(nearest, pairs[i][1]);
    }
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        assert_null(config_nearest(far[i], names, 6));
    char huge[4096];
    memset(huge, 'l', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_null(config_nearest(huge, names, 6));
    assert_null(config_nearest("listen", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_setting_refuses_what_is_of_a_wrong_type),
        TEST(every_bound_is_held_and_named),
        TEST(every_setting_without_an_empty_form_needs_a_value),
        TEST(every_setting_takes_a_good_value_and_knows_its_place),
        TEST(the_defaults_are_those_of_the_contract),
        TEST(log_levels_and_sandbox_name_what_is_allowed),
        TEST(durations_have_units_and_do_not_overflow),
        TEST(sizes_are_binary_and_do_not_overflow),
        TEST(listen_addresses_are_checked),
        TEST(an_open_address_without_a_token_is_refused),
        TEST(networks_hosts_and_urls_are_checked),
        TEST(signing_secrets_are_base64_after_their_prefix),
        TEST(a_backoff_beyond_its_most_is_refused),
        TEST(variables_are_filled_in),
        TEST(a_variables_text_is_not_read_as_configuration),
        TEST(values_come_from_files),
        TEST(a_value_file_that_can_not_be_taken_is_named),
        TEST(the_nearest_word_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
