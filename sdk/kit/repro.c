/* exportd/kit/repro.h: reading a repro document. */
#include <exportd/kit/repro.h>

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POINTER_MAX 256

enum kind {
    KIND_OBJECT,
    KIND_ARRAY,
    KIND_STRING,
    KIND_NUMBER,
    KIND_TEXT, /* a string that is not empty */
};

/* What each field must be; "*" stands for every element of an array. A parent comes before its children. */
static const struct rule {
    const char *pointer;
    enum kind kind;
    int required;
} rules[] = {
    {"/id", KIND_TEXT, 1},
    {"/title", KIND_TEXT, 1},
    {"/test", KIND_OBJECT, 1},
    {"/test/code", KIND_STRING, 1},
    {"/test/path", KIND_STRING, 0},
    {"/test/framework", KIND_STRING, 0},
    {"/test/language", KIND_STRING, 0},
    {"/schema", KIND_STRING, 0},
    {"/description", KIND_STRING, 0},
    {"/created_at", KIND_STRING, 0},
    {"/bug", KIND_OBJECT, 0},
    {"/bug/id", KIND_STRING, 0},
    {"/bug/url", KIND_STRING, 0},
    {"/bug/severity", KIND_STRING, 0},
    {"/bug/reported_at", KIND_STRING, 0},
    {"/bug/labels", KIND_ARRAY, 0},
    {"/bug/labels/*", KIND_STRING, 0},
    {"/steps", KIND_ARRAY, 0},
    {"/steps/*", KIND_OBJECT, 0},
    {"/steps/*/action", KIND_STRING, 0},
    {"/steps/*/expected", KIND_STRING, 0},
    {"/steps/*/actual", KIND_STRING, 0},
    {"/files", KIND_ARRAY, 0},
    {"/files/*", KIND_OBJECT, 0},
    {"/files/*/path", KIND_TEXT, 1},
    {"/files/*/content", KIND_STRING, 1},
    {"/files/*/encoding", KIND_STRING, 0},
    {"/dependencies", KIND_OBJECT, 0},
    {"/environment", KIND_OBJECT, 0},
    {"/stability", KIND_OBJECT, 0},
    {"/stability/score", KIND_NUMBER, 0},
    {"/stability/runs", KIND_NUMBER, 0},
    {"/stability/reproduced", KIND_NUMBER, 0},
    {"/validation", KIND_OBJECT, 0},
    {"/validation/status", KIND_STRING, 0},
    {"/validation/checks", KIND_ARRAY, 0},
    {"/validation/checks/*", KIND_OBJECT, 0},
    {"/validation/checks/*/name", KIND_STRING, 0},
    {"/validation/checks/*/status", KIND_STRING, 0},
    {"/validation/checks/*/detail", KIND_STRING, 0},
    {"/runs", KIND_ARRAY, 0},
    {"/runs/*", KIND_OBJECT, 0},
    {"/runs/*/status", KIND_STRING, 0},
    {"/runs/*/started_at", KIND_STRING, 0},
    {"/runs/*/duration_ms", KIND_NUMBER, 0},
    {"/runs/*/error", KIND_STRING, 0},
    {"/screenshots", KIND_ARRAY, 0},
    {"/screenshots/*", KIND_OBJECT, 0},
    {"/screenshots/*/name", KIND_STRING, 0},
    {"/screenshots/*/media_type", KIND_STRING, 0},
    {"/screenshots/*/content", KIND_STRING, 0},
    {"/screenshots/*/encoding", KIND_STRING, 0},
};

static const char *const kind_names[] = {
    [KIND_OBJECT] = "an object", [KIND_ARRAY] = "an array",          [KIND_STRING] = "a string",
    [KIND_NUMBER] = "a number",  [KIND_TEXT] = "a non-empty string",
};

static int is_kind(const json_t *value, enum kind kind)
{
    switch (kind) {
    case KIND_OBJECT:
        return json_is_object(value);
    case KIND_ARRAY:
        return json_is_array(value);
    case KIND_STRING:
        return json_is_string(value);
    case KIND_NUMBER:
        return json_is_number(value);
    case KIND_TEXT:
        return json_is_string(value) && json_string_length(value) > 0;
    }
    return 0;
}

static const char *name_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return json_string_length(value) ? "a string" : "an empty string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static int complain(char *message, size_t message_size, const char *pointer, const struct rule *rule,
                    const json_t *value)
{
    if (value && !json_is_null(value))
        snprintf(message, message_size, "%s is %s; expected %s", pointer, name_of(value), kind_names[rule->kind]);
    else
        snprintf(message, message_size, "%s is missing; expected %s", pointer, kind_names[rule->kind]);
    return -1;
}

/*
 * Follows what is left of a rule's pointer (rest, beginning with "/") from value; at is the pointer so far, for the
 * message. A parent of another type is left to its own rule.
 */
static int check_rule(const struct rule *rule, const json_t *value, const char *rest, const char *at, char *message,
                      size_t message_size)
{
    char pointer[POINTER_MAX];

    if (!*rest) {
        if (json_is_null(value))
            value = NULL;
        if ((!value && rule->required) || (value && !is_kind(value, rule->kind)))
            return complain(message, message_size, at, rule, value);
        return 0;
    }
    const char *name = rest + 1;
    const char *end = strchrnul(name, '/');
    size_t length = (size_t)(end - name);
    if (length == 1 && *name == '*') {
        size_t index;
        json_t *element;
        json_array_foreach((json_t *)(uintptr_t)value, index, element)
        {
            snprintf(pointer, sizeof pointer, "%s/%zu", at, index);
            if (!*end && json_is_null(element))
                return complain(message, message_size, pointer, rule, NULL);
            if (check_rule(rule, element, end, pointer, message, message_size) < 0)
                return -1;
        }
        return 0;
    }
    if (!json_is_object(value))
        return 0;
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)length, name);
    snprintf(pointer, sizeof pointer, "%s/%s", at, key);
    const json_t *member = json_object_get(value, key);
    if (!member && *end)
        return 0;
    return check_rule(rule, member, end, pointer, message, message_size);
}

int exportd_repro_check(const json_t *repro, char *message, size_t message_size)
{
    if (!json_is_object(repro)) {
        snprintf(message, message_size, "the repro is %s; expected an object of the form exportd.repro/1",
                 repro ? name_of(repro) : "missing");
        return -1;
    }
    const char *schema = exportd_repro_string(repro, "schema", "exportd.repro/1");
    if (strcmp(schema, "exportd.repro/1") != 0) {
        snprintf(message, message_size, "/schema is \"%.64s\"; expected \"exportd.repro/1\"", schema);
        return -1;
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (check_rule(&rules[i], repro, rules[i].pointer, "", message, message_size) < 0)
            return -1;
    return 0;
}

/* The value at a path such as "bug.severity", or NULL. */
static const json_t *find(const json_t *value, const char *path)
{
    while (value && *path) {
        const char *end = strchrnul(path, '.');
        char key[64];
        if ((size_t)(end - path) >= sizeof key)
            return NULL;
        snprintf(key, sizeof key, "%.*s", (int)(end - path), path);
        value = json_object_get(value, key);
        path = *end ? end + 1 : end;
    }
    return value;
}

const char *exportd_repro_string(const json_t *repro, const char *path, const char *otherwise)
{
    const char *string = json_string_value(find(repro, path));
    return string ? string : otherwise;
}

const json_t *exportd_repro_array(const json_t *repro, const char *path)
{
    const json_t *array = find(repro, path);
    return json_is_array(array) ? array : NULL;
}

/* Reads "2025-04-27T12:34:56.789Z", with an offset instead of Z, or the date alone. Returns 0, or -1. */
static int parse_time(const char *text, int64_t *seconds)
{
    struct tm parts = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
    if (!rest) {
        parts = (struct tm){0};
        rest = strptime(text, "%Y-%m-%d", &parts);
        if (!rest || *rest)
            return -1;
    }
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    int64_t offset_s = 0;
    if (*rest == '+' || *rest == '-') {
        int hours;
        int minutes;
        if (sscanf(rest + 1, "%2d:%2d", &hours, &minutes) != 2 && sscanf(rest + 1, "%2d%2d", &hours, &minutes) != 2)
            return -1;
        offset_s = (*rest == '-' ? -60 : 60) * ((int64_t)hours * 60 + minutes);
    } else if (*rest && strcmp(rest, "Z") != 0 && strcmp(rest, "z") != 0) {
        return -1;
    }
    *seconds = (int64_t)timegm(&parts) - offset_s;
    return 0;
}

int64_t exportd_repro_time(const json_t *repro)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    if (epoch && *epoch >= '0' && *epoch <= '9') {
        char *end;
        long long seconds = strtoll(epoch, &end, 10);
        if (!*end)
            return seconds;
    }
    int64_t seconds = 0;
    const char *created_at = exportd_repro_string(repro, "created_at", NULL);
    if (!created_at || parse_time(created_at, &seconds) < 0)
        return 0;
    return seconds;
}

char *exportd_repro_content(const json_t *entry, size_t *size_bytes, char *message, size_t message_size)
{
    const json_t *value = json_object_get(entry, "content");
    const char *content = json_string_value(value);
    const char *encoding = exportd_repro_string(entry, "encoding", "utf-8");
    if (!content) {
        snprintf(message, message_size, "it has no content; expected a string");
        return NULL;
    }
    size_t length = json_string_length(value);
    char *decoded = malloc(length + 1);
    if (!decoded) {
        snprintf(message, message_size, "its content of %zu bytes does not fit in memory", length);
        return NULL;
    }
    if (strcmp(encoding, "utf-8") == 0) {
        memcpy(decoded, content, length + 1);
        *size_bytes = length;
        return decoded;
    }
    if (strcmp(encoding, "base64") != 0) {
        snprintf(message, message_size, "its encoding is \"%.32s\"; expected \"utf-8\" or \"base64\"", encoding);
        free(decoded);
        return NULL;
    }
    size_t size;
    const char *end;
    if (sodium_base642bin((unsigned char *)decoded, length, content, length, " \t\r\n", &size, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != content + length) {
        snprintf(message, message_size, "its content is not base64 (character %zu of %zu does not belong)",
                 (size_t)(end - content) + 1, length);
        free(decoded);
        return NULL;
    }
    decoded[size] = '\0';
    *size_bytes = size;
    return decoded;
}
