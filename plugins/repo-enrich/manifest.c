/* manifest.h: which file is what. */
#include "manifest.h"

#include "value.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct form {
    const char *name;
    const char *ecosystem;
    void (*read)(struct manifest *manifest, const char *text, size_t size);
} forms[] = {
    {"package.json", "npm", manifest_read_npm},          {"pyproject.toml", "pypi", manifest_read_pyproject},
    {"setup.cfg", "pypi", manifest_read_setup_cfg},      {"Pipfile", "pypi", manifest_read_pipfile},
    {"Cargo.toml", "cargo", manifest_read_cargo},        {"go.mod", "go", manifest_read_go},
    {"pom.xml", "maven", manifest_read_maven},           {"build.gradle", "maven", manifest_read_gradle},
    {"build.gradle.kts", "maven", manifest_read_gradle}, {"composer.json", "composer", manifest_read_composer},
    {"Gemfile", "rubygems", manifest_read_gemfile},      {"CMakeLists.txt", "cmake", manifest_read_cmake},
};
static const struct form requirements = {"requirements.txt", "pypi", manifest_read_requirements};
static const struct form project = {".csproj", "nuget", manifest_read_nuget};

static const struct form *find(const char *path, const char *name)
{
    const char *folder = strstr(path, "requirements/");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(forms[i].name, name) == 0)
            return &forms[i];
    if (value_ends(name, ".csproj") || value_ends(name, ".fsproj"))
        return &project;
    if (!value_ends(name, ".txt"))
        return NULL;
    bool in_folder = folder && (folder == path || folder[-1] == '/') && strchr(folder, '/') + 1 == name;
    return strstr(name, "requirements") || (folder && in_folder) ? &requirements : NULL;
}

bool manifest_is(const char *path, const char *name)
{
    return find(path, name) != NULL;
}

struct manifest_part manifest_part(const char *text)
{
    return (struct manifest_part){text ? text : "", text ? strlen(text) : 0};
}

void manifest_add(struct manifest *manifest, struct manifest_part name, struct manifest_part requirement,
                  const char *scope)
{
    if (name.length == 0)
        return;
    json_t *text = value_text(name.at, name.length, MANIFEST_TEXT_MAX);
    if (json_string_length(text) > 0 && manifest->tools)
        tools_see_dependency(manifest->tools, manifest->ecosystem, json_string_value(text), manifest->file);
    if (json_string_length(text) > 0 && json_array_size(manifest->dependencies) < manifest->max_dependencies) {
        json_array_append_new(manifest->dependencies,
                              json_pack("{s:O, s:o, s:s}", "name", text, "requirement",
                                        value_text(requirement.at, requirement.length, MANIFEST_TEXT_MAX), "scope",
                                        scope));
    } else if (json_string_length(text) > 0) {
        json_object_set_new(manifest->object, "truncated", json_true());
    }
    json_decref(text);
}

void manifest_add_string(struct manifest *manifest, const char *name, const char *requirement, const char *scope)
{
    manifest_add(manifest, manifest_part(name), manifest_part(requirement), scope);
}

void manifest_set(struct manifest *manifest, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(manifest->object, key, value_string(text, MANIFEST_TEXT_MAX));
}

void manifest_problem(struct manifest *manifest, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_object_set_new(manifest->object, "problem", value_string(text, sizeof text));
}

bool manifest_next_line(const char **cursor, struct manifest_part *line)
{
    const char *at = *cursor;
    if (!*at)
        return false;
    size_t length = strcspn(at, "\n");
    *cursor = at + length + (at[length] == '\n');
    while (length > 0 && strchr(" \t\r", *at)) {
        at++;
        length--;
    }
    while (length > 0 && strchr(" \t\r", at[length - 1]))
        length--;
    *line = (struct manifest_part){at, length};
    return true;
}

json_t *manifest_read(const char *path, const char *name, const char *text, size_t size, size_t max_dependencies,
                      struct tools *tools)
{
    const struct form *form = find(path, name);
    json_t *object = json_pack("{s:o, s:s, s:n, s:n, s:n, s:[], s:b}", "file", value_path(path), "ecosystem",
                               form->ecosystem, "name", "version", "licence", "dependencies", "truncated", 0);
    struct manifest manifest = {
        path, form->ecosystem, object, json_object_get(object, "dependencies"), max_dependencies, tools};
    if (!object)
        return NULL;
    if (size >= MANIFEST_BYTES)
        manifest_problem(&manifest, "it has more than %zu MiB, and was not read", MANIFEST_BYTES >> 20);
    else
        form->read(&manifest, text, size);
    /* A CMakeLists.txt stands in many folders, and setup.cfg is many tools' file. */
    bool says = json_array_size(manifest.dependencies) > 0 || json_is_string(json_object_get(object, "name")) ||
                json_object_get(object, "problem");
    if (says || (form->read != manifest_read_cmake && form->read != manifest_read_setup_cfg))
        return object;
    json_decref(object);
    return json_null();
}
