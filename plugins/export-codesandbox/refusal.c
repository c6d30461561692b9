/* refusal.h: statuses and sentences. */
#include "refusal.h"

#include <exportd/kit/text.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORDS_MAX 300

static void say(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct exportd_kit_error *error, const char *code, int retryable, const char *format, ...)
{
    va_list arguments;
    error->code = code;
    error->retryable = retryable;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
}

/* The first string in what an API says is wrong: a string, a list of them, or an object of lists. */
static const char *first_words(const json_t *value, int depth)
{
    const char *words = json_string_value(value);
    const char *name;
    size_t index;
    json_t *element;
    if (words || depth == 0)
        return words;
    json_array_foreach((json_t *)(uintptr_t)value, index, element)
    {
        if ((words = first_words(element, depth - 1)))
            return words;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, element)
    {
        if ((words = first_words(element, depth - 1)))
            return words;
    }
    return NULL;
}

/* ": it says \"…\"" from the answer, or "". A text with the key in it is not repeated. */
static void quote_words(const struct exportd_http_answer *answer, const char *key, char *out, size_t out_size)
{
    json_t *body = exportd_http_json(answer);
    const json_t *errors = json_object_get(body, "errors");
    const char *words = first_words(errors ? errors : json_object_get(body, "error"), 4);
    char *plain = words ? exportd_text_plain(words) : NULL;
    out[0] = '\0';
    if (plain && *plain && (!key || !*key || !strstr(plain, key))) {
        char quoted[WORDS_MAX];
        snprintf(out, out_size, ": it says %s", exportd_bundle_quote(plain, quoted, sizeof quoted));
    }
    free(plain);
    json_decref(body);
}

/* A moment as CodeSandbox' headers give it: seconds since the epoch, or a date. */
static int64_t moment_of(const char *text)
{
    struct tm parts = {0};
    char *end;
    long long seconds = strtoll(text, &end, 10);
    if (!*end && end != text)
        return seconds;
    return strptime(text, "%Y-%m-%dT%H:%M:%S", &parts) || strptime(text, "%a, %d %b %Y %H:%M:%S", &parts)
               ? (int64_t)timegm(&parts)
               : -1;
}

/* Retry-After where it is there, else CodeSandbox' own headers of the limit that was reached. */
static int64_t wait_of(const struct exportd_http_answer *answer)
{
    static const char *const limits[][2] = {{"x-csb-sandbox-hourly-remaining", "x-csb-sandbox-hourly-reset"},
                                            {"x-csb-rate-hourly-remaining", "x-csb-rate-hourly-reset"}};
    int64_t now_s = (int64_t)time(NULL);
    int64_t wait_ms = exportd_http_retry_after_ms(answer, now_s);
    for (size_t i = 0; i < sizeof limits / sizeof *limits && wait_ms < 0; i++) {
        const char *remaining = exportd_http_header(answer, limits[i][0]);
        const char *reset = exportd_http_header(answer, limits[i][1]);
        int64_t moment = remaining && reset && strtol(remaining, NULL, 10) <= 0 ? moment_of(reset) : -1;
        if (moment >= 0 && moment < 1000000000) /* a span and no moment */
            moment += now_s;
        if (moment > now_s)
            wait_ms = (moment - now_s < 86400 ? moment - now_s : 86400) * 1000;
    }
    return wait_ms;
}

static const char *const purposes[] = {
    [CALL_FIND] = "list the workspace's sandboxes, so that a second attempt makes no second one",
    [CALL_CREATE] = "make a sandbox",
    [CALL_DEFINE] = "make a sandbox",
};

static void say_not_allowed(enum call call, const char *words, struct exportd_kit_error *error)
{
    if (call == CALL_DEFINE)
        say(error, "sandbox_refused", 0,
            "CodeSandbox makes no sandbox for somebody without a key (status 401 or 403)%s; set the secret "
            "CSB_API_KEY, or ask for the option offline",
            words);
    else
        say(error, "key_not_allowed", 0,
            "the key in CSB_API_KEY may not %s (status 403)%s; give it the scopes to read and to create sandboxes at "
            "https://codesandbox.io/t/api",
            purposes[call], words);
}

int64_t refusal_fill(enum call call, const struct exportd_http_answer *answer, const char *address, const char *key,
                     struct exportd_kit_error *error)
{
    int status = answer->status;
    int64_t wait_ms = -1;
    char words[WORDS_MAX + 16];
    quote_words(answer, key, words, sizeof words);
    if (status == 401 && call != CALL_DEFINE) {
        say(error, "key_refused", 0,
            "CodeSandbox does not know the key in CSB_API_KEY (status 401)%s; make one at "
            "https://codesandbox.io/t/api and set it",
            words);
    } else if (status == 401 || status == 403) {
        say_not_allowed(call, words, error);
    } else if (status == 404 || (status >= 300 && status < 400)) {
        say(error, "address_unknown", 0,
            "%s answers with status %d, and is not where CodeSandbox' API lies; mend %s in "
            "[plugin export-codesandbox]",
            address, status, call == CALL_DEFINE ? "web" : "api");
    } else if (status == 413) {
        say(error, "sandbox_too_large", 0,
            "the project is too large for CodeSandbox (status 413)%s; take out files that the test does not need",
            words);
    } else if (status == 429) {
        wait_ms = wait_of(answer);
        say(error, "rate_limited", 1,
            "CodeSandbox takes no more requests for now (status 429)%s; the job is tried again later", words);
    } else if (status >= 500) {
        wait_ms = wait_of(answer);
        say(error, "service_failed", 1, "CodeSandbox could not %s (status %d)%s; the job is tried again later",
            purposes[call], status, words);
    } else if (status >= 400) {
        say(error, "sandbox_refused", 0, "CodeSandbox refused to %s (status %d)%s; mend what it names",
            purposes[call], status, words);
    } else {
        say(error, "answer_invalid", 0,
            "%s answers with status %d, which says nothing of a sandbox; check %s in "
            "[plugin export-codesandbox]",
            address, status, call == CALL_DEFINE ? "web" : "api");
    }
    return wait_ms;
}
