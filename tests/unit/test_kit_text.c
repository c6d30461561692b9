/* The kit's text helpers: escapes go, text stays, ill-formed bytes never fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <exportd/kit/text.h>
#include <stdlib.h>
#include <string.h>

static void check_plain(const char *text, const char *expected)
{
    char *plain = exportd_text_plain(text);
    assert_non_null(plain);
    assert_string_equal(plain, expected);
    free(plain);
}

static void colour_escapes_are_removed(void **state)
{
    (void)state;
    check_plain("\033[2mexpect(\033[22m\033[31mreceived\033[39m)", "expect(received)");
    check_plain("\033[38;2;1;2;3mred\033[0m", "red");
    check_plain("\302\2331mbold", "bold");
}

static void operating_system_commands_are_removed_with_their_text(void **state)
{
    (void)state;
    check_plain("\033]8;;https://example.com\033\\link\033]8;;\033\\", "link");
    check_plain("\033]0;title\007after", "after");
    check_plain("\033Pdevice\033\\after", "after");
    check_plain("\033]0;never ends\nnext line", "\nnext line");
    check_plain("\033]0;cut by\033[1mbold", "bold");
}

static void a_c1_control_without_an_end_takes_no_text_with_it(void **state)
{
    (void)state;
    check_plain("a\302\235title\302\234b", "ab");
    check_plain("a \303\242\302\200\302\235 quoted word\nb", "a \303\242 quoted word\nb");
    check_plain("\302\230", "");
}

static void two_byte_escapes_are_removed(void **state)
{
    (void)state;
    check_plain("a\033Mb\033(Bc\033=d", "abcd");
    check_plain("end\033", "end");
    check_plain("end\033[", "end");
    check_plain("end\033[31", "end");
    check_plain("\033[31\ntext", "\ntext");
}

static void control_characters_go_but_newline_and_tab_stay(void **state)
{
    (void)state;
    check_plain("a\r\nb\tc\001\177d\302\205e", "a\nb\tcde");
}

static void text_of_every_script_stays(void **state)
{
    (void)state;
    check_plain("Größe Ω Ж مرحبا 東京駅 \360\237\224\216", "Größe Ω Ж مرحبا 東京駅 \360\237\224\216");
}

static void ill_formed_bytes_become_the_replacement_character(void **state)
{
    (void)state;
    check_plain("a\377b", "a\357\277\275b");
    check_plain("\300\200", "\357\277\275\357\277\275");                                 /* overlong NUL */
    check_plain("\355\240\200", "\357\277\275\357\277\275\357\277\275");                 /* a surrogate */
    check_plain("\364\220\200\200", "\357\277\275\357\277\275\357\277\275\357\277\275"); /* beyond U+10FFFF */
    check_plain("\360\237", "\357\277\275\357\277\275");                                 /* cut short */
}

static void every_code_point_survives_a_round_trip(void **state)
{
    (void)state;
    for (uint32_t code_point = 1; code_point <= 0x10FFFF; code_point++) {
        char text[5] = {0};
        if (code_point == 0xD800)
            code_point = 0xE000;
        size_t length = exportd_text_encode(code_point, text);
        const char *cursor = text;
        assert_int_equal(exportd_text_next(&cursor), code_point);
        assert_ptr_equal(cursor, text + length);
    }
}

static void what_is_no_code_point_is_written_as_the_replacement_character(void **state)
{
    (void)state;
    char text[4];
    assert_int_equal(exportd_text_encode(0xD800, text), 3);
    assert_memory_equal(text, "\357\277\275", 3);
    assert_int_equal(exportd_text_encode(0x110000, text), 3);
    assert_memory_equal(text, "\357\277\275", 3);
}

static void the_cursor_stays_at_the_end(void **state)
{
    (void)state;
    const char *empty = "";
    const char *cursor = empty;
    assert_int_equal(exportd_text_next(&cursor), 0);
    assert_ptr_equal(cursor, empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(colour_escapes_are_removed),
        cmocka_unit_test(operating_system_commands_are_removed_with_their_text),
        cmocka_unit_test(a_c1_control_without_an_end_takes_no_text_with_it),
        cmocka_unit_test(two_byte_escapes_are_removed),
        cmocka_unit_test(control_characters_go_but_newline_and_tab_stay),
        cmocka_unit_test(text_of_every_script_stays),
        cmocka_unit_test(ill_formed_bytes_become_the_replacement_character),
        cmocka_unit_test(every_code_point_survives_a_round_trip),
        cmocka_unit_test(what_is_no_code_point_is_written_as_the_replacement_character),
        cmocka_unit_test(the_cursor_stays_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
