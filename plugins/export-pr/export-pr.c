/* export-pr: a repro as an open pull request with its regression test. */
#include "pull.h"

#include <stdlib.h>
#include <string.h>

/* Kept from job to job: a connection that stands saves its handshake, and that is most of a job's CPU. */
struct state {
    struct exportd_http_client *http;
    struct exportd_job *job; /* the one that runs */
};

static int is_cancelled(void *context)
{
    const struct state *state = context;
    return state->job && exportd_cancelled(state->job);
}

static enum exportd_status fail(struct exportd_job *job, const struct exportd_kit_error *error)
{
    return exportd_fail(job, error->code ? error->code : "out_of_memory", error->retryable, "%s", error->message);
}

static json_t *describe(const struct pull *pull, const struct pull_outcome *outcome,
                        const struct exportd_remote *remote)
{
    static const char *const forges[] = {[EXPORTD_REMOTE_GITHUB] = "github",
                                         [EXPORTD_REMOTE_GITLAB] = "gitlab",
                                         [EXPORTD_REMOTE_GITEA] = "gitea",
                                         [EXPORTD_REMOTE_GIT] = "git"};
    json_t *notes = json_array();
    const char *note;
    for (size_t i = 0; (note = exportd_bundle_note(pull->bundle, i)); i++)
        json_array_append_new(notes, json_string(note));
    return json_pack("{s:s?, s:o, s:s, s:s, s:s, s:s?, s:s, s:s, s:I, s:s?, s:o}", "pr_url", outcome->url,
                     "pr_number", outcome->url ? json_integer(outcome->number) : json_null(), "branch_name",
                     outcome->branch, "test_path", pull->test_path, "base", outcome->base, "commit", outcome->commit,
                     "state", outcome->state, "forge", forges[remote->kind], "files",
                     (json_int_t)exportd_bundle_count(pull->bundle), "note", outcome->note, "notes", notes);
}

static int open_pull(struct pull *pull, const json_t *data, struct exportd_remote *remote,
                     struct pull_outcome *outcome, struct exportd_kit_error *error)
{
    struct exportd_job *job = pull->job;
    const struct state *state = job->state;
    const char *repo_url = json_string_value(json_object_get(data, "repo_url"));
    if (!repo_url || !*repo_url) {
        error->code = "repo_url_missing";
        snprintf(error->message, sizeof error->message,
                 "repo_url is missing; name the repository that the pull request goes to");
        return -1;
    }
    if (exportd_remote_find(job, "export-pr", "repo_url", repo_url, remote, error) < 0)
        return -1;
    pull->http = state->http;
    return remote->kind == EXPORTD_REMOTE_GITHUB ? github_open(pull, remote, outcome, error)
                                                 : git_open(pull, remote, outcome, error);
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct exportd_kit_error error = {0};
    struct pull pull = {0};
    struct exportd_remote remote = {0};
    struct pull_outcome outcome = {0};
    struct state *state = job->state;
    state->job = job;
    int failed = pull_make(job, data, &pull, &error);
    if (!failed)
        failed = open_pull(&pull, data, &remote, &outcome, &error);
    if (!failed)
        *result = describe(&pull, &outcome, &remote);
    state->job = NULL;
    pull_outcome_clear(&outcome);
    exportd_remote_clear(&remote);
    pull_clear(&pull);
    return failed ? fail(job, &error) : EXPORTD_OK;
}

static enum exportd_status init(struct exportd_job *self, void **out)
{
    struct exportd_kit_error error = {0};
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return exportd_fail(self, "out_of_memory", 1, "not enough memory for export-pr");
    const struct exportd_http_options options = {
        .timeout_ms = exportd_option_integer(self, "request_timeout", 0),
        .ca_file = exportd_option(self, "ca_file"),
        .cancelled = is_cancelled,
        .context = state,
    };
    state->http = exportd_http_new(&options, &error);
    if (!state->http) {
        free(state);
        return fail(self, &error);
    }
    *out = state;
    return EXPORTD_OK;
}

static void destroy(void *context)
{
    struct state *state = context;
    if (state)
        exportd_http_free(state->http);
    free(state);
}

static const struct exportd_task tasks[] = {
    {
        .task = "pr",
        .summary = "A pull request with the regression test",
        .flags = EXPORTD_NEEDS_REPRO,
        .run = run,
        .schema = EXPORTD_JSON({
            "properties" : {
                "repo_url" : {
                    "type" : "string",
                    "minLength" : 1,
                    "maxLength" : 1000,
                    "description" : "The repository: https://github.com/owner/name, git@…, or owner/name"
                },
                "branch_name" :
                    {"type" : "string", "maxLength" : 200, "description" : "The branch; else conf.d's template"},
                "base" : {
                    "type" : "string",
                    "maxLength" : 200,
                    "description" : "The branch to merge into; else the default one"
                },
                "title" : {"type" : "string", "maxLength" : 1000, "description" : "Else conf.d's template"},
                "body" :
                    {"type" : "string", "maxLength" : 100000, "description" : "Markdown; else conf.d's template"},
                "labels" : {"type" : "array", "items" : {"type" : "string", "minLength" : 1, "maxLength" : 100}},
                "reviewers" : {"type" : "array", "items" : {"type" : "string", "minLength" : 1, "maxLength" : 100}},
                "team_reviewers" :
                    {"type" : "array", "items" : {"type" : "string", "minLength" : 1, "maxLength" : 100}},
                "assignees" : {"type" : "array", "items" : {"type" : "string", "minLength" : 1, "maxLength" : 100}},
                "draft" : {"type" : "boolean", "default" : false, "description" : "Open it as a draft"},
                "fork" : {
                    "type" : "boolean",
                    "default" : false,
                    "description" : "By a fork of the token's user, even where it may push (GitHub)"
                },
                "path" :
                    {"type" : "string", "maxLength" : 1000, "description" : "Of the test; else conf.d's template"},
                "files" : {"type" : "boolean", "default" : false, "description" : "The repro's own files, too"},
                "author" : {
                    "type" : "object",
                    "description" : "Of the commit: name and email; else conf.d's",
                    "properties" : {"name" : {"type" : "string"}, "email" : {"type" : "string"}}
                },
                "sign_off" : {"type" : "boolean", "description" : "Signed-off-by in the commit; else as conf.d says"},
                "on_conflict" : {
                    "type" : "string",
                    "enum" : [ "fail", "number" ],
                    "default" : "fail",
                    "description" : "Where the branch is somebody else's: fail, or branch-2, branch-3"
                }
            },
            "required" : ["repo_url"]
        }),
    },
    {0},
};

static const struct exportd_option options[] = {
    {"github", EXPORTD_STRING, "https://github.com", "GitHub; GITHUB_TOKEN goes there alone", 0},
    {"github_api", EXPORTD_STRING, NULL, "Its API (unless given: https://api.github.com)", 0},
    {"enterprise", EXPORTD_STRING, NULL, "A GitHub Enterprise Server, for GITHUB_ENTERPRISE_TOKEN", 0},
    {"enterprise_api", EXPORTD_STRING, NULL, "Its API (unless given: its address and /api/v3)", 0},
    {"gitlab", EXPORTD_STRING, "https://gitlab.com", "GitLab, for GITLAB_TOKEN", 0},
    {"gitea", EXPORTD_STRING, NULL, "Gitea or Forgejo, for GITEA_TOKEN", 0},
    {"git", EXPORTD_STRING, NULL, "Any other Git server over HTTP, for GIT_TOKEN: repositories below this address",
     0},
    {"git_user", EXPORTD_STRING, NULL, "The name that goes with GIT_TOKEN", 0},
    {"ca_file", EXPORTD_PATH, NULL, "Certificate authorities (PEM) instead of the system's", 0},
    {"branch", EXPORTD_STRING, "bug-repro-{{bug.id}}", "The branch, where a request names none: a template", 0},
    {"path", EXPORTD_STRING, NULL,
     "The test's path, where a request names none: a template (unless given: "
     "tests/regressions/{{bug.id}}.spec.{{test.extension}})",
     0},
    {"files_folder", EXPORTD_STRING, "tests/regressions/{{bug.id}}", "Where the repro's own files go: a template", 0},
    {"title", EXPORTD_STRING, "Add a regression test: {{title}}", "The title, where a request names none: a template",
     0},
    {"body_template", EXPORTD_PATH, NULL, "A file with the template of the body (unless given: the one built in)", 0},
    {"author_name", EXPORTD_STRING, "exportd", "Of the commits: the name", 0},
    {"author_email", EXPORTD_STRING, "noreply@exportd.invalid", "Of the commits: the address", 0},
    {"sign_off", EXPORTD_BOOLEAN, "no", "Signed-off-by in the commits, unless the request says", 0},
    {"max_files", EXPORTD_INTEGER, "1000", "Files in one pull request", 0},
    {"max_bytes", EXPORTD_SIZE, "20M", "The files of one pull request together", 0},
    {"request_timeout", EXPORTD_DURATION, "30s", "For one request to a forge's API", 0},
    {"max_fetch", EXPORTD_SIZE, "2G", "What one fetch may receive (remotes beside GitHub)", 0},
    {"cache_size", EXPORTD_SIZE, "4G", "Of all mirrors in the cache (remotes beside GitHub)", 0},
    {0},
};

static const char *const secrets[] = {
    "GITHUB_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "GIT_TOKEN", NULL};

EXPORTD_PLUGIN(.name = "export-pr", .version = "1.0.0", .summary = "Reproductions as pull requests", .licence = "MIT",
               .tasks = tasks, .options = options, .grants = EXPORTD_GRANT_NETWORK | EXPORTD_GRANT_CACHE,
               .secrets = secrets, .init = init, .destroy = destroy)
