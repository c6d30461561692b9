#include "conformance/sample.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

json_t *sample_repro(void)
{
    static const char text[] =
        "{"
        "\"schema\": \"exportd.repro/1\", \"id\": \"sample-1\", \"title\": \"The search forgets what was typed\","
        "\"description\": \"Type, press **Enter**, go back: the field is empty.\\n\\n- every time\\n- in `Firefox` "
        "too\","
        "\"bug\": {\"id\": \"1\", \"url\": \"https://example.org/bugs/1\", \"severity\": \"major\", \"labels\": "
        "[\"search\"],"
        " \"reported_at\": \"2025-04-27T12:34:56Z\"},"
        "\"steps\": [{\"action\": \"Type a word\", \"expected\": \"It is there\", \"actual\": \"It is there\"},"
        " {\"action\": \"Go back\", \"expected\": \"The word is there\", \"actual\": \"The field is empty\"}],"
        "\"test\": {\"path\": \"tests/search.spec.ts\", \"framework\": \"playwright\", \"language\": \"typescript\","
        " \"code\": \"import { test, expect } from '@playwright/test';\\ntest('search', async ({ page }) => {\\n"
        "  await page.goto('/');\\n  await expect(page.locator('input')).toHaveValue('word');\\n});\\n\"},"
        "\"files\": [{\"path\": \"src/search.ts\", \"content\": \"export const search = 1;\\n\"}],"
        "\"dependencies\": {\"@playwright/test\": \"1.48.2\"},"
        "\"environment\": {\"os\": \"linux\", \"browser\": \"chromium\", \"node\": \"20.11.0\"},"
        "\"stability\": {\"score\": 1.0, \"runs\": 3, \"reproduced\": 3},"
        "\"validation\": {\"status\": \"passed\", \"checks\": [{\"name\": \"runs\", \"status\": \"passed\", "
        "\"detail\": \"3 of 3\"}]},"
        "\"runs\": [{\"status\": \"failed\", \"duration_ms\": 1200, \"error\": \"expect(locator).toHaveValue\"}],"
        "\"created_at\": \"2025-04-27T12:34:56.789Z\"}";
    return json_loads(text, 0, NULL);
}

static json_t *sample_text(const json_t *schema)
{
    static const char word[] = "example";
    size_t least = (size_t)json_integer_value(json_object_get(schema, "minLength"));
    const json_t *most_value = json_object_get(schema, "maxLength");
    size_t most = most_value ? (size_t)json_integer_value(most_value) : SIZE_MAX;
    size_t length = sizeof word - 1;
    if (length < least)
        length = least;
    if (length > most)
        length = most;
    char *text = memory_zeroed(1, length + 1);
    for (size_t i = 0; i < length; i++)
        text[i] = word[i % (sizeof word - 1)];
    json_t *value = json_string(text);
    free(text);
    return value;
}

static json_t *sample_object(const json_t *schema)
{
    json_t *object = json_object();
    const json_t *properties = json_object_get(schema, "properties");
    size_t index;
    json_t *name;
    json_array_foreach(json_object_get(schema, "required"), index, name)
    {
        const json_t *of = json_object_get(properties, json_string_value(name));
        if (!json_object_get(of, "default"))
            json_object_set_new(object, json_string_value(name), of ? sample_value(of) : json_string("example"));
    }
    return object;
}

json_t *sample_value(const json_t *schema)
{
    const json_t *given = json_object_get(schema, "default");
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (!given)
        given = json_object_get(schema, "const");
    if (!given)
        given = json_array_get(json_object_get(schema, "examples"), 0);
    if (!given)
        given = json_array_get(json_object_get(schema, "enum"), 0);
    if (given)
        return json_deep_copy(given);
    if (type && strcmp(type, "boolean") == 0)
        return json_true();
    if (type && (strcmp(type, "integer") == 0 || strcmp(type, "number") == 0)) {
        const json_t *least = json_object_get(schema, "minimum");
        return least ? json_deep_copy(least) : json_integer(1);
    }
    if (type && strcmp(type, "array") == 0) {
        json_t *array = json_array();
        for (json_int_t i = 0; i < json_integer_value(json_object_get(schema, "minItems")); i++)
            json_array_append_new(array, sample_value(json_object_get(schema, "items")));
        return array;
    }
    if (type && strcmp(type, "object") == 0)
        return sample_object(schema);
    if (type && strcmp(type, "null") == 0)
        return json_null();
    return sample_text(schema);
}

json_t *sample_data(const struct route *route)
{
    json_t *data = sample_object(route->schema);
    if (route->option)
        json_object_set_new(data, route->option, json_string(route->value));
    if (route->needs_repro)
        json_object_set_new(data, "repro", sample_repro());
    if (route->after)
        json_object_set_new(data, "previous", sample_previous(route));
    return data;
}
