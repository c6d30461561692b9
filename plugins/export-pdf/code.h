/*
 * code.h: source code in colour.
 *
 * A small tokeniser for JavaScript and TypeScript, which serves JSON and other languages of C's family as well;
 * Python, shell and YAML get their comments; any other language is plain.
 */
#ifndef EXPORT_PDF_CODE_H
#define EXPORT_PDF_CODE_H

#include "flow.h"

#define CODE_LINE_MAX_BYTES 2000    /* of one line */
#define CODE_MAX_BYTES (512u << 10) /* of all */

/* Appends code to text with a style for each token; language as in a repro or a Markdown fence, may be "". */
void code_highlight(const struct document *document, struct text *text, const char *code, size_t length,
                    const char *language);

/* Flows code with line numbers, max_lines at most; what is left out is said below it. */
void code_flow(struct document *document, const char *code, const char *language, long max_lines);

#endif
