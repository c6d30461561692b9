/* readme.h: .stackblitzrc, README.md, and the sections of the page. */
#include "readme.h"

#include <exportd/kit/repro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CANT_RUN                                                                                                     \
    "StackBlitz runs a project in a WebContainer: Node.js inside the browser's tab. Playwright can't start a "       \
    "browser from there, so the test can be read, edited and listed, but not run."

static int out_of_memory(struct exportd_kit_error *error)
{
    *error = (struct exportd_kit_error){
        .code = "out_of_memory", .retryable = 1, .message = "not enough memory for the project"};
    return -1;
}

/* The browser to install, where Playwright knows it; else all of them. */
static const char *browser_of(const json_t *repro)
{
    const char *browser = exportd_repro_string(repro, "environment.browser", "");
    return strcmp(browser, "chromium") == 0  ? " chromium"
           : strcmp(browser, "firefox") == 0 ? " firefox"
           : strcmp(browser, "webkit") == 0  ? " webkit"
                                             : "";
}

int ways_prepare(struct ways *ways, const struct exportd_project *project, const json_t *repro, const char *image,
                 const char *start, struct exportd_kit_error *error)
{
    const char *install = project->npm_ci ? "npm ci" : "npm install";
    char *pattern = exportd_project_test_pattern(project->test_path);
    char *word = pattern ? exportd_project_shell_word(pattern) : NULL;
    ways->start = start;
    if (!word || asprintf(&ways->docker,
                          "docker run --rm --init --ipc=host -v \"$PWD:/repro\" -w /repro \\\n"
                          "  %s \\\n"
                          "  sh -c '%s && npx playwright test \"$@\"' repro %s",
                          image, install, word) < 0)
        ways->docker = NULL;
    if (!word || asprintf(&ways->here, "%s\nnpx playwright install --with-deps%s\nnpx playwright test %s", install,
                          browser_of(repro), word) < 0)
        ways->here = NULL;
    free(pattern);
    free(word);
    for (size_t i = 0; i < exportd_bundle_count(project->bundle); i++) {
        struct exportd_bundle_file file = exportd_bundle_get(project->bundle, i);
        ways->not_text += !exportd_project_is_text(file.content, file.size_bytes);
    }
    return ways->docker && ways->here ? 0 : out_of_memory(error);
}

void ways_clear(struct ways *ways)
{
    free(ways->docker);
    free(ways->here);
    *ways = (struct ways){0};
}

static char *write_settings(const struct ways *ways)
{
    json_t *settings = json_pack("{s:b, s:s, s:{s:s}}", "installDependencies", 1, "startCommand", ways->start, "env",
                                 "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    char *json = json_dumps(settings, JSON_INDENT(2));
    char *text = NULL;
    if (json && asprintf(&text, "%s\n", json) < 0)
        text = NULL;
    free(json);
    json_decref(settings);
    return text;
}

static char *write_how_to_run(const struct ways *ways)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fputs("**On StackBlitz the test can't run.** " CANT_RUN " When the project opens, it installs the dependencies "
          "and runs\n\n",
          out);
    fprintf(out, "```sh\n%s\n```\n\nTo see the bug, take one of these ways.\n\n", ways->start);
    fprintf(out, "With Docker, in the folder of the downloaded project:\n\n```sh\n%s\n```\n\n", ways->docker);
    fputs("In CodeSandbox, where a project has a virtual machine and a browser: export the same reproduction as "
          "`sandbox` with `platform` `codesandbox`, or\n\n"
          "```sh\nexportd run sandbox/codesandbox --repro repro.json\n```\n\n",
          out);
    fprintf(out, "With Node.js, in the folder of the downloaded project:\n\n```sh\n%s\n```\n\n", ways->here);
    fputs("While the bug is there the test **fails**: that is the reproduction. Once the bug is mended it passes.\n",
          out);
    if (ways->not_text)
        fprintf(out,
                "\n%zu file%s of the reproduction %s left out, since StackBlitz takes text alone; the page that "
                "opened this project names %s.\n",
                ways->not_text, ways->not_text == 1 ? "" : "s", ways->not_text == 1 ? "is" : "are",
                ways->not_text == 1 ? "it" : "them");
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int readme_add(struct exportd_project *project, const json_t *repro, const struct ways *ways,
               struct exportd_kit_error *error)
{
    char *settings = write_settings(ways);
    if (exportd_bundle_add_own(project->bundle, ".stackblitzrc", settings, settings ? strlen(settings) : 0, 0644,
                               error) < 0)
        return -1;
    char *how_to_run = write_how_to_run(ways);
    int status = how_to_run ? exportd_project_readme(project, repro, how_to_run, error) : out_of_memory(error);
    free(how_to_run);
    return status;
}

void readme_sections(const struct ways *ways, struct exportd_page_section sections[5])
{
    sections[0] = (struct exportd_page_section){
        .heading = "What runs there, and what can't",
        .text = CANT_RUN " When the project opens, it installs the dependencies and runs this:",
        .command = ways->start,
    };
    sections[1] = (struct exportd_page_section){
        .heading = "See the bug with Docker",
        .text = "In the folder of the downloaded project. While the bug is there, the test fails.",
        .command = ways->docker,
    };
    sections[2] = (struct exportd_page_section){
        .heading = "See the bug in CodeSandbox",
        .text = "There a project has a virtual machine and a browser. Export the same reproduction to CodeSandbox:",
        .command = "exportd run sandbox/codesandbox --repro repro.json",
    };
    sections[3] = (struct exportd_page_section){
        .heading = "See the bug on your machine",
        .text = "With Node.js, in the folder of the downloaded project.",
        .command = ways->here,
    };
    sections[4] = (struct exportd_page_section){0};
}
