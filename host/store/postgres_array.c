/*
 * Parameters in PostgreSQL's binary format (src/backend/utils/adt/arrayfuncs.c, array_recv): an array is its
 * dimensions, flags and element type, then the length and bound of each dimension, then each element with its length.
 */
#include "base/memory.h"
#include "store/postgres.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_HEAD 20

static void put32(char *at, uint32_t number)
{
    number = htobe32(number);
    memcpy(at, &number, sizeof number);
}

static char *room(struct postgres_array *array, size_t more)
{
    if (array->length == 0)
        array->length = ARRAY_HEAD;
    if (array->length + more > array->size) {
        array->size = (array->length + more) * 2;
        array->bytes = memory_resized(array->bytes, array->size, 1);
    }
    char *at = array->bytes + array->length;
    array->length += more;
    return at;
}

void postgres_array_bytes(struct postgres_array *array, const void *bytes, size_t length)
{
    char *at = room(array, 4 + length);
    put32(at, (uint32_t)length);
    memcpy(at + 4, bytes, length);
    array->count++;
}

void postgres_array_number(struct postgres_array *array, int64_t number)
{
    uint64_t bytes = htobe64((uint64_t)number);
    postgres_array_bytes(array, &bytes, sizeof bytes);
}

void postgres_array_text(struct postgres_array *array, const char *text)
{
    if (text) {
        postgres_array_bytes(array, text, strlen(text));
        return;
    }
    put32(room(array, 4), UINT32_MAX);
    array->count++;
}

static void add(struct postgres_parameters *parameters, char *value, size_t length, int format)
{
    parameters->values[parameters->count] = value;
    parameters->lengths[parameters->count] = (int)length;
    parameters->formats[parameters->count++] = format;
}

void postgres_add_number(struct postgres_parameters *parameters, int64_t number)
{
    uint64_t bytes = htobe64((uint64_t)number);
    add(parameters, memory_bytes(&bytes, sizeof bytes), sizeof bytes, 1);
}

void postgres_add_text(struct postgres_parameters *parameters, const char *text)
{
    add(parameters, memory_text(text), text ? strlen(text) : 0, 0);
}

void postgres_add_bytes(struct postgres_parameters *parameters, const void *bytes, size_t length)
{
    add(parameters, memory_bytes(bytes, length), length, 1);
}

void postgres_add_array(struct postgres_parameters *parameters, struct postgres_array *array, unsigned type)
{
    room(array, 0); /* the head, where it is empty */
    put32(array->bytes, array->count > 0 ? 1 : 0);
    put32(array->bytes + 4, 1); /* there may be nulls */
    put32(array->bytes + 8, type);
    put32(array->bytes + 12, (uint32_t)array->count);
    put32(array->bytes + 16, 1);
    add(parameters, array->bytes, array->count > 0 ? array->length : 12, 1);
}
