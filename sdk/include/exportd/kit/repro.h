/*
 * exportd/kit/repro.h: reading a repro document, exportd.repro/1.
 *
 * Only id, title and test (with code) are required; everything else may be missing, and every accessor says what
 * it then returns. The strings are borrowed from the document and live as long as it does.
 */
#ifndef EXPORTD_KIT_REPRO_H
#define EXPORTD_KIT_REPRO_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Checks the shape of a repro document: the required fields, and the types of those that are there. Returns 0, or -1
 * with a sentence in message that names the field by its JSON pointer and says what was expected. */
int exportd_repro_check(const json_t *repro, char *message, size_t message_size);

/* The string at a path such as "bug.severity"; otherwise where it is missing, null or no string. */
const char *exportd_repro_string(const json_t *repro, const char *path, const char *otherwise);

/* The array at a path, or NULL (which jansson reads as empty). Borrowed. */
const json_t *exportd_repro_array(const json_t *repro, const char *path);

/* The time that the output carries, in seconds since the epoch: SOURCE_DATE_EPOCH where the environment has it, else
 * created_at, else 0; so that the same input gives the same bytes. */
int64_t exportd_repro_time(const json_t *repro);

/* Decodes a file or screenshot entry's content by its encoding ("utf-8" or "base64"; missing: utf-8). Returns a new
 * buffer (free it) with *size_bytes set and a NUL behind it that is not counted, or NULL with a sentence in message.
 */
char *exportd_repro_content(const json_t *entry, size_t *size_bytes, char *message, size_t message_size);

#ifdef __cplusplus
}
#endif
#endif
