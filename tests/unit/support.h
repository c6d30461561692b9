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

/* All of a file, and a zero behind it; free() it. */
static inline char *support_read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    char *content = malloc(*size + 1);
    assert_non_null(content);
    assert_int_equal(fread(content, 1, *size, file), *size);
    content[*size] = '\0';
    fclose(file);
    return content;
}

/* A file in a folder; its path goes to path, which has room for so many bytes. */
static inline void support_write_file(const char *folder, const char *name, const void *bytes, size_t size,
                                      char *path, size_t room)
{
    snprintf(path, room, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

#endif
