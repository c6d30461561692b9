#include "support.h"

#include "worker/turn.h"

#include <pthread.h>

static void a_given_turn_is_taken_and_stays_so(void **state)
{
    (void)state;
    struct turns turns = {0};
    turns_give(&turns, 1);
    assert_int_equal(turns_recall(&turns), 1);
    assert_true(turns_take(&turns, 1)); /* it was given before it was read */
    assert_false(turns_take(&turns, 2));
}

static void turns_are_taken_one_after_the_other(void **state)
{
    (void)state;
    struct turns turns = {0};
    turns_give(&turns, 7);
    assert_true(turns_take(&turns, 7));
    assert_false(turns_take(&turns, 9));
    assert_true(turns_take(&turns, 8));
    assert_true(turns_take(&turns, 9));
    assert_int_equal(turns_last(&turns), 9);
}

static void what_was_recalled_is_never_taken_also_behind_one_that_is_given(void **state)
{
    (void)state;
    struct turns turns = {0};
    turns_give(&turns, 1);
    assert_true(turns_take(&turns, 1));
    assert_int_equal(turns_recall(&turns), 1);
    assert_int_equal(turns_recall(&turns), 1);
    assert_false(turns_take(&turns, 2));
    turns_give(&turns, 4); /* 2 and 3 still lie in the worker's socket */
    assert_false(turns_take(&turns, 2));
    assert_false(turns_take(&turns, 3));
    assert_true(turns_take(&turns, 4));
    assert_true(turns_take(&turns, 5));
    assert_int_equal(turns_recall(&turns), 5);
}

enum { ROUNDS = 2000, AHEAD = 8 };

struct race {
    struct turns turns;
    pthread_barrier_t barrier;
    uint64_t taken; /* the worker's last one in a round */
};

static void *take_all(void *client)
{
    struct race *race = client;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&race->barrier);
        uint64_t first = round * (AHEAD + 1) + 1;
        race->taken = first;
        for (uint64_t turn = first; turn <= first + AHEAD; turn++)
            if (turns_take(&race->turns, turn))
                race->taken = turn;
        pthread_barrier_wait(&race->barrier);
    }
    return NULL;
}

static void each_turn_is_taken_or_recalled(void **state)
{
    (void)state;
    struct race race = {0};
    pthread_t worker;
    pthread_barrier_init(&race.barrier, NULL, 2);
    assert_int_equal(pthread_create(&worker, NULL, take_all, &race), 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        turns_give(&race.turns, round * (AHEAD + 1) + 1);
        pthread_barrier_wait(&race.barrier);
        for (uint64_t i = 0; i < round % 200; i++)
            turns_last(&race.turns);
        uint64_t last = turns_recall(&race.turns);
        pthread_barrier_wait(&race.barrier);
        assert_int_equal(race.taken, last);
    }
    pthread_join(worker, NULL);
    pthread_barrier_destroy(&race.barrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_given_turn_is_taken_and_stays_so),
        cmocka_unit_test(turns_are_taken_one_after_the_other),
        cmocka_unit_test(what_was_recalled_is_never_taken_also_behind_one_that_is_given),
        cmocka_unit_test(each_turn_is_taken_or_recalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
