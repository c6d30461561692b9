/*
 * escape.h: text from a repro, made harmless where it will stand: a title, a commit's message, Markdown on a forge.
 *
 * Harmless means: no terminal escapes, no marks that turn the direction of text, no HTML, no mention that notifies
 * people (@name), no reference that shows up elsewhere or closes something (#1, !1, GH-1, a link to an issue), no
 * quick action ("/close" at the start of a line), no picture that is fetched. What is in a code span or block is left
 * as it is: forges read nothing there.
 *
 * Every function returns a new string (free it), or NULL when out of memory.
 */
#ifndef EXPORT_PR_ESCAPE_H
#define EXPORT_PR_ESCAPE_H

#include <stddef.h>

/* Without escapes, controls and marks of direction; of its lines the first max_characters characters, with "…" where
 * there were more. */
char *escape_clean(const char *text, size_t max_characters);

/* One line of plain text: for titles and commit messages. */
char *escape_title(const char *text, size_t max_characters);

/* One line of Markdown that shows the text as it is. */
char *escape_line(const char *text);

/* A code span; nothing for an empty text. */
char *escape_code(const char *text);

/* A fenced block in that language ("" for none). */
char *escape_block(const char *text, const char *language);

/* A link that shows its address, where it is one of the web; else as escape_line(). */
char *escape_link(const char *url);

/* Markdown from outside as Markdown that keeps its paragraphs, lists and code. */
char *escape_markdown(const char *markdown);

/* A word that a shell reads as that word. */
char *escape_shell(const char *word);

/* A part of a path or of a branch's name: [A-Za-z0-9._-] and letters of other scripts; runs of the rest become "-".
 */
char *escape_name(const char *text);

#endif
