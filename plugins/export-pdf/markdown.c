/* markdown.h: Markdown, laid out. */
#include "markdown.h"

#include "code.h"
#include "flow.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDENT_PT 22.0
#define QUOTE_PT 12.0
#define INDENT_LEVELS_MAX 8 /* deeper ones are set at this depth */
#define LIST_DEPTH_MAX 32
#define CELLS_MAX 6000
#define COLUMN_MIN_PT 40.0
#define BOOKMARKS_MAX 60
#define BOOKMARK_MAX_CHARACTERS 120

struct list {
    int ordered;
    int number;
    int tight; /* its items follow one another closely */
};

struct markdown {
    struct document *document;
    struct text text; /* the paragraph being gathered */
    struct list lists[LIST_DEPTH_MAX];
    int list_depth, quote_depth;
    int strong, emphasis, strike;
    int heading;
    const char *link;
    char marker[24];    /* of the item whose first paragraph is still to come */
    struct text *cells; /* of the table being gathered, by row */
    size_t cell_count, row_count, column_count;
    int in_table;
    double quote_y; /* where the last quoted block ended, on page quote_page */
    size_t quote_page;
    int quote_bars;
    int bookmarks;
};

static struct text_style inline_style(const struct markdown *markdown)
{
    struct text_style style = style_of(markdown->document, KIND_BODY);
    const int bold =
        markdown->strong > 0 || markdown->heading > 0 || (markdown->in_table && markdown->row_count == 1);
    style.font = bold && markdown->emphasis > 0 ? FONT_BOLD_ITALIC
                 : bold                         ? FONT_BOLD
                 : markdown->emphasis > 0       ? FONT_ITALIC
                                                : FONT_REGULAR;
    if (markdown->heading)
        style.size_pt = markdown->heading == 1   ? 12.5
                        : markdown->heading == 2 ? 11.5
                        : markdown->heading == 3 ? 10.5
                                                 : 9.5;
    else if (markdown->in_table)
        style.size_pt = SMALL_SIZE_PT;
    else if (markdown->quote_depth)
        style.colour = markdown->document->palette.soft;
    style.strike = markdown->strike > 0;
    style.link = markdown->link;
    if (style.link)
        style.colour = markdown->document->palette.accent;
    return style;
}

static void add_inline(struct markdown *markdown, const char *utf8)
{
    const struct text_style style = inline_style(markdown);
    if (utf8)
        text_add_string(&markdown->text, utf8, &style);
}

static void add_code(struct markdown *markdown, const char *utf8)
{
    struct text_style style = inline_style(markdown);
    style.font = FONT_MONO;
    style.size_pt *= 0.88;
    style.boxed = 1;
    if (utf8)
        text_add_string(&markdown->text, utf8, &style);
}

static int bounded(int depth, int most)
{
    return depth < most ? depth : most;
}

/* Where the blocks at the present depth go: indented by lists and quotes, with a bar for each quote. */
static struct flow block_flow(struct markdown *markdown, enum text_kind kind)
{
    struct flow flow = flow_of(markdown->document, kind);
    const int lists = bounded(markdown->list_depth, INDENT_LEVELS_MAX);
    const int quotes = bounded(markdown->quote_depth, FLOW_BARS_MAX);
    const double indent = lists * INDENT_PT + quotes * QUOTE_PT;
    for (int i = 0; i < quotes; i++)
        flow.bars[flow.bar_count++] = markdown->document->left + lists * INDENT_PT + i * QUOTE_PT;
    flow.x += indent;
    flow.width -= indent;
    flow.ground_left += indent;
    if (markdown->marker[0])
        flow.marker = markdown->marker;
    return flow;
}

/* Flows the gathered text; the bars of a quote go on from the block above. */
static void draw_block(struct markdown *markdown, const struct flow *flow)
{
    struct document *document = markdown->document;
    if (markdown->quote_page == document->page_count)
        for (int i = 0; i < markdown->quote_bars && i < (int)flow->bar_count; i++)
            draw_box(document, flow->bars[i], markdown->quote_y, 2, document->y - markdown->quote_y,
                     document->palette.rule);
    flow_text(document, &markdown->text, flow);
    text_clear(&markdown->text);
    markdown->marker[0] = '\0';
    markdown->quote_y = document->y;
    markdown->quote_page = document->page_count;
    markdown->quote_bars = (int)flow->bar_count;
}

static int in_tight_list(const struct markdown *markdown)
{
    return markdown->list_depth && markdown->lists[bounded(markdown->list_depth, LIST_DEPTH_MAX) - 1].tight;
}

/* A bookmark for the gathered heading, which is about to be drawn. */
static void bookmark_heading(struct markdown *markdown)
{
    char title[4 * BOOKMARK_MAX_CHARACTERS + 1];
    size_t length = 0;
    for (size_t i = 0; i < markdown->text.length && i < BOOKMARK_MAX_CHARACTERS; i++)
        length += exportd_text_encode(markdown->text.code_points[i], title + length);
    title[length] = '\0';
    if (length && markdown->bookmarks++ < BOOKMARKS_MAX)
        document_bookmark(markdown->document, 1, title);
}

static void finish_paragraph(struct markdown *markdown)
{
    struct flow flow = block_flow(markdown, KIND_BODY);
    if (markdown->heading) {
        flow.size_pt = inline_style(markdown).size_pt;
        flow.line_pt = flow.size_pt * 1.5;
        flow.keep_pt = 60;
        document_space(markdown->document, 6);
        document_need(markdown->document, flow.line_pt + flow.keep_pt);
        if (markdown->heading <= 2)
            bookmark_heading(markdown);
    }
    draw_block(markdown, &flow);
    document_space(markdown->document, markdown->heading ? 3 : in_tight_list(markdown) ? 1 : 6);
}

static void draw_code_block(struct markdown *markdown, const char *code, const char *language)
{
    struct flow flow = block_flow(markdown, KIND_CODE);
    size_t length = strlen(code);
    char name[24];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(language, " \t{"), language);
    while (length && code[length - 1] == '\n')
        length--;
    text_clear(&markdown->text);
    code_highlight(markdown->document, &markdown->text, code, length, name);
    draw_block(markdown, &flow);
    document_space(markdown->document, 8);
}

static void draw_html_block(struct markdown *markdown, const char *html)
{
    const struct text_style style = style_of(markdown->document, KIND_MONO);
    size_t length = strlen(html);
    while (length && html[length - 1] == '\n')
        length--;
    text_clear(&markdown->text);
    text_add(&markdown->text, html, length, &style);
    finish_paragraph(markdown);
}

static void begin_item(struct markdown *markdown, cmark_node *node)
{
    struct list *list = &markdown->lists[bounded(markdown->list_depth, LIST_DEPTH_MAX) - 1];
    if (strcmp(cmark_node_get_type_string(node), "tasklist") == 0)
        snprintf(markdown->marker, sizeof markdown->marker, "%s",
                 cmark_gfm_extensions_get_tasklist_item_checked(node) ? "☑" : "☐");
    else if (list->ordered)
        snprintf(markdown->marker, sizeof markdown->marker, "%d.", list->number++);
    else
        snprintf(markdown->marker, sizeof markdown->marker, "%s", markdown->list_depth % 2 ? "•" : "–");
}

static void change_list(struct markdown *markdown, cmark_node *node, int entering)
{
    if (!entering) {
        markdown->list_depth--;
        if (!markdown->list_depth)
            document_space(markdown->document, 5);
        return;
    }
    markdown->list_depth++;
    struct list *list = &markdown->lists[bounded(markdown->list_depth, LIST_DEPTH_MAX) - 1];
    list->ordered = cmark_node_get_list_type(node) == CMARK_ORDERED_LIST;
    list->number = cmark_node_get_list_start(node);
    list->tight = cmark_node_get_list_tight(node);
}

static void end_item(struct markdown *markdown)
{
    if (!markdown->marker[0])
        return;
    text_clear(&markdown->text); /* an empty item shows its marker */
    add_inline(markdown, " ");
    finish_paragraph(markdown);
}

static void begin_table(struct markdown *markdown, cmark_node *node)
{
    markdown->in_table = 1;
    markdown->row_count = markdown->cell_count = 0;
    markdown->column_count = cmark_gfm_extensions_get_table_columns(node);
    if (markdown->column_count > TABLE_COLUMNS_MAX)
        markdown->column_count = TABLE_COLUMNS_MAX;
}

/* Puts the gathered text away as the next cell of the row. Cells beyond the limits are dropped. */
static void end_cell(struct markdown *markdown, size_t column)
{
    if (column < markdown->column_count && markdown->cells && markdown->row_count &&
        markdown->cell_count == (markdown->row_count - 1) * markdown->column_count + column &&
        markdown->cell_count < CELLS_MAX) {
        markdown->cells[markdown->cell_count++] = markdown->text;
        markdown->text = (struct text){0};
    }
    text_clear(&markdown->text);
}

static size_t column_of(cmark_node *cell)
{
    size_t column = 0;
    while (column < TABLE_COLUMNS_MAX && (cell = cmark_node_previous(cell)))
        column++;
    return column;
}

static void begin_row(struct markdown *markdown)
{
    const size_t cells = (markdown->row_count + 1) * markdown->column_count;
    if (cells > CELLS_MAX)
        return;
    struct text *grown = realloc(markdown->cells, (cells ? cells : 1) * sizeof *grown);
    if (!grown) {
        markdown->document->state = DOCUMENT_FAILED;
        return;
    }
    markdown->cells = grown;
    markdown->row_count++;
    memset(grown + markdown->cell_count, 0, (cells - markdown->cell_count) * sizeof *grown);
    markdown->cell_count = cells - markdown->column_count;
}

/* Shares width among the columns: each gets what its widest cell wants, and where that is too much, in proportion. */
static void set_widths(struct markdown *markdown, struct table *table, double width)
{
    double total = 0;
    for (size_t c = 0; c < table->column_count; c++) {
        double widest = COLUMN_MIN_PT;
        for (size_t r = 0; r < markdown->row_count && r < 50; r++) {
            const struct text *cell = &markdown->cells[r * table->column_count + c];
            const double wanted = (double)cell->length * SMALL_SIZE_PT * 0.58 + 18;
            widest = wanted > widest ? wanted : widest;
        }
        table->columns[c].width = widest < width ? widest : width;
        total += table->columns[c].width;
    }
    for (size_t c = 0; c < table->column_count && total > width; c++)
        table->columns[c].width *= width / total;
}

/* Says below a table what the limits dropped of it. */
static void note_left_out(const struct markdown *markdown, cmark_node *node)
{
    const size_t columns = cmark_gfm_extensions_get_table_columns(node);
    size_t rows = 0;
    char note[120];
    for (cmark_node *row = cmark_node_first_child(node); row; row = cmark_node_next(row))
        rows++;
    if (rows <= markdown->row_count && columns <= markdown->column_count)
        return;
    snprintf(note, sizeof note, "Left out of this table: %zu rows, %zu columns.", rows - markdown->row_count,
             columns - markdown->column_count);
    document_space(markdown->document, 4);
    flow_string(markdown->document, note, KIND_SOFT);
}

static void draw_table(struct markdown *markdown, cmark_node *node)
{
    const struct flow flow = block_flow(markdown, KIND_SMALL);
    const uint8_t *alignments = cmark_gfm_extensions_get_table_alignments(node);
    struct table table = {.document = markdown->document,
                          .x = flow.x,
                          .size_pt = SMALL_SIZE_PT,
                          .line_pt = SMALL_LINE_PT,
                          .column_count = markdown->column_count};
    for (size_t c = 0; c < table.column_count; c++)
        table.columns[c].align = alignments[c] == 'r'   ? ALIGN_RIGHT
                                 : alignments[c] == 'c' ? ALIGN_CENTRE
                                                        : ALIGN_LEFT;
    if (markdown->column_count && markdown->row_count) {
        set_widths(markdown, &table, flow.width);
        document_space(markdown->document, 2);
        if (markdown->row_count > 1)
            table.heading_cells = markdown->cells;
        for (size_t r = markdown->row_count > 1; r < markdown->row_count; r++)
            table_row(&table, markdown->cells + r * markdown->column_count);
        note_left_out(markdown, node);
        table_end(&table);
    }
    for (size_t i = 0; i < markdown->row_count * markdown->column_count; i++)
        text_free(&markdown->cells[i]);
    free(markdown->cells);
    markdown->cells = NULL;
    markdown->in_table = 0;
    markdown->row_count = markdown->cell_count = 0;
}

/* Nodes of the extensions, which have names instead of constants. */
static void visit_extension(struct markdown *markdown, cmark_node *node, int entering)
{
    const char *type = cmark_node_get_type_string(node);
    if (strcmp(type, "strikethrough") == 0) {
        markdown->strike += entering ? 1 : -1;
    } else if (strcmp(type, "tasklist") == 0) {
        if (entering)
            begin_item(markdown, node);
        else
            end_item(markdown);
    } else if (strcmp(type, "table") == 0) {
        if (entering)
            begin_table(markdown, node);
        else
            draw_table(markdown, node);
    } else if (entering && (strcmp(type, "table_row") == 0 || strcmp(type, "table_header") == 0)) {
        begin_row(markdown);
    } else if (!entering && strcmp(type, "table_cell") == 0) {
        end_cell(markdown, column_of(node));
    }
}

/* The link of an element that stands inside another one's text is that of the innermost. */
static void visit_link(struct markdown *markdown, cmark_node *node, int entering)
{
    const char *url = cmark_node_get_url(node);
    markdown->link = entering && url && url_is_safe(url) ? url : NULL;
    if (cmark_node_get_type(node) == CMARK_NODE_IMAGE)
        add_inline(markdown, entering ? "[picture: " : "]");
}

static void visit_inline(struct markdown *markdown, cmark_node *node, int entering)
{
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_SOFTBREAK:
        add_inline(markdown, " ");
        break;
    case CMARK_NODE_LINEBREAK:
        add_inline(markdown, "\n");
        break;
    case CMARK_NODE_CODE:
        add_code(markdown, cmark_node_get_literal(node));
        break;
    case CMARK_NODE_STRONG:
        markdown->strong += entering ? 1 : -1;
        break;
    case CMARK_NODE_EMPH:
        markdown->emphasis += entering ? 1 : -1;
        break;
    case CMARK_NODE_LINK:
    case CMARK_NODE_IMAGE:
        visit_link(markdown, node, entering);
        break;
    default: /* text, and HTML as text */
        add_inline(markdown, cmark_node_get_literal(node));
        break;
    }
}

static void visit_block(struct markdown *markdown, cmark_node *node, int entering)
{
    switch (cmark_node_get_type(node)) {
    case CMARK_NODE_BLOCK_QUOTE:
        markdown->quote_depth += entering ? 1 : -1;
        if (!markdown->quote_depth)
            markdown->quote_bars = 0;
        break;
    case CMARK_NODE_LIST:
        change_list(markdown, node, entering);
        break;
    case CMARK_NODE_ITEM:
        if (entering)
            begin_item(markdown, node);
        else
            end_item(markdown);
        break;
    case CMARK_NODE_HEADING:
        markdown->heading = cmark_node_get_heading_level(node);
        if (!entering) {
            finish_paragraph(markdown);
            markdown->heading = 0;
        }
        break;
    case CMARK_NODE_PARAGRAPH:
        if (!entering)
            finish_paragraph(markdown);
        break;
    case CMARK_NODE_CODE_BLOCK:
        draw_code_block(markdown, cmark_node_get_literal(node), cmark_node_get_fence_info(node));
        break;
    case CMARK_NODE_HTML_BLOCK:
        draw_html_block(markdown, cmark_node_get_literal(node));
        break;
    case CMARK_NODE_THEMATIC_BREAK:
        document_space(markdown->document, 6);
        document_need(markdown->document, 14);
        draw_rule(markdown->document, markdown->document->left, markdown->document->y,
                  markdown->document->right - markdown->document->left, markdown->document->palette.rule);
        document_space(markdown->document, 12);
        break;
    default:
        break;
    }
}

static void visit(struct markdown *markdown, cmark_node *node, int entering)
{
    const cmark_node_type type = cmark_node_get_type(node);
    const char *name = cmark_node_get_type_string(node);
    if (strncmp(name, "table", 5) == 0 || strcmp(name, "strikethrough") == 0 || strcmp(name, "tasklist") == 0)
        visit_extension(markdown, node, entering);
    else if ((type & CMARK_NODE_TYPE_MASK) == CMARK_NODE_TYPE_BLOCK)
        visit_block(markdown, node, entering);
    else
        visit_inline(markdown, node, entering);
}

/* The length of what is shown: whole lines, where they are not too long, within the limit. */
static size_t shown_length(const char *markdown)
{
    size_t length = strlen(markdown);
    if (length <= MARKDOWN_MAX_BYTES)
        return length;
    length = MARKDOWN_MAX_BYTES;
    const char *newline = memrchr(markdown, '\n', length);
    if (newline && newline > markdown + MARKDOWN_MAX_BYTES / 2)
        return (size_t)(newline - markdown);
    while (length && ((unsigned char)markdown[length] & 0xC0) == 0x80)
        length--;
    return length;
}

void markdown_flow(struct document *document, const char *source)
{
    static const char *const extensions[] = {"table", "strikethrough", "autolink", "tasklist"};
    struct markdown markdown = {.document = document};
    const size_t length = shown_length(source);
    char note[120];

    cmark_gfm_core_extensions_ensure_registered();
    cmark_parser *parser = cmark_parser_new(CMARK_OPT_DEFAULT | CMARK_OPT_VALIDATE_UTF8);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        cmark_syntax_extension *extension = cmark_find_syntax_extension(extensions[i]);
        if (extension)
            cmark_parser_attach_syntax_extension(parser, extension);
    }
    cmark_parser_feed(parser, source, length);
    cmark_node *root = cmark_parser_finish(parser);
    cmark_iter *iterator = cmark_iter_new(root);
    cmark_event_type event;
    while ((event = cmark_iter_next(iterator)) != CMARK_EVENT_DONE && document->state == DOCUMENT_OPEN)
        visit(&markdown, cmark_iter_get_node(iterator), event == CMARK_EVENT_ENTER);
    for (size_t i = 0; i < markdown.row_count * markdown.column_count; i++)
        text_free(&markdown.cells[i]);
    free(markdown.cells);
    text_free(&markdown.text);
    cmark_iter_free(iterator);
    cmark_node_free(root);
    cmark_parser_free(parser);
    if (source[length]) {
        snprintf(note, sizeof note, "Left out: %zu more bytes of the description.", strlen(source + length));
        flow_string(document, note, KIND_SOFT);
    }
}
