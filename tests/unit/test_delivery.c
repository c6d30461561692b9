/* The guard's addresses and the signature. */
#include "support.h"

#include "delivery/guard.h"
#include "delivery/signature.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>
#include <sys/un.h>

static bool allows(const char *address, const struct config_list *allowed)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    char text[64];
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    else
        fail();
    return guard_allows((struct sockaddr *)&storage, allowed, text, sizeof text);
}

static void public_addresses_are_allowed(void **state)
{
    (void)state;
    const struct config_list none = {0};
    static const char *const open[] = {
        "1.1.1.1",         "8.8.8.8",         "9.255.255.255",        "11.0.0.0",        "100.63.255.255",
        "100.128.0.1",     "172.15.0.1",      "172.32.0.1",           "192.167.255.255", "198.17.255.255",
        "198.20.0.1",      "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1",    "::ffff:8.8.8.8",
        "64:ff9b::808:808"};
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        assert_true(allows(open[i], &none));
}

static void all_others_are_not(void **state)
{
    (void)state;
    const struct config_list none = {0};
    static const char *const closed[] = {"0.0.0.0",
                                         "0.1.2.3",
                                         "10.0.0.1",
                                         "10.255.255.255",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.255.0.1",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.0.0.8",
                                         "192.0.2.1",
                                         "192.88.99.1",
                                         "192.168.0.1",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "198.51.100.7",
                                         "203.0.113.7",
                                         "224.0.0.1",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::ffff:127.0.0.1",
                                         "::ffff:10.0.0.1",
                                         "64:ff9b::7f00:1",
                                         "64:ff9b:1::1",
                                         "2002:7f00:1::",
                                         "fc00::1",
                                         "fd12::1",
                                         "fe80::1",
                                         "fec0::1",
                                         "ff02::1",
                                         "2001:db8::1",
                                         "2001::1",
                                         "100::1",
                                         "::7f00:1",
                                         "3fff::1"};
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++) {
        if (allows(closed[i], &none))
            print_error("%s\n", closed[i]);
        assert_false(allows(closed[i], &none));
    }
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    char text[64];
    assert_false(guard_allows((struct sockaddr *)&local, &none, text, sizeof text));
}

static void listed_blocks_are_allowed_and_only_they(void **state)
{
    (void)state;
    char *items[] = {(char *)(uintptr_t) "127.0.0.1", (char *)(uintptr_t) "10.1.0.0/20",
                     (char *)(uintptr_t) "fd00::/8"};
    const struct config_list list = {.items = items, .count = 3};
    assert_true(allows("127.0.0.1", &list));
    assert_true(allows("::ffff:127.0.0.1", &list));
    assert_false(allows("127.0.0.2", &list));
    assert_true(allows("10.1.15.255", &list));
    assert_false(allows("10.1.16.0", &list));
    assert_true(allows("fd99::5", &list));
    assert_false(allows("fc99::5", &list));
}

/* The example of the Standard Webhooks specification's reference libraries. */
static void signatures_are_those_of_the_standard(void **state)
{
    (void)state;
    char text[SIGNATURE_TEXT_MAX];
    const char *body = "{\"test\": 2432232314}";
    assert_int_equal(signature_make("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                    1614265330, body, strlen(body), text),
                     0);
    assert_string_equal(text, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void a_secret_that_is_no_base64_is_refused(void **state)
{
    (void)state;
    char text[SIGNATURE_TEXT_MAX];
    assert_int_equal(signature_make("whsec_!!", "a", 1, "", 0, text), -1);
    assert_int_equal(signature_make("any other text", "a", 1, "", 0, text), 0);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_addresses_are_allowed),
        cmocka_unit_test(all_others_are_not),
        cmocka_unit_test(listed_blocks_are_allowed_and_only_they),
        cmocka_unit_test(signatures_are_those_of_the_standard),
        cmocka_unit_test(a_secret_that_is_no_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
