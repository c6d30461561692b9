/* escape.h: Markdown from outside, taken apart and written anew. */
#include "escape.h"

#include <cmark-gfm.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HEADING_BELOW 2 /* levels that a heading goes down, for it stands below one of the body's */
#define ZERO_WIDTH_SPACE "\xE2\x80\x8B"

/* Puts a new node with that text before another one. Returns 0, or -1. */
static int insert(cmark_node *before, cmark_node_type type, const char *text, size_t length)
{
    char *copy = strndup(text, length);
    cmark_node *node = copy ? cmark_node_new(type) : NULL;
    int inserted = node && cmark_node_set_literal(node, copy) && cmark_node_insert_before(before, node);
    if (!inserted)
        cmark_node_free(node);
    free(copy);
    return inserted ? 0 : -1;
}

static size_t url_length(const char *text)
{
    static const char ends[] = " \t\n<>\"'`";
    size_t length = strcspn(text, ends);
    while (length && strchr(".,;:!?)]}*_~", text[length - 1]))
        length--;
    return length;
}

static int is_url(const char *start, const char *at)
{
    if (at > start && isalnum((unsigned char)at[-1]))
        return 0;
    return strncasecmp(at, "http://", 7) == 0 || strncasecmp(at, "https://", 8) == 0 ||
           strncasecmp(at, "www.", 4) == 0;
}

/* The length of a sign that a zero-width space must follow, so that what comes is no mention or reference; 0: none.
 */
static size_t sign_length(const char *start, const char *at)
{
    int in_word = at > start && (isalnum((unsigned char)at[-1]) || at[-1] == '_');
    if (*at == '@')
        return !in_word;
    if (*at == '#' || *at == '!')
        return isdigit((unsigned char)at[1]) || !at[1];
    return !in_word && strncasecmp(at, "gh-", 3) == 0 ? 3 : 0;
}

/* Text with addresses as code, and signs that mean nothing to a forge. The node goes. Returns 0, or -1. */
static int defuse_text(cmark_node *node)
{
    const char *start = cmark_node_get_literal(node);
    const char *pending = start;
    int failed = 0;
    /* "/close" at the start of a line is an order at GitLab. */
    if (*start == '/')
        failed = insert(node, CMARK_NODE_TEXT, ZERO_WIDTH_SPACE, strlen(ZERO_WIDTH_SPACE));
    for (const char *at = start; *at && !failed;) {
        size_t sign = sign_length(start, at);
        size_t url = is_url(start, at) ? url_length(at) : 0;
        if (!sign && !url) {
            at++;
            continue;
        }
        const char *end = url ? at : at + sign;
        if (end > pending)
            failed = insert(node, CMARK_NODE_TEXT, pending, (size_t)(end - pending));
        if (!failed && url)
            failed = insert(node, CMARK_NODE_CODE, at, url);
        else if (!failed)
            failed = insert(node, CMARK_NODE_TEXT, ZERO_WIDTH_SPACE, strlen(ZERO_WIDTH_SPACE));
        at = end + url;
        pending = at;
    }
    if (!failed && *pending)
        failed = insert(node, CMARK_NODE_TEXT, pending, strlen(pending));
    cmark_node_free(node);
    return failed;
}

/* A link or a picture becomes its text, and its address as code behind it: nobody follows it unseen. */
static int unlink_it(cmark_node *node)
{
    const char *url = cmark_node_get_url(node);
    cmark_node *first = cmark_node_first_child(node);
    const char *shown = first && !cmark_node_next(first) ? cmark_node_get_literal(first) : NULL;
    int failed = 0;
    int same = shown && url && strcmp(shown, url) == 0;
    for (cmark_node *child = first; child && !same && !failed; child = cmark_node_first_child(node))
        failed = !cmark_node_insert_before(node, child);
    if (!failed && url && *url) {
        if (!same && first)
            failed = insert(node, CMARK_NODE_TEXT, " (", 2);
        failed = failed || insert(node, CMARK_NODE_CODE, url, strlen(url));
        if (!same && first)
            failed = failed || insert(node, CMARK_NODE_TEXT, ")", 1);
    }
    cmark_node_free(node);
    return failed;
}

static int show_html(cmark_node *node, cmark_node_type type)
{
    const char *html = cmark_node_get_literal(node);
    int failed = insert(node, type, html, strlen(html));
    cmark_node_free(node);
    return failed;
}

static int defuse(cmark_node *node, cmark_event_type event)
{
    if (event == CMARK_EVENT_EXIT) {
        if (cmark_node_get_type(node) == CMARK_NODE_LINK || cmark_node_get_type(node) == CMARK_NODE_IMAGE)
            return unlink_it(node);
        return 0;
    }
    cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HTML_INLINE)
        return show_html(node, CMARK_NODE_CODE);
    if (type == CMARK_NODE_HTML_BLOCK)
        return show_html(node, CMARK_NODE_CODE_BLOCK);
    if (type == CMARK_NODE_TEXT)
        return defuse_text(node);
    if (type == CMARK_NODE_HEADING) {
        int level = cmark_node_get_heading_level(node) + HEADING_BELOW;
        cmark_node_set_heading_level(node, level > 6 ? 6 : level);
    }
    return 0;
}

char *escape_markdown(const char *markdown)
{
    char *clean = escape_clean(markdown, SIZE_MAX);
    cmark_node *document =
        clean ? cmark_parse_document(clean, strlen(clean), CMARK_OPT_DEFAULT | CMARK_OPT_VALIDATE_UTF8) : NULL;
    free(clean);
    if (!document)
        return NULL;
    cmark_consolidate_text_nodes(document);
    cmark_iter *walk = cmark_iter_new(document);
    int failed = 0;
    for (cmark_event_type event; !failed && (event = cmark_iter_next(walk)) != CMARK_EVENT_DONE;)
        failed = defuse(cmark_iter_get_node(walk), event);
    cmark_iter_free(walk);
    char *written = failed ? NULL : cmark_render_commonmark(document, CMARK_OPT_DEFAULT, 0);
    cmark_node_free(document);
    if (!written)
        return NULL;
    for (size_t end = strlen(written); end > 0 && written[end - 1] == '\n'; end--)
        written[end - 1] = '\0';
    return written;
}
