/* clone.h: a repository, and its submodules, over git. */
#include "clone.h"

#include "history.h"
#include "submodules.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_SHARE 0.6 /* of the progress */
#define CHECKOUT_SHARE 0.3
#define SUBMODULES_MAX 200
#define NESTED_MAX 5
#define ABBREVIATED_MIN 7                 /* digits of a commit's id */
#define WAIT_MS (INT64_C(30) * 60 * 1000) /* for a mirror; the job's own time ends before */

void revision_clear(struct revision *revision)
{
    free(revision->branch);
    free(revision->ref);
    *revision = (struct revision){0};
}

static int on_fetch(void *context, size_t objects, size_t all_objects, size_t bytes)
{
    struct exportd_job *job = context;
    char stage[96];
    snprintf(stage, sizeof stage, "fetching: %zu of %zu objects, %.1f MB", objects, all_objects, (double)bytes / 1e6);
    if (all_objects > 0)
        exportd_progress(job, FETCH_SHARE * (double)objects / (double)all_objects, stage);
    return exportd_cancelled(job);
}

static int on_checkout(void *context, size_t done, size_t all)
{
    const struct request *request = context;
    char stage[96];
    struct rules_counts counts = rules_counts(request->rules);
    snprintf(stage, sizeof stage, "checking out: %zu of %zu files, %.1f MB", done, all, (double)counts.bytes / 1e6);
    if (all > 0)
        exportd_progress(request->job, FETCH_SHARE + CHECKOUT_SHARE * (double)done / (double)all, stage);
    return exportd_cancelled(request->job);
}

struct exportd_git_options clone_git_options(const struct request *request, const struct source *source)
{
    struct exportd_job *job = request->job;
    return (struct exportd_git_options){
        .cache = exportd_cache(job),
        .workspace = exportd_workspace(job),
        .user = source->user,
        .token = source->token,
        .ca_file = exportd_option(job, "ca_file"),
        .max_bytes = (uint64_t)exportd_option_integer(job, "max_fetch", 0),
        .cache_bytes = (uint64_t)exportd_option_integer(job, "cache_size", 0),
        .wait_ms = WAIT_MS,
        .connect_ms = exportd_option_integer(job, "connect_timeout", 0),
        .stall_ms = exportd_option_integer(job, "stall_timeout", 0),
        .proxy = exportd_option(job, "proxy"),
        .guarded = source->guarded,
        .allow = exportd_option(job, "allow"),
        .step = on_fetch,
        .context = job,
    };
}

void clone_name_the_mend(const struct source *source, struct exportd_kit_error *error)
{
    static const char *const mends[] = {
        [SOURCE_ANY] = "conf.d names no token for this address (see git in [plugin repo-clone])",
        [SOURCE_GIT] = "GIT_TOKEN is the token for it, and git_user the name where the server wants one",
        [SOURCE_GITHUB] = "GITHUB_TOKEN needs to read the repository's contents",
        [SOURCE_GITLAB] = "GITLAB_TOKEN needs the scope read_repository (and read_api for mode=archive)",
        [SOURCE_GITEA] = "GITEA_TOKEN needs the scope read:repository",
    };
    bool refused = strcmp(error->code, "git_unauthorized") == 0 || strcmp(error->code, "git_forbidden") == 0 ||
                   strcmp(error->code, "repository_not_found") == 0;
    size_t length = strlen(error->message);
    if (refused)
        snprintf(error->message + length, sizeof error->message - length, "; %s", mends[source->kind]);
}

static int is_hex(const char *text, size_t least)
{
    size_t length = strspn(text, "0123456789abcdefABCDEF");
    return !text[length] && length >= least && length <= GIT_OID_HEXSZ;
}

/* Whether the remote has that reference. branch: where it is one. Returns 0, 1 where it hasn't, -1. */
static int try_ref(struct exportd_git_mirror *mirror, const char *name, struct revision *revision,
                   struct exportd_kit_error *error)
{
    int found = exportd_git_remote_ref(mirror, name, revision->commit, error);
    if (found != 0)
        return found;
    revision->ref = strdup(name);
    revision->branch = strncmp(name, "refs/heads/", 11) == 0 ? strdup(name + 11) : NULL;
    return revision->ref ? 0 : exportd_kit_no_memory(error);
}

static int find_default(struct exportd_git_mirror *mirror, struct revision *revision, struct exportd_kit_error *error)
{
    const char *branch;
    char name[1100];
    int found = exportd_git_remote_branch(mirror, &branch, error);
    if (found < 0)
        return -1;
    if (found == 0) {
        snprintf(name, sizeof name, "refs/heads/%s", branch);
        found = try_ref(mirror, name, revision, error);
    }
    if (found == 0)
        return 0;
    /* HEAD names no branch, but a commit. */
    found = found < 0 ? -1 : exportd_git_remote_ref(mirror, "HEAD", revision->commit, error);
    if (found == 0)
        revision->ref = strdup(revision->commit);
    if (found <= 0)
        return found;
    return exportd_kit_fail(
        error, "repository_empty", 0,
        "the repository has no commit on its default branch; push one first, or name another ref");
}

int clone_find(struct exportd_git_mirror *mirror, const char *ref, struct revision *revision,
               struct exportd_kit_error *error)
{
    static const char *const places[] = {"refs/heads/", "refs/tags/"};
    char name[1100], quoted[220];
    if (!ref)
        return find_default(mirror, revision, error);
    int found = 1;
    bool whole = is_hex(ref, GIT_OID_HEXSZ); /* a branch of such a name would be somebody's trick */
    if (strncmp(ref, "refs/", 5) == 0)
        found = try_ref(mirror, ref, revision, error);
    for (size_t i = 0; found == 1 && !whole && i < 2; i++) {
        snprintf(name, sizeof name, "%s%s", places[i], ref);
        found = try_ref(mirror, name, revision, error);
    }
    if (found <= 0)
        return found;
    if (!is_hex(ref, ABBREVIATED_MIN))
        return exportd_kit_fail(
            error, "ref_not_found", 0,
            "the repository has no branch or tag %s; name one, a full name such as refs/pull/1/head, or "
            "a commit",
            exportd_bundle_quote(ref, quoted, sizeof quoted));
    snprintf(revision->commit, sizeof revision->commit, "%s", ref);
    for (char *at = revision->commit; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    revision->ref = strdup(revision->commit);
    return revision->ref ? 0 : exportd_kit_no_memory(error);
}

/* The commit behind an id, whole or shortened, or behind a tag's. Returns 0, or 1 where the mirror hasn't got it. */
static int look_up(struct exportd_git_mirror *mirror, const char *id, git_commit **commit)
{
    git_object *object = NULL;
    git_oid oid;
    size_t length = strlen(id);
    git_repository *repository = exportd_git_repository(mirror);
    if (git_oid_fromstrn(&oid, id, length) != 0 ||
        git_object_lookup_prefix(&object, repository, &oid, length, GIT_OBJECT_ANY) != 0)
        return 1;
    int missing = git_object_peel((git_object **)commit, object, GIT_OBJECT_COMMIT) != 0;
    git_object_free(object);
    return missing;
}

/* Has the commit in the mirror: by its reference, by one of its id, or at worst by all that there are. */
static int fetch(struct exportd_git_mirror *mirror, const struct revision *revision, git_commit **commit,
                 struct exportd_kit_error *error)
{
    const char *name = revision->ref;
    const char *refs[] = {name, NULL};
    if (strncmp(name, "refs/", 5) == 0) {
        if (exportd_git_fetch(mirror, refs, error) != 0)
            return -1;
        if (look_up(mirror, revision->commit, commit) == 0)
            return 0;
        return exportd_kit_fail(error, "ref_not_found", 0, "%s is there, but names no commit", name);
    }
    /* Who may read the repository, may read this; who may not, is told so by the remote. */
    if (exportd_git_remote_name(mirror, revision->commit, &name, error) < 0)
        return -1;
    if (look_up(mirror, revision->commit, commit) == 0)
        return 0;
    int found = exportd_git_remote_name(mirror, revision->commit, &name, error);
    char *same = found == 0 ? strdup(name) : NULL; /* a fetch may forget what the remote said */
    refs[0] = same;
    int failed = found < 0 ? -1
                 : same    ? exportd_git_fetch(mirror, refs, error)
                           : exportd_git_fetch_all(mirror, error);
    free(same);
    if (failed)
        return -1;
    if (look_up(mirror, revision->commit, commit) == 0)
        return 0;
    return exportd_kit_fail(error, "ref_not_found", 0, "no branch or tag of the repository has the commit %s",
                            revision->commit);
}

/* One repository into the checkout: at prefix, where it is a submodule, else "". */
static int clone_one(struct request *request, const struct source *source, const char *prefix, const char *ref,
                     struct revision *revision, struct exportd_kit_error *error)
{
    const struct exportd_git_options options = clone_git_options(request, source);
    size_t before = json_array_size(request->subs);
    git_commit *commit = NULL;
    struct exportd_git_mirror *mirror = exportd_git_open(&options, source->url, error);
    int failed = mirror ? clone_find(mirror, ref, revision, error) : -1;
    failed = failed ? failed : fetch(mirror, revision, &commit, error);
    if (!failed) {
        git_oid_tostr(revision->commit, sizeof revision->commit, git_commit_id(commit));
        revision->time_s = git_commit_time(commit);
        const struct tree_options tree = {
            .repository = exportd_git_repository(mirror),
            .tree = git_commit_tree_id(commit),
            .prefix = prefix,
            .subfolder = *prefix ? NULL : request->subfolder,
            .rules = request->rules,
            .checkout = request->checkout,
            .submodules = request->subs,
            .step = on_checkout,
            .context = request,
        };
        failed = tree_check_out(&tree, error);
        if (!failed)
            submodules_name(request->subs, before, prefix, source->url, tree.repository, tree.tree);
        if (!failed && request->history && !*prefix)
            failed = history_copy(tree.repository, commit, revision, source->url, request->top, error);
    }
    if (failed && mirror && strcmp(error->code, "objects_missing") == 0)
        exportd_git_discard(mirror);
    git_commit_free(commit);
    exportd_git_close(mirror);
    if (failed)
        clone_name_the_mend(source, error);
    return failed;
}

static void settle(json_t *submodule, const char *state, const char *reason)
{
    json_object_set_new(submodule, "state", json_string(state));
    if (reason)
        json_object_set_new(submodule, "reason", json_string(reason));
}

/* One submodule, where it is wanted and may be had. What it names goes to the end of the list. */
static int clone_submodule(struct request *request, json_t *submodule, struct exportd_kit_error *error)
{
    const char *path = json_string_value(json_object_get(submodule, "path"));
    const char *url = json_string_value(json_object_get(submodule, "url"));
    const char *commit = json_string_value(json_object_get(submodule, "commit"));
    int nested = (int)json_integer_value(json_object_get(submodule, "nested"));
    size_t count = json_array_size(request->subs);
    struct revision revision = {0};
    struct source source = {0};
    struct exportd_kit_error why = {0};
    json_object_del(submodule, "nested");
    if (json_object_get(submodule, "state"))
        return 0;
    if (!request->submodules) {
        settle(submodule, "left out", NULL);
        return 0;
    }
    if (nested >= NESTED_MAX) {
        settle(submodule, "refused", "it lies more than 5 submodules deep");
        return 0;
    }
    if (source_find(request->job, url, &source, &why) != 0) {
        settle(submodule, "refused", why.message);
        return 0;
    }
    int failed = clone_one(request, &source, path, commit, &revision, error);
    if (!failed)
        settle(submodule, "cloned", NULL);
    for (size_t i = count; !failed && i < json_array_size(request->subs); i++)
        json_object_set_new(json_array_get(request->subs, i), "nested", json_integer(nested + 1));
    revision_clear(&revision);
    source_clear(&source);
    return failed;
}

int clone_run(struct request *request, struct revision *revision, struct exportd_kit_error *error)
{
    if (clone_one(request, &request->source, "", request->ref, revision, error) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(request->subs); i++) {
        if (i >= SUBMODULES_MAX && request->submodules)
            return exportd_kit_fail(error, "repository_too_large", 0,
                                    "the repository has more than %d submodules; leave out submodules",
                                    SUBMODULES_MAX);
        if (clone_submodule(request, json_array_get(request->subs, i), error) != 0)
            return -1;
    }
    return 0;
}
