/* context.h: Dockerfile, docker-compose.yml, .dockerignore, README. */
#include "context.h"

#include <exportd/kit/repro.h>
#include <exportd/kit/text.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOME "/home/pwuser/repro"
#define TITLE_MAX_BYTES 160

/* Compose prefers compose.yaml to docker-compose.yml, merges an override file, and lets .env name other files;
 * buildah prefers Containerfile and .containerignore; BuildKit prefers Dockerfile.dockerignore. */
const char *const context_reserved[] = {
    "Dockerfile",
    "Containerfile",
    ".dockerignore",
    ".containerignore",
    "Dockerfile.dockerignore",
    "Containerfile.containerignore",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
    "compose.yml",
    "compose.yaml",
    "compose.override.yml",
    "compose.override.yaml",
    ".env",
    NULL,
};

/* An address in which nothing means anything to a Dockerfile or a shell. */
static int check_npm_registry(const char *url, struct exportd_kit_error *error)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/%";
    size_t length = strlen(url);
    char quoted[160];
    if ((strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0) && length <= 512 &&
        strspn(url, safe) == length)
        return 0;
    error->code = "option_invalid";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message,
             "npm_registry in [plugin export-docker] is %s; expected an address such as https://npm.example/",
             exportd_bundle_quote(url, quoted, sizeof quoted));
    return -1;
}

int context_prepare(struct context *context, const struct exportd_project *project,
                    const struct context_options *options, struct exportd_kit_error *error)
{
    struct exportd_bundle_file file;
    const struct exportd_project_image image = {
        .plugin = "export-docker",
        .registry = options->registry,
        .image = options->image,
        .distro = options->distro,
    };
    if (options->npm_registry && check_npm_registry(options->npm_registry, error) < 0)
        return -1;
    int taken = exportd_bundle_has_folder(project->bundle, "results") ||
                exportd_bundle_find(project->bundle, "results", &file) == 0;
    context->results = taken ? "exportd-results" : "results";
    return exportd_project_image_choose(project->playwright_version, &image, context->image, sizeof context->image,
                                        error);
}

/* JSON is what both a Dockerfile's exec form and YAML take for a string. dollar: what a "$" becomes. */
static void put_string(FILE *out, const char *text, const char *dollar)
{
    json_t *string = json_string(text);
    char *json = string ? json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    for (const char *at = json; at && *at; at++) {
        if (*at == '$')
            fputs(dollar, out);
        else
            fputc(*at, out);
    }
    free(json);
    json_decref(string);
}

/* A comment's line, behind "# Bug: ": what stands first in a comment could else be read as a parser directive. */
static void put_title(FILE *out, const char *title)
{
    char *plain = exportd_text_plain(title);
    size_t length = 0;
    fputs("# Bug: ", out);
    for (const char *at = plain ? plain : ""; *at && length < TITLE_MAX_BYTES;) {
        const char *before = at;
        uint32_t code_point = exportd_text_next(&at);
        if (code_point == '\n' || code_point == '\t' || code_point == 0x2028 || code_point == 0x2029)
            fputc(' ', out);
        else
            fwrite(before, 1, (size_t)(at - before), out);
        length += (size_t)(at - before);
    }
    fputc('\n', out);
    free(plain);
}

static int put_entrypoint(FILE *out, const struct exportd_project *project, const struct context_options *options)
{
    char *pattern = exportd_project_test_pattern(project->test_path);
    size_t index;
    json_t *word;
    if (!pattern)
        return -1;
    fputs("\n# What is written to /results belongs to another user on the host: let that one delete it.\n", out);
    fputs("ENTRYPOINT [\"/bin/sh\", \"-c\", \"umask 000 && exec \\\"$@\\\"\", \"repro\"", out);
    if (json_array_size(options->command)) {
        json_array_foreach((json_t *)(uintptr_t)options->command, index, word)
        {
            fputs(", ", out);
            put_string(out, json_string_value(word), "$");
        }
    } else {
        fputs(", \"npx\", \"playwright\", \"test\", ", out);
        put_string(out, pattern, "$");
        fputs(", \"--output=/results/test-results\", \"--reporter=list,html,json\"", out);
        if (options->repeat > 1)
            fprintf(out, ", \"--repeat-each=%d\"", options->repeat);
    }
    fputs("]\nCMD []\n", out);
    free(pattern);
    return 0;
}

static void put_install(FILE *out, const struct exportd_project *project, const struct context_options *options)
{
    static const char *const files[] = {"package-lock.json", "npm-shrinkwrap.json", ".npmrc"};
    struct exportd_bundle_file file;
    if (options->npm_registry)
        fprintf(out, "ENV npm_config_registry=%s\n", options->npm_registry);
    if (project->install_needs_files) {
        fputs("COPY --chown=pwuser:pwuser . ./\n", out);
    } else {
        fputs("COPY --chown=pwuser:pwuser package.json", out);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            if (exportd_bundle_find(project->bundle, files[i], &file) == 0)
                fprintf(out, " %s", files[i]);
        fputs(" ./\n", out);
    }
    if (project->install_needs_files && project->kept)
        fputs("COPY --chown=pwuser:pwuser " EXPORTD_PROJECT_KEPT "/ ./\n", out);
    fprintf(out, "RUN npm %s --no-audit --no-fund\n", project->npm_ci ? "ci" : "install");
    if (project->install_needs_files)
        return;
    fputs("COPY --chown=pwuser:pwuser . ./\n", out);
    if (project->kept)
        fputs("# Files of the repro whose names this context needs for its own.\n"
              "COPY --chown=pwuser:pwuser " EXPORTD_PROJECT_KEPT "/ ./\n",
              out);
}

static int put_dockerfile(FILE *out, const struct context *context, const struct exportd_project *project,
                          const json_t *repro, const struct context_options *options)
{
    fputs("# A build context made by exportd's export-docker; see README.md.\n", out);
    put_title(out, exportd_repro_string(repro, "title", ""));
    fprintf(out, "FROM %s\n\n", context->image);
    fputs("USER root\n"
          "RUN mkdir -p " HOME " /results && chown pwuser:pwuser " HOME " /results\n"
          "WORKDIR " HOME "\n"
          "USER pwuser\n"
          "ENV PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 \\\n"
          "    PLAYWRIGHT_HTML_OPEN=never \\\n"
          "    PLAYWRIGHT_HTML_OUTPUT_DIR=/results/html \\\n"
          "    PLAYWRIGHT_HTML_REPORT=/results/html \\\n"
          "    PLAYWRIGHT_JSON_OUTPUT_FILE=/results/results.json \\\n"
          "    PLAYWRIGHT_JSON_OUTPUT_NAME=/results/results.json\n\n",
          out);
    put_install(out, project, options);
    return put_entrypoint(out, project, options);
}

static int put_compose(FILE *out, const struct context *context, const struct exportd_project *project,
                       const json_t *repro, const struct context_options *options)
{
    (void)repro;
    fprintf(out,
            "# docker compose run --rm repro\n"
            "name: %s\n"
            "services:\n"
            "  repro:\n"
            "    build: .\n"
            "    image: %s\n"
            "    init: true\n"
            "    ipc: host\n"
            "    user: pwuser\n"
            "    security_opt:\n"
            "      - no-new-privileges:true\n",
            project->name, project->name);
    if (options->offline)
        fputs("    network_mode: none\n", out);
    fprintf(out,
            "    volumes:\n"
            "      - ./%s:/results:z\n"
            "    depends_on:\n"
            "      results:\n"
            "        condition: service_completed_successfully\n"
            "  # Lets pwuser, whose number is rarely yours, write to ./%s. It runs chmod, and no more.\n"
            "  results:\n"
            "    image: %s\n"
            "    user: root\n"
            "    network_mode: none\n"
            "    cap_drop: [ALL]\n"
            "    cap_add: [FOWNER]\n"
            "    security_opt:\n"
            "      - no-new-privileges:true\n"
            "    entrypoint: [\"chmod\", \"0777\", \"/results\"]\n"
            "    volumes:\n"
            "      - ./%s:/results:z\n",
            context->results, context->results, context->image, context->results);
    return 0;
}

/* What a run leaves in the folder has no place in the image, unless the repro brings files of that name. */
static int put_dockerignore(FILE *out, const struct context *context, const struct exportd_project *project,
                            const json_t *repro, const struct context_options *options)
{
    static const char *const folders[] = {"node_modules", "test-results", "playwright-report"};
    (void)repro;
    (void)options;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (!exportd_bundle_has_folder(project->bundle, folders[i]))
            fprintf(out, "%s\n", folders[i]);
    fprintf(out, "%s\n", context->results);
    return 0;
}

static int put_how_to_run(FILE *out, const struct context *context, const struct exportd_project *project,
                          const json_t *repro, const struct context_options *options)
{
    (void)repro;
    fprintf(out,
            "With Docker and its Compose plugin, in this folder:\n\n"
            "```sh\ndocker compose run --rm repro\n```\n\n"
            "The first run builds an image on `%s`.%s\n\n",
            context->image, options->offline ? " The test runs without a network; the build needs one." : "");
    if (json_array_size(options->command))
        fputs("It runs a command of its own instead of the test; see `ENTRYPOINT` in `Dockerfile`.\n\n", out);
    else
        fprintf(out,
                "While the bug is there the test **fails**, and the command ends with 1: that is the reproduction. "
                "Once the "
                "bug is mended it passes.\n\n"
                "Afterwards `%s/html/index.html` is the report, `%s/results.json` the same for programs, and "
                "`%s/test-results/` holds what the run recorded.\n\n",
                context->results, context->results, context->results);
    fprintf(out,
            "More:\n\n"
            "```sh\n"
            "%s"
            "docker compose run --rm --entrypoint bash repro    # look around in the image\n"
            "docker compose build repro                         # after you changed a file\n"
            "docker build -t %s . && docker run --rm --init --ipc=host %s   # without Compose\n"
            "```\n",
            json_array_size(options->command)
                ? ""
                : "docker compose run --rm repro --repeat-each=20     # more runs, for a bug that comes and goes\n",
            project->name, project->name);
    return 0;
}

typedef int (*put_fn)(FILE *out, const struct context *context, const struct exportd_project *project,
                      const json_t *repro, const struct context_options *options);

/* What put writes, as a new string (free it), or NULL. */
static char *written_by(put_fn put, const struct context *context, const struct exportd_project *project,
                        const json_t *repro, const struct context_options *options)
{
    char *content = NULL;
    size_t size_bytes;
    FILE *out = open_memstream(&content, &size_bytes);
    if (!out)
        return NULL;
    int failed = put(out, context, project, repro, options) < 0 || ferror(out);
    if (fclose(out) != 0 || failed) {
        free(content);
        return NULL;
    }
    return content;
}

int context_add(const struct context *context, struct exportd_project *project, const json_t *repro,
                const struct context_options *options, struct exportd_kit_error *error)
{
    static const struct {
        const char *path;
        put_fn put;
    } files[] = {
        {"Dockerfile", put_dockerfile},
        {"docker-compose.yml", put_compose},
        {".dockerignore", put_dockerignore},
    };
    char path[64];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *content = written_by(files[i].put, context, project, repro, options);
        if (exportd_bundle_add_own(project->bundle, files[i].path, content, content ? strlen(content) : 0, 0644,
                                   error) < 0)
            return -1;
    }
    snprintf(path, sizeof path, "%s/.gitkeep", context->results);
    if (exportd_bundle_add_own(project->bundle, path, strdup(""), 0, 0644, error) < 0)
        return -1;
    char *how_to_run = written_by(put_how_to_run, context, project, repro, options);
    int status = exportd_project_readme(project, repro, how_to_run ? how_to_run : "", error);
    free(how_to_run);
    return status;
}
