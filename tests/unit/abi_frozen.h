/* What the test_abi_1_*.c have in common: the frozen headers must stay as they were, since they stand
 * for plugins that are out there. PIN_* are the sizes that grew from minor to minor. */
#ifndef EXPORTD_TESTS_ABI_FROZEN_H
#define EXPORTD_TESTS_ABI_FROZEN_H

#include "support.h"

#define PIN(type, member, where) assert_int_equal(offsetof(struct type, member), where)

static void the_frozen_header_is_what_plugins_were_built_with(void **state)
{
    (void)state;
    assert_int_equal(EXPORTD_ABI_MAGIC, 0x44505845u);
    assert_int_equal(EXPORTD_ABI_MAJOR, 1);
    assert_int_equal(EXPORTD_ABI_MINOR, PIN_MINOR);
    assert_int_equal(sizeof(struct exportd_block), 40);
    PIN(exportd_block, abi_minor, 6);
    PIN(exportd_block, plugin, 32);
    assert_int_equal(sizeof(struct exportd_plugin), 80);
    PIN(exportd_plugin, tasks, 32);
    PIN(exportd_plugin, options, 40);
    PIN(exportd_plugin, grants, 48);
    PIN(exportd_plugin, secrets, 56);
    PIN(exportd_plugin, init, 64);
    PIN(exportd_plugin, destroy, 72);
    assert_int_equal(sizeof(struct exportd_task), PIN_TASK_SIZE);
    PIN(exportd_task, schema, 32);
    PIN(exportd_task, flags, 40);
    PIN(exportd_task, run, 48);
    assert_int_equal(sizeof(struct exportd_option), 40);
    assert_int_equal(sizeof(struct exportd_job), 48);
    PIN(exportd_job, attempt, 40);
    assert_int_equal(sizeof(struct exportd_host), PIN_HOST_SIZE);
    PIN(exportd_host, log, 8);
    PIN(exportd_host, artifact, 56);
    PIN(exportd_host, fail, 64);
    assert_int_equal(EXPORTD_GRANT_NETWORK, 1);
    assert_int_equal(EXPORTD_GRANT_EXEC, 2);
    assert_int_equal(EXPORTD_NEEDS_REPRO, 1);
    assert_int_equal(EXPORTD_PATH, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_header_is_what_plugins_were_built_with),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
