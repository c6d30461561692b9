/*
 * markdown.h: GitHub's Markdown, laid out: headings, emphasis, code, lists (of tasks too), quotes, tables, links.
 *
 * HTML is shown as the text that it is, never interpreted; pictures are shown as links to them, never fetched.
 */
#ifndef EXPORT_PDF_MARKDOWN_H
#define EXPORT_PDF_MARKDOWN_H

#include "document.h"

#define MARKDOWN_MAX_BYTES (64u << 10) /* what is beyond is left out, with a note */

/* Flows plain text (see exportd_text_plain) as Markdown. */
void markdown_flow(struct document *document, const char *markdown);

#endif
