/*
 * writer.h: JSON text whose bytes depend on the values alone.
 *
 * jansson writes the number 0.35 as 0.34999999999999998; this writes the shortest text that reads as the same number.
 */
#ifndef EXPORT_JSON_WRITER_H
#define EXPORT_JSON_WRITER_H

#include <jansson.h>
#include <stdio.h>

/* Writes value as UTF-8, keys in the objects' own order, with two spaces a level where pretty, and a newline at the
 * end. Errors are the stream's (ferror()). */
void writer_put(FILE *out, const json_t *value, int pretty);

#endif
