/*
 * fonts.h: the fonts of the reports, opened once per process.
 *
 * A style (regular, bold, …) is a chain of faces: the text's own, then one of wide coverage, then one for Chinese,
 * Japanese and Korean, then one for symbols. Each character takes the first face of its chain that has it. Where a
 * chain has no bold or slanted face, the upright one is emboldened or slanted as it is drawn.
 */
#ifndef EXPORT_PDF_FONTS_H
#define EXPORT_PDF_FONTS_H

#include "ttf.h"

#include <hb.h>

enum font_style {
    FONT_REGULAR,
    FONT_BOLD,
    FONT_ITALIC,
    FONT_BOLD_ITALIC,
    FONT_MONO,
    FONT_STYLE_COUNT,
};

/* The faces that conf.d may name. */
enum font_slot {
    SLOT_TEXT,
    SLOT_TEXT_BOLD,
    SLOT_TEXT_ITALIC,
    SLOT_TEXT_BOLD_ITALIC,
    SLOT_MONO,
    SLOT_FALLBACK, /* Chinese, Japanese, Korean */
    SLOT_SYMBOLS,
    SLOT_WIDE, /* not in conf.d: Arabic, Hebrew and much else */
    SLOT_WIDE_BOLD,
    SLOT_MORE, /* the first of FONT_MORE_MAX, for further scripts */
};

#define FONT_MORE_MAX 8
#define FONT_SLOT_COUNT (SLOT_MORE + FONT_MORE_MAX)
#define FONT_CHAIN_MAX (5 + FONT_MORE_MAX)

struct font_face {
    struct ttf_face *ttf;
    hb_font_t *hb; /* scaled to units of the em */
};

struct font_link {
    enum font_slot slot;
    int embolden;
    int slant;
};

struct fonts {
    struct font_face faces[FONT_SLOT_COUNT]; /* ttf is NULL where there is none */
    struct font_link chains[FONT_STYLE_COUNT][FONT_CHAIN_MAX];
    size_t chain_lengths[FONT_STYLE_COUNT];
};

/* What conf.d calls a slot before SLOT_MORE ("font_bold"), or NULL where it can't be named. */
const char *fonts_option(enum font_slot slot);

/* Opens the fonts: paths[slot] where it is given (it must then be usable), else the first of the known places. more
 * names further fonts, separated by commas; NULL: the known ones that are installed. Returns NULL with a sentence in
 * message that names the file and the mend. Free with fonts_close(), which takes NULL. */
struct fonts *fonts_open(const char *const paths[SLOT_MORE], const char *more, char *message, size_t message_size);
void fonts_close(struct fonts *fonts);

/* The face for a character in a style, and its glyph: 0 where no face of the chain has it (the chain's first is
 * returned then). */
const struct font_link *fonts_choose(const struct fonts *fonts, enum font_style style, uint32_t code_point,
                                     uint16_t *glyph);

#endif
