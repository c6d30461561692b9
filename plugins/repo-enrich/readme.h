/*
 * readme.h: a repository's readme in two lines: its title, and what its first real paragraph says.
 */
#ifndef REPO_ENRICH_README_H
#define REPO_ENRICH_README_H

#include <jansson.h>
#include <stddef.h>

#define README_BYTES 65536 /* of a readme that are read */

/* How well a file serves as the repository's readme: 0 not at all, else the less the better. As at GitHub: in
 * .github, at the top, in docs; Markdown before others. */
int readme_rank(const char *path);

/* {"file", "title", "summary", "bytes"}: title and summary are null where there are none. The summary is plain text,
 * without badges, images, HTML and comments, cut at max_bytes. text: its first bytes, a NUL behind them; bytes: of
 * the whole file. NULL when out of memory. */
json_t *readme_read(const char *path, const char *text, size_t size, size_t bytes, size_t max_bytes);

#endif
