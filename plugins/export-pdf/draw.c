/* document.h: what is drawn on a page. */
#include "document.h"

#include "buffer.h"

#include <hpdf_pages.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SLANT 0.21
#define EMBOLDEN 0.03 /* stroke, in ems */
#define URL_MAX_BYTES 2000

static double red(uint32_t colour)
{
    return (double)(colour >> 16 & 0xFF) / 255.0;
}

static double green(uint32_t colour)
{
    return (double)(colour >> 8 & 0xFF) / 255.0;
}

static double blue(uint32_t colour)
{
    return (double)(colour & 0xFF) / 255.0;
}

/* The page to draw on, or NULL where drawing is over. */
static HPDF_Page page_of(const struct document *document)
{
    return document->state == DOCUMENT_OPEN && document->page ? document->page->page : NULL;
}

static void set_fill(struct document *document, HPDF_Page page, uint32_t colour)
{
    if (document->fill_known && document->fill == colour)
        return;
    HPDF_Page_SetRGBFill(page, (HPDF_REAL)red(colour), (HPDF_REAL)green(colour), (HPDF_REAL)blue(colour));
    document->fill = colour;
    document->fill_known = 1;
}

static void set_stroke(HPDF_Page page, double line_width, uint32_t colour)
{
    HPDF_Page_SetRGBStroke(page, (HPDF_REAL)red(colour), (HPDF_REAL)green(colour), (HPDF_REAL)blue(colour));
    HPDF_Page_SetLineWidth(page, (HPDF_REAL)line_width);
}

/* A number with two decimals, whatever the locale. */
static void append_number(struct buffer *buffer, double value)
{
    char digits[24];
    size_t at = sizeof digits;
    long hundredths = lround(value * 100);
    unsigned long rest = (unsigned long)labs(hundredths);
    const int decimals = rest % 100 != 0;

    digits[--at] = ' ';
    for (int i = 0; i < 2; i++, rest /= 10)
        if (decimals)
            digits[--at] = (char)('0' + rest % 10);
    if (decimals)
        digits[--at] = '.';
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (hundredths < 0)
        digits[--at] = '-';
    buffer_append(buffer, digits + at, sizeof digits - at);
}

static void append_code(struct buffer *buffer, uint16_t code)
{
    static const char hex[] = "0123456789ABCDEF";
    const char digits[4] = {hex[code >> 12], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    buffer_append(buffer, digits, sizeof digits);
}

/* The font of a slot for the page: its object, made at first use, and its name among the page's resources. */
static struct embed *use_font(struct document *document, enum font_slot slot, const char **name)
{
    struct embed **embed = &document->embeds[slot];
    if (!*embed)
        *embed = embed_new(document->pdf, document->typesetter->fonts->faces[slot].ttf);
    if (*embed && !document->page->font_names[slot])
        document->page->font_names[slot] = HPDF_Page_GetLocalFontName(document->page->page, embed_font(*embed));
    *name = document->page->font_names[slot];
    if (!*embed || !*name) {
        document->state = DOCUMENT_FAILED;
        return NULL;
    }
    return *embed;
}

/* The glyphs of a part, as a TJ array: where a glyph is not where the widths of the font put it, a number moves it.
 */
static void append_glyphs(struct buffer *buffer, struct embed *embed, const struct layout *layout,
                          const struct layout_part *part, double size_pt)
{
    double pen = 0;    /* where the layout wants to be */
    double actual = 0; /* where the PDF is */
    double rise = 0;
    int open = 0;

    buffer_append(buffer, "[", 1);
    for (uint32_t i = 0; i < part->glyph_count; i++) {
        const struct layout_glyph *glyph = &layout->glyphs[part->glyph_at + i];
        const double y_offset = (double)glyph->y_offset;
        const long shift = lround((pen + (double)glyph->x_offset - actual) * -1000.0 / size_pt);
        if (fabs(y_offset - rise) > 0.01) {
            buffer_append_text(buffer, open ? ">]TJ " : "]TJ ");
            append_number(buffer, y_offset);
            buffer_append_text(buffer, "Ts [");
            rise = y_offset;
            open = 0;
        }
        if (shift) {
            if (open)
                buffer_append(buffer, ">", 1);
            append_number(buffer, (double)shift);
            actual -= (double)shift * size_pt / 1000.0;
            open = 0;
        }
        if (!open)
            buffer_append(buffer, "<", 1);
        open = 1;
        append_code(buffer,
                    embed_glyph(embed, glyph->glyph, layout->text->code_points + glyph->text_at, glyph->text_length));
        actual += embed_width(embed, glyph->glyph) * size_pt / 1000.0;
        pen += (double)glyph->advance;
    }
    buffer_append_text(buffer, open ? ">]TJ" : "]TJ");
    if (rise != 0)
        buffer_append_text(buffer, " 0 Ts");
}

static void append_part(struct document *document, struct buffer *buffer, const struct layout *layout,
                        const struct layout_part *part, double x, double baseline_y)
{
    const struct layout_run *run = &layout->runs[part->run];
    const struct text_style *style = &layout->text->styles[run->style];
    const char *name;
    struct embed *embed = use_font(document, run->font->slot, &name);
    if (!embed)
        return;
    if (!document->fill_known || document->fill != style->colour) {
        append_number(buffer, red(style->colour));
        append_number(buffer, green(style->colour));
        append_number(buffer, blue(style->colour));
        buffer_append_text(buffer, "rg\n");
        document->fill = style->colour;
        document->fill_known = 1;
    }
    if (run->font->embolden) {
        append_number(buffer, red(style->colour));
        append_number(buffer, green(style->colour));
        append_number(buffer, blue(style->colour));
        buffer_append_text(buffer, "RG ");
        append_number(buffer, style->size_pt * EMBOLDEN);
        buffer_append_text(buffer, "w 2 Tr\n");
    }
    buffer_append_text(buffer, "/");
    buffer_append_text(buffer, name);
    buffer_append_text(buffer, " ");
    append_number(buffer, style->size_pt);
    buffer_append_text(buffer, run->font->slant ? "Tf 1 0 " : "Tf 1 0 0 ");
    if (run->font->slant)
        append_number(buffer, SLANT);
    buffer_append_text(buffer, "1 ");
    append_number(buffer, x);
    append_number(buffer, document->page_height - baseline_y);
    buffer_append_text(buffer, "Tm ");
    append_glyphs(buffer, embed, layout, part, style->size_pt);
    buffer_append_text(buffer, run->font->embolden ? " 0 Tr\n" : "\n");
}

void draw_line(struct document *document, const struct layout *layout, size_t line_index, double x, double baseline_y)
{
    HPDF_Page page = page_of(document);
    if (!page || line_index >= layout->line_count)
        return;
    const struct layout_line *line = &layout->lines[line_index];
    const struct layout_part *parts = layout->parts + line->part_at;
    struct buffer buffer = {0};

    for (uint32_t i = 0; i < line->part_count; i++) {
        const struct text_style *style = &layout->text->styles[layout->runs[parts[i].run].style];
        if (style->boxed)
            draw_box(document, x + parts[i].x_pt - 1, baseline_y - style->size_pt * 0.98, parts[i].width_pt + 2,
                     style->size_pt * 1.34, 0xEEF1F4);
    }
    buffer_append_text(&buffer, "BT\n");
    for (uint32_t i = 0; i < line->part_count; i++)
        append_part(document, &buffer, layout, &parts[i], x + parts[i].x_pt, baseline_y);
    buffer_append_text(&buffer, "ET\n");
    if (line->part_count && !buffer.failed && document->state == DOCUMENT_OPEN)
        HPDF_Stream_Write(((HPDF_PageAttr)page->attr)->stream, buffer.data, (HPDF_UINT)buffer.size_bytes);
    if (buffer.failed)
        document->state = DOCUMENT_FAILED;
    buffer_free(&buffer);

    for (uint32_t i = 0; i < line->part_count; i++) {
        const struct text_style *style = &layout->text->styles[layout->runs[parts[i].run].style];
        if (style->strike)
            draw_box(document, x + parts[i].x_pt, baseline_y - style->size_pt * 0.3, parts[i].width_pt, 0.6,
                     style->colour);
        if (style->link)
            draw_link(document, x + parts[i].x_pt, baseline_y - style->size_pt, parts[i].width_pt,
                      style->size_pt * 1.3, style->link);
    }
}

void draw_box(struct document *document, double x, double y, double width, double height, uint32_t colour)
{
    HPDF_Page page = page_of(document);
    if (!page || width <= 0 || height <= 0)
        return;
    set_fill(document, page, colour);
    HPDF_Page_Rectangle(page, (HPDF_REAL)x, (HPDF_REAL)(document->page_height - y - height), (HPDF_REAL)width,
                        (HPDF_REAL)height);
    HPDF_Page_Fill(page);
}

void draw_round_box(struct document *document, double x, double y, double width, double height, double radius,
                    uint32_t colour)
{
    HPDF_Page page = page_of(document);
    if (!page || width <= 0 || height <= 0)
        return;
    const HPDF_REAL l = (HPDF_REAL)x;
    const HPDF_REAL r = (HPDF_REAL)(x + width);
    const HPDF_REAL t = (HPDF_REAL)(document->page_height - y);
    const HPDF_REAL b = (HPDF_REAL)(document->page_height - y - height);
    const HPDF_REAL d = (HPDF_REAL)radius;
    const HPDF_REAL k = d * 0.4477f; /* from a corner to a curve's control point */
    set_fill(document, page, colour);
    HPDF_Page_MoveTo(page, l + d, t);
    HPDF_Page_LineTo(page, r - d, t);
    HPDF_Page_CurveTo(page, r - k, t, r, t - k, r, t - d);
    HPDF_Page_LineTo(page, r, b + d);
    HPDF_Page_CurveTo(page, r, b + k, r - k, b, r - d, b);
    HPDF_Page_LineTo(page, l + d, b);
    HPDF_Page_CurveTo(page, l + k, b, l, b + k, l, b + d);
    HPDF_Page_LineTo(page, l, t - d);
    HPDF_Page_CurveTo(page, l, t - k, l + k, t, l + d, t);
    HPDF_Page_Fill(page);
}

void draw_frame(struct document *document, double x, double y, double width, double height, double line_width,
                uint32_t colour)
{
    HPDF_Page page = page_of(document);
    if (!page)
        return;
    set_stroke(page, line_width, colour);
    HPDF_Page_Rectangle(page, (HPDF_REAL)x, (HPDF_REAL)(document->page_height - y - height), (HPDF_REAL)width,
                        (HPDF_REAL)height);
    HPDF_Page_Stroke(page);
}

void draw_rule(struct document *document, double x, double y, double width, uint32_t colour)
{
    draw_box(document, x, y, width, 0.6, colour);
}

void draw_stroke(struct document *document, const double *points, size_t count, double line_width, uint32_t colour)
{
    HPDF_Page page = page_of(document);
    if (!page || count < 2)
        return;
    set_stroke(page, line_width, colour);
    HPDF_Page_SetLineCap(page, HPDF_ROUND_END);
    HPDF_Page_SetLineJoin(page, HPDF_ROUND_JOIN);
    for (size_t i = 0; i < count; i++) {
        const HPDF_REAL x = (HPDF_REAL)points[2 * i];
        const HPDF_REAL y = (HPDF_REAL)(document->page_height - points[2 * i + 1]);
        if (i == 0)
            HPDF_Page_MoveTo(page, x, y);
        else
            HPDF_Page_LineTo(page, x, y);
    }
    HPDF_Page_Stroke(page);
}

void draw_arc(struct document *document, double x, double y, double radius, double line_width, double from, double to,
              uint32_t colour)
{
    HPDF_Page page = page_of(document);
    if (!page || to <= from)
        return;
    set_stroke(page, line_width, colour);
    HPDF_Page_SetLineCap(page, HPDF_BUTT_END);
    if (to - from >= 0.9999)
        HPDF_Page_Circle(page, (HPDF_REAL)x, (HPDF_REAL)(document->page_height - y), (HPDF_REAL)radius);
    else
        HPDF_Page_Arc(page, (HPDF_REAL)x, (HPDF_REAL)(document->page_height - y), (HPDF_REAL)radius,
                      (HPDF_REAL)(from * 360), (HPDF_REAL)(to * 360));
    HPDF_Page_Stroke(page);
}

int url_is_safe(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0 ||
           strncasecmp(url, "mailto:", 7) == 0;
}

void draw_link(struct document *document, double x, double y, double width, double height, const char *url)
{
    static const char hex[] = "0123456789ABCDEF";
    char escaped[URL_MAX_BYTES + 4];
    size_t length = 0;
    HPDF_Page page = page_of(document);
    if (!page || !url_is_safe(url) || width <= 0)
        return;
    for (; *url; url++) {
        if (length >= URL_MAX_BYTES)
            return; /* half an address leads elsewhere */
        const unsigned char byte = (unsigned char)*url;
        if (byte > 0x20 && byte < 0x7F) {
            escaped[length++] = *url;
        } else {
            escaped[length++] = '%';
            escaped[length++] = hex[byte >> 4];
            escaped[length++] = hex[byte & 15];
        }
    }
    escaped[length] = '\0';
    HPDF_Rect place = {(HPDF_REAL)x, (HPDF_REAL)(document->page_height - y - height), (HPDF_REAL)(x + width),
                       (HPDF_REAL)(document->page_height - y)};
    HPDF_Annotation annotation = HPDF_Page_CreateURILinkAnnot(page, place, escaped);
    if (annotation)
        HPDF_LinkAnnot_SetBorderStyle(annotation, 0, 0, 0);
}

void draw_picture(struct document *document, HPDF_Dict picture, double x, double y, double width, double height)
{
    HPDF_Page page = page_of(document);
    if (page)
        HPDF_Page_DrawImage(page, picture, (HPDF_REAL)x, (HPDF_REAL)(document->page_height - y - height),
                            (HPDF_REAL)width, (HPDF_REAL)height);
}
