/* vectors_parts.h: the two formats. */
#include "vectors_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 19 /* that a number of 64 bits holds */

bool vectors_number(const char **cursor, const char *end, float *number)
{
    const char *at = *cursor;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    bool negative = at < end && *at == '-', point = false, any = false;
    uint64_t digits = 0;
    int exponent = 0, seen = 0;
    at += at < end && (*at == '-' || *at == '+');
    for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !point)); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        any = true;
        if (seen < DIGITS_MAX) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            seen += digits > 0;
            exponent -= point;
        } else {
            exponent += !point;
        }
    }
    if (any && at < end && (*at == 'e' || *at == 'E')) {
        int power = 0;
        bool down = ++at < end && *at == '-';
        at += at < end && (*at == '-' || *at == '+');
        any = at < end && *at >= '0' && *at <= '9';
        for (; at < end && *at >= '0' && *at <= '9'; at++)
            power = power < 10000 ? power * 10 + (*at - '0') : power;
        exponent += down ? -power : power;
    }
    if (!any || (at < end && !strchr(" \t\r\n", *at)))
        return false;
    static const double tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11};
    double value = (double)digits;
    if (exponent < 0 && exponent >= -11)
        value /= tens[-exponent];
    else if (exponent != 0)
        value *= pow(10, exponent);
    *number = (float)(negative ? -value : value);
    *cursor = at;
    return true;
}

static int keep_text(struct vectors *vectors, const char *word, size_t length, struct exportd_kit_error *error)
{
    if (vectors->texts_bytes + length > vectors->texts_room) {
        size_t room = 2 * vectors->texts_room + length + 65536;
        char *grown = realloc(vectors->texts, room);
        if (!grown)
            return exportd_kit_no_memory(error);
        vectors->texts = grown;
        vectors->texts_room = room;
    }
    memcpy(vectors->texts + vectors->texts_bytes, word, length);
    vectors->words[vectors->count].text = vectors->texts_bytes;
    vectors->words[vectors->count].length = (uint32_t)length;
    vectors->texts_bytes += length;
    return 0;
}

const char *vectors_before_numbers(const char *begin, const char *end, size_t dimensions)
{
    const char *at = end;
    for (size_t left = dimensions; left > 0; left--) {
        while (at > begin && at[-1] == ' ')
            at--;
        while (at > begin && at[-1] != ' ')
            at--;
    }
    while (at > begin && at[-1] == ' ')
        at--;
    return at;
}

static int read_line(struct vectors *vectors, const char *begin, const char *end, size_t line,
                     struct exportd_kit_error *error)
{
    while (end > begin && strchr(" \t\r", end[-1]))
        end--;
    const char *at = memchr(begin, ' ', (size_t)(end - begin));
    size_t count = 0;
    if (vectors_reserve(vectors, error) != 0)
        return -1;
    float *numbers = vectors->numbers + vectors->count * vectors->dimensions;
    const char *word_end = at ? at : end;
    while (at && at < end && count < vectors->dimensions && vectors_number(&at, end, &numbers[count]))
        count++;
    if (count < vectors->dimensions || at < end) {
        at = word_end = vectors_before_numbers(begin, end, vectors->dimensions);
        for (count = 0; at < end && count < vectors->dimensions && vectors_number(&at, end, &numbers[count]);)
            count++;
    }
    size_t length = (size_t)(word_end - begin);
    if (count < vectors->dimensions || at < end || length == 0 || length > VECTORS_WORD_MAX)
        return exportd_kit_fail(
            error, "vectors_invalid", 0,
            "%s, line %zu: a word and %zu numbers behind it were to come; the file is damaged, or "
            "not in word2vec's text format",
            vectors->name, line, vectors->dimensions);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(numbers[i]))
            return exportd_kit_fail(error, "vectors_invalid", 0, "%s, line %zu: number %zu is too large",
                                    vectors->name, line, i + 1);
    return keep_text(vectors, begin, length, error);
}

int vectors_read_text(struct vectors *vectors, size_t offset, size_t line, struct exportd_kit_error *error)
{
    const char *at = vectors->map + offset, *end = vectors->map + vectors->size_bytes;
    for (; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *line_end = newline ? newline : end;
        if (line_end > at && !(line_end == at + 1 && *at == '\r')) {
            if (read_line(vectors, at, line_end, line, error) != 0)
                return -1;
            vectors->count++;
        }
        at = newline ? newline + 1 : end;
        if (line % VECTORS_STEP == 0 && vectors_step(vectors, (size_t)(at - vectors->map), error) != 0)
            return -1;
    }
    return 0;
}

int vectors_read_binary(struct vectors *vectors, size_t offset, size_t words, struct exportd_kit_error *error)
{
    size_t bytes = vectors->dimensions * sizeof(float);
    while (vectors->count < words) {
        /* word2vec itself ends a vector with a line's end, others do not. */
        if (offset < vectors->size_bytes && vectors->map[offset] == '\n')
            offset++;
        size_t left = vectors->size_bytes - offset;
        const char *word = vectors->map + offset;
        const char *blank = memchr(word, ' ', left < VECTORS_WORD_MAX ? left : VECTORS_WORD_MAX);
        if (!blank || (size_t)(blank - word) + 1 + bytes > left)
            return exportd_kit_fail(
                error, "vectors_invalid", 0,
                "%s, byte %zu: word %zu of %zu and its %zu numbers were to come; the file is damaged, "
                "cut off, or not in word2vec's binary format",
                vectors->name, offset, vectors->count + 1, words, vectors->dimensions);
        if (vectors_reserve(vectors, error) != 0)
            return -1;
        size_t numbers = (size_t)(blank + 1 - vectors->map);
        vectors->words[vectors->count++] =
            (struct vectors_word){.text = offset, .numbers = numbers, .length = (uint32_t)(blank - word)};
        offset = numbers + bytes;
        if (vectors->count % VECTORS_STEP == 0 && vectors_step(vectors, offset, error) != 0)
            return -1;
    }
    return 0;
}
