/* values.h: what the templates of export-pr may name. */
#include "values.h"

#include "escape.h"

#include <ctype.h>
#include <exportd/kit/repro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSION_MAX 8

static json_t *text_or_null(const char *text, size_t max_characters)
{
    char *clean = text && *text ? escape_clean(text, max_characters) : NULL;
    json_t *value = clean && *clean ? json_string(clean) : json_null();
    free(clean);
    return value;
}

static json_t *member(const json_t *object, const char *name, size_t max_characters)
{
    return text_or_null(json_string_value(json_object_get(object, name)), max_characters);
}

static json_t *number(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_incref(value) : json_null();
}

/* The listed members of every object in a list. */
static json_t *objects(const json_t *list, const char *const *names, size_t max_characters)
{
    json_t *made = json_array();
    size_t index;
    json_t *element;
    json_array_foreach((json_t *)(uintptr_t)list, index, element)
    {
        json_t *object = json_object();
        if (index == VALUES_LIST_MAX) {
            json_decref(object);
            break;
        }
        for (const char *const *name = names; *name; name++)
            json_object_set_new(object, *name, member(element, *name, max_characters));
        json_array_append_new(made, object);
    }
    return made;
}

static json_t *strings(const json_t *list, size_t max_characters)
{
    json_t *made = json_array();
    size_t index;
    json_t *element;
    json_array_foreach((json_t *)(uintptr_t)list, index, element)
    {
        if (index < VALUES_LIST_MAX && json_is_string(element))
            json_array_append_new(made, text_or_null(json_string_value(element), max_characters));
    }
    return made;
}

/* An object's members as a list of {name, value}. */
static json_t *pairs(const json_t *object, size_t max_characters)
{
    json_t *made = json_array();
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_array_size(made) == VALUES_LIST_MAX || (!json_is_string(value) && !json_is_number(value)))
            continue;
        json_t *pair = json_object();
        json_object_set_new(pair, "name", text_or_null(name, max_characters));
        json_object_set_new(pair, "value",
                            json_is_string(value) ? text_or_null(json_string_value(value), max_characters)
                                                  : json_incref(value));
        json_array_append_new(made, pair);
    }
    return made;
}

/* The error of the first run that has one. */
static const char *first_error(const json_t *repro)
{
    size_t index;
    json_t *run;
    json_array_foreach((json_t *)(uintptr_t)exportd_repro_array(repro, "runs"), index, run)
    {
        const char *error = json_string_value(json_object_get(run, "error"));
        if (error && *error)
            return error;
    }
    return NULL;
}

/* By the test's own path, else by its language. */
static void find_extension(const json_t *repro, char out[EXTENSION_MAX + 1])
{
    static const char *const languages[][2] = {{"javascript", "js"}, {"typescript", "ts"}, {"python", "py"},
                                               {"ruby", "rb"},       {"java", "java"},     {"csharp", "cs"},
                                               {"go", "go"},         {"php", "php"},       {"kotlin", "kt"}};
    const char *path = exportd_repro_string(repro, "test.path", "");
    const char *language = exportd_repro_string(repro, "test.language", "");
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    size_t length = dot ? strlen(dot + 1) : 0;
    int plain = length > 0 && length <= EXTENSION_MAX;
    for (size_t i = 0; i < length && plain; i++)
        plain = isalnum((unsigned char)dot[1 + i]);
    snprintf(out, EXTENSION_MAX + 1, "%s", plain ? dot + 1 : "js");
    for (size_t i = 0; i < sizeof languages / sizeof *languages && !plain; i++)
        if (strcasecmp(language, languages[i][0]) == 0 || strcasecmp(language, languages[i][1]) == 0)
            snprintf(out, EXTENSION_MAX + 1, "%s", languages[i][1]);
}

static json_t *bug_of(const json_t *repro, size_t max_characters)
{
    const json_t *bug = json_object_get(repro, "bug");
    const char *id = exportd_repro_string(repro, "bug.id", "");
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "id",
                     text_or_null(*id ? id : exportd_repro_string(repro, "id", ""), max_characters), "url",
                     member(bug, "url", max_characters), "severity", member(bug, "severity", max_characters),
                     "reported_at", member(bug, "reported_at", max_characters), "labels",
                     strings(json_object_get(bug, "labels"), max_characters));
}

json_t *values_new(const json_t *repro, size_t max_characters)
{
    static const char *const of_step[] = {"action", "expected", "actual", NULL};
    static const char *const of_check[] = {"name", "status", "detail", NULL};
    const json_t *test = json_object_get(repro, "test");
    const json_t *stability = json_object_get(repro, "stability");
    const json_t *validation = json_object_get(repro, "validation");
    char extension[EXTENSION_MAX + 1];
    find_extension(repro, extension);
    json_t *values =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", member(repro, "id", max_characters), "title",
                  member(repro, "title", max_characters), "description", member(repro, "description", max_characters),
                  "created_at", member(repro, "created_at", max_characters), "bug", bug_of(repro, max_characters),
                  "steps", objects(json_object_get(repro, "steps"), of_step, max_characters), "error",
                  text_or_null(first_error(repro), max_characters), "environment",
                  pairs(json_object_get(repro, "environment"), max_characters), "dependencies",
                  pairs(json_object_get(repro, "dependencies"), max_characters));
    json_t *more =
        json_pack("{s:{s:o, s:o, s:o, s:s, s:o}, s:{s:o, s:o, s:o}, s:{s:o, s:o}}", "test", "path",
                  member(test, "path", max_characters), "framework", member(test, "framework", max_characters),
                  "language", member(test, "language", max_characters), "extension", extension, "code",
                  member(test, "code", max_characters), "stability", "score", number(stability, "score"), "runs",
                  number(stability, "runs"), "reproduced", number(stability, "reproduced"), "validation", "status",
                  member(validation, "status", max_characters), "checks",
                  objects(json_object_get(validation, "checks"), of_check, max_characters));
    if (!values || !more || json_object_update_new(values, more) < 0) {
        json_decref(values);
        return NULL;
    }
    return values;
}

/* The command that runs the test, where its framework is a known one. */
static char *run_command(const json_t *repro, const char *test_path, const char *folder)
{
    static const char *const frameworks[][2] = {
        {"playwright", "npx playwright test %s"},
        {"cypress", "npx cypress run --spec %s"},
        {"jest", "npx jest %s"},
        {"vitest", "npx vitest run %s"},
        {"mocha", "npx mocha %s"},
        {"pytest", "pytest %s"},
    };
    const char *framework = exportd_repro_string(repro, "test.framework", "playwright");
    size_t skip = *folder ? strlen(folder) + 1 : 0;
    const char *command = NULL;
    for (size_t i = 0; i < sizeof frameworks / sizeof *frameworks; i++)
        if (strcasecmp(framework, frameworks[i][0]) == 0)
            command = frameworks[i][1];
    char *word = command ? escape_shell(test_path + skip) : NULL;
    char *place = word && *folder ? escape_shell(folder) : NULL;
    char *run = NULL;
    if (word) {
        size_t length = strlen(command) - strlen("%s");
        if (asprintf(&run, "%s%s%s%.*s%s", place ? "cd " : "", place ? place : "", place ? " && npm install && " : "",
                     (int)length, command, word) < 0)
            run = NULL;
    }
    free(word);
    free(place);
    return run;
}

int values_place(json_t *values, const json_t *repro, const char *test_path, const char *folder, const char *branch)
{
    char *run = run_command(repro, test_path, folder);
    int failed = json_object_set_new(values, "path", json_string(test_path)) < 0 ||
                 json_object_set_new(values, "folder", text_or_null(folder, SIZE_MAX)) < 0 ||
                 json_object_set_new(values, "branch", json_string(branch)) < 0 ||
                 json_object_set_new(values, "run", run ? json_string(run) : json_null()) < 0;
    free(run);
    return failed ? -1 : 0;
}
