/* shape.h: the first half of layout.h's work. Cuts text into runs of one face, style, script and direction, and turns
 * each into glyphs. */
#ifndef EXPORT_PDF_SHAPE_H
#define EXPORT_PDF_SHAPE_H

#include "layout.h"

/* Shapes the characters [start, end) of layout->text, a paragraph without line breaks, appending to layout's runs and
 * glyphs. Returns whether the paragraph reads from right to left, or -1 when out of memory. */
int shape_paragraph(struct typesetter *typesetter, struct layout *layout, size_t start, size_t end, int code);

/* Makes room for one more in an array of layout's. Returns 0, or -1 when out of memory. */
int layout_grow(void *array, size_t *capacity, size_t count, size_t element_size);

#endif
