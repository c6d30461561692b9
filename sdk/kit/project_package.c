/* exportd/kit/project.h: package.json of a project. */
#include "project_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sections[] = {"dependencies", "devDependencies", "optionalDependencies"};
enum { SECTION_COUNT = sizeof sections / sizeof *sections };

/* Playwright's other packages, which must be of the same version where a project names them. */
static const char *const siblings[] = {"playwright", "playwright-core", "playwright-chromium", "playwright-firefox",
                                       "playwright-webkit"};

struct package {
    json_t *root;
    int changed;
};

static int set_string(struct package *package, json_t *object, const char *key, const char *value)
{
    const char *now = json_string_value(json_object_get(object, key));
    if (now && strcmp(now, value) == 0)
        return 0;
    package->changed = 1;
    return json_object_set_new(object, key, json_string(value));
}

static json_t *section_of(struct package *package, const char *name)
{
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        json_t *section = json_object_get(package->root, sections[i]);
        if (json_object_get(section, name))
            return section;
    }
    return NULL;
}

/* Sets a package's version where the package stands, in one section alone; else adds it to the section otherwise. */
static int pin(struct package *package, const char *name, const char *version, const char *otherwise)
{
    json_t *section = section_of(package, name);
    if (!section) {
        section = json_object_get(package->root, otherwise);
        if (!json_is_object(section)) {
            section = json_object();
            if (json_object_set_new(package->root, otherwise, section) < 0)
                return -1;
        }
    }
    if (set_string(package, section, name, version) < 0)
        return -1;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        json_t *other = json_object_get(package->root, sections[i]);
        if (other != section && json_object_del(other, name) == 0)
            package->changed = 1;
    }
    json_t *overrides = json_object_get(package->root, "overrides");
    if (json_is_string(json_object_get(overrides, name)))
        return set_string(package, overrides, name, version);
    return 0;
}

/* A package's name as npm has it: [@scope/]name, URL-safe; which keeps odd keys out of package.json. */
static int is_package_name(const char *name)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    size_t length;
    if (strlen(name) > 214)
        return 0;
    if (*name == '@') {
        length = strspn(name + 1, safe);
        if (length == 0 || name[1] == '.' || name[1 + length] != '/')
            return 0;
        name += length + 2;
    }
    length = strspn(name, safe);
    return length > 0 && name[length] == '\0' && *name != '.' && *name != '_';
}

static int merge_dependencies(struct exportd_project *project, struct package *package, const json_t *dependencies,
                              struct exportd_kit_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)dependencies, name, value)
    {
        char quoted[120];
        char quoted_version[120];
        const char *version = json_string_value(value);
        exportd_bundle_quote(name, quoted, sizeof quoted);
        if (!version || !*version)
            return project_refuse(error, "repro_invalid",
                                  "/dependencies names %s without a version; expected a string", quoted);
        if (!is_package_name(name))
            return project_refuse(error, "repro_unsafe",
                                  "/dependencies names %s, which is no npm package name; mend it", quoted);
        if (strcmp(name, PROJECT_TEST_PACKAGE) == 0)
            continue;
        if (!exportd_project_is_exact_version(version)) {
            exportd_bundle_add_note(project->bundle, "the dependency %s is %s, which is not one exact version",
                                    quoted, exportd_bundle_quote(version, quoted_version, sizeof quoted_version));
            if (section_of(package, name))
                continue;
        }
        if (pin(package, name, version, "dependencies") < 0)
            return project_out_of_memory(error);
    }
    return 0;
}

static int pin_playwright(struct exportd_project *project, struct package *package, struct exportd_kit_error *error)
{
    const char *version = project->playwright_version;
    if (pin(package, PROJECT_TEST_PACKAGE, version, "devDependencies") < 0)
        return project_out_of_memory(error);
    for (size_t i = 0; i < sizeof siblings / sizeof *siblings; i++)
        if (section_of(package, siblings[i]) && pin(package, siblings[i], version, "devDependencies") < 0)
            return project_out_of_memory(error);
    return 0;
}

static int is_local(const char *version)
{
    static const char *const prefixes[] = {"file:", "link:", "portal:", "workspace:", ".", "/", "~/"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(version, prefixes[i], strlen(prefixes[i])) == 0)
            return 1;
    return 0;
}

/* Whether npm install runs or links something of the project, so that package.json alone is not enough. */
static int needs_files(const json_t *root)
{
    static const char *const hooks[] = {"preinstall", "install",     "postinstall", "prepublish",
                                        "preprepare", "postprepare", "prepare",     "dependencies"};
    const json_t *scripts = json_object_get(root, "scripts");
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
        if (json_object_get(scripts, hooks[i]))
            return 1;
    if (json_object_get(root, "workspaces"))
        return 1;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(root, sections[i]), name, value)
        {
            if (json_is_string(value) && is_local(json_string_value(value)))
                return 1;
        }
    }
    return 0;
}

/* Parses the repro's package.json, or makes a new one. Returns 0, or -1. */
static int open_package(struct exportd_project *project, struct package *package, const char *text,
                        struct exportd_kit_error *error)
{
    json_error_t json_error;
    if (!text) {
        package->changed = 1;
        package->root = json_pack("{s:s, s:b, s:{s:s}, s:{}}", "name", project->name, "private", 1, "scripts", "test",
                                  "playwright test", "dependencies");
        return package->root ? 0 : project_out_of_memory(error);
    }
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3;
    package->root = json_loads(text, 0, &json_error);
    if (!package->root)
        return project_refuse(
            error, "repro_invalid",
            "the repro's package.json is not JSON: line %d: %s; mend it, or leave it out and one is made",
            json_error.line, json_error.text);
    if (!json_is_object(package->root))
        return project_refuse(error, "repro_invalid", "the repro's package.json is no JSON object; mend it");
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const json_t *section = json_object_get(package->root, sections[i]);
        if (section && !json_is_object(section))
            return project_refuse(error, "repro_invalid", "\"%s\" in the repro's package.json is no object; mend it",
                                  sections[i]);
    }
    return 0;
}

static int add_package(struct exportd_project *project, const struct package *package, const char *text,
                       struct exportd_kit_error *error)
{
    char *content;
    if (!package->changed) {
        content = strdup(text);
    } else {
        char *json = json_dumps(package->root, JSON_INDENT(2));
        if (!json || asprintf(&content, "%s\n", json) < 0)
            content = NULL;
        free(json);
    }
    return exportd_bundle_add_own(project->bundle, "package.json", content, content ? strlen(content) : 0, 0644,
                                  error);
}

int project_package(struct exportd_project *project, const json_t *repro, const char *text, const char *lock,
                    const char *version_option, struct exportd_kit_error *error)
{
    struct package package = {0};
    int status = -1;
    if (open_package(project, &package, text, error) < 0 ||
        project_version(project, repro, text ? package.root : NULL, lock, version_option, error) < 0 ||
        merge_dependencies(project, &package, json_object_get(repro, "dependencies"), error) < 0 ||
        pin_playwright(project, &package, error) < 0)
        goto out;
    const char *type = json_string_value(json_object_get(package.root, "type"));
    if (add_package(project, &package, text, error) < 0 ||
        project_config(project, repro, type && strcmp(type, "module") == 0, error) < 0)
        goto out;
    project->npm_ci = lock && !package.changed;
    project->install_needs_files = needs_files(package.root);
    if (text && package.changed)
        exportd_bundle_add_note(project->bundle, "package.json was changed to name exact versions");
    status = 0;
out:
    json_decref(package.root);
    return status;
}
