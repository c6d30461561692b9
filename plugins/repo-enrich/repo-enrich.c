/*
 * repo-enrich: the task enrich-repo, what a repository is made of as one JSON document: languages, licence, readme,
 * manifests and their dependencies, tests, CI, contributors, and what GitHub knows.
 */
#include "document.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "enrichment.json"

static bool wished(const json_t *data, const char *name)
{
    return !json_is_false(json_object_get(data, name));
}

static int make(struct exportd_job *job, const json_t *data, const struct exportd_checkout *checkout, json_t **result,
                struct exportd_kit_error *error)
{
    const struct document_wishes wishes = {wished(data, "with_history"), wished(data, "with_github")};
    char *path = NULL;
    json_t *document = document_make(job, checkout, &wishes, error);
    if (!document)
        return -1;
    exportd_progress(job, 0.95, "writing " FILE_NAME);
    if (asprintf(&path, "%s/%s", exportd_workspace(job), FILE_NAME) < 0) {
        json_decref(document);
        return exportd_kit_no_memory(error);
    }
    int failed = document_write(document, path, error);
    if (!failed && exportd_artifact(job, path, FILE_NAME, "application/json") != 0)
        failed = exportd_kit_fail(error, "artifact_refused", 0,
                                  "the host did not take " FILE_NAME " (the reason is in its log)");
    if (!failed) {
        *result = document_trim(document, (size_t)exportd_option_integer(job, "result_bytes", 262144));
        failed = *result ? 0 : exportd_kit_no_memory(error);
    }
    free(path);
    json_decref(document);
    return failed;
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct exportd_kit_error error = {0};
    struct exportd_checkout checkout = {0};
    enum exportd_status status = EXPORTD_OK;
    if (exportd_checkout_open(job, data, &checkout, &error) != 0 || make(job, data, &checkout, result, &error) != 0)
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    exportd_checkout_clear(&checkout);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "enrich-repo",
     .summary = "What a repository is made of: languages, licence, manifests, tests, CI, contributors",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "with_history" : {
                 "type" : "boolean",
                 "default" : true,
                 "description" : "Contributors and activity, where the history is there to be read"
             },
             "with_github" : {
                 "type" : "boolean",
                 "default" : true,
                 "description" : "What GitHub's API knows, where conf.d lets it be asked"
             }
         },
         "additionalProperties" : false
     }),
     .run = run,
     .after = "acquire-user-repo"},
    {0},
};

static const struct exportd_option options[] = {
    {"max_commits", EXPORTD_INTEGER, "100000", "Commits of the history that are read", 0},
    {"history_time", EXPORTD_DURATION, "10s", "How long reading them may take", 0},
    {"mirror_wait", EXPORTD_DURATION, "10s", "For a mirror that another job has; then the history is left out", 0},
    {"max_contributors", EXPORTD_INTEGER, "100", "Contributors that are named", 0},
    {"emails", EXPORTD_BOOLEAN, "no", "Name contributors with their addresses", 0},
    {"max_manifests", EXPORTD_INTEGER, "200", "Manifests that are read, those nearest to the top first", 0},
    {"max_dependencies", EXPORTD_INTEGER, "2000", "Dependencies of one manifest that are listed", 0},
    {"summary_bytes", EXPORTD_INTEGER, "600", "Of the readme's first paragraph", 0},
    {"result_bytes", EXPORTD_SIZE, "256K",
     "Of the result; what is larger is cut there, and whole in the artifact enrichment.json alone", 0},
    {"ask_github", EXPORTD_BOOLEAN, "no",
     "Ask GitHub's API for stars, topics and so on, of repositories that lie there; it needs network = yes", 0},
    {"github_web", EXPORTD_STRING, "https://github.com", "GitHub's address", 0},
    {"github_api", EXPORTD_STRING, "https://api.github.com", "Its API, to which GITHUB_TOKEN goes", 0},
    {"github_timeout", EXPORTD_DURATION, "10s", "For its answer", 0},
    {"proxy", EXPORTD_STRING, NULL, "An HTTP proxy, such as http://proxy.example:3128", 0},
    {"ca_file", EXPORTD_PATH, NULL, "Certificate authorities (PEM) instead of the system's", 0},
    {0},
};

static const char *const secrets[] = {"GITHUB_TOKEN", NULL};

EXPORTD_PLUGIN(.name = "repo-enrich", .version = "1.0.0", .summary = "What repositories are made of",
               .licence = "MIT", .tasks = tasks, .options = options,
               .grants = EXPORTD_GRANT_NETWORK | EXPORTD_GRANT_CACHE, .secrets = secrets)
