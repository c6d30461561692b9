/*
 * buffer.h: a growing run of bytes with a maximum. Once an append failed (no memory, or beyond the maximum) all later
 * ones do nothing and failed stays set, so that one look at the end is enough.
 */
#ifndef EXPORT_PDF_BUFFER_H
#define EXPORT_PDF_BUFFER_H

#include <exportd/plugin.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data;
    size_t size_bytes;
    size_t capacity_bytes;
    int failed;
};

void buffer_append(struct buffer *buffer, const void *data, size_t size_bytes);
void buffer_append_text(struct buffer *buffer, const char *text);
void buffer_append_format(struct buffer *buffer, const char *format, ...) EXPORTD_PRINTF(2, 3);
void buffer_append_u16(struct buffer *buffer, uint32_t value); /* big endian */
void buffer_append_u32(struct buffer *buffer, uint32_t value); /* big endian */
void buffer_free(struct buffer *buffer);

#endif
