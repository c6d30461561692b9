/* embed.h: one font inside one PDF, cut down to the glyphs that the document shows. */
#include "embed.h"

#include "buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GLYPHS_MAX 65535u
#define WIDTHS_PER_ARRAY 4096u
#define CMAP_BLOCK 100u

/* Flags of a component in a composite glyph. */
#define ARGUMENTS_ARE_WORDS 0x0001u
#define HAS_SCALE 0x0008u
#define MORE_COMPONENTS 0x0020u
#define HAS_XY_SCALE 0x0040u
#define HAS_MATRIX 0x0080u
#define HAS_INSTRUCTIONS 0x0100u

struct entry {
    uint16_t glyph; /* in the font's file */
    uint16_t text_length;
    uint32_t text_at;
};

struct embed {
    HPDF_Doc pdf;
    const struct ttf_face *face;
    HPDF_Dict font;
    struct entry *entries; /* by code; [0] is the missing glyph */
    size_t entry_count, entry_capacity;
    uint32_t *text;
    size_t text_length, text_capacity;
    uint16_t *slots; /* code by hash; 0: free */
    size_t slot_count;
};

struct embed *embed_new(HPDF_Doc pdf, const struct ttf_face *face)
{
    struct embed *embed = calloc(1, sizeof *embed);
    if (!embed)
        return NULL;
    embed->pdf = pdf;
    embed->face = face;
    embed->entry_capacity = 64;
    embed->text_capacity = 64;
    embed->slot_count = 256;
    embed->entries = calloc(embed->entry_capacity, sizeof *embed->entries);
    embed->text = calloc(embed->text_capacity, sizeof *embed->text);
    embed->slots = calloc(embed->slot_count, sizeof *embed->slots);
    embed->font = HPDF_Dict_New(pdf->mmgr);
    embed->entry_count = 1;
    if (!embed->entries || !embed->text || !embed->slots || !embed->font ||
        HPDF_Xref_Add(pdf->xref, embed->font) != HPDF_OK) {
        embed_free(embed);
        return NULL;
    }
    embed->font->header.obj_class |= HPDF_OSUBCLASS_FONT;
    return embed;
}

void embed_free(struct embed *embed)
{
    if (!embed)
        return;
    free(embed->entries);
    free(embed->text);
    free(embed->slots);
    free(embed);
}

HPDF_Dict embed_font(const struct embed *embed)
{
    return embed->font;
}

int embed_width(const struct embed *embed, uint16_t glyph)
{
    return (ttf_advance(embed->face, glyph) * 1000 + embed->face->units_per_em / 2) / embed->face->units_per_em;
}

static size_t hash(uint16_t glyph, const uint32_t *text, size_t text_length)
{
    uint32_t value = 2166136261u ^ glyph;
    for (size_t i = 0; i < text_length; i++)
        value = (value ^ text[i]) * 16777619u;
    return (value * 16777619u) >> 8;
}

/* Room for one more entry and text_length more code points. */
static int grow(struct embed *embed, size_t text_length)
{
    if (embed->entry_count == embed->entry_capacity) {
        struct entry *entries = realloc(embed->entries, 2 * embed->entry_capacity * sizeof *entries);
        if (!entries)
            return -1;
        embed->entries = entries;
        embed->entry_capacity *= 2;
    }
    while (embed->text_length + text_length > embed->text_capacity) {
        uint32_t *text = realloc(embed->text, 2 * embed->text_capacity * sizeof *text);
        if (!text)
            return -1;
        embed->text = text;
        embed->text_capacity *= 2;
    }
    if (4 * embed->entry_count < 3 * embed->slot_count)
        return 0;
    size_t slot_count = 2 * embed->slot_count;
    uint16_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return -1;
    for (size_t code = 1; code < embed->entry_count; code++) {
        const struct entry *entry = &embed->entries[code];
        size_t at = hash(entry->glyph, embed->text + entry->text_at, entry->text_length) & (slot_count - 1);
        while (slots[at])
            at = (at + 1) & (slot_count - 1);
        slots[at] = (uint16_t)code;
    }
    free(embed->slots);
    embed->slots = slots;
    embed->slot_count = slot_count;
    return 0;
}

uint16_t embed_glyph(struct embed *embed, uint16_t glyph, const uint32_t *text, size_t text_length)
{
    static const uint32_t none;
    if (!text)
        text = &none;
    if (text_length > 64)
        text_length = 64;
    if (grow(embed, text_length) < 0)
        return 0;
    size_t at = hash(glyph, text, text_length) & (embed->slot_count - 1);
    for (; embed->slots[at]; at = (at + 1) & (embed->slot_count - 1)) {
        const struct entry *entry = &embed->entries[embed->slots[at]];
        if (entry->glyph == glyph && entry->text_length == text_length &&
            memcmp(embed->text + entry->text_at, text, text_length * sizeof *text) == 0)
            return embed->slots[at];
    }
    if (embed->entry_count == GLYPHS_MAX)
        return 0;
    uint16_t code = (uint16_t)embed->entry_count++;
    embed->entries[code] = (struct entry){glyph, (uint16_t)text_length, (uint32_t)embed->text_length};
    memcpy(embed->text + embed->text_length, text, text_length * sizeof *text);
    embed->text_length += text_length;
    embed->slots[at] = code;
    return code;
}

/* A simple glyph without its instructions. Appends nothing where it is broken. */
static void append_simple(struct buffer *glyf, struct ttf_table outline, size_t contour_count)
{
    size_t instructions_at = 10 + 2 * contour_count;
    if (instructions_at + 2 > outline.size_bytes)
        return;
    size_t instructions = (size_t)outline.data[instructions_at] << 8 | outline.data[instructions_at + 1];
    size_t points_at = instructions_at + 2 + instructions;
    if (points_at > outline.size_bytes)
        return;
    buffer_append(glyf, outline.data, instructions_at);
    buffer_append_u16(glyf, 0);
    buffer_append(glyf, outline.data + points_at, outline.size_bytes - points_at);
}

static size_t component_size(uint32_t flags)
{
    size_t size_bytes = flags & ARGUMENTS_ARE_WORDS ? 8 : 6;
    if (flags & HAS_SCALE)
        size_bytes += 2;
    else if (flags & HAS_XY_SCALE)
        size_bytes += 4;
    else if (flags & HAS_MATRIX)
        size_bytes += 8;
    return size_bytes;
}

/* A composite glyph without its instructions, its components renumbered (and added to the entries, to be written in
 * their turn). One that is broken ends in a component without an outline. */
static void append_composite(struct embed *embed, struct buffer *glyf, struct ttf_table outline)
{
    size_t start = glyf->size_bytes;
    size_t at = 10;
    uint32_t flags = MORE_COMPONENTS;

    buffer_append(glyf, outline.data, 10);
    while (flags & MORE_COMPONENTS) {
        const uint8_t *component = outline.data + at;
        if (at + 6 > outline.size_bytes)
            goto broken;
        flags = (uint32_t)component[0] << 8 | component[1];
        size_t size_bytes = component_size(flags);
        if (at + size_bytes > outline.size_bytes)
            goto broken;
        uint16_t code = embed_glyph(embed, (uint16_t)(component[2] << 8 | component[3]), NULL, 0);
        buffer_append_u16(glyf, flags & ~HAS_INSTRUCTIONS);
        buffer_append_u16(glyf, code);
        buffer_append(glyf, component + 4, size_bytes - 4);
        at += size_bytes;
    }
    return;
broken:
    glyf->size_bytes = start;
}

static void append_table(struct buffer *file, size_t index, const char *tag, const struct buffer *table)
{
    static const uint8_t padding[4] = {0};
    uint32_t sum = 0;
    size_t offset = file->size_bytes;

    for (size_t i = 0; i < table->size_bytes; i++)
        sum += (uint32_t)table->data[i] << (24 - 8 * (i & 3));
    buffer_append(file, table->data, table->size_bytes);
    buffer_append(file, padding, (4 - table->size_bytes % 4) % 4);
    if (file->failed)
        return;
    struct buffer record = {0};
    buffer_append(&record, tag, 4);
    buffer_append_u32(&record, sum);
    buffer_append_u32(&record, (uint32_t)offset);
    buffer_append_u32(&record, (uint32_t)table->size_bytes);
    if (!record.failed)
        memcpy(file->data + 12 + 16 * index, record.data, 16);
    file->failed |= record.failed;
    buffer_free(&record);
}

/* The six tables that a font inside a PDF needs, in the order that the directory wants. */
static void append_file(struct embed *embed, struct buffer *file)
{
    enum { GLYF, HEAD, HHEA, HMTX, LOCA, MAXP, COUNT };
    static const char *const tags[COUNT] = {"glyf", "head", "hhea", "hmtx", "loca", "maxp"};
    static const uint8_t padding[4] = {0};
    static const uint8_t header[12 + 16 * COUNT] = {0, 1, 0, 0, 0, COUNT, 0, 64, 0, 2, 0, 32};
    struct buffer tables[COUNT] = {{0}};

    for (size_t code = 0; code < embed->entry_count; code++) { /* grows with each composite */
        struct ttf_table outline = ttf_outline(embed->face, embed->entries[code].glyph);
        buffer_append_u32(&tables[LOCA], (uint32_t)tables[GLYF].size_bytes);
        buffer_append_u16(&tables[HMTX], (uint32_t)ttf_advance(embed->face, embed->entries[code].glyph));
        buffer_append_u16(&tables[HMTX], outline.data ? (uint32_t)outline.data[2] << 8 | outline.data[3] : 0);
        if (!outline.data)
            continue;
        if (outline.data[0] & 0x80)
            append_composite(embed, &tables[GLYF], outline);
        else
            append_simple(&tables[GLYF], outline, (size_t)outline.data[0] << 8 | outline.data[1]);
        buffer_append(&tables[GLYF], padding, (4 - tables[GLYF].size_bytes % 4) % 4);
    }
    buffer_append_u32(&tables[LOCA], (uint32_t)tables[GLYF].size_bytes);
    buffer_append(&tables[HEAD], embed->face->head.data, 54);
    buffer_append(&tables[HHEA], embed->face->hhea.data, 36);
    buffer_append(&tables[MAXP], embed->face->maxp.data, 32);
    if (!tables[HEAD].failed && !tables[HHEA].failed && !tables[MAXP].failed) {
        memset(tables[HEAD].data + 8, 0, 4); /* the file's checksum, which nothing in a PDF looks at */
        tables[HEAD].data[50] = 0;
        tables[HEAD].data[51] = 1; /* long offsets in loca */
        tables[HHEA].data[34] = tables[MAXP].data[4] = (uint8_t)(embed->entry_count >> 8);
        tables[HHEA].data[35] = tables[MAXP].data[5] = (uint8_t)embed->entry_count;
    }
    buffer_append(file, header, sizeof header);
    for (size_t i = 0; i < COUNT; i++) {
        file->failed |= tables[i].failed;
        append_table(file, i, tags[i], &tables[i]);
        buffer_free(&tables[i]);
    }
}

/* The map from codes back to text. */
static void append_to_unicode(const struct embed *embed, struct buffer *cmap)
{
    buffer_append_text(cmap, "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
                             "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
                             "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
                             "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n");
    size_t left = 0;
    for (size_t code = 1; code < embed->entry_count; code++)
        left += embed->entries[code].text_length > 0;
    size_t in_block = 0;
    for (size_t code = 1; code < embed->entry_count; code++) {
        const struct entry *entry = &embed->entries[code];
        if (!entry->text_length)
            continue;
        if (!in_block) {
            in_block = left < CMAP_BLOCK ? left : CMAP_BLOCK;
            buffer_append_format(cmap, "%zu beginbfchar\n", in_block);
        }
        buffer_append_format(cmap, "<%04zX> <", code);
        for (size_t i = 0; i < entry->text_length; i++) {
            uint32_t code_point = embed->text[entry->text_at + i];
            if (code_point < 0x10000)
                buffer_append_format(cmap, "%04X", code_point);
            else
                buffer_append_format(cmap, "%04X%04X", 0xD7C0 + (code_point >> 10), 0xDC00 + (code_point & 0x3FF));
        }
        buffer_append_text(cmap, ">\n");
        left--;
        if (--in_block == 0)
            buffer_append_text(cmap, "endbfchar\n");
    }
    buffer_append_text(cmap, "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n");
}

/* A compressed stream object of what content holds, which it frees. */
static HPDF_Dict new_stream(HPDF_Doc pdf, struct buffer *content)
{
    HPDF_Dict stream = content->failed ? NULL : HPDF_DictStream_New(pdf->mmgr, pdf->xref);
    if (stream) {
        stream->filter = HPDF_STREAM_FILTER_FLATE_DECODE;
        if (HPDF_Stream_Write(stream->stream, content->data, (HPDF_UINT)content->size_bytes) != HPDF_OK)
            stream = NULL; /* in the document's table; freed with it */
    }
    buffer_free(content);
    return stream;
}

static HPDF_Array new_widths(const struct embed *embed)
{
    HPDF_Array widths = HPDF_Array_New(embed->pdf->mmgr);
    HPDF_Array some = NULL;
    for (size_t code = 0; widths && code < embed->entry_count; code++) {
        if (code % WIDTHS_PER_ARRAY == 0) {
            some = HPDF_Array_New(embed->pdf->mmgr);
            HPDF_Array_AddNumber(widths, (HPDF_INT32)code);
            HPDF_Array_Add(widths, some);
        }
        HPDF_Array_AddNumber(some, embed_width(embed, embed->entries[code].glyph));
    }
    return widths;
}

/* "ABCDEF+Name": the letters tell subsets of one font apart. */
static void subset_name(const struct embed *embed, char *name, size_t name_size)
{
    uint32_t value = 2166136261u;
    char tag[7] = {0};
    for (size_t code = 0; code < embed->entry_count; code++)
        value = (value ^ embed->entries[code].glyph) * 16777619u;
    for (int i = 0; i < 6; i++, value /= 26)
        tag[i] = (char)('A' + value % 26);
    snprintf(name, name_size, "%s+%s", tag, embed->face->name);
}

static HPDF_Dict new_descriptor(struct embed *embed, const char *name, HPDF_Dict file)
{
    const struct ttf_face *face = embed->face;
    const int per_em = face->units_per_em;
    HPDF_Dict descriptor = HPDF_Dict_New(embed->pdf->mmgr);
    if (!descriptor || HPDF_Xref_Add(embed->pdf->xref, descriptor) != HPDF_OK)
        return NULL;
    HPDF_Array box = HPDF_Array_New(embed->pdf->mmgr);
    for (int i = 0; i < 4; i++)
        HPDF_Array_AddNumber(box, face->box[i] * 1000 / per_em);
    HPDF_Dict_AddName(descriptor, "Type", "FontDescriptor");
    HPDF_Dict_AddName(descriptor, "FontName", name);
    HPDF_Dict_AddNumber(descriptor, "Flags", 4 | (face->fixed_pitch ? 1 : 0) | (face->italic_angle_degrees ? 64 : 0));
    HPDF_Dict_Add(descriptor, "FontBBox", box);
    HPDF_Dict_AddNumber(descriptor, "ItalicAngle", face->italic_angle_degrees);
    HPDF_Dict_AddNumber(descriptor, "Ascent", face->ascent * 1000 / per_em);
    HPDF_Dict_AddNumber(descriptor, "Descent", face->descent * 1000 / per_em);
    HPDF_Dict_AddNumber(descriptor, "CapHeight", face->cap_height * 1000 / per_em);
    HPDF_Dict_AddNumber(descriptor, "StemV", face->bold ? 140 : 80);
    HPDF_Dict_Add(descriptor, "FontFile2", file);
    return descriptor;
}

int embed_finish(struct embed *embed)
{
    HPDF_Doc pdf = embed->pdf;
    char name[HPDF_LIMIT_MAX_NAME_LEN];
    struct buffer content = {0};

    append_file(embed, &content);
    HPDF_INT32 file_size_bytes = (HPDF_INT32)content.size_bytes;
    HPDF_Dict file = new_stream(pdf, &content);
    append_to_unicode(embed, &content);
    HPDF_Dict to_unicode = new_stream(pdf, &content);
    if (!file || !to_unicode)
        return -1;
    HPDF_Dict_AddNumber(file, "Length1", file_size_bytes);

    subset_name(embed, name, sizeof name);
    HPDF_Dict descriptor = new_descriptor(embed, name, file);
    HPDF_Dict descendant = HPDF_Dict_New(pdf->mmgr);
    HPDF_Dict system = HPDF_Dict_New(pdf->mmgr);
    HPDF_Array descendants = HPDF_Array_New(pdf->mmgr);
    HPDF_Array widths = new_widths(embed);
    if (!descriptor || !descendant || !system || !descendants || !widths ||
        HPDF_Xref_Add(pdf->xref, descendant) != HPDF_OK)
        return -1;
    HPDF_Dict_Add(system, "Registry", HPDF_String_New(pdf->mmgr, "Adobe", NULL));
    HPDF_Dict_Add(system, "Ordering", HPDF_String_New(pdf->mmgr, "Identity", NULL));
    HPDF_Dict_AddNumber(system, "Supplement", 0);
    HPDF_Dict_AddName(descendant, "Type", "Font");
    HPDF_Dict_AddName(descendant, "Subtype", "CIDFontType2");
    HPDF_Dict_AddName(descendant, "BaseFont", name);
    HPDF_Dict_Add(descendant, "CIDSystemInfo", system);
    HPDF_Dict_Add(descendant, "FontDescriptor", descriptor);
    HPDF_Dict_AddNumber(descendant, "DW", 1000);
    HPDF_Dict_Add(descendant, "W", widths);
    HPDF_Dict_AddName(descendant, "CIDToGIDMap", "Identity");

    HPDF_Array_Add(descendants, descendant);
    HPDF_Dict_AddName(embed->font, "Type", "Font");
    HPDF_Dict_AddName(embed->font, "Subtype", "Type0");
    HPDF_Dict_AddName(embed->font, "BaseFont", name);
    HPDF_Dict_AddName(embed->font, "Encoding", "Identity-H");
    HPDF_Dict_Add(embed->font, "DescendantFonts", descendants);
    HPDF_Dict_Add(embed->font, "ToUnicode", to_unicode);
    return HPDF_GetError(pdf) == HPDF_OK ? 0 : -1;
}
