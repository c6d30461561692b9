/* exportd/kit/git.h: what goes over the network. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_BYTES ((uint64_t)2 << 30)
#define REFS_MAX 64
#define USER_WITH_TOKEN "x-access-token" /* whatever it is, GitHub, GitLab and Gitea look at the token */

int exportd_git_url_is_http(const char *url)
{
    return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

/* Once for a connection: a server that asks again doesn't like the answer. */
static int on_credentials(git_credential **out, const char *url, const char *user, unsigned int types, void *payload)
{
    struct exportd_git_mirror *mirror = payload;
    (void)url;
    (void)user;
    if (!(types & GIT_CREDENTIAL_USERPASS_PLAINTEXT) || !mirror->options.token || mirror->credentials_given)
        return GIT_EAUTH;
    mirror->credentials_given = 1;
    const char *name = mirror->options.user && *mirror->options.user ? mirror->options.user : USER_WITH_TOKEN;
    return git_credential_userpass_plaintext_new(out, name, mirror->options.token);
}

static int on_transfer(const git_indexer_progress *progress, void *payload)
{
    struct exportd_git_mirror *mirror = payload;
    const struct exportd_git_options *options = &mirror->options;
    mirror->too_large = progress->received_bytes > (options->max_bytes > 0 ? options->max_bytes : FETCH_BYTES);
    mirror->stopped = options->step && options->step(options->context, progress->received_objects,
                                                     progress->total_objects, progress->received_bytes);
    return mirror->stopped || mirror->too_large ? GIT_EUSER : 0;
}

static int on_push_transfer(unsigned int current, unsigned int total, size_t bytes, void *payload)
{
    struct exportd_git_mirror *mirror = payload;
    const struct exportd_git_options *options = &mirror->options;
    mirror->stopped = options->step && options->step(options->context, current, total, bytes);
    return mirror->stopped ? GIT_EUSER : 0;
}

static int on_rejection(const char *reference, const char *status, void *payload)
{
    struct exportd_git_mirror *mirror = payload;
    (void)reference;
    if (status)
        snprintf(mirror->rejection, sizeof mirror->rejection, "%s", status);
    return 0;
}

static git_remote_callbacks callbacks_of(struct exportd_git_mirror *mirror)
{
    git_remote_callbacks callbacks;
    git_remote_init_callbacks(&callbacks, GIT_REMOTE_CALLBACKS_VERSION);
    callbacks.credentials = on_credentials;
    callbacks.transfer_progress = on_transfer;
    callbacks.push_transfer_progress = on_push_transfer;
    callbacks.push_update_reference = on_rejection;
    callbacks.payload = mirror;
    mirror->credentials_given = 0;
    return callbacks;
}

static int status_in(const char *message)
{
    const char *at = strstr(message, "status code: ");
    return at ? atoi(at + strlen("status code: ")) : 0;
}

static int explain_status(const struct exportd_git_mirror *mirror, int status, struct exportd_kit_error *error)
{
    const char *url = mirror->url;
    switch (status) {
    case 401:
        return git_kit_fail(error, "git_unauthorized", 0, "%s takes no request without a token that it knows (401)",
                            url);
    case 403:
        return git_kit_fail(error, "git_forbidden", 0, "%s refuses what the token asks for (403)", url);
    case 404:
        return git_kit_fail(error, "repository_not_found", 0, "%s isn't there, or not for this token (404)", url);
    default:
        return git_kit_fail(error, status >= 500 || status == 429 ? "service_unreachable" : "git_failed",
                            status >= 500 || status == 429, "%s answered with the status %d", url, status);
    }
}

/* Says what libgit2 found wrong. doing: "fetched", for the sentence. */
static int explain(struct exportd_git_mirror *mirror, int code, const char *doing, struct exportd_kit_error *error)
{
    const git_error *cause = git_error_last();
    const char *message = cause && cause->message ? cause->message : "unknown";
    int status = status_in(message);
    if (mirror->stopped)
        return git_kit_fail(error, "cancelled", 0, "the job was cancelled");
    if (mirror->too_large)
        return git_kit_fail(
            error, "repository_too_large", 0, "%s has more than the limit of %llu MB to fetch", mirror->url,
            (unsigned long long)((mirror->options.max_bytes > 0 ? mirror->options.max_bytes : FETCH_BYTES) >> 20));
    if (status > 0)
        return explain_status(mirror, status, error);
    if (code == GIT_EAUTH || strstr(message, "authentication"))
        return explain_status(mirror, 401, error);
    if (code == GIT_ECERTIFICATE)
        return git_kit_fail(error, "service_unreachable", 1, "the certificate of %s doesn't hold: %s", mirror->url,
                            message);
    if (cause && (cause->klass == GIT_ERROR_NET || cause->klass == GIT_ERROR_OS || cause->klass == GIT_ERROR_SSL ||
                  cause->klass == GIT_ERROR_HTTP))
        return git_kit_fail(error, "service_unreachable", 1, "%s can't be %s: %s", mirror->url, doing, message);
    return git_kit_fail(error, "git_failed", 1, "%s can't be %s: %s", mirror->url, doing, message);
}

void git_kit_disconnect(struct exportd_git_mirror *mirror)
{
    git_remote_free(mirror->remote);
    mirror->remote = NULL;
    free(mirror->head);
    mirror->head = NULL;
    for (size_t i = 0; i < mirror->head_count; i++)
        free(mirror->heads[i].name);
    free(mirror->heads);
    mirror->heads = NULL;
    mirror->head_count = 0;
    mirror->asked = 0;
}

static int connect_to(struct exportd_git_mirror *mirror, git_direction direction, struct exportd_kit_error *error)
{
    git_remote_connect_options options;
    git_remote_connect_options_init(&options, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
    git_remote_create_options anonymous;
    git_kit_disconnect(mirror);
    git_remote_create_options_init(&anonymous, GIT_REMOTE_CREATE_OPTIONS_VERSION);
    anonymous.repository = mirror->repository;
    /* url.*.insteadOf isn't wanted, and looking for it leaks in libgit2 1.5: 20 KB for each line of the
     * configuration. */
    anonymous.flags = GIT_REMOTE_CREATE_SKIP_INSTEADOF | GIT_REMOTE_CREATE_SKIP_DEFAULT_FETCHSPEC;
    options.callbacks = callbacks_of(mirror);
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE; /* the token is meant for this address */
    int code = git_remote_create_with_opts(&mirror->remote, mirror->url, &anonymous);
    if (code == 0)
        code = git_remote_connect_ext(mirror->remote, direction, &options);
    return code == 0 ? 0 : explain(mirror, code, "reached", error);
}

static int ask(struct exportd_git_mirror *mirror, struct exportd_kit_error *error)
{
    if (mirror->asked)
        return 0;
    if (connect_to(mirror, GIT_DIRECTION_FETCH, error) != 0)
        return -1;
    const git_remote_head **heads;
    size_t count;
    int code = git_remote_ls(&heads, &count, mirror->remote);
    if (code != 0)
        return explain(mirror, code, "asked", error);
    mirror->heads = calloc(count + 1, sizeof *mirror->heads);
    for (size_t i = 0; mirror->heads && i < count; i++) {
        mirror->heads[i].name = strdup(heads[i]->name);
        mirror->heads[i].id = heads[i]->oid;
        mirror->head_count += mirror->heads[i].name != NULL;
    }
    if (mirror->head_count < count)
        return git_kit_fail(error, "out_of_memory", 1, "out of memory");
    git_buf branch = GIT_BUF_INIT;
    if (git_remote_default_branch(&branch, mirror->remote) == 0 && branch.ptr)
        mirror->head = strdup(strncmp(branch.ptr, "refs/heads/", 11) == 0 ? branch.ptr + 11 : branch.ptr);
    git_buf_dispose(&branch);
    mirror->asked = 1;
    return 0;
}

int exportd_git_remote_branch(struct exportd_git_mirror *mirror, const char **branch, struct exportd_kit_error *error)
{
    *branch = NULL;
    if (ask(mirror, error) != 0)
        return -1;
    *branch = mirror->head;
    return mirror->head ? 0 : 1;
}

static const git_oid *remote_id(const struct exportd_git_mirror *mirror, const char *name)
{
    for (size_t i = 0; i < mirror->head_count; i++)
        if (strcmp(mirror->heads[i].name, name) == 0)
            return &mirror->heads[i].id;
    return NULL;
}

int exportd_git_remote_ref(struct exportd_git_mirror *mirror, const char *name, char out[EXPORTD_GIT_SIZE],
                           struct exportd_kit_error *error)
{
    if (ask(mirror, error) != 0)
        return -1;
    const git_oid *id = remote_id(mirror, name);
    if (id)
        git_oid_tostr(out, EXPORTD_GIT_SIZE, id);
    return id ? 0 : 1;
}

/* The mirror has what the remote has. Its objects may be damaged all the same; the tips are looked at. */
static int is_up_to_date(const struct exportd_git_mirror *mirror, const char *name)
{
    git_oid here;
    git_object *tip = NULL;
    const git_oid *there = remote_id(mirror, name);
    int same = there && git_reference_name_to_id(&here, mirror->repository, name) == 0 &&
               git_oid_equal(&here, there) && git_object_lookup(&tip, mirror->repository, &here, GIT_OBJECT_ANY) == 0;
    git_object *tree = NULL;
    same = same && git_object_peel(&tree, tip, GIT_OBJECT_TREE) == 0;
    git_object_free(tree);
    git_object_free(tip);
    return same;
}

static void free_specs(git_strarray *list)
{
    while (list->count > 0)
        free(list->strings[--list->count]);
}

static int fetch_once(struct exportd_git_mirror *mirror, const char *const *refs, struct exportd_kit_error *error)
{
    char *specs[REFS_MAX];
    git_strarray list = {.strings = specs};
    git_fetch_options options;
    if (ask(mirror, error) != 0)
        return -1;
    for (size_t i = 0; refs[i] && i < REFS_MAX; i++) {
        if (!remote_id(mirror, refs[i])) {
            free_specs(&list);
            return git_kit_fail(error, "ref_not_found", 0, "%s has no %s", mirror->url, refs[i]);
        }
        if (!is_up_to_date(mirror, refs[i]) && asprintf(&specs[list.count], "+%s:%s", refs[i], refs[i]) > 0)
            list.count++;
    }
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    options.callbacks = callbacks_of(mirror);
    int code = list.count > 0 ? git_remote_fetch(mirror->remote, &list, &options, NULL) : 0;
    free_specs(&list);
    if (code != 0)
        return explain(mirror, code, "fetched", error);
    for (size_t i = 0; refs[i] && i < REFS_MAX; i++)
        if (!is_up_to_date(mirror, refs[i]))
            return git_kit_fail(error, "git_failed", 1, "the mirror of %s is damaged: it lacks objects of %s",
                                mirror->url, refs[i]);
    return 0;
}

int exportd_git_fetch(struct exportd_git_mirror *mirror, const char *const *refs, struct exportd_kit_error *error)
{
    if (fetch_once(mirror, refs, error) == 0)
        return 0;
    /* Whatever is wrong may be the mirror itself: once more with an empty one. */
    if (strcmp(error->code, "git_failed") != 0)
        return -1;
    return git_kit_renew(mirror, error) == 0 ? fetch_once(mirror, refs, error) : -1;
}

/* The server's words for: it isn't where you think it is. */
static int says_moved(const char *words)
{
    static const char *const sayings[] = {"non-fast-forward", "fetch first",     "failed to update ref",
                                          "already exists",   "cannot lock ref", "failed to lock",
                                          "stale info"};
    for (size_t i = 0; i < sizeof sayings / sizeof sayings[0]; i++)
        if (strstr(words, sayings[i]))
            return 1;
    return 0;
}

int exportd_git_push(struct exportd_git_mirror *mirror, const git_oid *commit, const char *branch,
                     struct exportd_kit_error *error)
{
    static const char ours[] = "refs/exportd/pushed";
    git_reference *reference = NULL;
    git_push_options options;
    char spec[1200];
    char *specs[] = {spec};
    git_strarray list = {.strings = specs, .count = 1};
    snprintf(spec, sizeof spec, "%s:refs/heads/%s", ours, branch);
    mirror->rejection[0] = '\0';
    int code = git_reference_create(&reference, mirror->repository, ours, commit, 1, NULL);
    git_reference_free(reference);
    if (code != 0)
        return explain(mirror, code, "pushed to", error);
    if (connect_to(mirror, GIT_DIRECTION_PUSH, error) != 0)
        return -1;
    git_push_options_init(&options, GIT_PUSH_OPTIONS_VERSION);
    options.callbacks = callbacks_of(mirror);
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    code = git_remote_push(mirror->remote, &list, &options);
    if (code == GIT_ENONFASTFORWARD || says_moved(mirror->rejection))
        code = git_kit_fail(error, "branch_moved", 1, "the branch %s was moved while this ran", branch);
    else if (code == 0 && mirror->rejection[0])
        code = git_kit_fail(error, "push_rejected", 0, "%s refuses the branch %s: %s", mirror->url, branch,
                            mirror->rejection);
    else if (code != 0)
        code = explain(mirror, code, "pushed to", error);
    git_kit_disconnect(mirror);
    return code == 0 ? 0 : -1;
}
