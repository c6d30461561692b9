/*
 * refusal.h: what an answer of CodeSandbox' means that is no success, as a code and a sentence with the mend.
 */
#ifndef EXPORT_CODESANDBOX_REFUSAL_H
#define EXPORT_CODESANDBOX_REFUSAL_H

#include <exportd/kit/http.h>
#include <stdint.h>

/* What was asked for. */
enum call {
    CALL_FIND,
    CALL_CREATE,
    CALL_DEFINE,
};

/* Fills error for an answer with a status other than the call's own; key: kept out of the sentence, or NULL. Returns
 * how long CodeSandbox asks to wait, in milliseconds, or -1. */
int64_t refusal_fill(enum call call, const struct exportd_http_answer *answer, const char *address, const char *key,
                     struct exportd_kit_error *error);

#endif
