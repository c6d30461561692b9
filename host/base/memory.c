#include "base/memory.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* jemalloc's, where the program is linked with it (jemalloc(3)); unit tests and sanitized builds are not. Nearly all
 * is the loop's: two arenas are enough. */
extern __attribute__((visibility("default"))) const char *malloc_conf;
const char *malloc_conf = "narenas:2";
#define ALL_ARENAS "arena.4096" /* MALLCTL_ARENAS_ALL */
extern int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size) __attribute__((weak));

static void *checked(void *block)
{
    if (!block) {
        fputs("exportd: out of memory\n", stderr);
        abort();
    }
    return block;
}

void *memory_zeroed(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *memory_resized(void *block, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        checked(NULL);
    return checked(realloc(block, (count == 0 || size == 0) ? 1 : count * size));
}

char *memory_text(const char *text)
{
    return text ? checked(strdup(text)) : NULL;
}

char *memory_bytes(const void *bytes, size_t length)
{
    char *copy = checked(malloc(length + 1));
    if (length > 0)
        memcpy(copy, bytes, length);
    copy[length] = '\0';
    return copy;
}

char *memory_format(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return checked(length < 0 ? NULL : text);
}

void memory_give_back(void)
{
    if (mallctl) {
        mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
        mallctl(ALL_ARENAS ".purge", NULL, NULL, NULL, 0);
    }
    malloc_trim(0);
}
