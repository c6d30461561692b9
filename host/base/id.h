/*
 * base/id.h: identifiers that the host makes.
 */
#ifndef EXPORTD_BASE_ID_H
#define EXPORTD_BASE_ID_H

#include <stdbool.h>

#define ID_TEXT_SIZE 37 /* a UUID's text and its NUL */

/* UUID version 7 (RFC 9562), lower case: its first 48 bits are the time, and each that a thread makes sorts behind
 * the one before, so that an index of ids grows at its end. */
void id_make(char text[ID_TEXT_SIZE]);

/* Whether text is a UUID of any version; canonical gets it in lower case. */
bool id_is_uuid(const char *text, char canonical[ID_TEXT_SIZE]);

#endif
