/* fonts.h: the fonts of the reports. */
#include "fonts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX 4

static const struct known_font {
    const char *option;
    const char *package;            /* Debian's */
    const char *places[PLACES_MAX]; /* Debian, then Fedora, then lesser choices */
} known_fonts[SLOT_MORE] = {
    [SLOT_TEXT] = {"font",
                   "fonts-open-sans",
                   {"/usr/share/fonts/truetype/open-sans/OpenSans-Regular.ttf",
                    "/usr/share/fonts/open-sans/OpenSans-Regular.ttf",
                    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
                    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf"}},
    [SLOT_TEXT_BOLD] = {"font_bold",
                        "fonts-open-sans",
                        {"/usr/share/fonts/truetype/open-sans/OpenSans-Semibold.ttf",
                         "/usr/share/fonts/open-sans/OpenSans-Semibold.ttf",
                         "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
                         "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans-Bold.ttf"}},
    [SLOT_TEXT_ITALIC] = {"font_italic",
                          "fonts-open-sans",
                          {"/usr/share/fonts/truetype/open-sans/OpenSans-Italic.ttf",
                           "/usr/share/fonts/open-sans/OpenSans-Italic.ttf", NULL, NULL}},
    [SLOT_TEXT_BOLD_ITALIC] = {"font_bold_italic",
                               "fonts-open-sans",
                               {"/usr/share/fonts/truetype/open-sans/OpenSans-SemiboldItalic.ttf",
                                "/usr/share/fonts/open-sans/OpenSans-SemiboldItalic.ttf", NULL, NULL}},
    [SLOT_MONO] = {"font_mono",
                   "fonts-dejavu-core",
                   {"/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
                    "/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono.ttf",
                    "/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf", NULL}},
    [SLOT_FALLBACK] = {"font_fallback",
                       "fonts-droid-fallback",
                       {"/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
                        "/usr/share/fonts/google-droid-sans-fonts/DroidSansFallbackFull.ttf",
                        "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", NULL}},
    [SLOT_SYMBOLS] = {"font_symbols",
                      "fonts-symbola",
                      {"/usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf",
                       "/usr/share/fonts/gdouros-symbola/Symbola.ttf", NULL, NULL}},
    [SLOT_WIDE] = {NULL,
                   "fonts-dejavu-core",
                   {"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
                    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf", NULL, NULL}},
    [SLOT_WIDE_BOLD] = {NULL,
                        "fonts-dejavu-core",
                        {"/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf",
                         "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans-Bold.ttf", NULL, NULL}},
};

/* Fonts for further scripts: fonts-nanum, fonts-noto-core. */
static const char *const known_more[] = {
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansDevanagari-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansBengali-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansTamil-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf",
};

const char *fonts_option(enum font_slot slot)
{
    return known_fonts[slot].option;
}

static int open_face(struct font_face *face, const char *path, char *message, size_t message_size)
{
    face->ttf = ttf_open(path, message, message_size);
    if (!face->ttf)
        return -1;
    hb_blob_t *blob = hb_blob_create((const char *)face->ttf->data, (unsigned int)face->ttf->size_bytes,
                                     HB_MEMORY_MODE_READONLY, NULL, NULL);
    hb_face_t *hb_face = hb_face_create(blob, 0);
    face->hb = hb_font_create(hb_face);
    hb_font_set_scale(face->hb, face->ttf->units_per_em, face->ttf->units_per_em);
    hb_font_make_immutable(face->hb);
    hb_face_destroy(hb_face);
    hb_blob_destroy(blob);
    return 0;
}

/* Opens a slot's font: the configured one, or the first known one that is usable, if any. */
static int open_slot(struct fonts *fonts, enum font_slot slot, const char *configured, char *message,
                     size_t message_size)
{
    const struct known_font *known = &known_fonts[slot];
    char reason[160];
    if (configured && *configured) {
        if (open_face(&fonts->faces[slot], configured, reason, sizeof reason) == 0)
            return 0;
        snprintf(message, message_size,
                 "the font %s can't be used: %s. Correct %s in [plugin export-pdf], or leave it out and install the "
                 "usual one: apt-get install %s",
                 configured, reason, known->option, known->package);
        return -1;
    }
    for (size_t i = 0; i < PLACES_MAX && !fonts->faces[slot].ttf; i++)
        if (known->places[i])
            open_face(&fonts->faces[slot], known->places[i], reason, sizeof reason);
    return 0;
}

static void add_link(struct fonts *fonts, enum font_style style, enum font_slot slot, int embolden, int slant)
{
    size_t *length = &fonts->chain_lengths[style];
    if (fonts->faces[slot].ttf && *length < FONT_CHAIN_MAX)
        fonts->chains[style][(*length)++] = (struct font_link){slot, embolden, slant};
}

static void add_chain(struct fonts *fonts, enum font_style style, enum font_slot slot, int bold, int italic)
{
    if (fonts->faces[slot].ttf)
        add_link(fonts, style, slot, 0, 0);
    else if (style == FONT_BOLD_ITALIC && fonts->faces[SLOT_TEXT_BOLD].ttf)
        add_link(fonts, style, SLOT_TEXT_BOLD, 0, 1);
    else
        add_link(fonts, style, SLOT_TEXT, bold, italic);
    if (bold && fonts->faces[SLOT_WIDE_BOLD].ttf)
        add_link(fonts, style, SLOT_WIDE_BOLD, 0, italic);
    else
        add_link(fonts, style, SLOT_WIDE, bold, italic);
    add_link(fonts, style, SLOT_FALLBACK, bold, 0);
    for (int i = 0; i < FONT_MORE_MAX; i++)
        add_link(fonts, style, (enum font_slot)(SLOT_MORE + i), bold, 0);
    add_link(fonts, style, SLOT_SYMBOLS, 0, 0);
    add_link(fonts, style, SLOT_TEXT, bold, italic); /* for a mono font that is narrower */
}

/* Opens the fonts of a list separated by commas; all of them must be usable. */
static int open_listed(struct fonts *fonts, const char *list, char *message, size_t message_size)
{
    char path[1024];
    char reason[160];
    for (int i = 0; *list; i++) {
        list += strspn(list, ", ");
        const size_t length = strcspn(list, ",");
        if (!length)
            break;
        snprintf(path, sizeof path, "%.*s", (int)length, list);
        if (i == FONT_MORE_MAX) {
            snprintf(message, message_size, "fonts_more in [plugin export-pdf] names more than %d fonts",
                     FONT_MORE_MAX);
            return -1;
        }
        if (open_face(&fonts->faces[SLOT_MORE + i], path, reason, sizeof reason) < 0) {
            snprintf(message, message_size,
                     "the font %s can't be used: %s. Correct fonts_more in [plugin export-pdf], or leave it out",
                     path, reason);
            return -1;
        }
        list += length;
    }
    return 0;
}

static void open_known_more(struct fonts *fonts)
{
    char reason[160];
    for (size_t i = 0; i < sizeof known_more / sizeof *known_more; i++)
        open_face(&fonts->faces[SLOT_MORE + i], known_more[i], reason, sizeof reason);
}

struct fonts *fonts_open(const char *const paths[SLOT_MORE], const char *more, char *message, size_t message_size)
{
    int opened = 0;
    struct fonts *fonts = calloc(1, sizeof *fonts);
    if (!fonts) {
        snprintf(message, message_size, "out of memory while opening the fonts");
        goto out;
    }
    for (int slot = 0; slot < SLOT_MORE; slot++) {
        /* The usual bold of another family would not go with the text's font. */
        int derived = slot > SLOT_TEXT && slot <= SLOT_TEXT_BOLD_ITALIC && paths[SLOT_TEXT] && *paths[SLOT_TEXT];
        if (derived && !(paths[slot] && *paths[slot]))
            continue;
        if (open_slot(fonts, (enum font_slot)slot, paths[slot], message, message_size) < 0)
            goto out;
    }
    if (!more || !*more)
        open_known_more(fonts);
    else if (open_listed(fonts, more, message, message_size) < 0)
        goto out;
    if (!fonts->faces[SLOT_TEXT].ttf) {
        snprintf(message, message_size,
                 "no font for the text was found (looked for %s and %s): apt-get install fonts-open-sans "
                 "fonts-dejavu-core, or name a TrueType font with font in [plugin export-pdf]",
                 known_fonts[SLOT_TEXT].places[0], known_fonts[SLOT_TEXT].places[2]);
        goto out;
    }
    add_chain(fonts, FONT_REGULAR, SLOT_TEXT, 0, 0);
    add_chain(fonts, FONT_BOLD, SLOT_TEXT_BOLD, 1, 0);
    add_chain(fonts, FONT_ITALIC, SLOT_TEXT_ITALIC, 0, 1);
    add_chain(fonts, FONT_BOLD_ITALIC, SLOT_TEXT_BOLD_ITALIC, 1, 1);
    add_chain(fonts, FONT_MONO, SLOT_MONO, 0, 0);
    opened = 1;
out:
    if (!opened) {
        fonts_close(fonts);
        fonts = NULL;
    }
    return fonts;
}

void fonts_close(struct fonts *fonts)
{
    if (!fonts)
        return;
    for (int slot = 0; slot < FONT_SLOT_COUNT; slot++) {
        if (fonts->faces[slot].hb)
            hb_font_destroy(fonts->faces[slot].hb);
        ttf_close(fonts->faces[slot].ttf);
    }
    free(fonts);
}

const struct font_link *fonts_choose(const struct fonts *fonts, enum font_style style, uint32_t code_point,
                                     uint16_t *glyph)
{
    const struct font_link *chain = fonts->chains[style];
    for (size_t i = 0; i < fonts->chain_lengths[style]; i++) {
        *glyph = ttf_glyph(fonts->faces[chain[i].slot].ttf, code_point);
        if (*glyph)
            return &chain[i];
    }
    *glyph = 0;
    return chain;
}
