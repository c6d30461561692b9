/* program.h: what programs write. */
#include "program.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void output_trim(char *text)
{
    size_t length = strlen(text), at = length;
    while (at > 0 && length - at < 3 && ((unsigned char)text[at - 1] & 0xC0) == 0x80)
        at--;
    if (at == 0 || (unsigned char)text[at - 1] < 0xC0)
        return;
    unsigned char first = (unsigned char)text[at - 1];
    size_t wanted = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (length - (at - 1) < wanted)
        text[at - 1] = '\0';
}

static void end_line(struct output *output)
{
    while (output->line_length > 0 && output->line[output->line_length - 1] == ' ')
        output->line_length--;
    output->line[output->line_length] = '\0';
    output_trim(output->line);
    if (output->line[0]) {
        snprintf(output->tail[output->lines % TAIL_LINES], TAIL_LINE_BYTES, "%s", output->line);
        output->lines++;
    }
    output->line_length = 0;
}

/* ECMA-48: ESC [ … ends at a byte from @ to ~, ESC ] … at BEL or ESC \, any other ESC takes one more byte. */
static int is_escape(struct output *output, unsigned char byte)
{
    switch (output->escape) {
    case 0:
        output->escape = byte == 0x1B ? 1 : 0;
        return output->escape;
    case 1:
        output->escape = byte == '[' ? 2 : byte == ']' ? 3 : 0;
        return 1;
    case 2:
        if (byte >= 0x40 && byte <= 0x7E)
            output->escape = 0;
        return 1;
    default:
        if (byte == 0x07 || byte == '\\' || byte == '\n')
            output->escape = 0;
        return 1;
    }
}

void output_take(struct output *output, const char *bytes, size_t size)
{
    output->bytes += size;
    if (output->log >= 0 && output->kept < output->max) {
        uint64_t room = output->max - output->kept;
        ssize_t written = write(output->log, bytes, size < room ? size : (size_t)room);
        output->kept += written > 0 ? (uint64_t)written : 0;
    }
    for (size_t i = 0; i < size; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (is_escape(output, byte))
            continue;
        if (byte == '\n' || byte == '\r') {
            end_line(output);
        } else if (output->line_length + 1 < TAIL_LINE_BYTES && byte != 0x7F) {
            output->line[output->line_length++] = byte < 0x20 ? ' ' : (char)byte;
        }
    }
}

const char *output_last(const struct output *output)
{
    return output->lines > 0 ? output->tail[(output->lines - 1) % TAIL_LINES] : "";
}

const char *output_tail(const struct output *output, char *out, size_t size)
{
    size_t count = output->lines < TAIL_LINES ? output->lines : TAIL_LINES;
    size_t first = output->lines - count, needed = output->line_length + 1, length = 0;
    for (size_t i = first; i < output->lines; i++)
        needed += strlen(output->tail[i % TAIL_LINES]) + 1;
    for (; first < output->lines && needed > size; first++)
        needed -= strlen(output->tail[first % TAIL_LINES]) + 1;
    out[0] = '\0';
    for (size_t i = first; i < output->lines; i++) {
        size_t part = strlen(output->tail[i % TAIL_LINES]);
        if (length + part + 2 > size)
            break;
        if (length > 0)
            out[length++] = '\n';
        memcpy(out + length, output->tail[i % TAIL_LINES], part);
        length += part;
    }
    if (output->line_length > 0 && length + output->line_length + 2 <= size) {
        if (length > 0)
            out[length++] = '\n';
        memcpy(out + length, output->line, output->line_length);
        length += output->line_length;
    }
    out[length] = '\0';
    output_trim(out);
    return out;
}
