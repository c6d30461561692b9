/*
 * rst.h: what a paragraph of reStructuredText says, without its inline marks.
 */
#ifndef REPO_ENRICH_RST_H
#define REPO_ENRICH_RST_H

/* Of `text <address>`_ and :role:`text` the text, of word_ the word, of *text*, **text** and ``text`` the text. What
 * is no mark stays as it is. A new string, or NULL when out of memory. */
char *rst_plain(const char *text);

#endif
