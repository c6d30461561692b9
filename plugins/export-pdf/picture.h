/*
 * picture.h: screenshots as objects of the PDF.
 *
 * A PNG's and a JPEG's own compressed data go into the PDF as they are wherever the PDF can say the same (so a
 * screenshot costs a checksum, not a decoding); a PNG with transparency, interlacing or 16 bits is decoded and laid
 * on white. Sizes are looked at before anything is decoded.
 */
#ifndef EXPORT_PDF_PICTURE_H
#define EXPORT_PDF_PICTURE_H

#include <hpdf.h>
#include <hpdf_doc.h>
#include <hpdf_objects.h>
#include <stddef.h>

#define PICTURE_PIXELS_MAX (64u << 20)
#define PICTURE_DECODED_PIXELS_MAX (16u << 20) /* where the pixels must be in memory */

struct picture {
    HPDF_Dict object; /* belongs to the document */
    unsigned int width, height;
};

/* Reads a PNG or JPEG. Returns 0, or -1 with a sentence in reason that says why it can't be shown. */
int picture_load(HPDF_Doc pdf, const void *data, size_t size_bytes, struct picture *picture, char *reason,
                 size_t reason_size);

#endif
