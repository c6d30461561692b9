/* manifest.h: Cargo.toml, pyproject.toml and Pipfile. */
#include "manifest.h"

#include "toml.h"
#include "value.h"

#include <stdio.h>
#include <string.h>

static json_t *load(struct manifest *manifest, const char *text, size_t size)
{
    size_t line;
    json_t *root = toml_read(text, size, &line);
    if (line > 0)
        manifest_problem(manifest, "line %zu is no TOML: what stands before it was read", line);
    return root;
}

static json_t *at(const json_t *root, const char *first, const char *second)
{
    return json_object_get(json_object_get(root, first), second);
}

static const char *text_at(const json_t *root, const char *first, const char *second)
{
    return json_string_value(at(root, first, second));
}

/* What stands behind a name: "1.2", or {version = "1.2"}, {git = "…"}, {path = "…"}, {workspace = true}. */
static void add_one(struct manifest *manifest, const char *name, const json_t *value, const char *scope)
{
    static const char *const places[] = {"git", "path", "url", "file"};
    char requirement[MANIFEST_TEXT_MAX + 20] = "";
    const char *version = json_string_value(json_is_object(value) ? json_object_get(value, "version") : value);
    const char *package = json_string_value(json_object_get(value, "package"));
    if (version)
        snprintf(requirement, sizeof requirement, "%s", version);
    for (size_t i = 0; !version && i < sizeof places / sizeof *places; i++) {
        const char *place = json_string_value(json_object_get(value, places[i]));
        if (place && !*requirement)
            snprintf(requirement, sizeof requirement, "%s %s", places[i], place);
    }
    if (!version && json_is_true(json_object_get(value, "workspace")))
        snprintf(requirement, sizeof requirement, "workspace");
    if (json_is_true(json_object_get(value, "optional")))
        scope = "optional";
    manifest_add_string(manifest, package ? package : name, requirement, scope);
}

static void add_all(struct manifest *manifest, json_t *table, const char *scope)
{
    const char *name;
    json_t *value;
    json_object_foreach(table, name, value)
    {
        if (strcmp(name, "python") != 0 || strcmp(manifest->ecosystem, "pypi") != 0)
            add_one(manifest, name, json_is_array(value) ? json_array_get(value, 0) : value, scope);
    }
}

static void add_kinds(struct manifest *manifest, const json_t *table)
{
    add_all(manifest, json_object_get(table, "dependencies"), "runtime");
    add_all(manifest, json_object_get(table, "dev-dependencies"), "development");
    add_all(manifest, json_object_get(table, "build-dependencies"), "build");
}

void manifest_read_cargo(struct manifest *manifest, const char *text, size_t size)
{
    const char *target;
    json_t *root = load(manifest, text, size), *table, *members = at(root, "workspace", "members");
    manifest_set(manifest, "name", text_at(root, "package", "name"));
    manifest_set(manifest, "version", text_at(root, "package", "version"));
    manifest_set(manifest, "licence", text_at(root, "package", "license"));
    add_kinds(manifest, root);
    json_object_foreach(json_object_get(root, "target"), target, table)
    {
        add_kinds(manifest, table);
    }
    if (!json_object_get(root, "package")) /* a workspace alone: what its members may refer to */
        add_all(manifest, at(root, "workspace", "dependencies"), "runtime");
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(members) && i < 100; i++)
        if (json_is_string(json_array_get(members, i)))
            json_array_append_new(out,
                                  value_string(json_string_value(json_array_get(members, i)), MANIFEST_TEXT_MAX));
    if (json_array_size(out) > 0)
        json_object_set(manifest->object, "workspaces", out);
    json_decref(out);
    json_decref(root);
}

static void add_list(struct manifest *manifest, const json_t *list, const char *scope)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one)
            manifest_add_python(manifest, manifest_part(one), scope);
    }
}

static void add_lists(struct manifest *manifest, json_t *lists, const char *scope)
{
    const char *group;
    json_t *list;
    json_object_foreach(lists, group, list)
    {
        add_list(manifest, list, scope);
    }
}

static void add_poetry(struct manifest *manifest, const json_t *poetry)
{
    const char *group;
    json_t *table;
    manifest_set(manifest, "name", json_string_value(json_object_get(poetry, "name")));
    manifest_set(manifest, "version", json_string_value(json_object_get(poetry, "version")));
    manifest_set(manifest, "licence", json_string_value(json_object_get(poetry, "license")));
    add_all(manifest, json_object_get(poetry, "dependencies"), "runtime");
    add_all(manifest, json_object_get(poetry, "dev-dependencies"), "development");
    json_object_foreach(json_object_get(poetry, "group"), group, table)
    {
        add_all(manifest, json_object_get(table, "dependencies"),
                strncmp(group, "test", 4) == 0 ? "test" : "development");
    }
}

/* The licence by its trove classifier, where nothing else names it. */
static void add_classified(struct manifest *manifest, const json_t *classifiers)
{
    static const char prefix[] = "License :: OSI Approved :: ";
    const char *found = NULL;
    for (size_t i = 0; i < json_array_size(classifiers); i++) {
        const char *one = json_string_value(json_array_get(classifiers, i));
        if (one && strncmp(one, prefix, sizeof prefix - 1) == 0) {
            if (found)
                return; /* which of them goes is not said */
            found = one + sizeof prefix - 1;
        }
    }
    if (found && !json_is_string(json_object_get(manifest->object, "licence")))
        manifest_set(manifest, "licence", found);
}

void manifest_read_pyproject(struct manifest *manifest, const char *text, size_t size)
{
    json_t *root = load(manifest, text, size), *project = json_object_get(root, "project");
    json_t *licence = json_object_get(project, "license");
    add_poetry(manifest, at(root, "tool", "poetry"));
    manifest_set(manifest, "name", json_string_value(json_object_get(project, "name")));
    manifest_set(manifest, "version", json_string_value(json_object_get(project, "version")));
    manifest_set(manifest, "licence",
                 json_string_value(json_is_object(licence) ? json_object_get(licence, "text") : licence));
    add_classified(manifest, json_object_get(project, "classifiers"));
    add_list(manifest, json_object_get(project, "dependencies"), "runtime");
    add_lists(manifest, json_object_get(project, "optional-dependencies"), "optional");
    add_lists(manifest, json_object_get(root, "dependency-groups"), "development");
    add_list(manifest, at(root, "build-system", "requires"), "build");
    json_decref(root);
}

void manifest_read_pipfile(struct manifest *manifest, const char *text, size_t size)
{
    json_t *root = load(manifest, text, size);
    add_all(manifest, json_object_get(root, "packages"), "runtime");
    add_all(manifest, json_object_get(root, "dev-packages"), "development");
    json_decref(root);
}
