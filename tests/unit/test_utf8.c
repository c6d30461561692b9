#include "support.h"

#include "base/error.h"
#include "base/utf8.h"

#include <string.h>

static void expect(const char *text, size_t size, const char *wanted)
{
    char out[64];
    memset(out, '#', sizeof out);
    utf8_copy(out, size, text, strlen(text));
    assert_string_equal(out, wanted);
    assert_int_equal(out[strlen(wanted) + 1], '#');
}

static void text_that_fits_is_copied(void **state)
{
    (void)state;
    expect("", 1, "");
    expect("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 64, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

static void text_is_cut_at_the_end_of_a_character(void **state)
{
    (void)state;
    expect("\xc3\xa9\xc3\xa9", 4, "\xc3\xa9");
    expect("a\xf0\x9f\x98\x80", 5, "a");
    expect("a\xe2\x82", 64, "a");
    expect("a\xf0\x9f\x98\x80", 6, "a\xf0\x9f\x98\x80");
}

static void bytes_that_are_not_utf8_become_question_marks(void **state)
{
    (void)state;
    expect("a\xff"
           "b",
           64, "a?b");
    expect("\xc3-", 64, "?-");
    expect("\xc0\xaf", 64, "??");
    expect("\xed\xa0\x80", 64, "???");
    expect("\xf4\x90\x80\x80", 64, "????");
}

static void a_cut_character_is_trimmed(void **state)
{
    (void)state;
    char cut[] = "a\xe2\x82", whole[] = "a\xe2\x82\xac", plain[] = "ab", empty[] = "";
    utf8_trim(cut);
    utf8_trim(whole);
    utf8_trim(plain);
    utf8_trim(empty);
    assert_string_equal(cut, "a");
    assert_string_equal(whole, "a\xe2\x82\xac");
    assert_string_equal(plain, "ab");
    assert_string_equal(empty, "");
}

static void an_error_that_is_too_long_is_still_utf8(void **state)
{
    (void)state;
    char text[ERROR_MESSAGE_MAX + 3], checked[sizeof text];
    for (size_t shift = 0; shift < 2; shift++) {
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 1 < sizeof text - 1; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        text[sizeof text - 1] = '\0';
        struct error error = {0}, prefixed = {0};
        error_set(&error, "long", false, "%s", text);
        utf8_copy(checked, sizeof checked, error.message, sizeof error.message);
        assert_string_equal(checked, error.message);
        error_set(&prefixed, "long", false, "%s", error.message);
        error_prefix(&prefixed, "a: ");
        utf8_copy(checked, sizeof checked, prefixed.message, sizeof prefixed.message);
        assert_string_equal(checked, prefixed.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_fits_is_copied),
        cmocka_unit_test(text_is_cut_at_the_end_of_a_character),
        cmocka_unit_test(bytes_that_are_not_utf8_become_question_marks),
        cmocka_unit_test(a_cut_character_is_trimmed),
        cmocka_unit_test(an_error_that_is_too_long_is_still_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
