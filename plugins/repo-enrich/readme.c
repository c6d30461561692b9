/* readme.h: title and summary. */
#include "readme.h"

#include "rst.h"
#include "value.h"

#include <cmark-gfm.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_BYTES 200
#define LETTERS_MIN 12 /* of a paragraph, outside of links */

struct readme {
    json_t *title, *summary;
    int level; /* of the heading that the title is */
    size_t max_bytes;
};

/* Text being gathered, and how many of its letters stand in no link. */
struct gathered {
    FILE *out;
    char *text;
    size_t size, letters, linked;
};

int readme_rank(const char *path)
{
    static const char *const folders[] = {".github/", "", "docs/"};
    static const char *const endings[] = {".md",       ".markdown", ".mdown", ".rst", ".adoc",
                                          ".asciidoc", ".txt",      ".org",   ""};
    const char *slash = strrchr(path, '/');
    size_t folder_length = slash ? (size_t)(slash + 1 - path) : 0;
    const char *name = path + folder_length;
    if (!value_begins(name, "readme"))
        return 0;
    for (int i = 0; i < 3; i++) {
        if (strlen(folders[i]) != folder_length || strncmp(folders[i], path, folder_length) != 0)
            continue;
        for (int k = 0; k < 9; k++)
            if (strlen(name + 6) == strlen(endings[k]) && value_ends(name, endings[k]))
                return 10 * i + k + 1;
    }
    return 0;
}

static int begin(struct gathered *gathered)
{
    *gathered = (struct gathered){0};
    gathered->out = open_memstream(&gathered->text, &gathered->size);
    return gathered->out ? 0 : -1;
}

static void add(struct gathered *gathered, const char *text, size_t length, int in_link)
{
    for (size_t i = 0; i < length; i++) {
        int letter = isalpha((unsigned char)text[i]) || (unsigned char)text[i] >= 0x80;
        gathered->letters += letter && !in_link;
        gathered->linked += letter && in_link;
    }
    fwrite(text, 1, length, gathered->out);
}

/* Enough to say something, and more than a row of links. */
static int is_real(const struct gathered *gathered)
{
    size_t addresses = 0;
    if (value_begins(gathered->text + strspn(gathered->text, " "), "copyright"))
        return 0;
    for (const char *at = gathered->text; (at = strstr(at, "://")); at += 3) {
        const char *word = at;
        while (word > gathered->text && word[-1] != ' ')
            word--;
        addresses += (size_t)(at - word) + strcspn(at, " ");
    }
    return gathered->letters >= LETTERS_MIN + addresses && 3 * gathered->letters >= gathered->linked;
}

static void finish(struct gathered *gathered)
{
    if (gathered->out)
        fclose(gathered->out);
    gathered->out = NULL;
}

static void discard(struct gathered *gathered)
{
    finish(gathered);
    free(gathered->text);
    *gathered = (struct gathered){0};
}

/* All text of a node, what is in images and raw HTML left out. Returns 0, or -1 when out of memory. */
static int gather(struct gathered *gathered, cmark_node *node)
{
    int links = 0, images = 0;
    cmark_event_type event;
    cmark_iter *iterator = cmark_iter_new(node);
    if (!iterator || begin(gathered) != 0) {
        cmark_iter_free(iterator);
        return -1;
    }
    while ((event = cmark_iter_next(iterator)) != CMARK_EVENT_DONE) {
        cmark_node *at = cmark_iter_get_node(iterator);
        cmark_node_type type = cmark_node_get_type(at);
        const char *literal = cmark_node_get_literal(at);
        int step = event == CMARK_EVENT_ENTER ? 1 : -1;
        if (type == CMARK_NODE_LINK)
            links += step;
        else if (type == CMARK_NODE_IMAGE)
            images += step;
        else if (type == CMARK_NODE_SOFTBREAK || type == CMARK_NODE_LINEBREAK)
            add(gathered, " ", 1, 0);
        else if (!images && literal && (type == CMARK_NODE_TEXT || type == CMARK_NODE_CODE))
            add(gathered, literal, strlen(literal), links > 0);
    }
    cmark_iter_free(iterator);
    finish(gathered);
    return gathered->text ? 0 : -1;
}

static void take_title(struct readme *readme, const struct gathered *gathered, int level)
{
    json_t *title = value_text(gathered->text, gathered->size, TITLE_BYTES);
    /* A small heading behind the first paragraph is that of a part. */
    if (json_string_length(title) > 0 && (level == 1 || !readme->summary) &&
        (!readme->title || level < readme->level)) {
        json_decref(readme->title);
        readme->title = json_incref(title);
        readme->level = level;
    }
    json_decref(title);
}

static void take_summary(struct readme *readme, const struct gathered *gathered)
{
    if (!readme->summary && is_real(gathered))
        readme->summary = value_text(gathered->text, gathered->size, readme->max_bytes);
}

static int is_tag(const char *at, const char *name)
{
    size_t length = strlen(name);
    return value_begins(at, name) && !isalnum((unsigned char)at[length]);
}

/* The entities that stand in readmes. */
static size_t add_entity(struct gathered *gathered, const char *at, int in_link)
{
    static const struct {
        const char *name, *text;
    } entities[] = {{"&amp;", "&"},  {"&lt;", "<"},   {"&gt;", ">"},     {"&quot;", "\""}, {"&#39;", "'"},
                    {"&nbsp;", " "}, {"&bull;", "•"}, {"&middot;", "·"}, {"&mdash;", "—"}, {"&ndash;", "–"}};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (strncmp(at, entities[i].name, strlen(entities[i].name)) == 0) {
            add(gathered, entities[i].text, strlen(entities[i].text), in_link);
            return strlen(entities[i].name);
        }
    add(gathered, at, 1, in_link);
    return 1;
}

/* Ends the piece that is being gathered: a heading's is a title, another's a summary. */
static void settle(struct readme *readme, struct gathered *gathered, int heading)
{
    finish(gathered);
    if (gathered->text && heading)
        take_title(readme, gathered, heading);
    else if (gathered->text)
        take_summary(readme, gathered);
    discard(gathered);
}

/* HTML: its tags end pieces of text, or are left out. */
static void read_html(struct readme *readme, const char *html)
{
    struct gathered gathered;
    int links = 0, heading = 0;
    if (begin(&gathered) != 0)
        return;
    for (const char *at = html; *at && gathered.out;) {
        if (strncmp(at, "<!--", 4) == 0) {
            const char *end = strstr(at, "-->");
            at = end ? end + 3 : at + strlen(at);
        } else if (*at == '<') {
            const char *name = at + 1 + (at[1] == '/');
            bool closing = at[1] == '/';
            if (is_tag(name, "a"))
                links = closing ? 0 : 1;
            bool headed = (*name == 'h' || *name == 'H') && name[1] >= '1' && name[1] <= '6' &&
                          !isalnum((unsigned char)name[2]);
            if (headed || is_tag(name, "p") || is_tag(name, "div") || is_tag(name, "table") || is_tag(name, "td")) {
                settle(readme, &gathered, heading);
                heading = headed && !closing ? name[1] - '0' : 0;
                if (begin(&gathered) != 0)
                    return;
            } else if (is_tag(name, "br")) {
                add(&gathered, " ", 1, 0);
            }
            const char *end = strchr(at, '>');
            at = end ? end + 1 : at + strlen(at);
        } else if (*at == '&') {
            at += add_entity(&gathered, at, links);
        } else {
            size_t length = strcspn(at, "<&");
            add(&gathered, at, length, links);
            at += length;
        }
    }
    settle(readme, &gathered, heading);
}

static void read_markdown(struct readme *readme, const char *text, size_t size)
{
    cmark_node *document = cmark_parse_document(text, size, CMARK_OPT_DEFAULT);
    for (cmark_node *node = document ? cmark_node_first_child(document) : NULL; node; node = cmark_node_next(node)) {
        cmark_node_type type = cmark_node_get_type(node);
        struct gathered gathered;
        if (type == CMARK_NODE_HTML_BLOCK) {
            read_html(readme, cmark_node_get_literal(node));
            continue;
        }
        if ((type != CMARK_NODE_HEADING && type != CMARK_NODE_PARAGRAPH && type != CMARK_NODE_BLOCK_QUOTE) ||
            gather(&gathered, node) != 0)
            continue;
        if (type == CMARK_NODE_HEADING)
            take_title(readme, &gathered, cmark_node_get_heading_level(node));
        else
            take_summary(readme, &gathered);
        discard(&gathered);
    }
    cmark_node_free(document);
}

/* A line that is nothing but punctuation, as reStructuredText underlines with, or a directive. */
static bool is_rule(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (isalnum((unsigned char)line[i]) || (unsigned char)line[i] >= 0x80)
            return false;
    return true;
}

/* What a text says, without the marks in it where it is reStructuredText. NULL when out of memory. */
static char *unmarked(const char *text, size_t length, bool marked)
{
    char *copy = strndup(text, length), *plain = copy && marked ? rst_plain(copy) : NULL;
    if (!marked)
        return copy;
    free(copy);
    return plain;
}

/* Ends a paragraph: what counts of it is what it says, not the addresses in its marks. */
static void settle_plain(struct readme *readme, struct gathered *paragraph, bool marked)
{
    struct gathered said;
    finish(paragraph);
    char *text = paragraph->text ? unmarked(paragraph->text, paragraph->size, marked) : NULL;
    discard(paragraph);
    if (text && begin(&said) == 0) {
        add(&said, text, strlen(text), 0);
        settle(readme, &said, 0);
    }
    free(text);
}

static json_t *plain_title(const char *line, size_t length, bool marked)
{
    char *text = unmarked(line, length, marked);
    json_t *title = text ? value_text(text, strlen(text), TITLE_BYTES) : NULL;
    free(text);
    return title;
}

/* Other forms: the first line is the title, the first paragraph behind it the summary. marked: reStructuredText. */
static void read_plain(struct readme *readme, const char *text, bool marked)
{
    struct gathered paragraph = {0};
    for (const char *at = text; *at && !readme->summary;) {
        size_t length = strcspn(at, "\n"), blanks = strspn(at, " \t");
        const char *line = at + (blanks < length ? blanks : length);
        size_t left = length - (size_t)(line - at);
        while (left > 0 && strchr(" \t\r", line[left - 1]))
            left--;
        at += length + (at[length] == '\n');
        bool markup = strncmp(line, "..", 2) == 0 || *line == '|' || *line == ':' || strncmp(line, "//", 2) == 0 ||
                      strncmp(line, "image:", 6) == 0;
        if (left == 0 || is_rule(line, left)) {
            if (paragraph.out)
                settle_plain(readme, &paragraph, marked);
            continue;
        }
        if (markup)
            continue;
        line += marked ? 2 * (size_t)(strncmp(line, "* ", 2) == 0) : strspn(line, "=*# ");
        left = strcspn(line, "\r\n");
        if (!readme->title) {
            readme->title = plain_title(line, left, marked);
        } else if (paragraph.out || begin(&paragraph) == 0) {
            add(&paragraph, line, left, 0);
            add(&paragraph, " ", 1, 0);
        }
    }
    if (paragraph.out)
        settle_plain(readme, &paragraph, marked);
}

json_t *readme_read(const char *path, const char *text, size_t size, size_t bytes, size_t max_bytes)
{
    struct readme readme = {.max_bytes = max_bytes};
    if (value_ends(path, ".md") || value_ends(path, ".markdown") || value_ends(path, ".mdown"))
        read_markdown(&readme, text, size);
    else
        read_plain(&readme, text, value_ends(path, ".rst"));
    return json_pack("{s:o, s:o, s:o, s:I}", "file", value_path(path), "title",
                     readme.title ? readme.title : json_null(), "summary",
                     readme.summary ? readme.summary : json_null(), "bytes", (json_int_t)bytes);
}
