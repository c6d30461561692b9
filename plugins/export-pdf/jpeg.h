/*
 * jpeg.h: whether a JPEG can be decoded to its end. Its data go into the PDF as they are, so a damaged one would
 * otherwise be a damaged PDF.
 */
#ifndef EXPORT_PDF_JPEG_H
#define EXPORT_PDF_JPEG_H

#include <stddef.h>

/* Returns 0, or -1 with a sentence in reason. The size must have been looked at before. */
int jpeg_check(const void *data, size_t size_bytes, char *reason, size_t reason_size);

#endif
