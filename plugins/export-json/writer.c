/* writer.h: JSON text whose bytes depend on the values alone. */
#include "writer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void put_value(FILE *out, const json_t *value, int pretty, int depth);

static void put_escaped(FILE *out, unsigned char byte)
{
    static const char letters[] = "btn\0fr"; /* of 8, 9, 10, 12, 13 */
    if (byte == '"' || byte == '\\')
        fprintf(out, "\\%c", byte);
    else if (byte >= 8 && byte <= 13 && letters[byte - 8])
        fprintf(out, "\\%c", letters[byte - 8]);
    else
        fprintf(out, "\\u%04x", byte);
}

static void put_string(FILE *out, const char *text, size_t length)
{
    size_t start = 0;
    fputc('"', out);
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        fwrite(text + start, 1, i - start, out);
        put_escaped(out, byte);
        start = i + 1;
    }
    fwrite(text + start, 1, length - start, out);
    fputc('"', out);
}

static void put_real(FILE *out, double number)
{
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, number);
        if (strtod(text, NULL) >= number && strtod(text, NULL) <= number)
            break;
    }
    fputs(text, out);
    if (!strpbrk(text, ".e"))
        fputs(".0", out);
}

static void new_line(FILE *out, int pretty, int depth)
{
    if (pretty)
        fprintf(out, "\n%*s", 2 * depth, "");
}

static void put_array(FILE *out, const json_t *array, int pretty, int depth)
{
    size_t index;
    json_t *element;
    fputc('[', out);
    json_array_foreach((json_t *)(uintptr_t)array, index, element)
    {
        if (index)
            fputc(',', out);
        new_line(out, pretty, depth + 1);
        put_value(out, element, pretty, depth + 1);
    }
    if (json_array_size(array))
        new_line(out, pretty, depth);
    fputc(']', out);
}

static void put_object(FILE *out, const json_t *object, int pretty, int depth)
{
    const char *key;
    json_t *value;
    int first = 1;
    fputc('{', out);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!first)
            fputc(',', out);
        first = 0;
        new_line(out, pretty, depth + 1);
        put_string(out, key, strlen(key));
        fputs(pretty ? ": " : ":", out);
        put_value(out, value, pretty, depth + 1);
    }
    if (!first)
        new_line(out, pretty, depth);
    fputc('}', out);
}

static void put_value(FILE *out, const json_t *value, int pretty, int depth)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(out, value, pretty, depth);
        break;
    case JSON_ARRAY:
        put_array(out, value, pretty, depth);
        break;
    case JSON_STRING:
        put_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        put_real(out, json_real_value(value));
        break;
    case JSON_TRUE:
        fputs("true", out);
        break;
    case JSON_FALSE:
        fputs("false", out);
        break;
    case JSON_NULL:
        fputs("null", out);
        break;
    }
}

void writer_put(FILE *out, const json_t *value, int pretty)
{
    put_value(out, value, pretty, 0);
    fputc('\n', out);
}
