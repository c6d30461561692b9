/* derive.h: what a report says about a repro beyond the repro itself. */
#include "derive.h"

#include "order.h"

#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *sha256(const char *content, size_t size_bytes)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char text[2 * sizeof hash + 1];
    crypto_hash_sha256(hash, (const unsigned char *)content, size_bytes);
    sodium_bin2hex(text, sizeof text, hash, sizeof hash);
    return json_string(text);
}

static json_t *string_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

json_t *derive_plain(const char *text)
{
    char *plain = text ? exportd_text_plain(text) : NULL;
    json_t *value = string_or_null(plain);
    free(plain);
    return value;
}

static int fail_entry(struct exportd_kit_error *error, const char *name, size_t index, const json_t *entry,
                      const char *why)
{
    const char *path = exportd_repro_string(entry, "path", exportd_repro_string(entry, "name", ""));
    char quoted[160];
    error->code = "repro_invalid";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message, "/%s/%zu: the file %s can't be read: %s; mend it", name, index,
             exportd_bundle_quote(path, quoted, sizeof quoted), why);
    return -1;
}

/* One line of an index. An entry without content (screenshots may have none) has null for bytes and sha256. */
static json_t *index_line(const json_t *entry, const char *content, size_t size_bytes)
{
    const char *path = exportd_repro_string(entry, "path", NULL);
    json_t *line = json_object();
    if (path)
        json_object_set_new(line, "path", json_string(path));
    else
        json_object_set_new(line, "name", string_or_null(exportd_repro_string(entry, "name", NULL)));
    json_object_set_new(line, "bytes", content ? json_integer((json_int_t)size_bytes) : json_null());
    json_object_set_new(line, "sha256", content ? sha256(content, size_bytes) : json_null());
    return line;
}

json_t *derive_index(const json_t *repro, const char *name, derive_entry_fn each, void *context,
                     uint64_t *total_bytes, struct exportd_kit_error *error)
{
    const json_t *entries = json_object_get(repro, name);
    json_t *lines = json_array();
    size_t index;
    json_t *entry;
    *total_bytes = 0;
    json_array_foreach((json_t *)(uintptr_t)entries, index, entry)
    {
        char why[256];
        size_t size_bytes = 0;
        char *content = NULL;
        int status = 0;
        if (json_is_string(json_object_get(entry, "content"))) {
            content = exportd_repro_content(entry, &size_bytes, why, sizeof why);
            if (!content)
                status = fail_entry(error, name, index, entry, why);
        }
        if (status == 0) {
            json_t *line = index_line(entry, content, size_bytes);
            *total_bytes += size_bytes;
            if (each)
                status = each(context, index, entry, line, content, size_bytes, error);
            json_array_append_new(lines, line);
        }
        free(content);
        if (status < 0) {
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

json_t *derive_test(const json_t *repro)
{
    const json_t *code = json_object_get(json_object_get(repro, "test"), "code");
    const char *text = json_string_value(code);
    size_t length = json_string_length(code);
    json_int_t lines = length && text[length - 1] != '\n';
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return json_pack("{s:o, s:I, s:I, s:o}", "path", string_or_null(exportd_repro_string(repro, "test.path", NULL)),
                     "lines", lines, "bytes", (json_int_t)length, "sha256", sha256(text, length));
}

static int compare_numbers(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

/* A whole number as an integer, so that it reads as it was written. */
static json_t *number(double value)
{
    json_int_t whole = (json_int_t)value;
    if (value > -1e15 && value < 1e15 && (double)whole >= value && (double)whole <= value)
        return json_integer(whole);
    return json_real(value);
}

static json_t *durations(const json_t *runs)
{
    size_t count = 0;
    size_t index;
    json_t *run;
    double sum = 0;
    double *values = malloc((json_array_size(runs) + 1) * sizeof *values);
    json_t *summary;
    if (!values)
        return NULL;
    json_array_foreach((json_t *)(uintptr_t)runs, index, run)
    {
        const json_t *duration = json_object_get(run, "duration_ms");
        if (json_is_number(duration)) {
            values[count] = json_number_value(duration);
            sum += values[count++];
        }
    }
    qsort(values, count, sizeof *values, compare_numbers);
    if (count)
        summary = json_pack("{s:o, s:o, s:o, s:o}", "min", number(values[0]), "median",
                            number((values[(count - 1) / 2] + values[count / 2]) / 2), "max",
                            number(values[count - 1]), "mean", number(sum / (double)count));
    else
        summary = json_null();
    free(values);
    return summary;
}

static int is_failure(const char *status)
{
    static const char *const beginnings[] = {"fail", "timed", "timeout", "crash", "interrupt", "error"};
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (strncasecmp(status, beginnings[i], strlen(beginnings[i])) == 0)
            return 1;
    return 0;
}

/* {"total": 20, "failed": 7, "by_status": {"failed": 7, "passed": 13}}, of runs or checks. */
static json_t *counts(const json_t *entries)
{
    json_t *by_status = json_object();
    json_int_t failed = 0;
    size_t index;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)entries, index, entry)
    {
        const char *status = exportd_repro_string(entry, "status", "unknown");
        json_int_t count = json_integer_value(json_object_get(by_status, status));
        json_object_set_new(by_status, status, json_integer(count + 1));
        failed += is_failure(status);
    }
    json_t *ordered = order_apply(by_status, NULL);
    json_decref(by_status);
    return json_pack("{s:I, s:I, s:o}", "total", (json_int_t)json_array_size(entries), "failed", failed, "by_status",
                     ordered);
}

static json_t *first_failure(const json_t *runs)
{
    static const char *const names[] = {"index", "status", "started_at", "duration_ms", "error"};
    size_t index;
    json_t *run;
    json_array_foreach((json_t *)(uintptr_t)runs, index, run)
    {
        if (!is_failure(exportd_repro_string(run, "status", "")))
            continue;
        json_t *failure = json_object();
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            json_t *value = json_object_get(run, names[i]);
            json_object_set_new(failure, names[i], value ? json_incref(value) : json_null());
        }
        json_object_set_new(failure, "error_plain", derive_plain(exportd_repro_string(run, "error", NULL)));
        return failure;
    }
    return json_null();
}

json_t *derive_summary(const json_t *repro)
{
    const json_t *runs = exportd_repro_array(repro, "runs");
    json_t *summary = json_object();
    json_object_set_new(summary, "runs", counts(runs));
    json_object_set_new(summary, "durations_ms", durations(runs));
    json_object_set_new(summary, "first_failure", first_failure(runs));
    json_object_set_new(summary, "checks", counts(exportd_repro_array(repro, "validation.checks")));
    json_object_set_new(summary, "steps",
                        json_integer((json_int_t)json_array_size(exportd_repro_array(repro, "steps"))));
    return summary;
}
