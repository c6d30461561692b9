#include "base/memory.h"
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

struct table {
    int columns;
    char **cells; /* rows of columns, the heads first */
    size_t rows;
};

/* Columns on a terminal: characters, not bytes. (Wide ones would need wcwidth; ids and routes have none.) */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

struct table *table_new(const char *const *heads, int columns)
{
    struct table *table = memory_zeroed(1, sizeof *table);
    table->columns = columns;
    table_add(table, heads);
    return table;
}

void table_add(struct table *table, const char *const *cells)
{
    size_t first = table->rows * (size_t)table->columns;
    table->cells = memory_resized(table->cells, first + (size_t)table->columns, sizeof *table->cells);
    for (int i = 0; i < table->columns; i++)
        table->cells[first + (size_t)i] = command_printable(cells[i] ? cells[i] : "");
    table->rows++;
}

void table_print(struct table *table, FILE *out)
{
    for (size_t row = 0; row < table->rows; row++) {
        for (int column = 0; column < table->columns; column++) {
            int widest = 0;
            for (size_t other = 0; other < table->rows; other++) {
                int width = width_of(table->cells[other * (size_t)table->columns + (size_t)column]);
                widest = width > widest ? width : widest;
            }
            const char *cell = table->cells[row * (size_t)table->columns + (size_t)column];
            bool last = column + 1 == table->columns;
            fprintf(out, "%s%*s", cell, last ? 0 : widest - width_of(cell) + 2, "");
        }
        fputc('\n', out);
    }
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->rows * (size_t)table->columns; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}
