/* The kit's addresses: which are public, and which blocks hold which. */
#include <exportd/kit/address.h>

#include "support.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static int allows(const char *text, const char *blocks)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&address;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        address.ss_family = AF_INET;
    } else {
        address.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    }
    return exportd_address_is_allowed((const struct sockaddr *)&address, blocks);
}

static void only_public_addresses_and_named_blocks_are_allowed(void **state)
{
    static const char *const closed[] = {
        "127.0.0.1",      "10.1.2.3",     "172.31.0.1",  "192.168.1.1", "169.254.169.254", "0.0.0.0",
        "100.64.0.1",     "224.0.0.1",    "::1",         "fe80::1",     "fd00::1",         "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:a00:1::", "2001:db8::1", "::",          "255.255.255.255"};
    (void)state;
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++)
        if (allows(closed[i], NULL) || allows(closed[i], "8.8.8.8 nonsense 10.0.0.0/99 127.0.0.1/ /8"))
            fail_msg("allowed: %s", closed[i]);
    assert_true(allows("140.82.121.4", NULL));
    assert_true(allows("2606:4700::1111", NULL));
    assert_true(allows("::ffff:140.82.121.4", NULL));
    assert_true(allows("10.1.2.3", "192.168.0.0/16, 10.0.0.0/8"));
    assert_true(allows("::ffff:10.0.0.1", "10.0.0.0/8"));
    assert_true(allows("fd00::1", "fd00::/8"));
    assert_false(allows("10.1.2.3", "10.1.2.2 fd00::/8"));
    assert_true(allows("10.1.2.3", "0.0.0.0/0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_public_addresses_and_named_blocks_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
