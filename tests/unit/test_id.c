/* base/id.h: ids of version 7, each behind the one before it. */
#include "support.h"

#include "base/clock.h"
#include "base/id.h"

#include <stdlib.h>
#include <string.h>

static int64_t time_of(const char *id)
{
    char digits[13];
    memcpy(digits, id, 8);
    memcpy(digits + 8, id + 9, 4);
    digits[12] = '\0';
    return strtoll(digits, NULL, 16);
}

/* Many in one millisecond: more than the counter can hold, too. */
static void ids_rise(void **state)
{
    (void)state;
    char before[ID_TEXT_SIZE], id[ID_TEXT_SIZE], canonical[ID_TEXT_SIZE];
    id_make(before);
    for (int i = 0; i < 100000; i++) {
        id_make(id);
        assert_true(strcmp(before, id) < 0);
        memcpy(before, id, sizeof id);
    }
    assert_true(id_is_uuid(id, canonical));
    assert_string_equal(id, canonical);
}

static void an_id_is_of_version_7_and_tells_its_time(void **state)
{
    (void)state;
    char id[ID_TEXT_SIZE];
    int64_t from_ms = clock_now_ms();
    id_make(id);
    assert_int_equal(strlen(id), ID_TEXT_SIZE - 1);
    assert_int_equal(id[14], '7');
    assert_non_null(strchr("89ab", id[19]));
    assert_in_range(time_of(id), from_ms, clock_now_ms() + 100); /* where others were made in this millisecond */
}

static void ids_of_one_millisecond_differ_in_what_is_random(void **state)
{
    (void)state;
    char one[ID_TEXT_SIZE], two[ID_TEXT_SIZE];
    id_make(one);
    id_make(two);
    assert_string_not_equal(one + 19, two + 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_of_version_7_and_tells_its_time),
        cmocka_unit_test(ids_of_one_millisecond_differ_in_what_is_random),
        cmocka_unit_test(ids_rise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
