/* endpoint_parts.h: vectors, statuses, sentences. */
#include "embedder.h"
#include "endpoint_parts.h"

#include <exportd/kit/text.h>
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static int invalid(struct exportd_kit_error *error, const char *what)
{
    return exportd_kit_fail(
        error, "answer_invalid", 0,
        "the embeddings endpoint answered something else than the OpenAI API's embeddings: %s; see "
        "endpoint in [plugin repo-embed]",
        what);
}

/* How many numbers an embedding has: a list, or base64 of little-endian floats. -1: it is neither. */
static int64_t count_numbers(const json_t *embedding)
{
    if (json_is_array(embedding))
        return (int64_t)json_array_size(embedding);
    size_t length = json_string_length(embedding);
    const char *text = json_string_value(embedding);
    if (!text || length % 4 != 0)
        return -1;
    size_t bytes = length / 4 * 3;
    for (size_t i = 1; i <= 2 && i <= length && text[length - i] == '='; i++)
        bytes--;
    return bytes % sizeof(float) == 0 ? (int64_t)(bytes / sizeof(float)) : -1;
}

static int read_numbers(const json_t *embedding, float *row, size_t dimensions)
{
    const char *text = json_string_value(embedding);
    if (text) {
        size_t bytes = 0;
        if (sodium_base642bin((unsigned char *)row, dimensions * sizeof *row, text, json_string_length(embedding),
                              NULL, &bytes, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
            bytes != dimensions * sizeof *row)
            return -1;
    } else {
        for (size_t i = 0; i < dimensions; i++) {
            const json_t *number = json_array_get(embedding, i);
            if (!json_is_number(number))
                return -1;
            row[i] = (float)json_number_value(number);
        }
    }
    for (size_t i = 0; i < dimensions; i++)
        if (!isfinite(row[i]))
            return -1;
    return 0;
}

static int read_rows(const json_t *data, size_t count, size_t *dimensions, float **vectors,
                     struct exportd_kit_error *error)
{
    char what[160];
    if (json_array_size(data) != count) {
        snprintf(what, sizeof what, "%zu vectors for %zu texts", json_array_size(data), count);
        return invalid(error, what);
    }
    int64_t numbers = count_numbers(json_object_get(json_array_get(data, 0), "embedding"));
    if (numbers < 1 || numbers > EMBEDDER_DIMENSIONS_MAX)
        return invalid(error, "an embedding is neither a list of numbers nor base64 of floats");
    if (*dimensions == 0)
        *dimensions = (size_t)numbers;
    bool *seen = calloc(count, sizeof *seen);
    *vectors = calloc(count, *dimensions * sizeof **vectors);
    int failed = 0;
    if (!*vectors || !seen) {
        free(seen);
        return exportd_kit_no_memory(error);
    }
    for (size_t i = 0; !failed && i < count; i++) {
        const json_t *item = json_array_get(data, i), *embedding = json_object_get(item, "embedding");
        const json_t *number = json_object_get(item, "index");
        json_int_t index = number ? json_integer_value(number) : (json_int_t)i;
        if ((number && !json_is_integer(number)) || index < 0 || index >= (json_int_t)count || seen[index]) {
            failed = invalid(error, "the indexes of its vectors are not those of the texts");
        } else if (count_numbers(embedding) != (int64_t)*dimensions) {
            snprintf(what, sizeof what, "a vector of %lld numbers where %zu were to come",
                     (long long)count_numbers(embedding), *dimensions);
            failed = invalid(error, what);
        } else if (read_numbers(embedding, *vectors + (size_t)index * *dimensions, *dimensions) != 0) {
            failed = invalid(error, "a vector with something in it that is no finite number");
        } else {
            seen[index] = true;
        }
    }
    free(seen);
    return failed;
}

int endpoint_read_vectors(const struct exportd_http_answer *answer, size_t count, size_t *dimensions, float **vectors,
                          int64_t *tokens, struct exportd_kit_error *error)
{
    *vectors = NULL;
    json_t *body = exportd_http_json(answer);
    const json_t *data = json_object_get(body, "data");
    int failed = json_is_array(data) && count > 0 ? read_rows(data, count, dimensions, vectors, error)
                                                  : invalid(error, "there is no list \"data\" in it");
    if (failed) {
        free(*vectors);
        *vectors = NULL;
    } else {
        json_int_t used = json_integer_value(json_object_get(json_object_get(body, "usage"), "total_tokens"));
        *tokens += used > 0 ? (int64_t)used : 0;
    }
    json_decref(body);
    return failed;
}

/* What an answer says is wrong: error.message, error, message or detail. A new string, or NULL. */
static char *words_of(const struct exportd_http_answer *answer)
{
    json_t *body = exportd_http_json(answer);
    const json_t *fault = json_object_get(body, "error");
    const char *words = json_string_value(json_object_get(fault, "message"));
    words = words ? words : json_string_value(fault);
    words = words ? words : json_string_value(json_object_get(body, "message"));
    words = words ? words : json_string_value(json_object_get(body, "detail"));
    char *plain = words ? exportd_text_plain(words) : NULL;
    json_decref(body);
    return plain;
}

bool endpoint_is_too_long(const struct exportd_http_answer *answer)
{
    static const char *const signs[] = {"maximum context length",
                                        "too long",
                                        "too many tokens",
                                        "too large",
                                        "context size",
                                        "max_tokens",
                                        "maximum input length",
                                        "token limit",
                                        "context window",
                                        "maximum request size",
                                        NULL};
    if (answer->status == 413)
        return true;
    if (answer->status != 400 && answer->status != 422 && answer->status != 500)
        return false;
    char *words = words_of(answer);
    bool found = false;
    for (const char *const *sign = signs; words && *sign && !found; sign++)
        found = strcasestr(words, *sign) != NULL;
    free(words);
    return found;
}

bool endpoint_is_passing(int status)
{
    return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

int endpoint_refuse(const struct exportd_http_answer *answer, const char *model, const char *key,
                    struct exportd_kit_error *error)
{
    char said[400] = "", quoted[320];
    int status = answer->status;
    /* An endpoint that doesn't know a key may well repeat a part of it. */
    char *words = status == 401 || status == 403 ? NULL : words_of(answer);
    if (words && *words && !(key && *key && strstr(words, key)))
        snprintf(said, sizeof said, ": it says %s", exportd_bundle_quote(words, quoted, sizeof quoted));
    free(words);
    if (status == 401)
        return exportd_kit_fail(error, "service_unauthorized", 0,
                                "the embeddings endpoint takes no request %s (401); set EMBEDDINGS_API_KEY in the "
                                "environment or in [secrets], and grant it with secrets in [plugin repo-embed]",
                                key ? "with this key" : "without a key");
    if (status == 403)
        return exportd_kit_fail(error, "service_forbidden", 0,
                                "the embeddings endpoint does not let this key use the model %s (403); see "
                                "EMBEDDINGS_API_KEY, and model in [plugin repo-embed]",
                                model);
    if (status == 404)
        return exportd_kit_fail(
            error, "model_not_found", 0,
            "the embeddings endpoint knows no model %s, or there is no /embeddings below its address "
            "(404)%s; see endpoint (up to and with /v1) and model in [plugin repo-embed]",
            model, said);
    if (status >= 300 && status < 400)
        return exportd_kit_fail(
            error, "redirect_refused", 0,
            "the embeddings endpoint sends elsewhere (%d), which is not followed; set endpoint in "
            "[plugin repo-embed] to where it lies",
            status);
    if (status == 429 && memmem(answer->body, answer->body_bytes, "insufficient_quota", 18))
        return exportd_kit_fail(
            error, "quota_exceeded", 0,
            "what this key may use of the embeddings endpoint is used up (429); see the account's "
            "limits there");
    if (status == 429)
        return exportd_kit_fail(
            error, "rate_limited", 1,
            "the embeddings endpoint takes no more requests for now (429)%s; what is embedded is kept "
            "where there is a cache; requests_per_minute in [plugin repo-embed] slows down",
            said);
    if (endpoint_is_passing(status))
        return exportd_kit_fail(error, "service_failed", 1, "the embeddings endpoint could not answer (%d)%s", status,
                                said);
    return exportd_kit_fail(error, "service_refused", 0,
                            "the embeddings endpoint refused the texts (%d)%s; see model and dimensions in [plugin "
                            "repo-embed]",
                            status, said);
}
