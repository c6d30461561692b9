/* files.h: tasks, container, title, README. */
#include "files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_PORT 9323

/* A Dockerfile of CodeSandbox' older kind goes before the dev container; sandbox.config.json names a template. */
const char *const files_reserved[] = {
    ".codesandbox/tasks.json",
    ".codesandbox/template.json",
    ".codesandbox/Dockerfile",
    ".devcontainer.json",
    ".devcontainer/devcontainer.json",
    "sandbox.config.json",
    NULL,
};

static int out_of_memory(struct exportd_kit_error *error)
{
    *error = (struct exportd_kit_error){
        .code = "out_of_memory", .retryable = 1, .message = "not enough memory for the project"};
    return -1;
}

/* Takes value, NULL too. */
static int add_json(struct exportd_project *project, const char *path, json_t *value, struct exportd_kit_error *error)
{
    char *json = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
    char *text = NULL;
    if (json && asprintf(&text, "%s\n", json) < 0)
        text = NULL;
    free(json);
    json_decref(value);
    return exportd_bundle_add_own(project->bundle, path, text, text ? strlen(text) : 0, 0644, error);
}

/* "npx playwright test …": the test as a shell takes it. A new string, or NULL. */
static char *test_command(const struct exportd_project *project, const char *more)
{
    char *pattern = exportd_project_test_pattern(project->test_path);
    char *word = pattern ? exportd_project_shell_word(pattern) : NULL;
    char *command = NULL;
    if (word && asprintf(&command, "npx playwright test %s --reporter=list,html%s", word, more) < 0)
        command = NULL;
    free(pattern);
    free(word);
    return command;
}

static int add_tasks(struct exportd_project *project, const struct files_options *options,
                     struct exportd_kit_error *error)
{
    char more[40] = "";
    if (options->repeat > 1)
        snprintf(more, sizeof more, " --repeat-each=%d", options->repeat);
    char *test = test_command(project, more);
    char *often = test_command(project, " --repeat-each=20");
    json_t *tasks = NULL;
    if (test && often)
        tasks = json_pack(
            "{s:s, s:[{s:s, s:s}], s:{s:{s:s, s:s, s:b}, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s, s:{s:i}}}}",
            "$schema", "https://codesandbox.io/schemas/tasks.json", "setupTasks", "name", "Install the dependencies",
            "command", project->npm_ci ? "npm ci" : "npm install", "tasks", "test", "name", "Run the reproduction",
            "command", test, "runAtStart", 1, "test-often", "name", "Run it 20 times", "command", often, "list",
            "name", "List the tests", "command", "npx playwright test --list", "report", "name", "Show the report",
            "command", "npx playwright show-report --host 0.0.0.0 --port 9323", "preview", "port", REPORT_PORT);
    free(test);
    free(often);
    return add_json(project, ".codesandbox/tasks.json", tasks, error);
}

static int add_container(struct exportd_project *project, const struct files_options *options,
                         struct exportd_kit_error *error)
{
    return add_json(project, ".devcontainer/devcontainer.json",
                    json_pack("{s:s, s:s, s:b, s:[s], s:{s:s, s:s, s:s}}", "name", project->name, "image",
                              options->image, "init", 1, "runArgs", "--ipc=host", "containerEnv",
                              "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1", "PLAYWRIGHT_HTML_OPEN", "never",
                              "PW_TEST_HTML_REPORT_OPEN", "never"),
                    error);
}

static int add_title(struct exportd_project *project, const struct files_options *options,
                     struct exportd_kit_error *error)
{
    return add_json(
        project, ".codesandbox/template.json",
        json_pack("{s:s, s:s*, s:b}", "title", options->title, "description", options->description, "published", 0),
        error);
}

static int add_readme(struct exportd_project *project, const json_t *repro, const struct files_options *options,
                      struct exportd_kit_error *error)
{
    char *how_to_run = NULL;
    char left_out[120] = "";
    if (options->left_out)
        snprintf(left_out, sizeof left_out, "\n%zu file%s of the reproduction, not text, %s left out.\n",
                 options->left_out, options->left_out == 1 ? "" : "s", options->left_out == 1 ? "is" : "are");
    if (asprintf(&how_to_run,
                 "In CodeSandbox, where this project has a virtual machine on `%s`, it installs its dependencies and "
                 "runs the test by itself. While the bug is there the test **fails**: that is the reproduction. Once "
                 "the bug is mended it passes.\n\n"
                 "The tasks of the project run it again, once or 20 times, for a bug that comes and goes; the task "
                 "*Show the report* shows what the browser did.\n\n"
                 "Anywhere else: `npm install`, `npx playwright install --with-deps`, `npx playwright test`.\n%s",
                 options->image, left_out) < 0)
        return out_of_memory(error);
    int status = exportd_project_readme(project, repro, how_to_run, error);
    free(how_to_run);
    return status;
}

int files_add(struct exportd_project *project, const json_t *repro, const struct files_options *options,
              struct exportd_kit_error *error)
{
    if (add_tasks(project, options, error) < 0 || add_container(project, options, error) < 0 ||
        add_title(project, options, error) < 0)
        return -1;
    return add_readme(project, repro, options, error);
}
