/* chunk.h: packing an outline's units. */
#include "chunk.h"

#include <string.h>

struct cutter {
    struct outline outline;
    const struct chunk_options *options;
    size_t mark; /* the next one that is not in the stack */
    const struct outline_mark *stack[OUTLINE_LEVELS];
    int (*visit)(void *context, const struct chunk *chunk);
    void *context;
};

static size_t at(const struct cutter *cutter, size_t unit)
{
    return cutter->outline.units[unit].start;
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r\n\f\v", text[i]) || text[i] == '\0')
            return false;
    return true;
}

/* Titles that stand at the unit, joined. */
static void write_title(struct cutter *cutter, size_t unit, char title[CHUNK_TITLE_MAX])
{
    const struct outline *outline = &cutter->outline;
    while (cutter->mark < outline->mark_count && outline->marks[cutter->mark].unit <= unit) {
        const struct outline_mark *mark = &outline->marks[cutter->mark++];
        for (size_t level = mark->level; level <= OUTLINE_LEVELS; level++)
            cutter->stack[level - 1] = NULL;
        cutter->stack[mark->level - 1] = mark;
    }
    size_t used = 0;
    for (size_t level = 0; level < OUTLINE_LEVELS; level++) {
        const struct outline_mark *mark = cutter->stack[level];
        size_t room = CHUNK_TITLE_MAX - used - 1, gap = used ? 3 : 0;
        if (!mark || mark->length == 0 || room < gap + 8)
            continue;
        memcpy(title + used, " > ", gap);
        used += gap;
        const char *text = outline->text + mark->start;
        size_t length = mark->length < room - gap ? mark->length : room - gap;
        while (length < mark->length && length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
        memcpy(title + used, text, length);
        used += length;
    }
    title[used] = '\0';
}

/* Units from first up to end as one piece; its title is that of the unit own, where its part begins that is not the
 * end of the piece before. */
static int emit(struct cutter *cutter, size_t first, size_t own, size_t end)
{
    const struct outline *outline = &cutter->outline;
    struct chunk chunk = {.start = at(cutter, first), .end = at(cutter, end)};
    if (is_blank(outline->text + chunk.start, chunk.end - chunk.start))
        return 0;
    while (own + 1 < end && outline_line_at(outline, own).blank)
        own++;
    chunk.start_line = outline->units[first].line;
    chunk.end_line = outline->units[end - 1].line;
    write_title(cutter, own, chunk.title);
    return cutter->visit(cutter->context, &chunk);
}

/* The last of the best places in the second half of what one piece can hold. */
static size_t best_cut(const struct cutter *cutter, size_t first, size_t own, size_t limit)
{
    size_t best = limit;
    for (size_t unit = limit; unit > own; unit--) {
        if (unit < limit && at(cutter, unit) - at(cutter, first) < cutter->options->chunk_bytes / 2)
            break;
        if (cutter->outline.units[unit].rank < cutter->outline.units[best].rank)
            best = unit;
    }
    return best;
}

static int cut_long(struct cutter *cutter, size_t begin, size_t end)
{
    size_t first = begin, own = begin;
    int stopped = 0;
    while (!stopped && own < end) {
        size_t limit = own + 1;
        if (at(cutter, limit) - at(cutter, first) > cutter->options->chunk_bytes)
            first = own; /* the end of the piece before has no room beside the next unit */
        while (limit < end && at(cutter, limit + 1) - at(cutter, first) <= cutter->options->chunk_bytes)
            limit++;
        size_t cut = limit < end ? best_cut(cutter, first, own, limit) : end;
        stopped = emit(cutter, first, own, cut);
        first = own = cut;
        while (first > begin && at(cutter, own) - at(cutter, first - 1) <= cutter->options->overlap_bytes)
            first--;
    }
    return stopped;
}

static size_t next_section(const struct outline *outline, size_t unit)
{
    while (unit < outline->count && outline->units[unit].rank != RANK_SECTION)
        unit++;
    return unit;
}

static int cut_sections(struct cutter *cutter)
{
    const struct outline *outline = &cutter->outline;
    size_t most = cutter->options->chunk_bytes;
    int stopped = 0;
    for (size_t begin = 0, end; !stopped && begin < outline->count; begin = end) {
        end = next_section(outline, begin + 1);
        while (end < outline->count) {
            size_t next = next_section(outline, end + 1), size = at(cutter, end) - at(cutter, begin);
            bool small = size < most / 3 || at(cutter, next) - at(cutter, end) < most / 8;
            if (!small || at(cutter, next) - at(cutter, begin) > most)
                break;
            end = next;
        }
        stopped = at(cutter, end) - at(cutter, begin) <= most ? emit(cutter, begin, begin, end)
                                                              : cut_long(cutter, begin, end);
    }
    return stopped;
}

int chunk_cut(enum outline_form form, const char *text, size_t size_bytes, const struct chunk_options *options,
              int (*visit)(void *context, const struct chunk *chunk), void *context, struct exportd_kit_error *error)
{
    struct cutter cutter = {.options = options, .visit = visit, .context = context};
    size_t piece = options->overlap_bytes > 64 ? options->overlap_bytes : 64;
    int stopped = outline_make(&cutter.outline, form, text, size_bytes, options->chunk_bytes / 2, piece, error);
    if (!stopped)
        stopped = cut_sections(&cutter);
    outline_clear(&cutter.outline);
    return stopped;
}
