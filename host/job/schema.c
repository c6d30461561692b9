#include "job/schema.h"

#include "base/memory.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_DEPTH_MAX 16

static const char *const keywords[] = {"type",     "enum",     "const",       "default",   "description",
                                       "minimum",  "maximum",  "minLength",   "maxLength", "items",
                                       "minItems", "maxItems", "properties",  "required",  "additionalProperties",
                                       "title",    "examples", "uniqueItems", "$schema",   "$id"};

static const char *const types[] = {"object", "array", "string", "integer", "number", "boolean", "null"};

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}

static bool has_type(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_INTEGER:
        return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL:
        return strcmp(type, "number") == 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    case JSON_NULL:
        return strcmp(type, "null") == 0;
    }
    return false;
}

static int check_at(const json_t *schema, int depth, struct error *error)
{
    if (!json_is_object(schema) || depth > SCHEMA_DEPTH_MAX)
        return error_set(error, "plugin_invalid", false, "its options' schema is no object, or nests too deeply");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        if (!is_one_of(key, keywords, sizeof keywords / sizeof keywords[0]))
            return error_set(error, "plugin_invalid", false,
                             "its options' schema uses the keyword \"%s\", which exportd doesn't know", key);
    }
    const json_t *type = json_object_get(schema, "type");
    if (type && (!json_is_string(type) || !is_one_of(json_string_value(type), types, sizeof types / sizeof types[0])))
        return error_set(error, "plugin_invalid", false,
                         "its options' schema has a \"type\" that is none of JSON Schema's");
    json_t *properties = json_object_get(schema, "properties");
    json_object_foreach(properties, key, value)
    {
        if (check_at(value, depth + 1, error) != 0)
            return -1;
        json_t *fallback = json_object_get(value, "default");
        if (fallback) {
            struct error cause = {0};
            json_t *copy = json_deep_copy(fallback);
            int failed = schema_apply(value, copy, key, &cause);
            json_decref(copy);
            if (failed)
                return error_set(error, "plugin_invalid", false,
                                 "the default of its option \"%s\" isn't what its schema asks: %s", key,
                                 cause.message);
        }
    }
    const json_t *items = json_object_get(schema, "items");
    return items ? check_at(items, depth + 1, error) : 0;
}

int schema_check(const json_t *schema, struct error *error)
{
    return check_at(schema, 0, error);
}

static char *dump_short(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text && strlen(text) > 200)
        memcpy(text + 196, "…", sizeof "…");
    return text;
}

static int check_choices(const json_t *schema, const json_t *value, const char *pointer, struct error *error)
{
    const json_t *constant = json_object_get(schema, "const");
    const json_t *choices = json_object_get(schema, "enum");
    if (constant && !json_equal(constant, value)) {
        char *wanted = dump_short(constant);
        error_set(error, "options_invalid", false, "%s: must be %s", pointer, wanted ? wanted : "another value");
        free(wanted);
        return -1;
    }
    if (!choices)
        return 0;
    size_t index;
    json_t *choice;
    json_array_foreach(choices, index, choice)
    {
        if (json_equal(choice, value))
            return 0;
    }
    char *all = dump_short(choices);
    error_set(error, "options_invalid", false, "%s: must be one of %s", pointer, all ? all : "its choices");
    free(all);
    return -1;
}

static size_t count_characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static int check_bounds(const json_t *schema, const json_t *value, const char *pointer, struct error *error)
{
    double measure;
    const char *least_key = "minimum", *most_key = "maximum", *unit = "";
    if (json_is_string(value)) {
        measure = (double)count_characters(json_string_value(value));
        least_key = "minLength";
        most_key = "maxLength";
        unit = " characters";
    } else if (json_is_array(value)) {
        measure = (double)json_array_size(value);
        least_key = "minItems";
        most_key = "maxItems";
        unit = " items";
    } else if (json_is_number(value)) {
        measure = json_number_value(value);
    } else {
        return 0;
    }
    const json_t *least = json_object_get(schema, least_key);
    const json_t *most = json_object_get(schema, most_key);
    if (json_is_number(least) && measure < json_number_value(least))
        return error_set(error, "options_invalid", false, "%s: must be at least %g%s", pointer,
                         json_number_value(least), unit);
    if (json_is_number(most) && measure > json_number_value(most))
        return error_set(error, "options_invalid", false, "%s: must be at most %g%s", pointer,
                         json_number_value(most), unit);
    return 0;
}

static int refuse_unknown(const json_t *properties, const char *key, const char *pointer, struct error *error)
{
    const char *names[128];
    size_t count = 0;
    const char *name;
    json_t *ignored;
    json_object_foreach((json_t *)(uintptr_t)properties, name, ignored)
    {
        if (count < sizeof names / sizeof names[0])
            names[count++] = name;
    }
    const char *nearest = config_nearest(key, names, count);
    if (nearest)
        return error_set(error, "options_invalid", false, "%s/%.100s: there is no such option; did you mean \"%s\"?",
                         pointer, key, nearest);
    return error_set(error, "options_invalid", false,
                     "%s/%.100s: there is no such option; `exportd inspect` lists those that exist", pointer, key);
}

static int apply_object(const json_t *schema, json_t *value, const char *pointer, struct error *error)
{
    json_t *properties = json_object_get(schema, "properties");
    const char *key;
    json_t *property;
    json_object_foreach(properties, key, property)
    {
        json_t *fallback = json_object_get(property, "default");
        if (fallback && !json_object_get(value, key))
            json_object_set_new(value, key, json_deep_copy(fallback));
    }
    size_t index;
    json_t *required;
    json_array_foreach(json_object_get(schema, "required"), index, required)
    {
        if (!json_object_get(value, json_string_value(required)))
            return error_set(error, "options_invalid", false, "%s/%s: is missing", pointer,
                             json_string_value(required));
    }
    json_t *further = json_object_get(schema, "additionalProperties");
    json_t *member;
    json_object_foreach(value, key, member)
    {
        json_t *known = json_object_get(properties, key);
        if (!known && json_is_true(further))
            continue;
        if (!known)
            return refuse_unknown(properties, key, pointer, error);
        char *place = memory_format("%s/%s", pointer, key);
        int failed = schema_apply(known, member, place, error);
        free(place);
        if (failed)
            return -1;
    }
    return 0;
}

int schema_apply(const json_t *schema, json_t *value, const char *pointer, struct error *error)
{
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (type && !has_type(value, type))
        return error_set(error, "options_invalid", false, "%s: must be of type %s", pointer, type);
    if (check_choices(schema, value, pointer, error) != 0 || check_bounds(schema, value, pointer, error) != 0)
        return -1;
    if (json_is_object(value) && (json_object_get(schema, "properties") || !type || strcmp(type, "object") == 0))
        return json_object_get(schema, "properties") || json_object_get(schema, "additionalProperties")
                   ? apply_object(schema, value, pointer, error)
                   : 0;
    const json_t *items = json_object_get(schema, "items");
    size_t index;
    json_t *item;
    json_array_foreach(json_is_array(value) && items ? value : NULL, index, item)
    {
        char *place = memory_format("%s/%zu", pointer, index);
        int failed = schema_apply(items, item, place, error);
        free(place);
        if (failed)
            return -1;
    }
    return 0;
}
