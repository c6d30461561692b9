/*
 * ttf.h: a TrueType font file, mapped and checked.
 *
 * Gives what a PDF needs of a font: which glyph a character has, how wide it is, and where its outline lies. It
 * neither shapes nor rasterises. Every offset in the file is checked before it is followed, so a broken file is
 * refused or reads as empty glyphs, and never as a fault. Files with CFF outlines are refused; of a collection (.ttc)
 * the first font is taken.
 */
#ifndef EXPORT_PDF_TTF_H
#define EXPORT_PDF_TTF_H

#include <stddef.h>
#include <stdint.h>

struct ttf_table {
    const uint8_t *data;
    size_t size_bytes;
};

struct ttf_face {
    char *path;
    char name[64]; /* the PostScript name, of [A-Za-z0-9-] */
    const uint8_t *data;
    size_t size_bytes;
    struct ttf_table head, hhea, maxp, hmtx, loca, glyf;
    struct ttf_table wide_cmap; /* format 12, or empty */
    uint16_t *bmp;              /* glyph of each code point below U+10000 */
    uint16_t glyph_count;
    uint16_t long_metric_count;
    int long_loca;
    /* In units of the em. */
    int units_per_em;
    int ascent, descent, cap_height;
    int box[4];
    int italic_angle_degrees;
    int bold;
    int fixed_pitch;
};

/* Maps and checks the font at path. Returns NULL with a sentence in message (what is wrong with the file, without the
 * path). Free with ttf_close(), which takes NULL. */
struct ttf_face *ttf_open(const char *path, char *message, size_t message_size);
void ttf_close(struct ttf_face *face);

/* The glyph of a code point, or 0 where the font has none. */
uint16_t ttf_glyph(const struct ttf_face *face, uint32_t code_point);

/* How far the pen moves after a glyph, in units of the em. */
int ttf_advance(const struct ttf_face *face, uint16_t glyph);

/* The outline of a glyph, empty where it has none (a space) or the file is broken there. */
struct ttf_table ttf_outline(const struct ttf_face *face, uint16_t glyph);

#endif
