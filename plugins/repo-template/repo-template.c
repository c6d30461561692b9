/*
 * repo-template: the task create-from-template, a new repository out of a template's files.
 */
#include "fill.h"
#include "publish.h"

#include <exportd/kit/archive.h>
#include <exportd/kit/forge.h>

#include <git2.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct creation {
    struct exportd_job *job;
    const json_t *data;
    struct exportd_checkout checkout;
    struct values values;
    struct exportd_bundle *bundle;
    bool changed; /* what was filled is not what the template has */
    bool wants_push, wants_create, wants_generate;
    struct exportd_remote remote;
    struct published published;
    char archive[128]; /* the tarball's name, or "" */
    json_t *notes;
    struct exportd_kit_error error;
};

static const char *given(const struct creation *creation, const char *name)
{
    const char *value = json_string_value(json_object_get(creation->data, name));
    return value && *value ? value : NULL;
}

static bool is_set(const struct creation *creation, const char *name)
{
    return json_is_true(json_object_get(creation->data, name));
}

static const char *branch_of(const struct creation *creation)
{
    const char *branch = given(creation, "target_branch");
    return branch ? branch : "main";
}

/* What can be said before anything is done. */
static int check_request(struct creation *creation)
{
    struct exportd_kit_error *error = &creation->error;
    const char *target = given(creation, "target_url");
    int valid = 0;
    char quoted[220];
    creation->wants_generate = is_set(creation, "generate");
    creation->wants_create = is_set(creation, "create");
    creation->wants_push = target && !creation->wants_generate;
    if (!target && (creation->wants_generate || creation->wants_create))
        return exportd_kit_fail(error, "option_invalid", 0,
                                "the request names no repository to create; set target_url, such as "
                                "https://github.com/owner/name");
    git_libgit2_init();
    git_branch_name_is_valid(&valid, branch_of(creation));
    git_libgit2_shutdown();
    if (!valid)
        return exportd_kit_fail(error, "option_invalid", 0, "target_branch %s is no name of a branch",
                                exportd_bundle_quote(branch_of(creation), quoted, sizeof quoted));
    if (target &&
        exportd_remote_find(creation->job, "repo-template", "target_url", target, &creation->remote, error) != 0)
        return -1;
    if (creation->wants_generate && creation->remote.kind != EXPORTD_REMOTE_GITHUB)
        return exportd_kit_fail(error, "create_unsupported", 0,
                                "generate is GitHub's own way to copy a template, and target_url leads elsewhere; "
                                "leave generate out");
    return 0;
}

/* "owner/name" of the template where it lies at the forge of the target; else NULL. A new string. */
static char *template_at_forge(const struct creation *creation)
{
    size_t length = strlen(creation->remote.web);
    const char *url = creation->checkout.url;
    if (!url || strncmp(url, creation->remote.web, length) != 0 || url[length] != '/')
        return NULL;
    char *path = strdup(url + length + 1);
    size_t end = path ? strlen(path) : 0;
    if (end > 4 && strcmp(path + end - 4, ".git") == 0)
        path[end - 4] = '\0';
    return path;
}

static int generate(struct creation *creation, const struct publish *publish)
{
    struct exportd_kit_error *error = &creation->error;
    char *path = template_at_forge(creation);
    int failed;
    if (!path)
        failed = exportd_kit_fail(error, "create_unsupported", 0,
                                  "generate copies a template of the same GitHub, and this one lies elsewhere; leave "
                                  "generate out");
    else if (creation->changed)
        failed = exportd_kit_fail(error, "create_unsupported", 0,
                                  "generate copies the template as it is, and this one has placeholders to fill or "
                                  "files to leave out; leave generate out, and set create");
    else
        failed = publish_generate(publish, path, &creation->published, error);
    free(path);
    return failed;
}

static int cancelled(void *context)
{
    return exportd_cancelled(context);
}

static int publish(struct creation *creation)
{
    struct exportd_job *job = creation->job;
    struct exportd_kit_error *error = &creation->error;
    const json_t *author = json_object_get(creation->data, "author");
    const char *name = json_string_value(json_object_get(author, "name"));
    const char *email = json_string_value(json_object_get(author, "email"));
    const char *message = given(creation, "message");
    const struct exportd_http_options http = {
        .timeout_ms = exportd_option_integer(job, "request_timeout", 0),
        .ca_file = exportd_option(job, "ca_file"),
        .cancelled = cancelled,
        .context = job,
    };
    struct publish wanted = {
        .job = job,
        .remote = &creation->remote,
        .bundle = creation->bundle,
        .branch = branch_of(creation),
        .message = message ? message : "Initial commit\n",
        .author_name = name && *name ? name : exportd_option(job, "author_name"),
        .author_email = email && *email ? email : exportd_option(job, "author_email"),
        .description = given(creation, "description"),
        .is_private = !json_is_false(json_object_get(creation->data, "private")),
    };
    wanted.http = exportd_http_new(&http, error);
    int failed = wanted.http ? 0 : -1;
    if (!failed && creation->wants_generate) {
        exportd_progress(job, 0.6, "having the template copied");
        failed = generate(creation, &wanted);
    }
    if (!failed && creation->wants_create) {
        exportd_progress(job, 0.5, "creating the repository");
        failed = publish_create(&wanted, &creation->published, error);
    }
    if (!failed && creation->wants_push) {
        exportd_progress(job, 0.7, "pushing the first commit");
        failed = publish_push(&wanted, &creation->published, error);
    }
    exportd_http_free(wanted.http);
    return failed;
}

static int on_packed(void *context, size_t done, size_t all)
{
    struct exportd_job *job = context;
    exportd_progress(job, 0.9 + 0.09 * (double)done / (double)(all ? all : 1), "packing the files");
    return exportd_cancelled(job);
}

/* As an artifact, where it is wanted, or where there is nothing else to show for it. */
static int pack(struct creation *creation)
{
    const char *format = given(creation, "format");
    char *path = NULL, top[64];
    if (format ? strcmp(format, "none") == 0 : creation->wants_push || creation->wants_generate)
        return 0;
    bool zstd = format && strcmp(format, "tar.zst") == 0;
    const json_t *name = json_object_get(creation->values.known, "name");
    snprintf(top, sizeof top, "%.60s", json_is_string(name) ? json_string_value(name) : "repository");
    for (char *at = top; *at; at++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *at))
            *at = '-';
    if (!*top || *top == '-')
        snprintf(top, sizeof top, "repository");
    snprintf(creation->archive, sizeof creation->archive, "%s.%s", top, zstd ? "tar.zst" : "tar.gz");
    const struct exportd_archive_options options = {
        .format = zstd ? EXPORTD_ARCHIVE_TAR_ZST : EXPORTD_ARCHIVE_TAR_GZ,
        .top = top,
        .step = on_packed,
        .context = creation->job,
    };
    if (asprintf(&path, "%s/%s", exportd_workspace(creation->job), creation->archive) < 0)
        return exportd_kit_no_memory(&creation->error);
    int failed = exportd_archive_write(creation->bundle, &options, path, &creation->error);
    if (!failed &&
        exportd_artifact(creation->job, path, creation->archive, zstd ? "application/zstd" : "application/gzip") != 0)
        failed = exportd_kit_fail(&creation->error, "artifact_refused", 0,
                                  "the host did not take the tarball (the reason is in its log)");
    free(path);
    return failed;
}

static json_t *describe(const struct creation *creation)
{
    const struct published *published = &creation->published;
    bool anywhere = creation->wants_push || creation->wants_generate;
    char *url = NULL;
    const char *note;
    for (size_t i = 0; (note = exportd_bundle_note(creation->bundle, i)); i++)
        json_array_append_new(creation->notes, json_string(note));
    if (anywhere && asprintf(&url, "%s/%s", creation->remote.web, creation->remote.path) < 0)
        url = NULL;
    json_t *result = json_pack(
        "{s:s*, s:s*, s:s*, s:b, s:s*, s:I, s:I, s:s*, s:O, s:O, s:O}", "url", url, "branch",
        creation->wants_push ? branch_of(creation) : NULL, "commit", *published->commit ? published->commit : NULL,
        "created", (int)published->created, "state",
        !anywhere              ? NULL
        : published->unchanged ? "unchanged"
                               : "created",
        "files", (json_int_t)exportd_bundle_count(creation->bundle), "bytes",
        (json_int_t)exportd_bundle_bytes(creation->bundle), "archive", *creation->archive ? creation->archive : NULL,
        "values", creation->values.known, "notes", creation->notes, "repository", creation->checkout.repository);
    free(url);
    return result;
}

static void clear(struct creation *creation)
{
    exportd_bundle_free(creation->bundle);
    values_clear(&creation->values);
    exportd_checkout_clear(&creation->checkout);
    exportd_remote_clear(&creation->remote);
    json_decref(creation->notes);
}

static enum exportd_status run(struct exportd_job *job, const json_t *data, json_t **result)
{
    struct creation creation = {.job = job, .data = data, .notes = json_array()};
    struct exportd_kit_error *error = &creation.error;
    int failed = check_request(&creation);
    failed = failed ? failed : exportd_checkout_open(job, data, &creation.checkout, error);
    failed =
        failed ? failed : values_read(&creation.checkout, json_object_get(data, "values"), &creation.values, error);
    exportd_progress(job, 0.1, "filling the template");
    if (!failed)
        creation.bundle = fill_all(job, &creation.checkout, &creation.values, &creation.changed, error);
    failed = failed || !creation.bundle ? -1 : 0;
    if (!failed && (creation.wants_push || creation.wants_generate))
        failed = publish(&creation);
    failed = failed ? failed : pack(&creation);
    enum exportd_status status = EXPORTD_OK;
    if (failed) {
        status = exportd_fail(job, error->code, error->retryable, "%s", error->message);
    } else {
        *result = describe(&creation);
        exportd_progress(job, 1, "done");
    }
    clear(&creation);
    return status;
}

static const struct exportd_task tasks[] = {
    {.task = "create-from-template",
     .after = "acquire-user-repo",
     .summary = "A new repository out of a template's files",
     .schema = EXPORTD_JSON({
         "type" : "object",
         "properties" : {
             "values" : {
                 "type" : "object",
                 "additionalProperties" : true,
                 "description" : "What the placeholders stand for, by name"
             },
             "target_url" : {
                 "type" : "string",
                 "minLength" : 1,
                 "maxLength" : 1000,
                 "description" : "Where the result is pushed: https://github.com/owner/name (else it is an artifact)"
             },
             "target_branch" : {
                 "type" : "string",
                 "minLength" : 1,
                 "maxLength" : 200,
                 "default" : "main",
                 "description" : "The branch there"
             },
             "create" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Create the repository first, where it isn't there (GitHub, Gitea)"
             },
             "generate" : {
                 "type" : "boolean",
                 "default" : false,
                 "description" : "Have GitHub copy the template instead, which then has nothing to fill"
             },
             "private" :
                 {"type" : "boolean", "default" : true, "description" : "A repository that is created is private"},
             "description" :
                 {"type" : "string", "maxLength" : 350, "description" : "Of a repository that is created"},
             "message" : {
                 "type" : "string",
                 "maxLength" : 10000,
                 "description" : "Of the first commit (else: Initial commit)"
             },
             "author" : {
                 "type" : "object",
                 "description" : "Of the commit: name and email; else as conf.d says",
                 "properties" : {"name" : {"type" : "string"}, "email" : {"type" : "string"}}
             },
             "format" : {
                 "type" : "string",
                 "enum" : [ "none", "tar.gz", "tar.zst" ],
                 "description" : "Of the artifact with the files (else tar.gz, or none with target_url)"
             }
         },
         "additionalProperties" : false
     }),
     .run = run},
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
    {"author_name", EXPORTD_STRING, "exportd", "Of the first commit: the name, where a request names no author", 0},
    {"author_email", EXPORTD_STRING, "noreply@exportd.invalid",
     "Of the first commit: the address, where a request names no author", 0},
    {"max_files", EXPORTD_INTEGER, "20000", "Files of one template", 0},
    {"max_bytes", EXPORTD_SIZE, "256M", "The files of one template together", 0},
    {"request_timeout", EXPORTD_DURATION, "30s", "For one request to a forge's API", 0},
    {"max_fetch", EXPORTD_SIZE, "2G", "What one fetch may receive, where the branch is there already", 0},
    {0},
};

static const char *const secrets[] = {
    "GITHUB_TOKEN", "GITHUB_ENTERPRISE_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "GIT_TOKEN", NULL};

EXPORTD_PLUGIN(.name = "repo-template", .version = "1.0.0", .summary = "New repositories out of templates",
               .licence = "MIT", .tasks = tasks, .options = options, .grants = EXPORTD_GRANT_NETWORK,
               .secrets = secrets)
