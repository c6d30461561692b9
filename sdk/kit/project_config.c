/* exportd/kit/project.h: the Playwright config of a project. */
#include "project_parts.h"

#include <exportd/kit/repro.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const config_names[] = {"playwright.config.ts",  "playwright.config.js",  "playwright.config.mts",
                                           "playwright.config.mjs", "playwright.config.cts", "playwright.config.cjs"};

/* Whether Playwright takes the file for a test by its name: *.spec.js, *.test.mts and the like. */
static int is_named_as_test(const char *path)
{
    static const char *const endings[] = {"js", "ts", "jsx", "tsx", "mjs", "mts", "cjs", "cts"};
    const char *extension = strrchr(path, '.');
    if (!extension || extension - path < 5)
        return 0;
    if (strncmp(extension - 5, ".spec", 5) != 0 && strncmp(extension - 5, ".test", 5) != 0)
        return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcmp(extension + 1, endings[i]) == 0)
            return 1;
    return 0;
}

/* The repro's browser, where Playwright knows it. */
static const char *browser_of(const json_t *repro)
{
    static const char *const browsers[] = {"chromium", "firefox", "webkit"};
    const char *browser = exportd_repro_string(repro, "environment.browser", "chromium");
    for (size_t i = 0; i < sizeof browsers / sizeof *browsers; i++)
        if (strcmp(browser, browsers[i]) == 0)
            return browsers[i];
    return browsers[0];
}

/* A JavaScript string; JSON is one, with the two line ends that JSON allows escaped too. */
static char *javascript_string(const char *text)
{
    json_t *string = json_string(text);
    char *json = string ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    json_decref(string);
    return json;
}

static char *write_config(const struct exportd_project *project, const json_t *repro, int is_module)
{
    char *content = NULL;
    size_t size;
    char folder[EXPORTD_BUNDLE_PATH_MAX + 3] = "./";
    const char *name = strrchr(project->test_path, '/');
    if (name)
        snprintf(folder, sizeof folder, "./%.*s", (int)(name - project->test_path), project->test_path);
    name = name ? name + 1 : project->test_path;
    char *folder_string = javascript_string(folder);
    char *name_string = javascript_string(name);
    FILE *out = open_memstream(&content, &size);
    if (out && folder_string && name_string) {
        fputs(is_module
                  ? "import { defineConfig } from '@playwright/test';\n\nexport default defineConfig({\n"
                  : "const { defineConfig } = require('@playwright/test');\n\nmodule.exports = defineConfig({\n",
              out);
        fprintf(out, "  testDir: %s,\n", folder_string);
        if (!is_named_as_test(name))
            fprintf(out,
                    "  testMatch: new RegExp('(^|[\\\\\\\\/])' + %s.replace(/[.*+?^${}()|[\\]\\\\]/g, '\\\\$&') + "
                    "'$'),\n",
                    name_string);
        fprintf(out,
                "  retries: 0,\n  reporter: [['list'], ['html', { open: 'never' }]],\n"
                "  use: { browserName: '%s', screenshot: 'only-on-failure', trace: 'retain-on-failure' },\n});\n",
                browser_of(repro));
    }
    free(folder_string);
    free(name_string);
    if (!out || fclose(out) != 0 || !size) {
        free(content);
        return NULL;
    }
    return content;
}

int project_config(struct exportd_project *project, const json_t *repro, int is_module,
                   struct exportd_kit_error *error)
{
    struct exportd_bundle_file file;
    for (size_t i = 0; i < sizeof config_names / sizeof *config_names; i++) {
        if (exportd_bundle_find(project->bundle, config_names[i], &file) == 0) {
            snprintf(project->config_path, sizeof project->config_path, "%s", config_names[i]);
            return 0;
        }
    }
    char *content = write_config(project, repro, is_module);
    project->config_made = 1;
    snprintf(project->config_path, sizeof project->config_path, "playwright.config.js");
    return exportd_bundle_add_own(project->bundle, project->config_path, content, content ? strlen(content) : 0, 0644,
                                  error);
}
