/*
 * embed.h: one font inside one PDF, cut down to the glyphs that the document shows.
 *
 * libharu's own embedding writes the tables of the whole font and a map of all 65,536 characters: some 5 ms and up to
 * 1 MB for each font and document, and nothing beyond the BMP. This writes a composite font whose character codes are
 * its glyph numbers, with the outlines, widths and the map back to text (ToUnicode) of just the glyphs used, through
 * libharu's objects. Hinting is left out: viewers don't use it.
 */
#ifndef EXPORT_PDF_EMBED_H
#define EXPORT_PDF_EMBED_H

#include "ttf.h"

#include <hpdf.h>
#include <hpdf_doc.h>
#include <hpdf_objects.h>

struct embed;

/* A font of face (borrowed) in the document pdf. Returns NULL when out of memory. */
struct embed *embed_new(HPDF_Doc pdf, const struct ttf_face *face);
void embed_free(struct embed *embed);

/* The font object, for a page's resources. It belongs to the document. */
HPDF_Dict embed_font(const struct embed *embed);

/* The code that shows a glyph which stands for text (code points; may be empty, for a glyph whose text another one
 * carries). The same glyph may stand for several texts. Returns 0, the missing glyph, when 65,535 are used up or
 * memory is. */
uint16_t embed_glyph(struct embed *embed, uint16_t glyph, const uint32_t *text, size_t text_length);

/* The width in thousandths of the em that the font declares for a glyph. */
int embed_width(const struct embed *embed, uint16_t glyph);

/* Writes the font's objects. Call once, after the last embed_glyph(). Returns 0, or -1 when out of memory. */
int embed_finish(struct embed *embed);

#endif
