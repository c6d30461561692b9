/*
 * export-codesandbox' lz_string.h: vectors made by npm codesandbox-import-utils 2.3.0, and round trips through a
 * decoder of the tests' own. The compressor is compiled in.
 */
#include "../../plugins/export-codesandbox/lz_string.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>

static void check(const char *text, const char *expected)
{
    char *compressed = lz_string_compress(text);
    assert_non_null(compressed);
    assert_string_equal(compressed, expected);
    free(compressed);
}

static void it_is_what_the_npm_package_makes(void **state)
{
    (void)state;
    check("", "Q");
    check("a", "IZA");
    check("aaaaaaaaaaaaaaaa", "IY1_EA");
    check("abababababab", "IYI17Sg");
    check("hello hello", "BYUwNmD2AEoZQ");
    check("検索検索", "jiWiJfVA");
    check("😀😀😀", "rwbgA92o");
    check("\u00FF\u0100\u2028\x01", "P-AEBBQECAQ");
    check("{\"files\":{\"a.js\":{\"content\":\"検索 😀\\n\",\"isBinary\":false}}}",
          "N4IgZglgNgpgziAXKAhgOgFYOSAxgewDsAXGEpEQHEtAiXwAJBeDcAA9gHUJABoQI4AhCQlACcAnkjAoocGAF9ZQA");
    check(">>>???~~~", "Hwj84Pyo");
}

/* What was compressed, bit by bit: a phrase is the one before it and the first unit of its successor. */
struct reader {
    const char *text;
    unsigned int bit;
};

static uint32_t get_bits(struct reader *reader, unsigned int width)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t value = 0;
    for (unsigned int i = 0; i < width; i++, reader->bit++) {
        char letter = reader->text[reader->bit / LETTER_BITS];
        assert_true(letter != '\0');
        size_t bits = (size_t)(strchr(alphabet, letter) - alphabet);
        value |= (uint32_t)(bits >> (LETTER_BITS - 1 - reader->bit % LETTER_BITS) & 1) << i;
    }
    return value;
}

struct entry {
    uint32_t prefix; /* code, or 0 */
    uint16_t unit;
};

static size_t spell(const struct entry *entries, uint32_t code, uint16_t *out)
{
    size_t length = 0;
    for (uint32_t at = code; at; at = entries[at].prefix)
        length++;
    size_t index = length;
    for (uint32_t at = code; at; at = entries[at].prefix)
        out[--index] = entries[at].unit;
    return length;
}

/* Returns the units, in out. */
static size_t decompress(const char *text, struct entry *entries, uint16_t *out)
{
    struct reader reader = {.text = text};
    unsigned int width = 2;
    uint32_t next = CODE_FIRST;
    uint32_t until_wider = 1; /* lz-string reads its first code apart */
    uint32_t before = 0;
    size_t length = 0;
    for (;;) {
        uint32_t code = get_bits(&reader, width);
        if (code == CODE_END)
            return length;
        if (code == CODE_UNIT_8 || code == CODE_UNIT_16) {
            uint16_t unit = (uint16_t)get_bits(&reader, code == CODE_UNIT_8 ? 8 : 16);
            entries[next] = (struct entry){.unit = unit};
            code = next++;
            if (before && --until_wider == 0)
                until_wider = 1u << width++;
        }
        if (before) { /* the phrase before and the first unit of this one; this one may be that very phrase */
            uint16_t first = 0;
            for (uint32_t at = code == next ? before : code; at; at = entries[at].prefix)
                first = entries[at].unit;
            entries[next++] = (struct entry){.prefix = before, .unit = first};
        }
        length += spell(entries, code, out + length);
        before = code;
        if (--until_wider == 0)
            until_wider = 1u << width++;
    }
}

static size_t units_of(const char *text, uint16_t *out)
{
    size_t length = 0;
    while (*text) {
        uint32_t code_point = exportd_text_next(&text);
        if (code_point >= 0x10000) {
            out[length++] = (uint16_t)(0xD800 + ((code_point - 0x10000) >> 10));
            out[length++] = (uint16_t)(0xDC00 + ((code_point - 0x10000) & 0x3FF));
        } else {
            out[length++] = (uint16_t)code_point;
        }
    }
    return length;
}

static void check_round_trip(const char *text)
{
    size_t most = strlen(text) + 16;
    struct entry *entries = calloc(2 * most, sizeof *entries);
    uint16_t *decoded = calloc(most, sizeof *decoded);
    uint16_t *expected = calloc(most, sizeof *expected);
    char *compressed = lz_string_compress(text);
    assert_non_null(compressed);
    assert_int_equal(strspn(compressed, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
                     strlen(compressed));
    size_t length = decompress(compressed, entries, decoded);
    assert_int_equal(length, units_of(text, expected));
    assert_memory_equal(decoded, expected, length * sizeof *decoded);
    free(compressed);
    free(expected);
    free(decoded);
    free(entries);
}

/* Texts of few and of many different letters, long and short, the same in every run. */
static void any_text_comes_back(void **state)
{
    (void)state;
    static const char *const letters[] = {"a", "b", "\n", "é", "検", "索", "😀", "\U0010FFFF", "\u00FF", "\u0100"};
    uint32_t seed = 1;
    char *text = malloc(4 * 4096 + 1);
    assert_non_null(text);
    for (size_t round = 0; round < 200; round++) {
        size_t count = round * round % 4096;
        size_t kinds = 1 + round % 10;
        char *out = text;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1103515245u + 12345u;
            const char *letter = letters[(seed >> 16) % kinds];
            out = stpcpy(out, letter);
        }
        *out = '\0';
        check_round_trip(text);
    }
    free(text);
}

static void a_megabyte_comes_back(void **state)
{
    (void)state;
    size_t size;
    char *text;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    for (unsigned int i = 0; ftell(out) < 1 << 20; i++)
        fprintf(out, "%u: 検索結果 😀 {\"key\": \"%x\"}\n", i, i * 2654435761u);
    assert_int_equal(fclose(out), 0);
    check_round_trip(text);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_the_npm_package_makes),
        cmocka_unit_test(any_text_comes_back),
        cmocka_unit_test(a_megabyte_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
