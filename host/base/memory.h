/*
 * base/memory.h: allocation that doesn't fail: out of memory, the program says so and ends, and a supervisor starts
 * it anew.
 *
 * For the host's own small records. What a peer controls the size of is checked against a limit first.
 */
#ifndef EXPORTD_BASE_MEMORY_H
#define EXPORTD_BASE_MEMORY_H

#include <stddef.h>

void *memory_zeroed(size_t count, size_t size);
void *memory_resized(void *block, size_t count, size_t size);
char *memory_text(const char *text);                  /* a copy; NULL for NULL */
char *memory_bytes(const void *bytes, size_t length); /* a copy with a NUL behind it */
char *memory_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* After a busy time: what the allocator keeps goes back to the system. */
void memory_give_back(void);

#endif
