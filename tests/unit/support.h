/*
 * What the unit tests share. cmocka's header wants these before it.
 */
#ifndef EXPORTD_TESTS_SUPPORT_H
#define EXPORTD_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/tree.h"

#include <stdio.h>
#include <stdlib.h>

/* A new temporary folder; remove it with support_remove_folder(), which frees it too. */
static inline char *support_make_folder(void)
{
    char path[] = "/tmp/exportd-unit-XXXXXX";
    char *made = mkdtemp(path);
    assert_non_null(made);
    size_t size = sizeof path;
    char *copy = malloc(size);
    assert_non_null(copy);
    snprintf(copy, size, "%s", made);
    return copy;
}

static inline void support_remove_folder(char *folder)
{
    assert_int_equal(tree_remove(folder), 0);
    free(folder);
}

#endif
