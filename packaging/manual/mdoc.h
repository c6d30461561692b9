/*
 * mdoc.h: text of the settings' table and of plugins' manifests as mdoc(7), which man(1) and mandoc(1) show alike.
 */
#ifndef EXPORTD_MANUAL_MDOC_H
#define EXPORTD_MANUAL_MDOC_H

#include <stdio.h>

/* Running text, UTF-8: a line for each sentence, long ones wrapped; whatever mdoc would take for a request or an
 * escape is written so that it shows as it is. A text without an end gets a full stop. NULL and "" write nothing. */
void mdoc_text(FILE *out, const char *text);

/* A space and one argument of a macro, which shows as it is. */
void mdoc_argument(FILE *out, const char *text);

/* The lines .Dd, .Dt, .Os and the heading NAME. title: in capitals on top, section: "7", summary: without a full
 * stop. */
void mdoc_head(FILE *out, const char *name, const char *section, const char *summary);

#endif
