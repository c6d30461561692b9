/* manifest.h: package.json and composer.json. */
#include "manifest.h"

#include "value.h"

#include <string.h>

#define WORKSPACES_MAX 100

static const char *reason_of(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_numeric_overflow:
        return "has a number that can't be read";
    case json_error_null_byte_in_key:
        return "has a key with a NUL, that can't be read";
    case json_error_stack_overflow:
        return "is nested too deep";
    default:
        return "is no JSON";
    }
}

/* Numbers are not used: those that no 64 bits hold may be read as they come. */
static json_t *load(struct manifest *manifest, const char *text, size_t size)
{
    json_error_t error;
    size_t mark = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    json_t *root = json_loadb(text + mark, size - mark, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
    if (!root)
        manifest_problem(manifest, "line %d %s", error.line > 0 ? error.line : 1, reason_of(&error));
    else if (!json_is_object(root))
        manifest_problem(manifest, "it is no object");
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

static void add_all(struct manifest *manifest, const json_t *root, const char *key, const char *scope)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(root, key), name, value)
    {
        manifest_add_string(manifest, name, json_string_value(value), scope);
    }
}

/* "MIT", {"type": "MIT"} or, of old, an array of either. */
static const char *licence_of(const json_t *root)
{
    json_t *licence = json_object_get(root, "license");
    if (!licence)
        licence = json_object_get(root, "licenses");
    if (json_is_array(licence))
        licence = json_array_size(licence) == 1 ? json_array_get(licence, 0) : NULL;
    return json_string_value(json_is_object(licence) ? json_object_get(licence, "type") : licence);
}

static void set_common(struct manifest *manifest, const json_t *root)
{
    manifest_set(manifest, "name", json_string_value(json_object_get(root, "name")));
    manifest_set(manifest, "version", json_string_value(json_object_get(root, "version")));
    manifest_set(manifest, "licence", licence_of(root));
}

/* ["packages/x"] or {"packages": […]}. */
static void set_workspaces(struct manifest *manifest, const json_t *root)
{
    size_t index;
    json_t *item, *from = json_object_get(root, "workspaces"), *out = json_array();
    if (json_is_object(from))
        from = json_object_get(from, "packages");
    json_array_foreach(from, index, item)
    {
        if (json_is_string(item) && json_array_size(out) < WORKSPACES_MAX)
            json_array_append_new(out, value_string(json_string_value(item), MANIFEST_TEXT_MAX));
    }
    if (json_array_size(out) > 0)
        json_object_set(manifest->object, "workspaces", out);
    json_decref(out);
}

void manifest_read_npm(struct manifest *manifest, const char *text, size_t size)
{
    json_t *root = load(manifest, text, size);
    if (!root)
        return;
    set_common(manifest, root);
    set_workspaces(manifest, root);
    add_all(manifest, root, "dependencies", "runtime");
    add_all(manifest, root, "devDependencies", "development");
    add_all(manifest, root, "peerDependencies", "peer");
    add_all(manifest, root, "optionalDependencies", "optional");
    json_decref(root);
}

/* PHP itself and its extensions are no packages. */
static void drop_platform(json_t *packages)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(packages, next, name, value)
    {
        if (strcmp(name, "php") == 0 || strncmp(name, "ext-", 4) == 0 || strncmp(name, "lib-", 4) == 0)
            json_object_del(packages, name);
    }
}

void manifest_read_composer(struct manifest *manifest, const char *text, size_t size)
{
    json_t *root = load(manifest, text, size);
    if (!root)
        return;
    set_common(manifest, root);
    drop_platform(json_object_get(root, "require"));
    add_all(manifest, root, "require", "runtime");
    add_all(manifest, root, "require-dev", "development");
    json_decref(root);
}
