/* buffer.h: a growing run of bytes. */
#include "buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX_BYTES (256u << 20)

void buffer_append(struct buffer *buffer, const void *data, size_t size_bytes)
{
    if (buffer->failed || size_bytes > BUFFER_MAX_BYTES - buffer->size_bytes) {
        buffer->failed = 1;
        return;
    }
    if (!size_bytes)
        return;
    if (buffer->size_bytes + size_bytes > buffer->capacity_bytes) {
        size_t capacity_bytes = buffer->capacity_bytes ? 2 * buffer->capacity_bytes : 1024;
        while (capacity_bytes < buffer->size_bytes + size_bytes)
            capacity_bytes *= 2;
        uint8_t *grown = realloc(buffer->data, capacity_bytes);
        if (!grown) {
            buffer->failed = 1;
            return;
        }
        buffer->data = grown;
        buffer->capacity_bytes = capacity_bytes;
    }
    memcpy(buffer->data + buffer->size_bytes, data, size_bytes);
    buffer->size_bytes += size_bytes;
}

void buffer_append_text(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        buffer->failed = 1;
    else
        buffer_append(buffer, text, (size_t)length);
}

void buffer_append_u16(struct buffer *buffer, uint32_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    buffer_append(buffer, bytes, sizeof bytes);
}

void buffer_append_u32(struct buffer *buffer, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8), (uint8_t)value};
    buffer_append(buffer, bytes, sizeof bytes);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}
