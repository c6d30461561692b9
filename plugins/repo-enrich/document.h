/*
 * document.h: the enrichment document, exportd.enrichment/1: made, written, and cut down to a result.
 */
#ifndef REPO_ENRICH_DOCUMENT_H
#define REPO_ENRICH_DOCUMENT_H

#include <exportd/kit/checkout.h>
#include <stdbool.h>

#define DOCUMENT_SCHEMA "exportd.enrichment/1"

struct document_wishes {
    bool history, github; /* of the request */
};

/* Reads all that there is about the repository. A new object, or NULL with error filled. */
json_t *document_make(struct exportd_job *job, const struct exportd_checkout *checkout,
                      const struct document_wishes *wishes, struct exportd_kit_error *error);

/* Writes it to a file: the same document gives the same bytes. Returns 0, or -1 with error filled. */
int document_write(const json_t *document, const char *path, struct exportd_kit_error *error);

/* The document where it has at most max_bytes, else a copy with shorter lists and "trimmed": true. A new reference,
 * or NULL when out of memory. */
json_t *document_trim(json_t *document, size_t max_bytes);

#endif
