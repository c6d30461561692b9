/*
 * exportd/kit/text.h: small helpers for text that people will read.
 *
 * All input is UTF-8 with an explicit or NUL-terminated length; ill-formed bytes become U+FFFD, never a fault.
 */
#ifndef EXPORTD_KIT_TEXT_H
#define EXPORTD_KIT_TEXT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A copy of text without terminal escapes (CSI, OSC and two-byte sequences) and without control characters other
 * than newline and tab; CR LF becomes LF. Returns a new string (free it), or NULL when out of memory. */
char *exportd_text_plain(const char *text);

/* Decodes the code point at *cursor and moves the cursor past it. Returns 0 at the terminating NUL (the cursor
 * stays), U+FFFD for ill-formed bytes (the cursor moves one byte). */
uint32_t exportd_text_next(const char **cursor);

/* Writes code_point as UTF-8 to out (4 bytes at most, no NUL). Returns the bytes written. */
size_t exportd_text_encode(uint32_t code_point, char out[4]);

#ifdef __cplusplus
}
#endif
#endif
