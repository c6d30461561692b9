/* outline.h: headings of Markdown and reStructuredText. */
#include "outline.h"

#include <string.h>

/* How often the character stands at the line's begin, and whether nothing but blanks follows. */
static size_t repeated(const struct outline_line *line, char letter, bool *alone)
{
    const char *at = line->text, *end = line->text + line->length;
    while (at < end && *at == ' ')
        at++;
    const char *begin = at;
    while (at < end && *at == letter)
        at++;
    size_t count = (size_t)(at - begin);
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    *alone = at == end;
    return count;
}

/* Sets the rank of a heading's first line, and its mark. */
static int head(struct outline *outline, size_t unit, const char *title, size_t length, unsigned int level)
{
    outline->units[unit].rank = RANK_SECTION;
    return outline_add_mark(outline, unit, title, length, level);
}

static int markdown(struct outline *outline)
{
    char fence = 0;
    size_t fence_length = 0;
    struct outline_line before = {.blank = true};
    for (size_t i = 0; i < outline->count; i++) {
        struct outline_line line = outline_line_at(outline, i);
        const char *text = line.text;
        bool alone, cut = outline->units[i].rank == RANK_INSIDE, code = line.indent > 3;
        for (const char *letter = "`~"; *letter && !cut && !code; letter++) {
            size_t count = repeated(&line, *letter, &alone);
            if (fence ? *letter == fence && count >= fence_length && alone : count >= 3) {
                fence = fence ? 0 : *letter;
                fence_length = count;
                break;
            }
        }
        if (!fence && !cut && !code && !line.blank) {
            size_t count = repeated(&line, '#', &alone);
            const char *mark = count > 0 ? memchr(text, '#', line.length) : NULL;
            size_t skip = mark ? (size_t)(mark - text) + count : 0;
            if (mark && count <= 6 && skip < line.length && (text[skip] == ' ' || text[skip] == '\t')) {
                size_t length = line.length;
                while (length > skip && (text[length - 1] == '#' || text[length - 1] == ' '))
                    length--;
                if (head(outline, i, text + skip, length - skip, (unsigned int)count) != 0)
                    return -1;
            } else if (!before.blank && i > 0 && before.indent <= 3 && outline->units[i - 1].rank != RANK_INSIDE) {
                bool first = repeated(&line, '=', &alone) >= 2 && alone;
                bool second = !first && repeated(&line, '-', &alone) >= 3 && alone;
                if ((first || second) && outline->units[i - 1].rank != RANK_SECTION &&
                    !memchr("-|>", *before.text, 3) &&
                    head(outline, i - 1, before.text, before.length, first ? 1 : 2) != 0)
                    return -1;
            }
        }
        if (!fence && outline->units[i].rank == RANK_BLANK)
            outline->units[i].rank = RANK_MEMBER;
        before = line;
        if (fence)
            before.blank = true;
    }
    return 0;
}

/* The character that a line of nothing else is made of, or 0. */
static char rule_of(const struct outline_line *line)
{
    bool alone;
    return line->length > 0 && line->indent == 0 && strchr("=-`:.'\"~^_*+#<>", *line->text) &&
                   repeated(line, *line->text, &alone) >= 3 && alone
               ? *line->text
               : 0;
}

static int rst(struct outline *outline)
{
    char known[OUTLINE_LEVELS + 1] = "";
    struct outline_line before = {.blank = true}, above = {.blank = true};
    for (size_t i = 0; i < outline->count; i++) {
        struct outline_line line = outline_line_at(outline, i);
        char rule = rule_of(&line);
        if (rule && !before.blank && !rule_of(&before) && line.length + 2 >= before.length && before.indent <= 1) {
            bool over = i >= 2 && rule_of(&above) == rule;
            const char *found = strchr(known, rule);
            size_t level = found ? (size_t)(found - known) : strlen(known);
            if (!found && level < OUTLINE_LEVELS)
                known[level] = rule;
            if (head(outline, i - (over ? 2 : 1), before.text, before.length, (unsigned int)level + 1) != 0)
                return -1;
        }
        if (outline->units[i].rank == RANK_BLANK && line.indent == 0)
            outline->units[i].rank = RANK_MEMBER;
        above = before;
        before = line;
    }
    return 0;
}

int outline_headings(struct outline *outline, enum outline_form form)
{
    return form == OUTLINE_RST ? rst(outline) : markdown(outline);
}
