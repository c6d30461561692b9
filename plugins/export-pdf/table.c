/* flow.h: tables. */
#include "flow.h"

#include <string.h>

#define CELL_PADDING_X_PT 7.0
#define ROW_PADDING_PT 4.5
#define HEADING_HEIGHT_PT 20.0
#define HEADING_LINES_MAX 6

static double row_padding(const struct table *table)
{
    return table->padding_pt > 0 ? table->padding_pt : ROW_PADDING_PT;
}

static double table_width(const struct table *table)
{
    double width = 0;
    for (size_t i = 0; i < table->column_count; i++)
        width += table->columns[i].width;
    return width;
}

/* Draws up to count lines of each cell, from line first on. */
static void draw_row(struct table *table, struct layout *const *layouts, size_t first, size_t count)
{
    struct document *document = table->document;
    double x = table->x;
    for (size_t c = 0; c < table->column_count; c++) {
        const struct table_column *column = &table->columns[c];
        for (size_t i = first; i < first + count && i < layouts[c]->line_count; i++) {
            const double spare = column->width - 2 * CELL_PADDING_X_PT - layouts[c]->lines[i].width_pt;
            const double shift = column->align == ALIGN_RIGHT ? spare : column->align == ALIGN_CENTRE ? spare / 2 : 0;
            const double top = document->y + row_padding(table) + (double)(i - first) * table->line_pt;
            draw_line(document, layouts[c], i, x + CELL_PADDING_X_PT + (shift > 0 ? shift : 0),
                      top + table->line_pt / 2 + table->size_pt * 0.36);
        }
        x += column->width;
    }
    document->y += (double)count * table->line_pt + 2 * row_padding(table);
    draw_rule(document, table->x, document->y - 0.3, table_width(table), document->palette.rule);
}

/* Sets a cell for each column. Returns how many lines the longest has, or 0 when out of memory. */
static size_t set_cells(struct table *table, const struct text *cells, struct layout **layouts)
{
    size_t line_count = 1;
    for (size_t c = 0; c < table->column_count; c++) {
        const struct layout_options options = {.width_pt = table->columns[c].width - 2 * CELL_PADDING_X_PT};
        layouts[c] = layout_new(table->document->typesetter, &cells[c], &options);
        if (!layouts[c]) {
            table->document->state = DOCUMENT_FAILED;
            return 0;
        }
        if (layouts[c]->line_count > line_count)
            line_count = layouts[c]->line_count;
    }
    return line_count;
}

static void free_cells(struct layout **layouts)
{
    for (size_t c = 0; c < TABLE_COLUMNS_MAX; c++)
        layout_free(layouts[c]);
}

/* Headings that are texts, on the ground of headings. A heading is cut after a few lines. */
static void draw_heading_cells(struct table *table)
{
    struct document *document = table->document;
    struct layout *layouts[TABLE_COLUMNS_MAX] = {NULL};
    size_t line_count = set_cells(table, table->heading_cells, layouts);
    if (line_count > HEADING_LINES_MAX)
        line_count = HEADING_LINES_MAX;
    if (line_count) {
        draw_box(document, table->x, document->y, table_width(table),
                 (double)line_count * table->line_pt + 2 * row_padding(table), document->palette.panel);
        draw_row(table, layouts, 0, line_count);
        draw_rule(document, table->x, document->y - 0.6, table_width(table), document->palette.neutral);
    }
    free_cells(layouts);
}

static void draw_headings(struct table *table)
{
    struct document *document = table->document;
    const struct text_style style = style_of(document, KIND_LABEL);
    double x = table->x;

    if (table->heading_cells) {
        draw_heading_cells(table);
        return;
    }
    if (!table->columns[0].heading) {
        draw_rule(document, table->x, document->y, table_width(table), document->palette.rule);
        document->y += 0.6;
        return;
    }
    draw_box(document, table->x, document->y, table_width(table), HEADING_HEIGHT_PT, document->palette.panel);
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        const double room = column->width - 2 * CELL_PADDING_X_PT;
        if (column->heading && column->align == ALIGN_RIGHT)
            set_string_right(document, column->heading, &style, x + column->width - CELL_PADDING_X_PT,
                             document->y + 5, room);
        else if (column->heading)
            set_string(document, column->heading, &style, x + CELL_PADDING_X_PT, document->y + 5, room);
        x += column->width;
    }
    document->y += HEADING_HEIGHT_PT;
    draw_rule(document, table->x, document->y - 0.6, table_width(table), document->palette.neutral);
}

static void place_row(struct table *table, struct layout *const *layouts, size_t line_count)
{
    struct document *document = table->document;
    const double padding = 2 * row_padding(table);
    const double height = (double)line_count * table->line_pt + padding;
    const double page = document->bottom - document->top;
    double needed = height < page / 2 ? height : 4 * table->line_pt + padding;

    if (!table->started)
        needed += HEADING_HEIGHT_PT;
    if (document->y + needed > document->bottom && document->y > document->top) {
        document_break(document);
        table->started = 0;
    }
    size_t first = 0;
    while (first < line_count && document->state == DOCUMENT_OPEN) {
        if (!table->started)
            draw_headings(table);
        table->started = 1;
        const double room = document->bottom - document->y - padding;
        size_t count = room > table->line_pt ? (size_t)(room / table->line_pt + 0.001) : 1;
        if (count > line_count - first)
            count = line_count - first;
        draw_row(table, layouts, first, count);
        first += count;
        if (first < line_count) {
            document_break(document);
            table->started = 0;
        }
    }
}

void table_row(struct table *table, const struct text *cells)
{
    struct layout *layouts[TABLE_COLUMNS_MAX] = {NULL};
    if (table->document->state != DOCUMENT_OPEN)
        return;
    const size_t line_count = set_cells(table, cells, layouts);
    if (line_count)
        place_row(table, layouts, line_count);
    free_cells(layouts);
}

void table_end(struct table *table)
{
    document_space(table->document, 10);
    table->started = 0;
}
