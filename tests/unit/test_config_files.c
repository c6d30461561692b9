/* What a file of conf.d may hold, and what is said about one that holds something else. */
#include "test_config_support.h"

static void a_line_of_250_bytes_is_refused_not_cut(void **state)
{
    struct fixture *fixture = *state;
    char text[512] = "[repros]\nfolder = /";
    memset(text + strlen(text), 'x', 250 - strlen("folder = /"));
    assert_int_equal(strlen(strchr(text, '\n') + 1), 250);
    load_text(fixture, text);
    expect_error(fixture, "test.conf:2", "250 bytes");
    expect_count(fixture, 1);
}

static void a_comment_of_250_bytes_is_refused_since_its_rest_would_be_read_as_a_line(void **state)
{
    struct fixture *fixture = *state;
    char text[512];
    memset(text, '#', 250);
    snprintf(text + 250, sizeof text - 250, "\n[http]\n");
    load_text(fixture, text);
    expect_error(fixture, "test.conf:1", "250 bytes");
}

static void a_line_of_197_bytes_is_whole(void **state)
{
    static const char *const ends[] = {"", "\n", "\r\n"};
    for (size_t i = 0; i < 3; i++) {
        struct fixture *fixture = *state;
        char value[256] = "/";
        memset(value + 1, 'x', 197 - strlen("folder = /"));
        char text[512];
        snprintf(text, sizeof text, "[repros]\nfolder = %s%s", value, ends[i]);
        load_text(fixture, text);
        expect_count(fixture, 0);
        assert_string_equal(fixture->config->repros.folder, value);
        snprintf(text, sizeof text, "[repros]\nfolder = %sy%s", value, ends[i]);
        load_text(fixture, text);
        expect_error(fixture, "test.conf:2", "198 bytes");
    }
}

static void every_mistake_of_every_file_is_named_in_one_go_and_in_order(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "b.conf", "[jobs]\nmax_attempts = none\n\nbackof = 1s\n");
    write_conf(fixture, "a.conf", "[http]\nlisen = 127.0.0.1:80\nnonsense\ntimeout = 30\n[htpp]\nx = 1\n");
    load(fixture);
    expect_count(fixture, 6);
    static const char *const places[] = {"a.conf:2", "a.conf:3", "a.conf:4", "a.conf:5", "b.conf:2", "b.conf:4"};
    for (size_t i = 0; i < 6; i++)
        assert_true(ends_with(fixture->problems.items[i].place, places[i]));
    char place[128];
    snprintf(place, sizeof place, "%s/a.conf:2", fixture->folder);
    assert_string_equal(fixture->problems.items[0].place, place);
    assert_string_equal(fixture->problems.items[0].message,
                        "unknown key \"lisen\" in [http]; did you mean \"listen\"?");
}

static void an_unknown_section_names_the_nearest(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[HTTP]\n[job]\n[plugn export-pdf]\n[http x]\n[weather]\n[plugin]\n[route]\n");
    expect_error(fixture, ":1", "did you mean [http]?");
    expect_error(fixture, ":2", "did you mean [jobs]?");
    expect_error(fixture, ":3", "did you mean [plugin export-pdf]?");
    expect_error(fixture, ":4", "did you mean [http]?");
    expect_error(fixture, ":5", "there are [host]");
    expect_error(fixture, ":6", "[plugin export-pdf]");
    expect_error(fixture, ":7", "[route report]");
    expect_count(fixture, 7);
}

static void names_of_plugins_and_tasks_are_checked(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture,
              "[plugin Export PDF]\n[plugin a_b]\n[route Report]\n[plugin export-pdf]\n[ plugin \t x ] ; fine\n");
    expect_error(fixture, ":1", "no plugin's name");
    expect_error(fixture, ":2", "no plugin's name");
    expect_error(fixture, ":3", "no task's name");
    expect_count(fixture, 3);
}

static void a_key_of_another_section_is_sent_there(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[http]\nmax_attempts = 3\nmemory = 1G\nutterly_strange = 1\n");
    expect_error(fixture, ":2", "it belongs to [jobs]");
    expect_error(fixture, ":3", "it belongs to [worker]");
    expect_error(fixture, ":4", "lists the keys");
}

static void a_section_given_twice_names_both_places(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "a.conf", "\n[http]\n");
    write_conf(fixture, "b.conf", "[jobs]\n[http]\nlisen = x\n");
    load(fixture);
    expect_error(fixture, "b.conf:2", "a.conf:2");
    expect_error(fixture, "b.conf:3", "listen");
    expect_count(fixture, 2);
}

static void a_key_given_twice_names_both_places(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "a.conf",
               "[http]\ntimeout = 1s\ntimeout = 1s\n[plugin x]\npage = a4\npage = a5\nidle = 1s\nidle = 1s\n");
    write_conf(fixture, "b.conf",
               "[secrets]\nA = ${B:-b}\nA = ${B:-c}\n[route report]\ndefault = pdf\ndefault = json\n");
    load(fixture);
    expect_error(fixture, "a.conf:3", "a.conf:2");
    expect_error(fixture, "a.conf:6", "a.conf:5");
    expect_error(fixture, "a.conf:8", "a.conf:7");
    expect_error(fixture, "b.conf:3", "b.conf:2");
    expect_error(fixture, "b.conf:6", "b.conf:5");
    expect_count(fixture, 5);
}

static void a_line_that_is_no_ini_is_refused(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[http]\nlisten 127.0.0.1:8080\njust words\n= value\nword\n[jobs\n[]\n[host] and more\n");
    expect_error(fixture, ":2", "write \"=\" after \"listen\"");
    expect_error(fixture, ":3", "neither [section] nor key = value");
    expect_error(fixture, ":4", "no key");
    expect_error(fixture, ":5", "neither");
    expect_error(fixture, ":6", "no ]");
    expect_error(fixture, ":7", "no name");
    expect_error(fixture, ":8", "follows");
    expect_count(fixture, 7);
}

static void a_continuation_line_is_refused(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture,
              "[webhook]\nallow = 10.0.0.0/8,\n   192.168.0.0/16\n\ttimeout = 1s\n  # an indented comment\n   \n");
    expect_error(fixture, ":3", "can't go on over a second line");
    expect_error(fixture, ":4", "can't go on over a second line");
    expect_count(fixture, 2);
}

static void a_key_above_any_section_is_refused(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "# nothing yet\nlisten = 127.0.0.1:80\n[http]\n");
    expect_error(fixture, ":2", "before any section");
    expect_count(fixture, 1);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char nul[] = "[http]\ntimeout = 1s\nlisten = 1\0002\n";
    write_bytes(fixture, "a.conf", nul, sizeof nul - 1);
    write_conf(fixture, "b.conf", "\xef\xbb\xbf[http]\n");
    write_conf(
        fixture, "c.conf",
        "[jobs]\n# caf\xe9\n# overlong \xc0\xaf\n# surrogate \xed\xa0\x80\n# fine \xc3\xa9 \xf0\x9f\x90\x9b\n");
    write_conf(fixture, "d.conf", "[repros]\nfolder = /a\x01\x62\n");
    load(fixture);
    expect_error(fixture, "a.conf:3", "NUL");
    expect_error(fixture, "b.conf:1", "byte order mark");
    expect_error(fixture, "c.conf:2", "UTF-8");
    expect_error(fixture, "c.conf:3", "UTF-8");
    expect_error(fixture, "c.conf:4", "UTF-8");
    expect_error(fixture, "d.conf:2", "control character (0x01)");
    expect_count(fixture, 6);
}

static void line_ends_of_windows_and_a_missing_last_one_are_fine(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "; one\r\n[http]\r\n\r\ntimeout = 3s ; a comment\r\nmax_wait=2s");
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->http.timeout_ms, 3000);
    assert_int_equal(fixture->config->http.max_wait_ms, 2000);
}

static void only_conf_files_are_read_by_name(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "http.conf~", "broken");
    write_conf(fixture, "http.conf.dpkg-old", "broken");
    write_conf(fixture, ".hidden.conf", "broken");
    write_conf(fixture, "README", "broken");
    write_conf(fixture, ".conf", "broken");
    write_conf(fixture, "10-http.conf", "[http]\ntimeout = 4s\n");
    load(fixture);
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->http.timeout_ms, 4000);
    assert_string_equal(fixture->config->folder, fixture->folder);
}

static void a_folder_that_is_missing_or_none_is_named(void **state)
{
    struct fixture *fixture = *state;
    load_folder(fixture, "/tmp/no-such-folder-of-exportd");
    expect_error(fixture, "/tmp/no-such-folder-of-exportd", "No such file");
    write_conf(fixture, "file", "");
    char path[256];
    path_in(fixture, "file", path, sizeof path);
    load_folder(fixture, path);
    expect_error(fixture, "/file", "name the folder");
}

static void what_is_no_readable_file_is_named(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    path_in(fixture, "folder.conf", path, sizeof path);
    assert_int_equal(mkdir(path, 0755), 0);
    path_in(fixture, "fifo.conf", path, sizeof path);
    assert_int_equal(mkfifo(path, 0644), 0);
    path_in(fixture, "link.conf", path, sizeof path);
    assert_int_equal(symlink("/tmp/no-such-file-of-exportd", path), 0);
    size_t size = 1024 * 1024 + 1;
    char *big = malloc(size);
    assert_non_null(big);
    memset(big, '\n', size);
    write_bytes(fixture, "big.conf", big, size);
    free(big);
    if (geteuid() != 0) {
        write_conf(fixture, "secret.conf", "");
        path_in(fixture, "secret.conf", path, sizeof path);
        assert_int_equal(chmod(path, 0), 0);
    }
    load(fixture);
    expect_error(fixture, "/folder.conf", "is a folder");
    expect_error(fixture, "/fifo.conf", "no regular file");
    expect_error(fixture, "/link.conf", "No such file");
    expect_error(fixture, "/big.conf", "1024 KiB");
    if (geteuid() != 0)
        expect_error(fixture, "/secret.conf", "Permission denied");
}

static void a_file_that_all_may_write_is_a_warning(void **state)
{
    struct fixture *fixture = *state;
    write_conf(fixture, "a.conf", "[http]\n");
    char path[256];
    path_in(fixture, "a.conf", path, sizeof path);
    assert_int_equal(chmod(path, 0666), 0);
    load(fixture);
    expect_warning(fixture, "/a.conf", "chmod o-w");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(fixture->folder, 0777), 0);
    load(fixture);
    expect_warning(fixture, fixture->folder, "chmod o-w");
}

static void a_literal_secret_that_all_may_read_is_a_warning(void **state)
{
    struct fixture *fixture = *state;
    setenv("TEST_SECRET", "from-environment", 1);
    write_conf(fixture, "token", "from-file\n");
    char text[512];
    snprintf(text, sizeof text,
             "[http]\ntoken = literal\n[webhook]\nsecret = literal\n[secrets]\nA = literal\nB = ${TEST_SECRET}\n"
             "C = file:%s/token\nD =\n",
             fixture->folder);
    write_conf(fixture, "a.conf", text);
    load(fixture);
    expect_count(fixture, 0);
    char path[256];
    path_in(fixture, "a.conf", path, sizeof path);
    assert_int_equal(chmod(path, 0644), 0);
    load(fixture);
    expect_warning(fixture, "a.conf:2", "\"token\"");
    expect_warning(fixture, "a.conf:4", "\"secret\"");
    expect_warning(fixture, "a.conf:6", "\"A\"");
    expect_count(fixture, 3);
    for (size_t i = 0; i < 3; i++)
        assert_null(strstr(fixture->problems.items[i].message, "literal"));
    assert_string_equal(config_secret(fixture->config, "B"), "from-environment");
    assert_string_equal(config_secret(fixture->config, "C"), "from-file");
    assert_null(config_secret(fixture->config, "D"));
    unsetenv("TEST_SECRET");
}

static void a_value_in_quotes_is_refused(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[repros]\nfolder = \"/srv\"\n[http]\ntoken = 'abc'\n[route report]\ndefault = \"pdf\"\n");
    expect_error(fixture, ":2", "quotes");
    expect_error(fixture, ":4", "quotes");
    expect_error(fixture, ":6", "quotes");
}

static void a_hash_behind_a_value_is_a_warning(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[repros]\nfolder = /srv # the repros\n");
    expect_warning(fixture, ":2", "begins with ;");
    assert_string_equal(fixture->config->repros.folder, "/srv # the repros");
}

static void routes_are_kept_with_their_place(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[route report]\ndefault = pdf\n[route sandbox]\ndefault=stackblitz\n");
    expect_count(fixture, 0);
    assert_int_equal(fixture->config->route_count, 2);
    assert_string_equal(fixture->config->routes[0].task, "report");
    assert_string_equal(fixture->config->routes[0].default_value, "pdf");
    assert_true(ends_with(fixture->config->routes[0].place, "test.conf:2"));
    assert_string_equal(fixture->config->routes[1].default_value, "stackblitz");
    load_text(fixture, "[route report]\ndefalt = pdf\n[route sandbox]\ndefault =\n[route x]\ndefault = a b\n");
    expect_error(fixture, ":2", "\"default\"");
    expect_error(fixture, ":4", "empty");
    expect_error(fixture, ":6", "characters");
}

static void names_of_secrets_are_checked(void **state)
{
    struct fixture *fixture = *state;
    load_text(fixture, "[secrets]\ngithub-token = ${HOME}\n1ST = ${HOME}\nOK_1 = ${HOME}\n");
    expect_error(fixture, ":2", "no name of a secret");
    expect_error(fixture, ":3", "no name of a secret");
    expect_count(fixture, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_of_250_bytes_is_refused_not_cut),
        TEST(a_comment_of_250_bytes_is_refused_since_its_rest_would_be_read_as_a_line),
        TEST(a_line_of_197_bytes_is_whole),
        TEST(every_mistake_of_every_file_is_named_in_one_go_and_in_order),
        TEST(an_unknown_section_names_the_nearest),
        TEST(names_of_plugins_and_tasks_are_checked),
        TEST(a_key_of_another_section_is_sent_there),
        TEST(a_section_given_twice_names_both_places),
        TEST(a_key_given_twice_names_both_places),
        TEST(a_line_that_is_no_ini_is_refused),
        TEST(a_continuation_line_is_refused),
        TEST(a_key_above_any_section_is_refused),
        TEST(bytes_that_are_no_text_are_refused),
        TEST(line_ends_of_windows_and_a_missing_last_one_are_fine),
        TEST(only_conf_files_are_read_by_name),
        TEST(a_folder_that_is_missing_or_none_is_named),
        TEST(what_is_no_readable_file_is_named),
        TEST(a_file_that_all_may_write_is_a_warning),
        TEST(a_literal_secret_that_all_may_read_is_a_warning),
        TEST(a_value_in_quotes_is_refused),
        TEST(a_hash_behind_a_value_is_a_warning),
        TEST(routes_are_kept_with_their_place),
        TEST(names_of_secrets_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
