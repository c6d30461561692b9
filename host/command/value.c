/*
 * Values from the command line and from files, for the commands that make jobs.
 */
#include "base/memory.h"
#include "command/command.h"
#include "job/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

json_t *command_read_json(const char *path, int64_t max_bytes, struct error *error)
{
    bool from_input = strcmp(path, "-") == 0;
    FILE *file = from_input ? stdin : fopen(path, "re");
    char *text = NULL;
    size_t length = 0, size = 0;
    if (!file) {
        error_set(error, "repro_not_found", false, "%s: %s", path, strerror(errno));
        return NULL;
    }
    while (!feof(file) && !ferror(file) && (int64_t)length <= max_bytes) {
        if (length + 65536 > size) {
            size = size ? size * 2 : 131072;
            text = memory_resized(text, size, 1);
        }
        length += fread(text + length, 1, 65536, file);
    }
    json_t *value = NULL;
    if (ferror(file))
        error_set(error, "repro_not_found", false, "it can't be read: %s", strerror(errno));
    else if ((int64_t)length > max_bytes)
        error_set(error, "repro_too_large", false, "more than %lld bytes; raise [repros] max_bytes",
                  (long long)max_bytes);
    else
        value = request_parse(text, length, 64, error);
    if (!value)
        error_prefix(error, "%s: ", from_input ? "standard input" : path);
    if (!from_input)
        fclose(file);
    free(text);
    return value;
}

/* An option's text becomes what its schema asks for; what can't be that stays text, and the schema's own check says
 * so. */
static json_t *option_value(const json_t *schema, const char *text)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type && strcmp(type, "string") == 0)
        return json_string(text);
    if (type && strcmp(type, "boolean") == 0 && (strcmp(text, "yes") == 0 || strcmp(text, "no") == 0))
        return json_boolean(text[0] == 'y');
    if (type && strcmp(type, "array") == 0 && text[0] != '[') {
        json_t *array = json_array();
        char *copy = memory_text(text), *rest = copy;
        while (rest && *rest)
            json_array_append_new(array, json_string(strsep(&rest, ",")));
        free(copy);
        return array;
    }
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    return value ? value : json_string(text);
}

int command_add_option(const json_t *schema, const char *text, json_t *data, struct error *error)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return error_set(error, "options_invalid", false, "--option %s: must be NAME=VALUE", text);
    char *name = memory_bytes(text, (size_t)(equals - text));
    json_t *value = option_value(json_object_get(json_object_get(schema, "properties"), name), equals + 1);
    if (!value || json_object_set_new(data, name, value) != 0)
        error_set(error, "options_invalid", false, "--option %s: it isn't UTF-8", name);
    free(name);
    return error_is_set(error) ? -1 : 0;
}
