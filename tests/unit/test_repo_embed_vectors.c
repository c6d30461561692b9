/* repo-embed: words, hashed vectors and word vectors out of files. */
#include "support.h"

#include "repo-embed/embedder.h"
#include "repo-embed/vectors.h"
#include "repo-embed/words.h"

#include <math.h>
#include <string.h>

static void identifiers_are_taken_apart(void **state)
{
    const char *text = "parseHTTPHeader2 snake_case XMLReader \xe2\x80\x9cgr\xc3\xb6\xc3\x9f"
                       "e\xe2\x80\x9d I";
    const char *at = text, *end = text + strlen(text);
    char found[200] = "";
    struct word run, part;
    (void)state;
    while (words_run(&at, end, &run)) {
        size_t offset = 0;
        while (words_part(&run, &offset, &part))
            snprintf(found + strlen(found), sizeof found - strlen(found), "%.*s ", (int)part.length, part.text);
        snprintf(found + strlen(found), sizeof found - strlen(found), "| ");
    }
    assert_string_equal(found, "parse HTTP Header 2 | snake | case | XML Reader | gr\xc3\xb6\xc3\x9f"
                               "e | I | ");
    assert_true(words_is_common("return", 6));
    assert_true(words_is_common("a", 1));
    assert_true(words_is_common("your", 4));
    assert_false(words_is_common("retur", 5));
    assert_false(words_is_common("returns", 7));
}

static double likeness(struct embedder *embedder, const char *left, const char *right)
{
    struct exportd_kit_error error = {0};
    const struct embed_text texts[] = {{left, strlen(left)}, {right, strlen(right)}};
    float *vectors = NULL;
    double sum = 0;
    assert_int_equal(embedder->embed(embedder, texts, 2, &vectors, &error), 0);
    for (size_t i = 0; i < embedder->dimensions; i++)
        sum += (double)vectors[i] * (double)vectors[embedder->dimensions + i];
    free(vectors);
    return sum;
}

static void hashed_vectors_are_near_for_like_words(void **state)
{
    struct embedder embedder;
    struct exportd_kit_error error = {0};
    (void)state;
    assert_int_equal(hashed_open(&embedder, 384, &error), 0);
    const char *text = "parses the arguments of the command line";
    assert_true(fabs(likeness(&embedder, text, text) - 1) < 1e-5);
    double near = likeness(&embedder, text, "static int parse_argument(struct commandLine *line)");
    double far = likeness(&embedder, text, "draws a circle on the canvas with a colour");
    assert_true(near > 0.3);
    assert_true(far < 0.15);
    assert_true(fabs(likeness(&embedder, "ParseArguments", "parse_arguments")) > 0.5);
    assert_true(likeness(&embedder, "... ---", "... ---") == 0);
    embedder_clear(&embedder);
}

static struct vectors *load(const char *folder, const void *bytes, size_t size, struct exportd_kit_error *error)
{
    static const struct vectors_options options = {0};
    char path[300], name[40];
    *error = (struct exportd_kit_error){0};
    snprintf(name, sizeof name, "words-%ld", random()); /* a file of the binary format stays mapped */
    support_write_file(folder, name, bytes, size, path, sizeof path);
    return vectors_load(path, &options, error);
}

static void word_vectors_are_the_same_in_each_format(void **state)
{
    const float numbers[3][3] = {{0.25f, -1.5f, 3e-5f}, {1, 2, 3}, {-0.125f, 1e10f, 0}};
    static const char *const names[] = {"the",
                                        "Gr\xc3\xb6\xc3\x9f"
                                        "e",
                                        "x"};
    char *folder = support_make_folder(), binary[300];
    const char text[] = "3 3\nthe 0.25 -1.5 3e-05 \nGr\xc3\xb6\xc3\x9f"
                        "e 1 2.0 3\nx -.125 1E+10 0\n";
    struct exportd_kit_error error;
    (void)state;
    for (int newline = 0; newline < 2; newline++) {
        size_t size = (size_t)snprintf(binary, sizeof binary, "3 3\n");
        for (int i = 0; i < 3; i++) {
            size += (size_t)snprintf(binary + size, sizeof binary - size, "%s ", names[i]);
            memcpy(binary + size, numbers[i], sizeof numbers[i]);
            size += sizeof numbers[i];
            if (newline)
                binary[size++] = '\n';
        }
        struct vectors *all[] = {load(folder, text, sizeof text - 1, &error), load(folder, binary, size, &error),
                                 load(folder, text + 4, sizeof text - 5, &error)};
        for (int i = 0; i < 3; i++) {
            assert_non_null(all[i]);
            assert_int_equal(vectors_dimensions(all[i]), 3);
            assert_int_equal(vectors_count(all[i]), 3);
            assert_int_equal(vectors_is_binary(all[i]), i == 1);
            assert_int_equal(vectors_find(all[i], "nothing", 7), -1);
            for (int word = 0; word < 3; word++) {
                float vector[3];
                assert_int_equal(vectors_find(all[i], names[word], strlen(names[word])), word);
                vectors_copy(all[i], (size_t)word, vector);
                assert_memory_equal(vector, numbers[word], sizeof vector);
            }
            vectors_free(all[i]);
        }
    }
    support_remove_folder(folder);
}

static void damaged_word_vectors_are_refused_with_their_place(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"2 2\na 1 2\nb 1\n", "line 3"},      {"2 2\na 1 2\nb 1 x\n", "line 3"},
        {"2 2\na 1 2\nb 1 1e99\n", "line 3"}, {"3 2\na 1 2\nb 1 2\n", "2 words"},
        {"a 1 2\nb 1\n", "line 2"},           {"something else entirely\n", "line 1"},
        {"5 3\nshort 0.1 0.2\n", "line 2"},   {"2 99999\na 1 2\n", "line 1"},
        {"1 2\n\n\n\n\n", "byte 5"},
    };
    static const char cut_off[] = "2 2\na \0\0\0\0\0\0\0\0b \0\0\0";
    char *folder = support_make_folder();
    struct exportd_kit_error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(load(folder, cases[i].text, strlen(cases[i].text), &error));
        assert_string_equal(error.code, "vectors_invalid");
        if (!strstr(error.message, cases[i].message))
            fail_msg("%s: %s", cases[i].text, error.message);
    }
    assert_null(load(folder, cut_off, sizeof cut_off - 1, &error));
    assert_non_null(strstr(error.message, "byte 14: word 2 of 2"));
    assert_null(load(folder, "1 2", 3, &error));
    char path[300];
    const struct vectors_options small = {.max_memory_bytes = 50};
    support_write_file(folder, "w", "1 2\na 1 2\n", 10, path, sizeof path);
    assert_null(vectors_load(path, &small, &error));
    assert_string_equal(error.code, "vectors_too_large");
    assert_null(vectors_load("/nonexistent/words", &small, &error));
    assert_string_equal(error.code, "vectors_missing");
    support_remove_folder(folder);
}

static void words_with_blanks_and_twice_are_taken(void **state)
{
    const char text[] = "2 2\n. . 1 2\nx 3 4\n";
    const char twice[] = "x 1 2\nx 3 4\ny 5 6\n";
    char *folder = support_make_folder();
    struct exportd_kit_error error;
    float vector[2];
    (void)state;
    struct vectors *vectors = load(folder, text, sizeof text - 1, &error);
    assert_non_null(vectors);
    assert_int_equal(vectors_find(vectors, ". .", 3), 0);
    vectors_free(vectors);
    vectors = load(folder, twice, sizeof twice - 1, &error);
    assert_non_null(vectors);
    vectors_copy(vectors, (size_t)vectors_find(vectors, "x", 1), vector);
    assert_true(vector[0] == 1);
    vectors_free(vectors);
    support_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifiers_are_taken_apart),
        cmocka_unit_test(hashed_vectors_are_near_for_like_words),
        cmocka_unit_test(word_vectors_are_the_same_in_each_format),
        cmocka_unit_test(damaged_word_vectors_are_refused_with_their_place),
        cmocka_unit_test(words_with_blanks_and_twice_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
