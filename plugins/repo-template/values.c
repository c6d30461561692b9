/* values.h: what placeholders stand for. */
#include "values.h"

#include "fill.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define MANIFEST_BYTES_MAX (1u << 20)
#define VALUE_BYTES_MAX 65536
#define NAME_BYTES_MAX 64

void values_clear(struct values *values)
{
    json_decref(values->manifest);
    json_decref(values->known);
    *values = (struct values){0};
}

static bool is_name(const char *name)
{
    size_t length = fill_name_length(name);
    return length > 0 && !name[length] && length <= NAME_BYTES_MAX;
}

static int check_list(const json_t *manifest, const char *key, struct exportd_kit_error *error)
{
    const json_t *list = json_object_get(manifest, key);
    size_t index;
    const json_t *pattern;
    if (list && !json_is_array(list))
        return exportd_kit_fail(error, "template_invalid", 0, VALUES_MANIFEST ": %s must be a list of patterns", key);
    json_array_foreach(list, index, pattern)
    {
        if (!json_is_string(pattern))
            return exportd_kit_fail(error, "template_invalid", 0, VALUES_MANIFEST ": %s/%zu must be a text", key,
                                    index);
    }
    return 0;
}

static int check_manifest(const json_t *manifest, struct exportd_kit_error *error)
{
    static const char *const keys[] = {"values", "exclude", "raw", "unknown", "schema", "description"};
    static const char *const value_keys[] = {"description", "default", "choices"};
    const char *key, *unknown = json_string_value(json_object_get(manifest, "unknown"));
    json_t *value, *inner;
    char quoted[220];
    json_object_foreach((json_t *)(uintptr_t)manifest, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            found = found || strcmp(keys[i], key) == 0;
        if (!found)
            return exportd_kit_fail(error, "template_invalid", 0,
                                    VALUES_MANIFEST
                                    ": there is no key %s; known are values, exclude, raw and unknown",
                                    exportd_bundle_quote(key, quoted, sizeof quoted));
    }
    if (json_object_get(manifest, "unknown") &&
        (!unknown || (strcmp(unknown, "keep") != 0 && strcmp(unknown, "error") != 0)))
        return exportd_kit_fail(error, "template_invalid", 0, VALUES_MANIFEST ": unknown must be keep or error");
    if (json_object_get(manifest, "values") && !json_is_object(json_object_get(manifest, "values")))
        return exportd_kit_fail(error, "template_invalid", 0, VALUES_MANIFEST ": values must be an object");
    json_object_foreach(json_object_get(manifest, "values"), key, value)
    {
        if (!is_name(key) || !json_is_object(value))
            return exportd_kit_fail(error, "template_invalid", 0,
                                    VALUES_MANIFEST
                                    ": values/%s must be an object, and its name of letters, digits, _ "
                                    "and -",
                                    exportd_bundle_quote(key, quoted, sizeof quoted));
        const char *name;
        json_object_foreach(value, name, inner)
        {
            bool found = false;
            for (size_t i = 0; i < sizeof value_keys / sizeof *value_keys; i++)
                found = found || strcmp(value_keys[i], name) == 0;
            if (!found || (strcmp(name, "choices") == 0 ? !json_is_array(inner) : !json_is_string(inner)))
                return exportd_kit_fail(error, "template_invalid", 0,
                                        VALUES_MANIFEST ": values/%s may have a description and a default, which are "
                                                        "texts, and choices, a list of texts",
                                        key);
        }
    }
    return check_list(manifest, "exclude", error) || check_list(manifest, "raw", error) ? -1 : 0;
}

static int read_manifest(const struct exportd_checkout *checkout, struct values *values,
                         struct exportd_kit_error *error)
{
    struct exportd_kit_error missing;
    json_error_t where = {0};
    size_t size = 0;
    char *text = exportd_checkout_read(checkout, VALUES_MANIFEST, MANIFEST_BYTES_MAX, &size, &missing);
    values->manifest = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &where) : json_object();
    free(text);
    if (!values->manifest)
        return exportd_kit_fail(error, "template_invalid", 0, VALUES_MANIFEST " is no JSON: line %d: %s", where.line,
                                where.text);
    if (!json_is_object(values->manifest))
        return exportd_kit_fail(error, "template_invalid", 0, VALUES_MANIFEST " must hold an object");
    return check_manifest(values->manifest, error);
}

/* Text as it may stand in any file: no control characters but tabs and new lines. */
static bool is_plain(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if ((*at < 0x20 && *at != '\t' && *at != '\n') || *at == 0x7F)
            return false;
    return true;
}

static json_t *text_of(const json_t *value)
{
    if (json_is_string(value))
        return json_incref((json_t *)(uintptr_t)value);
    if (json_is_boolean(value))
        return json_string(json_is_true(value) ? "true" : "false");
    if (json_is_integer(value))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return json_sprintf("%.17g", json_real_value(value));
    return NULL;
}

static bool is_choice(const json_t *choices, const json_t *text)
{
    size_t index;
    const json_t *choice;
    bool found = json_array_size(choices) == 0;
    json_array_foreach(choices, index, choice) found = found || json_equal(choice, text);
    return found;
}

static int check_value(const struct values *values, const char *name, const json_t *text,
                       struct exportd_kit_error *error)
{
    const json_t *declared = json_object_get(json_object_get(values->manifest, "values"), name);
    json_t *choices = json_object_get(declared, "choices");
    char quoted[220];
    if (json_string_length(text) > VALUE_BYTES_MAX || !is_plain(json_string_value(text)))
        return exportd_kit_fail(error, "value_invalid", 0,
                                "values/%s holds control characters, or more than %d bytes; shorten it", name,
                                VALUE_BYTES_MAX);
    if (is_choice(choices, text))
        return 0;
    char *all = json_dumps(choices, JSON_COMPACT | JSON_ENSURE_ASCII);
    exportd_kit_fail(error, "value_invalid", 0, "values/%s is %s, and may be one of %.300s", name,
                     exportd_bundle_quote(json_string_value(text), quoted, sizeof quoted), all ? all : "[]");
    free(all);
    return -1;
}

static int take_given(struct values *values, const json_t *given, struct exportd_kit_error *error)
{
    const json_t *declared = json_object_get(values->manifest, "values");
    const char *name;
    json_t *value;
    char quoted[220];
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        json_t *text = text_of(value);
        int failed = 0;
        if (!is_name(name) || (declared && !json_object_get(declared, name))) {
            char *known = json_dumps(declared, JSON_COMPACT);
            failed = exportd_kit_fail(error, "value_invalid", 0,
                                      "the template has no value %s; see values in its " VALUES_MANIFEST,
                                      exportd_bundle_quote(name, quoted, sizeof quoted));
            free(known);
        } else if (!text) {
            failed = exportd_kit_fail(error, "value_invalid", 0,
                                      "values/%s must be a text, a number or a truth value", name);
        } else {
            failed = check_value(values, name, text, error);
            json_object_set(values->known, name, text);
        }
        json_decref(text);
        if (failed)
            return -1;
    }
    return 0;
}

/* Defaults may use other values; those that come after them in the manifest too, so it goes round until nothing
 * changes. */
static int take_defaults(struct values *values, struct exportd_kit_error *error)
{
    const char *name;
    json_t *value;
    bool changed = true;
    while (changed) {
        changed = false;
        json_object_foreach(json_object_get(values->manifest, "values"), name, value)
        {
            const char *text = json_string_value(json_object_get(value, "default"));
            json_t *unknown = json_array();
            char *filled = NULL;
            if (json_object_get(values->known, name) || !text) {
                json_decref(unknown);
                continue;
            }
            int failed =
                fill_text(text, strlen(text), values, "the default of a value", &filled, NULL, unknown, error);
            if (!failed && json_array_size(unknown) == 0) {
                json_object_set_new(values->known, name, json_string(filled));
                failed = check_value(values, name, json_object_get(values->known, name), error);
                changed = true;
            }
            free(filled);
            json_decref(unknown);
            if (failed)
                return -1;
        }
    }
    return 0;
}

static int check_missing(const struct values *values, struct exportd_kit_error *error)
{
    char list[600] = "";
    size_t length = 0;
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(values->manifest, "values"), name, value)
    {
        const char *description = json_string_value(json_object_get(value, "description"));
        char quoted[120];
        if (json_object_get(values->known, name) || length + 1 >= sizeof list)
            continue;
        int count = snprintf(
            list + length, sizeof list - length, "%s%s%s%s%s", length ? ", " : "", name, description ? " (" : "",
            description ? exportd_bundle_quote(description, quoted, sizeof quoted) : "", description ? ")" : "");
        length += count > 0 ? (size_t)count : 0;
    }
    return length == 0 ? 0
                       : exportd_kit_fail(error, "value_missing", 0,
                                          "the template needs values that the request doesn't give: %s", list);
}

/* What is known without being asked; a request or a manifest may say otherwise. */
static void take_own(const struct exportd_checkout *checkout, struct values *values)
{
    time_t now = time(NULL);
    struct tm day;
    gmtime_r(&now, &day);
    json_object_set_new(values->known, "year", json_sprintf("%04d", day.tm_year + 1900));
    json_object_set_new(values->known, "date",
                        json_sprintf("%04d-%02d-%02d", day.tm_year + 1900, day.tm_mon + 1, day.tm_mday));
    json_object_set_new(values->known, "template_url", json_string(checkout->url ? checkout->url : ""));
    json_object_set_new(values->known, "template_commit", json_string(checkout->commit ? checkout->commit : ""));
}

int values_read(const struct exportd_checkout *checkout, const json_t *given, struct values *values,
                struct exportd_kit_error *error)
{
    *values = (struct values){.known = json_object()};
    if (!values->known)
        return exportd_kit_no_memory(error);
    if (read_manifest(checkout, values, error) != 0 || take_given(values, given, error) != 0)
        return -1;
    const char *unknown = json_string_value(json_object_get(values->manifest, "unknown"));
    json_t *asked = json_copy(values->known);
    take_own(checkout, values);
    json_object_update(values->known, asked);
    json_decref(asked);
    if (take_defaults(values, error) != 0 || check_missing(values, error) != 0)
        return -1;
    values->keep_unknown = unknown && strcmp(unknown, "keep") == 0;
    return 0;
}

bool values_match(const char *pattern, const char *path)
{
    char folder[EXPORTD_BUNDLE_PATH_MAX + 2];
    size_t length = strlen(pattern);
    bool folders_only = length > 0 && pattern[length - 1] == '/';
    const char *slash = strchr(pattern, '/');
    bool anywhere = !slash || slash == pattern + length - 1;
    int flags = strstr(pattern, "**") ? 0 : FNM_PATHNAME;
    char plain[EXPORTD_BUNDLE_PATH_MAX + 2];
    snprintf(plain, sizeof plain, "%.*s", (int)(folders_only ? length - 1 : length), pattern);
    /* Whatever lies in a folder that is matched is matched too. */
    for (const char *at = path;; at++) {
        if (*at && *at != '/')
            continue;
        bool whole = !*at;
        snprintf(folder, sizeof folder, "%.*s", (int)(at - path), path);
        const char *name = strrchr(folder, '/');
        if (!(whole && folders_only) &&
            fnmatch(plain, anywhere && name ? name + 1 : folder, anywhere ? 0 : flags) == 0)
            return true;
        if (whole)
            return false;
    }
}

static bool is_listed(const struct values *values, const char *key, const char *path)
{
    size_t index;
    const json_t *pattern;
    json_array_foreach(json_object_get(values->manifest, key), index, pattern)
    {
        if (values_match(json_string_value(pattern), path))
            return true;
    }
    return false;
}

bool values_excludes(const struct values *values, const char *path)
{
    return strcmp(path, VALUES_MANIFEST) == 0 || is_listed(values, "exclude", path);
}

bool values_keeps_raw(const struct values *values, const char *path)
{
    return is_listed(values, "raw", path);
}
