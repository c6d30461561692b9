/* outline.h: units, paragraphs, marks. */
#include "outline.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *endings; /* or whole names, between blanks */
    enum outline_form form;
} forms[] = {
    {" .md .markdown .mdx .mkd ", OUTLINE_MARKDOWN},
    {" .rst ", OUTLINE_RST},
    {" .c .h .cc .cpp .cxx .hh .hpp .hxx .inl .m .mm .cu .java .js .jsx .mjs .cjs .ts .tsx .mts .cts .go .rs .swift "
     ".kt "
     ".kts .scala .cs .php .dart .groovy .gradle .zig .proto .css .scss .less .sol .vue .svelte .glsl .hlsl .wgsl .d "
     ".v "
     ".sv .tf .hcl .json .jsonc .json5 .graphql .r .pl .pm .awk .thrift .bzl ",
     OUTLINE_BRACES},
    {" .py .pyi .pyx .rb .rake .gemspec .yml .yaml .coffee .nim .ex .exs .lua .sh .bash .zsh .fish .jl .toml .ini "
     ".cfg "
     ".conf .cr .hs .ml .mli .fs .fsx .elm .clj .cljs .lisp .el .scm .erl .sql .cmake .mk .tcl .vim .ps1 .haml .pug "
     "Makefile Dockerfile Rakefile Gemfile CMakeLists.txt Vagrantfile BUILD WORKSPACE ",
     OUTLINE_INDENT},
};

static bool listed(const char *list, const char *word)
{
    size_t length = strlen(word);
    if (length < 2 || length > 24 || strchr(word, ' '))
        return false;
    for (const char *at = list; (at = strstr(at, word)); at += length)
        if (at[-1] == ' ' && at[length] == ' ')
            return true;
    return false;
}

enum outline_form outline_form_of(const char *name, const char *text, size_t size_bytes)
{
    const char *dot = strrchr(name, '.');
    char ending[16] = "";
    for (size_t i = 0; dot && dot[i] && i + 1 < sizeof ending; i++)
        ending[i] = (char)(dot[i] >= 'A' && dot[i] <= 'Z' ? dot[i] + ('a' - 'A') : dot[i]);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (listed(forms[i].endings, name))
            return forms[i].form;
    for (size_t i = 0; *ending && i < sizeof forms / sizeof *forms; i++)
        if (listed(forms[i].endings, ending))
            return forms[i].form;
    if (size_bytes > 2 && memcmp(text, "#!", 2) == 0) {
        const char *newline = memchr(text, '\n', size_bytes);
        size_t length = newline ? (size_t)(newline - text) : size_bytes;
        return memmem(text, length, "node", 4) || memmem(text, length, "perl", 4) ? OUTLINE_BRACES : OUTLINE_INDENT;
    }
    return OUTLINE_PLAIN;
}

struct outline_line outline_line_at(const struct outline *outline, size_t unit)
{
    struct outline_line line = {.text = outline->text + outline->units[unit].start};
    const char *end = outline->text + outline->units[unit + 1].start;
    while (end > line.text && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    line.length = (size_t)(end - line.text);
    const char *at = line.text;
    for (; at < end && (*at == ' ' || *at == '\t' || *at == '\f' || *at == '\v'); at++)
        line.indent += *at == '\t' ? 4 : 1;
    line.blank = at == end;
    return line;
}

int outline_add_mark(struct outline *outline, size_t unit, const char *text, size_t length, unsigned int level)
{
    if ((outline->mark_count & (outline->mark_count - 1)) == 0) {
        size_t room = outline->mark_count ? 2 * outline->mark_count : 16;
        if (outline->mark_count == 0 || outline->mark_count >= 16) {
            struct outline_mark *grown = realloc(outline->marks, room * sizeof *grown);
            if (!grown)
                return -1;
            outline->marks = grown;
        }
    }
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && strchr(" \t\r\n{", text[length - 1]))
        length--;
    outline->marks[outline->mark_count++] = (struct outline_mark){
        .unit = (uint32_t)unit,
        .start = (uint32_t)(text - outline->text),
        .length = (uint32_t)length,
        .level = (uint8_t)(level < OUTLINE_LEVELS ? level : OUTLINE_LEVELS),
    };
    return 0;
}

static bool is_inside_character(char byte)
{
    return ((unsigned char)byte & 0xC0) == 0x80;
}

/* How many bytes of a long line the next piece takes: to the last blank in its second half, else whole characters. */
static size_t piece_of(const char *text, size_t left, size_t most)
{
    if (left <= most)
        return left;
    for (size_t size = most; size > most / 2; size--)
        if (text[size - 1] == ' ')
            return size;
    while (most > 1 && is_inside_character(text[most]))
        most--;
    return most;
}

static int cut_units(struct outline *outline, size_t unit_max, size_t piece_max)
{
    size_t room = outline->size_bytes / 24 + 16, at = 0;
    uint32_t line = 1;
    const char *text = outline->text;
    outline->units = malloc(room * sizeof *outline->units);
    while (outline->units) {
        const char *newline = memchr(text + at, '\n', outline->size_bytes - at);
        size_t end = newline ? (size_t)(newline - text) + 1 : outline->size_bytes;
        bool cut = end - at > unit_max;
        for (bool first = true; at < end; first = false) {
            size_t size = cut ? piece_of(text + at, end - at, piece_max) : end - at;
            outline->units[outline->count++] =
                (struct outline_unit){(uint32_t)at, line, first ? RANK_LINE : RANK_INSIDE};
            at += size;
            if (outline->count + 1 >= room) {
                room *= 2;
                struct outline_unit *grown = realloc(outline->units, room * sizeof *grown);
                if (!grown)
                    return -1;
                outline->units = grown;
            }
        }
        if (at >= outline->size_bytes) {
            outline->units[outline->count] = (struct outline_unit){(uint32_t)at, line, RANK_SECTION};
            return 0;
        }
        line++;
    }
    return -1;
}

static void rank_paragraphs(struct outline *outline)
{
    bool blank = false;
    for (size_t i = 0; i < outline->count; i++) {
        struct outline_line line = outline_line_at(outline, i);
        if (blank && !line.blank && outline->units[i].rank == RANK_LINE)
            outline->units[i].rank = RANK_BLANK;
        blank = line.blank;
    }
}

int outline_make(struct outline *outline, enum outline_form form, const char *text, size_t size_bytes,
                 size_t unit_max, size_t piece_max, struct exportd_kit_error *error)
{
    *outline = (struct outline){.text = text, .size_bytes = size_bytes};
    if (cut_units(outline, unit_max, piece_max) != 0)
        return exportd_kit_no_memory(error);
    rank_paragraphs(outline);
    int failed = 0;
    if (form == OUTLINE_MARKDOWN || form == OUTLINE_RST)
        failed = outline_headings(outline, form);
    else if (form == OUTLINE_BRACES)
        failed = outline_braces(outline);
    else if (form == OUTLINE_INDENT)
        failed = outline_indents(outline);
    return failed ? exportd_kit_no_memory(error) : 0;
}

void outline_clear(struct outline *outline)
{
    free(outline->units);
    free(outline->marks);
    *outline = (struct outline){0};
}
