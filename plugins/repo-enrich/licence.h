/*
 * licence.h: under which licence a repository is, as an SPDX expression, and where that is said.
 *
 * A licence's text is recognized by what it says, word for word, not by a likeness: a short licence by all of its
 * text, a long one by sentences from its beginning to its end and by its length. What stands beside a short text has
 * to be harmless: "MIT", but not for commercial use, is no MIT.
 */
#ifndef REPO_ENRICH_LICENCE_H
#define REPO_ENRICH_LICENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define LICENCE_BYTES 131072 /* of one file; what is larger holds more than a licence */

/* Nonzero for a file at the top that is to hold a licence: LICENSE, COPYING.LESSER, UNLICENSE, LICENSE-MIT … */
bool licence_is_file(const char *path);

/* The SPDX id of a licence's text, or NULL where it is none that is known. A GNU licence comes without "-only" or
 * "-or-later", for its text doesn't say which. A constant. */
const char *licence_of_text(const char *text, size_t size);

/* What has been seen, for licence_choose(). Zeroed, nothing has. */
struct licence_evidence {
    json_t *files;        /* [{"file", "spdx"}], "NOASSERTION" where the text is not recognized; or NULL */
    json_t *headers;      /* {expression: count} of SPDX-License-Identifier lines; or NULL */
    const char *declared; /* what the manifest at the top says, as it is written; borrowed */
    const char *declared_in;
    size_t later, only; /* source files that say "any later version", or that version alone */
};

/* Takes what the beginning of a source file says: an SPDX line, a GNU licence's notice. */
void licence_see_source(struct licence_evidence *evidence, const char *content, size_t size);

/* Takes a file with a licence. */
void licence_see_file(struct licence_evidence *evidence, const char *path, const char *text, size_t size);

void licence_clear(struct licence_evidence *evidence);

/* {"spdx", "from", "file", "declared", "files", "versions"}: from is "file", "manifest" or "headers". JSON's null
 * where there is no trace of a licence; spdx "NOASSERTION" where there is one that can't be told. NULL when out of
 * memory. */
json_t *licence_choose(const struct licence_evidence *evidence);

/* Writes what a manifest declares as an SPDX expression: as it is where it is one; of names in common use ("Apache
 * 2", "The MIT License") their id; "" of what is neither. */
void licence_expression(const char *declared, char *out, size_t out_size);

#endif
