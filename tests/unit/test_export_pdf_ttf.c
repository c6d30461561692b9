/*
 * export-pdf's reading of font files: what is broken is refused or reads as empty, and never faults. The reader is
 * compiled in, as it needs no library; the font is fonts-dejavu-core's, and without it most tests are skipped.
 */
#include "../../plugins/export-pdf/ttf.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const places[] = {
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono.ttf",
};

static const char *font_path(void)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

/* A copy of the font in memory. Free it. */
static uint8_t *read_font(size_t *size_bytes)
{
    FILE *file = fopen(font_path(), "rb");
    assert_non_null(file);
    uint8_t *data = malloc(1 << 20);
    assert_non_null(data);
    *size_bytes = fread(data, 1, 1 << 20, file);
    fclose(file);
    return data;
}

/* Opens data as a font file, and where that works asks for every glyph's outline and width. Returns whether it did.
 */
static int try_font(const uint8_t *data, size_t size_bytes, char *message, size_t message_size)
{
    char path[] = "/tmp/test-export-pdf-font-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size_bytes), size_bytes);
    close(fd);
    struct ttf_face *face = ttf_open(path, message, message_size);
    for (uint32_t glyph = 0; face && glyph < face->glyph_count; glyph++) {
        struct ttf_table outline = ttf_outline(face, (uint16_t)glyph);
        assert_true(ttf_advance(face, (uint16_t)glyph) >= 0);
        if (outline.data)
            assert_true(outline.data >= face->data &&
                        outline.data + outline.size_bytes <= face->data + face->size_bytes);
    }
    for (uint32_t code_point = 0; face && code_point <= 0x10FFFF; code_point += 7)
        assert_true(ttf_glyph(face, code_point) < face->glyph_count);
    const int opened = face != NULL;
    ttf_close(face);
    unlink(path);
    return opened;
}

static void characters_have_glyphs_and_widths(void **state)
{
    (void)state;
    char message[200];
    if (!font_path())
        skip();
    struct ttf_face *face = ttf_open(font_path(), message, sizeof message);
    assert_non_null(face);
    assert_string_equal(face->name, "DejaVuSansMono");
    assert_true(face->fixed_pitch);
    assert_int_not_equal(ttf_glyph(face, 'A'), 0);
    assert_int_not_equal(ttf_glyph(face, 'A'), ttf_glyph(face, 'B'));
    assert_int_equal(ttf_glyph(face, 0x6771), 0); /* no CJK in this font */
    assert_int_equal(ttf_advance(face, ttf_glyph(face, 'i')), ttf_advance(face, ttf_glyph(face, 'M')));
    assert_non_null(ttf_outline(face, ttf_glyph(face, 'A')).data);
    assert_null(ttf_outline(face, ttf_glyph(face, ' ')).data);
    assert_null(ttf_outline(face, 65535).data);
    ttf_close(face);
}

static void what_is_no_font_is_refused_with_the_reason(void **state)
{
    (void)state;
    char message[200] = "";
    uint8_t data[256] = "OTTO";
    assert_null(ttf_open("/nowhere/font.ttf", message, sizeof message));
    assert_string_equal(message, "No such file or directory");
    assert_null(ttf_open("/tmp", message, sizeof message));
    assert_non_null(strstr(message, "no regular file"));
    assert_false(try_font(data, sizeof data, message, sizeof message));
    assert_non_null(strstr(message, "CFF outlines"));
    memset(data, 'x', sizeof data);
    assert_false(try_font(data, sizeof data, message, sizeof message));
    assert_string_equal(message, "it is no TrueType font");
    memcpy(data, "ttcf\0\1\0\0\0\0\0\1\377\377\377\0", 16);
    assert_false(try_font(data, sizeof data, message, sizeof message));
    assert_string_equal(message, "it is cut short");
}

static void a_font_that_is_cut_anywhere_never_faults(void **state)
{
    (void)state;
    char message[200];
    size_t size_bytes;
    if (!font_path())
        skip();
    uint8_t *data = read_font(&size_bytes);
    for (size_t length = 0; length < size_bytes; length += length < 1024 ? 61 : 14983)
        try_font(data, length, message, sizeof message);
    free(data);
}

static void a_font_with_wild_numbers_never_faults(void **state)
{
    (void)state;
    static const uint8_t wild[] = {0x00, 0x7F, 0x80, 0xFF};
    char message[200];
    size_t size_bytes;
    uint32_t random = 12345;
    if (!font_path())
        skip();
    uint8_t *original = read_font(&size_bytes);
    uint8_t *data = malloc(size_bytes);
    assert_non_null(data);
    for (int round = 0; round < 60; round++) {
        memcpy(data, original, size_bytes);
        for (int i = 0; i < 40; i++) {
            random = random * 1103515245u + 12345u;
            data[(random >> 8) % (round % 2 ? 400 : size_bytes)] = wild[random >> 30];
        }
        try_font(data, size_bytes, message, sizeof message);
    }
    free(data);
    free(original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_glyphs_and_widths),
        cmocka_unit_test(what_is_no_font_is_refused_with_the_reason),
        cmocka_unit_test(a_font_that_is_cut_anywhere_never_faults),
        cmocka_unit_test(a_font_with_wild_numbers_never_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
