/* What [redis] url may say. */
#include "support.h"

#include "redis/address.h"

#include <string.h>

static void check(const char *url, const char *host, const char *port, const char *user, const char *password,
                  const char *database)
{
    struct redis_address address;
    struct error error = {0};
    assert_int_equal(redis_address_read(url, &address, &error), 0);
    const char *const found[] = {address.host, address.port, address.user, address.password, address.database};
    const char *const wanted[] = {host, port, user, password, database};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(found[i] == NULL, wanted[i] == NULL);
        if (wanted[i])
            assert_string_equal(found[i], wanted[i]);
    }
    redis_address_clear(&address);
}

static void the_parts_of_a_url_are_found(void **state)
{
    (void)state;
    check("redis://cache", "cache", "6379", NULL, NULL, NULL);
    check("redis://cache:7000/3", "cache", "7000", NULL, NULL, "3");
    check("redis://:word@cache", "cache", "6379", NULL, "word", NULL);
    check("redis://me:p%40ss%2Fword@cache:7000/0", "cache", "7000", "me", "p@ss/word", "0");
    check("redis://[::1]:7000", "::1", "7000", NULL, NULL, NULL);
}

static void a_socket_has_a_path(void **state)
{
    (void)state;
    struct redis_address address;
    struct error error = {0};
    assert_int_equal(redis_address_read("unix:///run/redis.sock", &address, &error), 0);
    assert_string_equal(address.path, "/run/redis.sock");
    redis_address_clear(&address);
}

static void what_is_no_url_is_refused_without_showing_it(void **state)
{
    (void)state;
    static const char *const urls[] = {"redis://:secret@cache/zero", "redis://", "unix://secret", "redis://:secret@"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct redis_address address;
        struct error error = {0};
        assert_int_equal(redis_address_read(urls[i], &address, &error), -1);
        assert_string_equal(error.code, "redis_url");
        assert_null(strstr(error.message, "secret"));
        redis_address_clear(&address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_url_are_found),
        cmocka_unit_test(a_socket_has_a_path),
        cmocka_unit_test(what_is_no_url_is_refused_without_showing_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
