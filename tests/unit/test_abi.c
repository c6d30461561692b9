/*
 * The sizes and offsets of the plugin ABI, 1.3, on a 64-bit machine. A change here breaks plugins that are out there:
 * append instead, raise the minor number, and add lines below.
 */
#include <exportd/plugin.h>

#include "support.h"

#define PIN(type, member, where) assert_int_equal(offsetof(struct type, member), where)

/* What goes over the boundary as a number. */
static void the_numbers_are_what_they_were(void **state)
{
    (void)state;
    assert_int_equal(EXPORTD_ABI_MAGIC, 0x44505845u);
    assert_true(EXPORTD_ABI_MINOR >= 3);
    assert_int_equal(EXPORTD_DEBUG, 0);
    assert_int_equal(EXPORTD_INFO, 1);
    assert_int_equal(EXPORTD_WARNING, 2);
    assert_int_equal(EXPORTD_ERROR, 3);
    assert_int_equal(EXPORTD_STRING, 0);
    assert_int_equal(EXPORTD_INTEGER, 1);
    assert_int_equal(EXPORTD_BOOLEAN, 2);
    assert_int_equal(EXPORTD_DURATION, 3);
    assert_int_equal(EXPORTD_SIZE, 4);
    assert_int_equal(EXPORTD_PATH, 5);
    assert_int_equal(EXPORTD_GRANT_NETWORK, 1);
    assert_int_equal(EXPORTD_GRANT_EXEC, 2);
    assert_int_equal(EXPORTD_GRANT_CACHE, 4);
    assert_int_equal(EXPORTD_NEEDS_REPRO, 1);
}

static void the_block_lies_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(EXPORTD_ABI_MAJOR, 1);
    assert_int_equal(sizeof(struct exportd_block), 40);
    PIN(exportd_block, magic, 0);
    PIN(exportd_block, abi_major, 4);
    PIN(exportd_block, abi_minor, 6);
    PIN(exportd_block, block_size, 8);
    PIN(exportd_block, plugin_size, 12);
    PIN(exportd_block, task_size, 16);
    PIN(exportd_block, option_size, 20);
    PIN(exportd_block, sdk_version, 24);
    PIN(exportd_block, plugin, 32);
}

static void the_plugin_lies_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct exportd_plugin), 80);
    PIN(exportd_plugin, name, 0);
    PIN(exportd_plugin, version, 8);
    PIN(exportd_plugin, summary, 16);
    PIN(exportd_plugin, licence, 24);
    PIN(exportd_plugin, tasks, 32);
    PIN(exportd_plugin, options, 40);
    PIN(exportd_plugin, grants, 48);
    PIN(exportd_plugin, secrets, 56);
    PIN(exportd_plugin, init, 64);
    PIN(exportd_plugin, destroy, 72);
}

static void tasks_and_options_lie_as_they_were(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct exportd_task), 64);
    PIN(exportd_task, task, 0);
    PIN(exportd_task, option, 8);
    PIN(exportd_task, value, 16);
    PIN(exportd_task, summary, 24);
    PIN(exportd_task, schema, 32);
    PIN(exportd_task, flags, 40);
    PIN(exportd_task, run, 48);
    PIN(exportd_task, after, 56); /* since 1.2 */
    assert_int_equal(sizeof(struct exportd_option), 40);
    PIN(exportd_option, name, 0);
    PIN(exportd_option, type, 8);
    PIN(exportd_option, default_value, 16);
    PIN(exportd_option, help, 24);
    PIN(exportd_option, required, 32);
}

static void the_job_and_the_host_lie_as_they_were(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct exportd_job), 48);
    PIN(exportd_job, size, 0);
    PIN(exportd_job, host, 8);
    PIN(exportd_job, state, 16);
    PIN(exportd_job, id, 24);
    PIN(exportd_job, route, 32);
    PIN(exportd_job, attempt, 40);
    assert_int_equal(sizeof(struct exportd_host), 96);
    PIN(exportd_host, trace, 88);
    PIN(exportd_host, size, 0);
    PIN(exportd_host, log, 8);
    PIN(exportd_host, progress, 16);
    PIN(exportd_host, cancelled, 24);
    PIN(exportd_host, option, 32);
    PIN(exportd_host, secret, 40);
    PIN(exportd_host, workspace, 48);
    PIN(exportd_host, artifact, 56);
    PIN(exportd_host, retry_after, 72);
    PIN(exportd_host, cache, 80);
    PIN(exportd_host, fail, 64);
    assert_int_equal(EXPORTD_OK, 0);
    assert_int_equal(EXPORTD_RETRY, 1);
    assert_int_equal(EXPORTD_FAIL, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_numbers_are_what_they_were),
        cmocka_unit_test(the_block_lies_as_it_was),
        cmocka_unit_test(the_plugin_lies_as_it_was),
        cmocka_unit_test(tasks_and_options_lie_as_they_were),
        cmocka_unit_test(the_job_and_the_host_lie_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
