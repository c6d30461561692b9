/* endpoint_parts.h: an answer of an OpenAI-compatible endpoint, read and judged. */
#ifndef REPO_EMBED_ENDPOINT_PARTS_H
#define REPO_EMBED_ENDPOINT_PARTS_H

#include <exportd/kit/http.h>
#include <stdbool.h>

/* Reads the vectors of an answer of status 200 into rows: count rows of dimensions floats. *vectors: a new array; the
 * caller frees it. *dimensions: 0 where not known before, and set. *tokens grows by what was used. Returns 0, or -1
 * with error filled ("answer_invalid"). */
int endpoint_read_vectors(const struct exportd_http_answer *answer, size_t count, size_t *dimensions, float **vectors,
                          int64_t *tokens, struct exportd_kit_error *error);

/* Nonzero where a status and what is said with it mean that the input was too long: shorter may be taken. */
bool endpoint_is_too_long(const struct exportd_http_answer *answer);

/* Nonzero where the same request may be answered later. */
bool endpoint_is_passing(int status);

/* Fills error for an answer that isn't 200. key: is not repeated. Returns -1. */
int endpoint_refuse(const struct exportd_http_answer *answer, const char *model, const char *key,
                    struct exportd_kit_error *error);

#endif
