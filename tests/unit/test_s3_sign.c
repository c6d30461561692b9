/* URLs that carry their signature, held against the published example; and what becomes of keys and names in URLs. */
#include "support.h"

#include "artifact/s3.h"
#include "artifact/s3_internal.h"

#include <string.h>

#define EXAMPLE_TIME 1369353600 /* 20130524T000000Z */

static struct config_s3 settings(void)
{
    return (struct config_s3){
        .bucket = "examplebucket",
        .endpoint = "",
        .region = "us-east-1",
        .access_key = "AKIAIOSFODNN7EXAMPLE",
        .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        .prefix = "",
    };
}

static void assert_text(char *actual, const char *expected)
{
    assert_string_equal(actual, expected);
    free(actual);
}

/* "Authenticating Requests: Using Query Parameters", with its host spelled as it is there. */
static void the_published_example_is_met(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    config.endpoint = "https://s3.amazonaws.com";
    config.addressing = CONFIG_ADDRESSING_VIRTUAL;
    assert_text(s3_presign(&config, "test.txt", EXAMPLE_TIME, 86400),
                "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                "AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-"
                "Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
                "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

static void the_time_a_url_is_good_for_is_kept_in_bounds(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    static const int64_t wanted[] = {-5, 0, 1, 604800, 604801, INT64_MAX};
    static const char *const got[] = {"Expires=1&",      "Expires=1&",      "Expires=1&",
                                      "Expires=604800&", "Expires=604800&", "Expires=604800&"};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        char *url = s3_presign(&config, "x", EXAMPLE_TIME, wanted[i]);
        assert_non_null(strstr(url, got[i]));
        free(url);
    }
}

static void each_job_has_one_folder_that_leads_nowhere_else(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    config.prefix = "exports/";
    static const char *const ids[][2] = {
        {"plain-1", "exports/plain-1/x.pdf"},
        {"a b+c[1]{2}", "exports/a b+c[1]{2}/x.pdf"},
        {"Fehler – größe 漢字", "exports/Fehler – größe 漢字/x.pdf"},
        {"a/b", "exports/a%2Fb/x.pdf"},
        {"a%2Fb", "exports/a%252Fb/x.pdf"},
        {"a\\b", "exports/a%5Cb/x.pdf"},
        {".", "exports/%2E/x.pdf"},
        {"..", "exports/%2E%2E/x.pdf"},
        {"../../etc", "exports/..%2F..%2Fetc/x.pdf"},
        {"...", "exports/.../x.pdf"},
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        assert_text(s3_key(&config, ids[i][0], "x.pdf"), ids[i][1]);
}

static void a_key_is_encoded_once_with_upper_case_escapes(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    config.endpoint = "http://s3.local:9000";
    assert_text(s3_url(&config, "a b+c[1]/ö&?#=%2F~-_.x"),
                "http://s3.local:9000/examplebucket/a%20b%2Bc%5B1%5D/%C3%B6%26%3F%23%3D%252F~-_.x");
}

static void the_bucket_is_found_in_both_ways(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    assert_text(s3_url(&config, "k"), "https://s3.us-east-1.amazonaws.com/examplebucket/k");
    config.addressing = CONFIG_ADDRESSING_VIRTUAL;
    config.region = "cn-north-1";
    assert_text(s3_url(&config, "k"), "https://examplebucket.s3.cn-north-1.amazonaws.com.cn/k");
    config.endpoint = "http://Minio.Local:9000/";
    assert_text(s3_url(&config, "k"), "http://examplebucket.minio.local:9000/k");
    config.addressing = CONFIG_ADDRESSING_PATH;
    assert_text(s3_url(&config, "k"), "http://minio.local:9000/examplebucket/k");
    config.endpoint = "https://gate.example:443/s3/";
    assert_text(s3_url(&config, "k"), "https://gate.example/s3/examplebucket/k");
    config.endpoint = "http://[::1]:80";
    assert_text(s3_url(&config, "k"), "http://[::1]/examplebucket/k");
}

static void settings_that_cannot_work_are_named(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    struct error error = {0};
    assert_int_equal(s3_check_settings(&config, &error), 0);
    config.secret_key = "";
    assert_int_equal(s3_check_settings(&config, &error), -1);
    assert_non_null(strstr(error.message, "S3_SECRET_KEY"));
    error_clear(&error);
    config = settings();
    config.endpoint = "https://user:password@host";
    assert_int_equal(s3_check_settings(&config, &error), -1);
    assert_null(strstr(error.message, "password@"));
}

static struct error error_of(const struct config_s3 *config, long status, const char *text)
{
    struct error error = {0};
    char server_code[ERROR_CODE_MAX];
    struct s3_answer *answer = calloc(1, sizeof *answer);
    assert_non_null(answer);
    answer->status = status;
    answer->length = strlen(text);
    memcpy(answer->text, text, answer->length);
    s3_answer_error(config, answer, server_code, &error);
    free(answer);
    return error;
}

static void an_answer_says_what_is_wrong_and_whether_to_try_again(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    static const struct {
        long status;
        const char *text, *code;
        bool retryable;
    } cases[] = {
        {403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", "s3_secret", false},
        {403, "<Error><Code>InvalidAccessKeyId</Code></Error>", "s3_access_key", false},
        {403, "<Error><Code>AccessDenied</Code></Error>", "s3_denied", false},
        {403, "", "s3_denied", false},
        {403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "s3_clock", true},
        {404, "<Error><Code>NoSuchBucket</Code></Error>", "s3_bucket", false},
        {404, "<html>nothing here</html>", "s3_bucket", false},
        {301, "<Error><Code>PermanentRedirect</Code><Endpoint>b.s3-eu.example</Endpoint></Error>", "s3_region",
         false},
        {302, "", "s3_region", false},
        {400, "<Error><Code>KeyTooLongError</Code></Error>", "s3_refused", false},
        {400, "<Error><Code>RequestTimeout</Code></Error>", "s3_timeout", true},
        {503, "<Error><Code>SlowDown</Code></Error>", "s3_unavailable", true},
        {429, "<Error><Code>TooManyRequests</Code></Error>", "s3_unavailable", true},
        {500, "<Error><Code>SomethingNew</Code></Error>", "s3_unavailable", true},
        {502, "<html>bad gateway</html>", "s3_unavailable", true},
        {200, "<Error><Code>InternalError</Code></Error>", "s3_unavailable", true},
        {200, "<Error><Code>NoSuchBucket</Code></Error>", "s3_bucket", false},
        {404, "<Error><Code>NoSuchUpload</Code></Error>", "s3_broken", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = error_of(&config, cases[i].status, cases[i].text);
        assert_string_equal(error.code, cases[i].code);
        assert_int_equal(error.retryable, cases[i].retryable);
    }
}

static void an_answer_cannot_put_secrets_or_escapes_into_an_error(void **state)
{
    (void)state;
    struct config_s3 config = settings();
    static const char *const messages[] = {
        "AKIAIOSFODNN7EXAMPLE is wrong",
        "it is wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "X-Amz-Signature=00",
        "\033[31mred",
        "line\nbreak",
    };
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>", messages[i]);
        struct error error = error_of(&config, 403, text);
        assert_null(strstr(error.message, messages[i]));
        assert_null(strstr(error.message, "EXAMPLE "));
    }
    struct error error =
        error_of(&config, 403, "<Error><Code>AccessDenied</Code><Message>no &lt;way&gt; &amp;c</Message></Error>");
    assert_non_null(strstr(error.message, "no <way> &c"));
}

static void no_file_has_more_than_ten_thousand_parts(void **state)
{
    (void)state;
    const int64_t mib = 1 << 20, least = 5 * mib;
    static const int64_t sizes[] = {1, 5242880, 5242881, 52428800000, 52428800001, 1099511627776, 5497558138880};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t part = s3_part_bytes(least, sizes[i]);
        assert_true(part >= least && part % mib == 0);
        assert_true((sizes[i] + part - 1) / part <= 10000);
        assert_true(part == least ||
                    (sizes[i] + part - mib - 1) / (part - mib) > 10000); /* and no larger than need be */
    }
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_example_is_met),
        cmocka_unit_test(the_time_a_url_is_good_for_is_kept_in_bounds),
        cmocka_unit_test(each_job_has_one_folder_that_leads_nowhere_else),
        cmocka_unit_test(a_key_is_encoded_once_with_upper_case_escapes),
        cmocka_unit_test(the_bucket_is_found_in_both_ways),
        cmocka_unit_test(settings_that_cannot_work_are_named),
        cmocka_unit_test(an_answer_says_what_is_wrong_and_whether_to_try_again),
        cmocka_unit_test(an_answer_cannot_put_secrets_or_escapes_into_an_error),
        cmocka_unit_test(no_file_has_more_than_ten_thousand_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
