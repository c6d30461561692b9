/* repo-embed: which files are read, and how their texts are cut into chunks. */
#include "support.h"

#include "repo-embed/chunk.h"
#include "repo-embed/corpus.h"
#include "repo-embed/embedder.h"
#include "repo-embed/select.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

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
    support_write_file(files, "one.txt", text, 500000, path, sizeof path);
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
        cmocka_unit_test(a_cancelled_job_ends_within_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
