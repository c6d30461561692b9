/*
 * base/utf8.h: text that must be UTF-8, whoever wrote it.
 */
#ifndef EXPORTD_BASE_UTF8_H
#define EXPORTD_BASE_UTF8_H

#include <stddef.h>

/* Copies text, up to length bytes or its NUL, into out, which gets a NUL too. What does not fit, or was cut before,
 * ends with a whole character, and each byte that is not UTF-8 becomes '?'. out may be text. Async-signal-safe. */
void utf8_copy(char *out, size_t size, const char *text, size_t length);

/* Cuts a character at the end of text that was cut in its middle. */
void utf8_trim(char *text);

#endif
