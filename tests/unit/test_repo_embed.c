/* repo-embed: chunks, words, word vectors, the cache and an endpoint's answers, without a repository. */
#include "support.h"

#include "repo-embed/cache.h"
#include "repo-embed/chunk.h"
#include "repo-embed/corpus.h"
#include "repo-embed/embedder.h"
#include "repo-embed/endpoint_parts.h"
#include "repo-embed/npy.h"
#include "repo-embed/select.h"
#include "repo-embed/vectors.h"
#include "repo-embed/words.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNKS 4000

/* The chunks of one text, and which of its bytes are in one. */
struct cut {
    const char *text;
    size_t size;
    struct chunk chunks[CHUNKS];
    size_t count;
    bool *covered;
};

static int take(void *context, const struct chunk *chunk)
{
    struct cut *cut = context;
    assert_true(cut->count < CHUNKS);
    cut->chunks[cut->count++] = *chunk;
    assert_true(chunk->start < chunk->end && chunk->end <= cut->size);
    for (size_t i = chunk->start; i < chunk->end; i++)
        cut->covered[i] = true;
    return 0;
}

static struct cut *cut_text(enum outline_form form, const char *text, size_t size, size_t bytes, size_t overlap)
{
    struct exportd_kit_error error = {0};
    const struct chunk_options options = {bytes, overlap};
    struct cut *cut = calloc(1, sizeof *cut);
    assert_non_null(cut);
    cut->text = text;
    cut->size = size;
    cut->covered = calloc(size + 1, sizeof *cut->covered);
    assert_non_null(cut->covered);
    assert_int_equal(chunk_cut(form, text, size, &options, take, cut, &error), 0);
    return cut;
}

static void clear_cut(struct cut *cut)
{
    free(cut->covered);
    free(cut);
}

static uint32_t next(uint32_t *state, uint32_t below)
{
    *state = *state * 1103515245u + 12345u;
    return (*state >> 8) % below;
}

/* Text that is made of what structure is made of, in any order. */
static size_t make_text(uint32_t *state, char *out, size_t size)
{
    static const char *const parts[] = {
        "# A heading\n",
        "## Below it\n",
        "Title\n=====\n",
        "```js\n",
        "```\n",
        "\n",
        "\n\n\n",
        "    ",
        "int f(void)\n{\n",
        "}\n",
        "def g(x):\n",
        "class K {\n",
        "  x = 1\n",
        "\"\"\"\n",
        "/* a\n",
        " */\n",
        "'",
        "\"",
        "`",
        "word ",
        "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
        "\r\n",
        "\t\t",
        "// remark\n",
        "end\n",
        "*/ {{{ ",
        "-----\n",
        "[section]\n",
        "\f\n",
    };
    size_t length = 0, count = 1 + next(state, 400);
    for (size_t i = 0; i < count; i++) {
        const char *part = parts[next(state, sizeof parts / sizeof *parts)];
        size_t times = next(state, 40) == 0 ? 1 + next(state, 300) : 1;
        for (; times > 0 && length + strlen(part) < size; times--) {
            memcpy(out + length, part, strlen(part));
            length += strlen(part);
        }
    }
    return length;
}

static bool is_blank(char letter)
{
    return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

static void check_cut(const struct cut *cut, size_t bytes)
{
    uint32_t line = 1;
    size_t at = 0, last_end = 0;
    for (size_t i = 0; i < cut->size; i++)
        if (!cut->covered[i] && !is_blank(cut->text[i]))
            fail_msg("byte %zu of %zu is in no chunk", i, cut->size);
    for (size_t i = 0; i < cut->count; i++) {
        const struct chunk *chunk = &cut->chunks[i];
        assert_true(chunk->end - chunk->start <= bytes);
        assert_true(chunk->end > last_end); /* each brings something new */
        assert_true(((unsigned char)cut->text[chunk->start] & 0xC0) != 0x80);
        assert_true(chunk->end == cut->size || ((unsigned char)cut->text[chunk->end] & 0xC0) != 0x80);
        if (at > chunk->start) {
            at = 0;
            line = 1;
        }
        for (; at < chunk->start; at++)
            line += cut->text[at] == '\n';
        assert_int_equal(chunk->start_line, line);
        uint32_t end_line = line;
        for (size_t j = chunk->start; j + 1 < chunk->end; j++)
            end_line += cut->text[j] == '\n';
        assert_int_equal(chunk->end_line, end_line);
        assert_int_equal(select_well_formed(chunk->title, strlen(chunk->title), 0), strlen(chunk->title));
        last_end = chunk->end;
    }
}

static void every_byte_is_in_a_chunk_and_every_chunk_is_whole(void **state)
{
    static char text[65536];
    uint32_t seed = 1;
    (void)state;
    for (int round = 0; round < 1500; round++) {
        size_t size = make_text(&seed, text, sizeof text);
        size_t bytes = CHUNK_BYTES_MIN + next(&seed, 1500), overlap = next(&seed, (uint32_t)bytes / 3);
        struct cut *cut = cut_text((enum outline_form)(round % 5), text, size, bytes, overlap);
        check_cut(cut, bytes);
        clear_cut(cut);
    }
}

/* The lines at which chunks begin, and their titles. */
static void expect_chunks(enum outline_form form, const char *text, size_t bytes, const char *expected)
{
    char found[4000] = "";
    struct cut *cut = cut_text(form, text, strlen(text), bytes, 0);
    for (size_t i = 0; i < cut->count; i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%u-%u %s\n", cut->chunks[i].start_line,
                 cut->chunks[i].end_line, cut->chunks[i].title);
    clear_cut(cut);
    assert_string_equal(found, expected);
}

#define FILLER_LINE "this is a line of text that takes some room in the chunk\n"
#define FILLER FILLER_LINE FILLER_LINE FILLER_LINE
#define STATEMENTS "    value = compute(value, 1);\n    value = compute(value, 2);\n    value = compute(value, 3);\n"

static void markdown_is_cut_at_its_headings_and_not_in_its_code(void **state)
{
    (void)state;
    expect_chunks(OUTLINE_MARKDOWN,
                  "# Guide\n" FILLER "## Install ##\n" FILLER "```sh\n# no heading\n" FILLER "```\n"
                  "### On Linux\n" FILLER "Usage\n-----\n" FILLER "#nor this\n",
                  450, "1-4 Guide\n5-14 Guide > Install\n15-18 Guide > Install > On Linux\n19-24 Guide > Usage\n");
}

static int count(void *context, const struct chunk *chunk)
{
    (void)chunk;
    ++*(size_t *)context;
    return 0;
}

static void the_time_for_a_text_grows_with_its_size(void **state)
{
    const struct chunk_options options = {1500, 200};
    struct exportd_kit_error error = {0};
    size_t size = (size_t)4 << 20;
    char *text = calloc(1, size + 1);
    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = i % 2 ? '\n' : 'a';
    for (enum outline_form form = OUTLINE_PLAIN; form <= OUTLINE_INDENT; form++) {
        size_t chunks = 0;
        clock_t begin = clock();
        assert_int_equal(chunk_cut(form, text, size, &options, count, &chunks, &error), 0);
        assert_true(chunks > size / 1500);
        assert_true((clock() - begin) / CLOCKS_PER_SEC < 8); /* line by line to the end: a minute */
    }
    free(text);
}

static void restructured_text_is_cut_at_underlined_headings(void **state)
{
    (void)state;
    expect_chunks(OUTLINE_RST, "=====\nGuide\n=====\n" FILLER "Install\n-------\n" FILLER "Use\n---\n" FILLER, 250,
                  "1-6 Guide\n7-11 Guide > Install\n12-16 Guide > Use\n");
}

static void code_is_cut_between_definitions_with_their_comments(void **state)
{
    (void)state;
    expect_chunks(OUTLINE_BRACES,
                  "#include <a.h>\n\n/* Does one thing. }\n */\nstatic int one(void)\n{\n" STATEMENTS "}\n"
                  "// Does another: \"{\"\nint two(int a,\n        int b)\n{\n    puts(\"}{{\");\n" STATEMENTS "}\n\n"
                  "struct s {\n    int a;\n};\n",
                  230, "1-10 #include <a.h>\n11-23 int two(int a,\n");
    expect_chunks(OUTLINE_INDENT,
                  "import os\nimport sys\n\n\n@decorate\ndef first(a):\n    \"\"\"Says\n\nit\n    \"\"\"\n" STATEMENTS
                  "\nclass Second:\n    one = 1\n\n    def method(self):\n" STATEMENTS STATEMENTS
                  "\n    def other(self):\n" STATEMENTS,
                  300, "1-14 import os\n15-25 class Second:\n26-29 class Second: > def other(self):\n");
}

static void parts_of_a_long_section_overlap_in_whole_lines(void **state)
{
    char text[6000] = "# One\n";
    (void)state;
    for (int i = 0; i < 60; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "line %d says something of its own\n", i);
    struct cut *cut = cut_text(OUTLINE_MARKDOWN, text, strlen(text), 500, 100);
    assert_true(cut->count > 4);
    for (size_t i = 1; i < cut->count; i++) {
        size_t shared = cut->chunks[i - 1].end - cut->chunks[i].start;
        assert_in_range(shared, 60, 100);
        assert_int_equal(text[cut->chunks[i].start - 1], '\n');
        assert_string_equal(cut->chunks[i].title, "One");
    }
    clear_cut(cut);
}

static void paths_and_texts_that_are_nobodys_own_are_left_out(void **state)
{
    static const struct {
        const char *path;
        enum select_reason reason;
    } cases[] = {
        {"src/a.c", SELECT_TAKEN},
        {"a/node_modules/b/c.js", SELECT_VENDORED},
        {"node_modules", SELECT_TAKEN},
        {"vendor/x.go", SELECT_VENDORED},
        {"vendors/x.go", SELECT_TAKEN},
        {"lib/jquery.min.js", SELECT_GENERATED},
        {".min.js", SELECT_TAKEN},
        {"dist/index.js", SELECT_GENERATED},
        {"a/package-lock.json", SELECT_GENERATED},
        {"package-lock.json.md", SELECT_TAKEN},
        {"x.js.map", SELECT_GENERATED},
    };
    static const struct {
        const char *text;
        size_t size;
        enum select_reason reason;
        size_t mended;
    } texts[] = {
        {"plain\n", 6, SELECT_TAKEN, 0},
        {"a\0b", 3, SELECT_BINARY, 0},
        {" \t\r\n\f", 5, SELECT_EMPTY, 0},
        {"caf\xe9 caf\xe9 and much more text, in Latin-1\n", 40, SELECT_TAKEN, 2},
        {"\xff\xfe\xfd\xfc", 4, SELECT_BINARY, 0},
        {"// Code generated by x. DO NOT EDIT.\n", 37, SELECT_GENERATED, 0},
        {"/* @generated */\n", 17, SELECT_GENERATED, 0},
        {"and \xed\xa0\x80 a surrogate among many other characters here, so many\n", 62, SELECT_TAKEN, 3},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (select_by_path(cases[i].path) != cases[i].reason)
            fail_msg("%s: %s", cases[i].path, select_word(select_by_path(cases[i].path)));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char copy[100] = "";
        size_t mended;
        memcpy(copy, texts[i].text, texts[i].size);
        enum select_reason reason = select_by_text(copy, texts[i].size, false, &mended);
        if (reason != texts[i].reason)
            fail_msg("text %zu: %s", i, select_word(reason));
        if (reason == SELECT_TAKEN) {
            assert_int_equal(mended, texts[i].mended);
            assert_int_equal(select_well_formed(copy, texts[i].size, 0), texts[i].size);
        }
    }
}

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

static void write_file(const char *folder, const char *name, const void *bytes, size_t size, char *path, size_t room)
{
    snprintf(path, room, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static struct vectors *load(const char *folder, const void *bytes, size_t size, struct exportd_kit_error *error)
{
    static const struct vectors_options options = {0};
    char path[300], name[40];
    *error = (struct exportd_kit_error){0};
    snprintf(name, sizeof name, "words-%ld", random()); /* a file of the binary format stays mapped */
    write_file(folder, name, bytes, size, path, sizeof path);
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
    write_file(folder, "w", "1 2\na 1 2\n", 10, path, sizeof path);
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

static void key_for(int number, unsigned char key[32])
{
    memset(key, 0, 32);
    memcpy(key, &number, sizeof number);
}

static void put(struct cache *cache, int number, size_t dimensions)
{
    unsigned char key[1][32];
    float vector[64];
    key_for(number, key[0]);
    for (size_t i = 0; i < dimensions; i++)
        vector[i] = (float)number + (float)i;
    cache_put(cache, (const unsigned char(*)[32])key, vector, 1, dimensions);
}

static int has(struct cache *cache, int number)
{
    unsigned char key[32];
    float vector[64];
    key_for(number, key);
    return cache_get(cache, key, vector) && vector[1] == (float)number + 1;
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void the_cache_keeps_what_is_whole(void **state)
{
    char *folder = support_make_folder(), path[300];
    struct exportd_kit_error error = {0};
    struct stat status;
    (void)state;
    struct cache *one = cache_open(folder, ID, 0, &error), *two = cache_open(folder, ID, 8, &error);
    assert_non_null(one);
    assert_non_null(two);
    assert_int_equal(cache_dimensions(one), 0);
    put(one, 1, 8);
    put(two, 2, 8); /* beside, not over */
    put(one, 3, 8);
    assert_true(has(one, 1) && has(two, 2) && has(one, 3) && !has(one, 4));
    cache_close(one, 1 << 20);
    cache_close(two, 1 << 20);
    one = cache_open(folder, ID, 0, &error);
    assert_int_equal(cache_dimensions(one), 8);
    assert_true(has(one, 1) && has(one, 2) && has(one, 3));
    cache_close(one, 1 << 20);
    /* A writer that was killed: half a record at the end, and one with a turned bit. */
    snprintf(path, sizeof path, "%s/" ID ".vectors", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size - 30), 0);
    int fd = open(path, O_RDWR);
    unsigned char byte;
    assert_int_equal(pread(fd, &byte, 1, 32 + 50), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 32 + 50), 1);
    close(fd);
    one = cache_open(folder, ID, 8, &error);
    assert_true(!has(one, 1) && has(one, 2) && !has(one, 3));
    put(one, 4, 8);
    cache_close(one, 1 << 20);
    one = cache_open(folder, ID, 8, &error);
    assert_true(has(one, 2) && has(one, 4) && !has(one, 3));
    cache_close(one, 1 << 20);
    support_remove_folder(folder);
}

static void the_cache_stays_within_its_size(void **state)
{
    char *folder = support_make_folder(), path[300];
    struct exportd_kit_error error = {0};
    struct stat status;
    (void)state;
    static const char other[] = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    struct cache *cache = cache_open(folder, other, 8, &error);
    for (int i = 0; i < 500; i++)
        put(cache, i, 8); /* 72 bytes each */
    cache_close(cache, 1 << 20);
    struct cache *beside = cache_open(folder, ID, 8, &error);
    cache = cache_open(folder, ID, 8, &error);
    for (int i = 0; i < 1000; i++)
        put(cache, i, 8);
    cache_close(cache, 80000);
    snprintf(path, sizeof path, "%s/%s.vectors", folder, other);
    assert_int_equal(stat(path, &status), -1); /* used longest ago */
    snprintf(path, sizeof path, "%s/" ID ".vectors", folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 32 + 72000);
    cache_close(cache_open(folder, ID, 8, &error), 20000);
    assert_int_equal(stat(path, &status), 0);
    assert_in_range(status.st_size, 9000, 20000); /* its younger half */
    put(beside, 5000, 8);                         /* it had the file that is gone */
    cache_close(beside, 20000);
    cache = cache_open(folder, ID, 8, &error);
    assert_true(has(cache, 999) && has(cache, 5000) && !has(cache, 0));
    cache_close(cache, 20000);
    support_remove_folder(folder);
}

static void unfinished_files_of_the_cache_go(void **state)
{
    static const char *const names[] = {"one.vectors.new", "two.vectors.new", ID ".vectors.new", "three.new"};
    char *folder = support_make_folder(), path[300];
    struct exportd_kit_error error = {0};
    struct stat status;
    (void)state;
    struct cache *cache = cache_open(folder, ID, 8, &error);
    put(cache, 1, 8);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        write_file(folder, names[i], "unfinished", 10, path, sizeof path);
    write_file(folder, "two.vectors", "", 0, path, sizeof path);
    int writer = open(path, O_RDWR); /* of two.vectors.new: it holds the lock */
    assert_int_equal(flock(writer, LOCK_EX), 0);
    cache_close(cache, 1 << 20);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        assert_int_equal(stat(path, &status), i % 2 ? 0 : -1);
    }
    close(writer);
    /* One's own, while the file is too large. */
    snprintf(path, sizeof path, "%s/" ID ".vectors.new", folder);
    cache = cache_open(folder, ID, 8, &error);
    for (int i = 0; i < 100; i++)
        put(cache, i, 8);
    write_file(folder, ID ".vectors.new", "unfinished", 10, path, sizeof path);
    cache_close(cache, 2000);
    assert_int_equal(stat(path, &status), -1);
    support_remove_folder(folder);
}

struct quitter {
    struct exportd_job job;
    const char *workspace;
    int asked, most;
};

static int quitter_cancelled(struct exportd_job *job)
{
    struct quitter *quitter = (struct quitter *)job;
    return ++quitter->asked > quitter->most;
}

static const char *quitter_workspace(struct exportd_job *job)
{
    return ((struct quitter *)job)->workspace;
}

static void quitter_progress(struct exportd_job *job, double fraction, const char *stage)
{
    (void)job;
    (void)fraction;
    (void)stage;
}

static void a_cancelled_job_ends_within_a_file(void **state)
{
    static const struct exportd_host host = {.size = sizeof host,
                                             .cancelled = quitter_cancelled,
                                             .workspace = quitter_workspace,
                                             .progress = quitter_progress};
    char *folder = support_make_folder(), *text = malloc(500000), *files = NULL, path[300];
    struct exportd_kit_error error = {0};
    (void)state;
    assert_non_null(text);
    assert_true(asprintf(&files, "%s/repo", folder) > 0);
    assert_int_equal(mkdir(files, 0700), 0);
    for (size_t i = 0; i < 500000; i++)
        text[i] = i % 50 == 49 ? '\n' : (char)('a' + i * i % 23);
    write_file(files, "one.txt", text, 500000, path, sizeof path);
    struct quitter quitter = {{.size = sizeof quitter.job, .host = &host, .id = "1", .route = ""}, folder, 0, 40};
    const struct exportd_checkout checkout = {.folder = files};
    struct embedder embedder = {0};
    assert_int_equal(hashed_open(&embedder, 64, &error), 0);
    struct corpus corpus = {.job = &quitter.job,
                            .checkout = &checkout,
                            .embedder = &embedder,
                            .cut = {1500, 200},
                            .limits = {10, 1 << 20, 1 << 20, 1000}};
    assert_int_equal(corpus_make(&corpus, &error), -1);
    assert_string_equal(error.code, "cancelled");
    assert_in_range(corpus.chunk_count, 1, 40); /* of more than 300 */
    corpus_clear(&corpus);
    embedder_clear(&embedder);
    free(text);
    free(files);
    support_remove_folder(folder);
}

static int answer_of(const char *body, size_t count, size_t *dimensions, float **vectors)
{
    struct exportd_kit_error error = {0};
    const struct exportd_http_answer answer = {
        .status = 200, .body = (char *)(uintptr_t)body, .body_bytes = strlen(body)};
    int64_t tokens = 0;
    int failed = endpoint_read_vectors(&answer, count, dimensions, vectors, &tokens, &error);
    if (failed)
        assert_string_equal(error.code, "answer_invalid");
    else
        assert_int_equal(tokens, 7);
    return failed;
}

static void answers_are_read_by_their_indexes_and_checked(void **state)
{
    static const char *const refused[] = {
        "",
        "[]",
        "{}",
        "{\"data\":7}",
        "{\"data\":[]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":0,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":2,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":-1,\"embedding\":[1,2]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[1,2,3]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[1,\"2\"]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[1,1e300]}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":\"AACAPwAAAEAA\"}]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":\"AACAPwAAwH8=\"}]}", /* NaN */
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":\"!!!!!!!!!!!=\"}]}",
    };
    static const char taken[] = "{\"data\":[{\"index\":1,\"embedding\":[3,4.5]},{\"index\":0,\"embedding\":"
                                "\"AACAPwAAAEA=\"}],\"usage\":{\"total_tokens\":7}}";
    const float expected[] = {1, 2, 3, 4.5f};
    float *vectors = NULL;
    size_t dimensions;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dimensions = 0;
        if (answer_of(refused[i], 2, &dimensions, &vectors) == 0)
            fail_msg("taken: %s", refused[i]);
        assert_null(vectors);
    }
    dimensions = 0;
    assert_int_equal(answer_of(taken, 2, &dimensions, &vectors), 0);
    assert_int_equal(dimensions, 2);
    assert_memory_equal(vectors, expected, sizeof expected);
    free(vectors);
    dimensions = 3;
    assert_int_equal(answer_of(taken, 2, &dimensions, &vectors), -1);
}

static void a_refusal_never_repeats_the_key(void **state)
{
    static const int statuses[] = {400, 401, 403, 404, 422, 429, 500};
    (void)state;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct exportd_kit_error error = {0};
        char body[] = "{\"error\":{\"message\":\"the key sk-secret-1 is bad\"}}";
        const struct exportd_http_answer answer = {
            .status = statuses[i], .body = body, .body_bytes = sizeof body - 1};
        assert_int_equal(endpoint_refuse(&answer, "m", "sk-secret-1", &error), -1);
        assert_null(strstr(error.message, "sk-"));
        assert_int_equal(error.retryable, statuses[i] == 429 || statuses[i] == 500);
    }
}

static void a_matrix_of_numpy_has_its_header_and_rows(void **state)
{
    char *folder = support_make_folder(), path[300], header[129] = "";
    const float rows[] = {1, 2, 3, 4, 5, 6};
    float back[3];
    (void)state;
    snprintf(path, sizeof path, "%s/a.npy", folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(npy_write_rows(fd, 1, 1, 3, rows + 3), 0);
    assert_int_equal(npy_write_rows(fd, 0, 1, 3, rows), 0);
    assert_int_equal(npy_write_header(fd, 2, 3), 0);
    assert_int_equal(pread(fd, header, 128, 0), 128);
    assert_memory_equal(header,
                        "\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 66);
    assert_int_equal(header[127], '\n');
    assert_int_equal(npy_read_rows(fd, 1, 1, 3, back), 0);
    assert_memory_equal(back, rows + 3, sizeof back);
    assert_int_equal(npy_read_rows(fd, 2, 1, 3, back), -1);
    close(fd);
    support_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_in_a_chunk_and_every_chunk_is_whole),
        cmocka_unit_test(markdown_is_cut_at_its_headings_and_not_in_its_code),
        cmocka_unit_test(the_time_for_a_text_grows_with_its_size),
        cmocka_unit_test(restructured_text_is_cut_at_underlined_headings),
        cmocka_unit_test(code_is_cut_between_definitions_with_their_comments),
        cmocka_unit_test(parts_of_a_long_section_overlap_in_whole_lines),
        cmocka_unit_test(paths_and_texts_that_are_nobodys_own_are_left_out),
        cmocka_unit_test(identifiers_are_taken_apart),
        cmocka_unit_test(hashed_vectors_are_near_for_like_words),
        cmocka_unit_test(word_vectors_are_the_same_in_each_format),
        cmocka_unit_test(damaged_word_vectors_are_refused_with_their_place),
        cmocka_unit_test(words_with_blanks_and_twice_are_taken),
        cmocka_unit_test(the_cache_keeps_what_is_whole),
        cmocka_unit_test(the_cache_stays_within_its_size),
        cmocka_unit_test(unfinished_files_of_the_cache_go),
        cmocka_unit_test(a_cancelled_job_ends_within_a_file),
        cmocka_unit_test(answers_are_read_by_their_indexes_and_checked),
        cmocka_unit_test(a_refusal_never_repeats_the_key),
        cmocka_unit_test(a_matrix_of_numpy_has_its_header_and_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
