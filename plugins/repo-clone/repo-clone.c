/*
 * repo-clone: the task acquire-user-repo, a repository's files in the workspace, from a mirror or as a forge's
 * tarball.
 */
#include "archive.h"
#include "clone.h"
#include "folder.h"

#include <exportd/kit/archive.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "repo"

static const char *given(const json_t *data, const char *name)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : NULL;
}

/* A folder as a person writes it, "packages/app/", made the path that the rules take. */
static int read_subfolder(struct request *request, const char *text, struct exportd_kit_error *error)
{
    char *out = calloc(1, strlen(text) + 1);
    char quoted[220];
    size_t length = 0;
    request->subfolder = out;
    if (!out)
        return exportd_kit_no_memory(error);
    for (const char *at = text; *at;) {
        size_t name = strcspn(at, "/");
        if (name == 2 && memcmp(at, "..", 2) == 0)
            return exportd_kit_fail(error, "option_invalid", 0,
                                    "subfolder %s leads out of the repository; name a folder below its top",
                                    exportd_bundle_quote(text, quoted, sizeof quoted));
        if (name > 0 && !(name == 1 && *at == '.')) {
            if (length > 0)
                out[length++] = '/';
            memcpy(out + length, at, name);
            length += name;
        }
        at += name;
        at += *at == '/';
    }
    if (length > 0)
        return 0;
    free(out);
    request->subfolder = NULL;
    return 0;
}

static int read_request(struct request *request, const json_t *data, struct exportd_kit_error *error)
{
    struct exportd_job *job = request->job;
    const struct rules_limits limits = {
        .max_files = (uint64_t)exportd_option_integer(job, "max_files", 0),
        .max_bytes = (uint64_t)exportd_option_integer(job, "max_bytes", 0),
        .max_file = (uint64_t)exportd_option_integer(job, "max_file_bytes", 0),
    };
    const char *url = given(data, "repo_url"), *subfolder = given(data, "subfolder");
    url = url ? url : given(data, "repoUrl");
    if (!url)
        return exportd_kit_fail(
            error, "option_invalid", 0,
            "the request names no repository; set repo_url, such as https://github.com/owner/name");
    request->ref = given(data, "ref");
    request->submodules = json_is_true(json_object_get(data, "submodules"));
    request->history = json_is_true(json_object_get(data, "history"));
    request->notes = json_array();
    request->subs = json_array();
    request->rules = rules_new(&limits, request->notes);
    if (!request->notes || !request->subs || !request->rules ||
        asprintf(&request->top, "%s/" FOLDER, exportd_workspace(job)) < 0) {
        request->top = NULL;
        return exportd_kit_no_memory(error);
    }
    if (json_object_get(data, "depth"))
        rules_note(request->rules,
                   "depth is accepted and has no effect: the mirror holds the whole history, of which "
                   "only what is new was fetched");
    if (source_find(job, url, &request->source, error) != 0 ||
        (subfolder && read_subfolder(request, subfolder, error) != 0))
        return -1;
    request->checkout = checkout_new(request->top, request->rules, error);
    return request->checkout ? 0 : -1;
}

static void clear_request(struct request *request)
{
    checkout_free(request->checkout);
    rules_free(request->rules);
    json_decref(request->notes);
    json_decref(request->subs);
    source_clear(&request->source);
    free(request->subfolder);
    free(request->top);
}

static int on_packed(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, 0.92 + 0.07 * (double)done / (double)all, "packing the files");
    return exportd_cancelled(job);
}

static int pack(const struct request *request, const char *top, int64_t time_s, bool zstd, const char *path,
                struct exportd_kit_error *error)
{
    const struct exportd_archive_options options = {
        .format = zstd ? EXPORTD_ARCHIVE_TAR_ZST : EXPORTD_ARCHIVE_TAR_GZ,
        .top = top,
        .time_s = time_s,
        .step = on_packed,
        .context = request->job,
    };
    size_t count = checkout_count(request->checkout);
    struct exportd_archive_entry *entries = calloc(count + 1, sizeof *entries);
    if (!entries)
        return exportd_kit_no_memory(error);
    for (size_t i = 0; i < count; i++) {
        struct checkout_entry entry = checkout_get(request->checkout, i);
        entries[i] = (struct exportd_archive_entry){
            .path = entry.path, .target = entry.target, .executable = entry.executable};
    }
    int failed = exportd_archive_write_folder(request->top, entries, count, &options, path, error);
    free(entries);
    return failed;
}

/* The tarball of what was checked out, where one is wanted. name: the artifact's, or "". */
static int make_artifact(const struct request *request, const json_t *data, const struct revision *revision,
                         char *name, size_t size, struct exportd_kit_error *error)
{
    const char *form = given(data, "archive");
    char *path = NULL;
    *name = '\0';
    if (!form || strcmp(form, "none") == 0)
        return 0;
    bool zstd = strcmp(form, "tar.zst") == 0;
    const char *base = request->source.url;
    const char *slash = strrchr(base, '/');
    size_t length = slash ? strcspn(slash + 1, ".") : 0;
    char stem[80];
    snprintf(stem, sizeof stem, "%.*s", (int)(length < 60 ? length : 60), slash ? slash + 1 : "");
    for (char *at = stem; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *at))
            *at = '-';
    if (!*stem || *stem == '-')
        snprintf(stem, sizeof stem, "repository");
    if (*revision->commit)
        snprintf(stem + strlen(stem), sizeof stem - strlen(stem), "-%.12s", revision->commit);
    snprintf(name, size, "%s.%s", stem, form);
    if (asprintf(&path, "%s/%s", exportd_workspace(request->job), name) < 0)
        return exportd_kit_no_memory(error);
    int failed = pack(request, stem, revision->time_s, zstd, path, error);
    if (!failed && exportd_artifact(request->job, path, name, zstd ? "application/zstd" : "application/gzip") != 0)
        failed = exportd_kit_fail(error, "artifact_refused", 0, "the host did not take %s (the reason is in its log)",
                                  name);
    free(path);
    return failed;
}

static json_t *describe(const struct request *request, const struct revision *revision, const char *mode,
                        const char *archive)
{
    struct rules_counts counts = rules_counts(request->rules);
    char *folder = NULL;
    if (asprintf(&folder, FOLDER "%s%s", request->subfolder ? "/" : "",
                 request->subfolder ? request->subfolder : "") < 0)
        return NULL;
    json_t *result =
        json_pack("{s:s, s:s*, s:s*, s:s?, s:s?, s:I, s:I, s:s, s:b, s:O, s:o, s:O}", "url", request->source.url,
                  "commit", *revision->commit ? revision->commit : NULL, "archive", *archive ? archive : NULL,
                  "branch", revision->branch, "ref", revision->ref, "files", (json_int_t)counts.files, "bytes",
                  (json_int_t)counts.bytes, "folder", folder, "history", request->history, "submodules",
                  request->subs, "lfs", checkout_lfs(request->checkout), "notes", request->notes);
    json_object_set_new(result, "mode", json_string(mode));
    free(folder);
    return result;
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct exportd_kit_error error = {0};
    struct request request = {.job = job};
    struct revision revision = {0};
    const char *mode = given(data, "mode");
    char archive[96];
    bool as_archive = mode && strcmp(mode, "archive") == 0;
    int failed = read_request(&request, data, &error);
    bool folder = !failed && folder_is_plain(&request.source);
    if (!failed)
        failed = folder       ? folder_run(&request, &error)
                 : as_archive ? archive_run(&request, &revision, &error)
                              : clone_run(&request, &revision, &error);
    failed = failed ? failed : checkout_finish(request.checkout, &error);
    failed = failed ? failed : make_artifact(&request, data, &revision, archive, sizeof archive, &error);
    enum exportd_status status = EXPORTD_OK;
    if (failed) {
        status = exportd_fail(job, error.code, error.retryable, "%s", error.message);
    } else {
        *result = describe(&request, &revision, folder ? "folder" : as_archive ? "archive" : "git", archive);
        exportd_progress(job, 1, "done");
    }
    revision_clear(&revision);
    clear_request(&request);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "acquire-user-repo",
     .summary = "A repository's files in the workspace, from a mirror or as its forge's tarball",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "repo_url" : {"type" : "string", "maxLength" : 2000, "description" : "The repository's https address"},
             "repoUrl" : {"type" : "string", "maxLength" : 2000, "description" : "The same"},
             "ref" : {
                 "type" : "string",
                 "maxLength" : 1000,
                 "description" :
                     "A branch, a tag, a full name (refs/pull/1/head) or a commit (else the default branch)"
             },
             "subfolder" : {
                 "type" : "string",
                 "maxLength" : 2000,
                 "description" : "Of the repository, which alone is checked out"
             },
             "submodules" : {"type" : "boolean", "default" : false, "description" : "Check the submodules out too"},
             "mode" : {
                 "type" : "string",
                 "enum" : [ "git", "archive" ],
                 "default" : "git",
                 "description" : "archive: the forge's tarball, without a mirror (GitHub, GitLab, Gitea)"
             },
             "depth" :
                 {"type" : "integer", "minimum" : 1, "description" : "Accepted; the mirror holds the whole history"},
             "archive" : {
                 "type" : "string",
                 "enum" : [ "none", "tar.zst", "tar.gz" ],
                 "default" : "none",
                 "description" : "Hand the files over as an artifact too"
             },
             "history" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Put the history beside the files (repo/.git), for who works on it in the workspace"
             }
         },
         "additionalProperties" : false
     }),
     .run = run},
    {0},
};

static const struct exportd_option options[] = {
    {"schemes", EXPORTD_STRING, "https",
     "What may be cloned, in words: https, http, file (paths on this machine, which read has to grant as well)", 0},
    {"allow", EXPORTD_STRING, NULL,
     "Addresses besides public ones that a repository may lie at, such as 10.0.0.0/8; what is named below needs no "
     "mention here",
     0},
    {"github", EXPORTD_STRING, "https://github.com", "GitHub's address, to which GITHUB_TOKEN goes", 0},
    {"github_api", EXPORTD_STRING, "https://api.github.com", "GitHub's API", 0},
    {"enterprise", EXPORTD_STRING, NULL, "GitHub Enterprise servers, to which GITHUB_TOKEN goes as well", 0},
    {"gitlab", EXPORTD_STRING, "https://gitlab.com", "GitLab servers, to which GITLAB_TOKEN goes", 0},
    {"gitea", EXPORTD_STRING, NULL, "Gitea and Forgejo servers, to which GITEA_TOKEN goes", 0},
    {"git", EXPORTD_STRING, NULL, "Other Git servers, to which GIT_TOKEN goes", 0},
    {"git_user", EXPORTD_STRING, NULL, "The name that goes with GIT_TOKEN (unless given: x-access-token)", 0},
    {"archive_hosts", EXPORTD_STRING, NULL,
     "Hosts that a forge may redirect to for its tarballs, besides itself and its codeload", 0},
    {"max_fetch", EXPORTD_SIZE, "2G", "What one fetch, or one tarball, may receive", 0},
    {"max_files", EXPORTD_INTEGER, "200000", "Files, links and folders in one checkout", 0},
    {"max_bytes", EXPORTD_SIZE, "2G", "The files of one checkout together", 0},
    {"max_file_bytes", EXPORTD_SIZE, "128M", "One file of a checkout", 0},
    {"cache_size", EXPORTD_SIZE, "4G", "All mirrors together; those used least recently go", 0},
    {"connect_timeout", EXPORTD_DURATION, "15s", "For a connection to a server", 0},
    {"stall_timeout", EXPORTD_DURATION, "60s", "Without a byte from a server that is to answer", 0},
    {"proxy", EXPORTD_STRING, NULL,
     "An HTTP proxy, such as http://proxy.example:3128; which addresses may be reached is then its decision", 0},
    {"ca_file", EXPORTD_PATH, NULL, "Certificate authorities (PEM) instead of the system's", 0},
    {0},
};

static const char *const secrets[] = {"GITHUB_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "GIT_TOKEN", NULL};

EXPORTD_PLUGIN(.name = "repo-clone", .version = "1.0.0", .summary = "Repositories, from mirrors or as tarballs",
               .licence = "MIT", .tasks = tasks, .options = options,
               .grants = EXPORTD_GRANT_NETWORK | EXPORTD_GRANT_CACHE, .secrets = secrets)
