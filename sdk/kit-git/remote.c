/* exportd/kit/git.h: what goes over the network. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_BYTES ((uint64_t)2 << 30)

int exportd_git_url_is_http(const char *url)
{
    return strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0;
}

uint64_t git_kit_max_bytes(const struct exportd_git_mirror *mirror)
{
    return mirror->options.max_bytes > 0 ? mirror->options.max_bytes : FETCH_BYTES;
}

static int on_transfer(const git_indexer_progress *progress, void *payload)
{
    struct exportd_git_mirror *mirror = payload;
    const struct exportd_git_options *options = &mirror->options;
    mirror->too_large = progress->received_bytes > git_kit_max_bytes(mirror);
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

/* The first line that is about a fault is kept. */
static void end_line(struct exportd_git_mirror *mirror)
{
    static const char *const marks[] = {"fatal:", "error:", "ERR "};
    mirror->line[mirror->line_length] = '\0';
    mirror->line_length = 0;
    for (size_t i = 0; i < sizeof marks / sizeof *marks && !mirror->complaint[0]; i++) {
        const char *at = strstr(mirror->line, marks[i]);
        if (at)
            snprintf(mirror->complaint, sizeof mirror->complaint, "%s", at);
    }
}

/* What the server says beside its data, a piece at a time. git hands on 128 bytes at once, wherever they end. */
static int on_words(const char *text, int length, void *payload)
{
    struct exportd_git_mirror *mirror = payload;
    for (int i = 0; i < length; i++) {
        if (text[i] == '\r' || text[i] == '\n')
            end_line(mirror);
        else if (mirror->line_length < sizeof mirror->line - 1)
            mirror->line[mirror->line_length++] = text[i];
    }
    return 0;
}

static git_remote_callbacks callbacks_of(struct exportd_git_mirror *mirror)
{
    git_remote_callbacks callbacks;
    git_remote_init_callbacks(&callbacks, GIT_REMOTE_CALLBACKS_VERSION);
    if (exportd_git_url_is_http(mirror->url))
        callbacks.transport = git_kit_transport;
    callbacks.transfer_progress = on_transfer;
    callbacks.push_transfer_progress = on_push_transfer;
    callbacks.push_update_reference = on_rejection;
    callbacks.sideband_progress = on_words;
    callbacks.payload = mirror;
    mirror->network_failed = mirror->timed_out = mirror->certificate_failed = mirror->not_git = 0;
    mirror->http_status = 0;
    mirror->forbidden_address[0] = '\0';
    mirror->complaint[0] = '\0';
    mirror->line_length = 0;
    return callbacks;
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
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        return git_kit_fail(error, "git_failed", 0,
                            "%s redirects to another address (%d), where no token goes; name that address instead",
                            url, status);
    default:
        return git_kit_fail(error, status >= 500 || status == 429 ? "service_unreachable" : "git_failed",
                            status >= 500 || status == 429, "%s answered with the status %d", url, status);
    }
}

/* Says what transport.c found wrong. Returns -1, or 0 where it was something else. */
static int explain_network(const struct exportd_git_mirror *mirror, const char *doing, const char *detail,
                           struct exportd_kit_error *error)
{
    const char *url = mirror->url;
    if (mirror->http_status > 0)
        return explain_status(mirror, mirror->http_status, error);
    if (mirror->not_git)
        return git_kit_fail(error, "repository_not_found", 0,
                            "%s answers, but not as a Git repository does; write the address that git clone takes",
                            url);
    if (mirror->network_failed && mirror->forbidden_address[0])
        return git_kit_fail(error, "address_forbidden", 0,
                            "%s leads to %s, which is no public address; where it is meant, name it in allow", url,
                            mirror->forbidden_address);
    if (mirror->certificate_failed)
        return git_kit_fail(error, "service_unreachable", 1,
                            "the certificate of %s doesn't hold: %s; where an authority of your own signed it, name "
                            "that in ca_file",
                            url, detail);
    if (mirror->timed_out)
        return git_kit_fail(error, "service_timeout", 1, "%s can't be %s: it said nothing for too long (%s)", url,
                            doing, detail);
    return mirror->network_failed
               ? git_kit_fail(error, "service_unreachable", 1, "%s can't be %s: %s", url, doing, detail)
               : 0;
}

/* Says what libgit2 found wrong. doing: "fetched", for the sentence. */
static int explain(struct exportd_git_mirror *mirror, const char *doing, struct exportd_kit_error *error)
{
    end_line(mirror); /* the last may have none */
    const git_error *cause = git_error_last();
    const char *message = cause && cause->message ? cause->message : "unknown";
    if (mirror->stopped)
        return git_kit_fail(error, "cancelled", 0, "the job was cancelled");
    if (mirror->too_large)
        return git_kit_fail(error, "repository_too_large", 0, "%s has more than the limit of %llu MB to fetch",
                            mirror->url, (unsigned long long)(git_kit_max_bytes(mirror) >> 20));
    if (explain_network(mirror, doing, message, error) != 0)
        return -1;
    if (mirror->complaint[0]) {
        char quoted[300];
        return git_kit_fail(error, "git_failed", 1, "%s can't be %s: %s; the server says %s", mirror->url, doing,
                            message, exportd_bundle_quote(mirror->complaint, quoted, sizeof quoted));
    }
    if (cause && (cause->klass == GIT_ERROR_NET || cause->klass == GIT_ERROR_OS))
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
    return code == 0 ? 0 : explain(mirror, "reached", error);
}

static int by_name(const void *a, const void *b)
{
    const struct git_kit_head *one = a, *other = b;
    return strcmp(one->name, other->name);
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
        return explain(mirror, "asked", error);
    mirror->heads = calloc(count + 1, sizeof *mirror->heads);
    for (size_t i = 0; mirror->heads && i < count; i++) {
        mirror->heads[i].name = strdup(heads[i]->name);
        mirror->heads[i].id = heads[i]->oid;
        mirror->head_count += mirror->heads[i].name != NULL;
    }
    if (!mirror->heads || mirror->head_count < count)
        return git_kit_fail(error, "out_of_memory", 1, "out of memory");
    qsort(mirror->heads, mirror->head_count, sizeof *mirror->heads, by_name);
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
    const struct git_kit_head wanted = {.name = (char *)(uintptr_t)name};
    const struct git_kit_head *found =
        mirror->head_count > 0 ? bsearch(&wanted, mirror->heads, mirror->head_count, sizeof *mirror->heads, by_name)
                               : NULL;
    return found ? &found->id : NULL;
}

static int is_branch(const char *name)
{
    return strncmp(name, "refs/heads/", 11) == 0;
}

int exportd_git_remote_name(struct exportd_git_mirror *mirror, const char *id, const char **name,
                            struct exportd_kit_error *error)
{
    git_oid wanted;
    *name = NULL;
    if (ask(mirror, error) != 0)
        return -1;
    if (git_oid_fromstr(&wanted, id) != 0)
        return 1;
    for (size_t i = 0; i < mirror->head_count; i++) {
        const struct git_kit_head *head = &mirror->heads[i];
        if (strncmp(head->name, "refs/", 5) == 0 && !strchr(head->name, '^') && git_oid_equal(&head->id, &wanted) &&
            (!*name || is_branch(head->name)))
            *name = head->name;
    }
    return *name ? 0 : 1;
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

/* Tags of files and trees are rare, and fine. What a tree holds is for its reader to judge: it is there. */
static int has_tree_of(git_repository *repository, const git_object *tip)
{
    git_object *commit = NULL;
    git_odb *odb = NULL;
    int code = git_object_peel(&commit, tip, GIT_OBJECT_COMMIT);
    int there = code == GIT_EPEEL || code == GIT_EINVALIDSPEC;
    if (code == 0)
        there = git_repository_odb(&odb, repository) == 0 &&
                git_odb_exists(odb, git_commit_tree_id((const git_commit *)commit));
    git_odb_free(odb);
    git_object_free(commit);
    return there;
}

/* The mirror has what the remote has. Its objects may be damaged all the same; the tips are looked at. */
static int is_up_to_date(const struct exportd_git_mirror *mirror, const char *name)
{
    git_oid here;
    git_object *tip = NULL;
    const git_oid *there = remote_id(mirror, name);
    int same = there && git_reference_name_to_id(&here, mirror->repository, name) == 0 &&
               git_oid_equal(&here, there) && git_object_lookup(&tip, mirror->repository, &here, GIT_OBJECT_ANY) == 0;
    same = same && has_tree_of(mirror->repository, tip);
    git_object_free(tip);
    return same;
}

static git_strarray *free_specs(git_strarray *list)
{
    while (list && list->count > 0)
        free(list->strings[--list->count]);
    if (list)
        free(list->strings);
    free(list);
    return NULL;
}

/* What of refs the mirror lacks, as refspecs. NULL with error filled. */
static git_strarray *make_specs(struct exportd_git_mirror *mirror, const char *const *refs,
                                struct exportd_kit_error *error)
{
    size_t count = 0;
    while (refs[count])
        count++;
    git_strarray *list = calloc(1, sizeof *list);
    if (list)
        list->strings = calloc(count + 1, sizeof *list->strings);
    for (size_t i = 0; list && list->strings && i < count; i++) {
        if (!remote_id(mirror, refs[i])) {
            git_kit_fail(error, "ref_not_found", 0, "%s has no %s", mirror->url, refs[i]);
            return free_specs(list);
        }
        if (is_up_to_date(mirror, refs[i]))
            continue;
        if (asprintf(&list->strings[list->count], "+%s:%s", refs[i], refs[i]) < 0) {
            git_kit_fail(error, "out_of_memory", 1, "out of memory");
            return free_specs(list);
        }
        list->count++;
    }
    if (list && list->strings)
        return list;
    git_kit_fail(error, "out_of_memory", 1, "out of memory");
    return free_specs(list);
}

static int fetch_specs(struct exportd_git_mirror *mirror, const git_strarray *specs, struct exportd_kit_error *error)
{
    git_fetch_options options;
    git_fetch_options_init(&options, GIT_FETCH_OPTIONS_VERSION);
    options.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
    options.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
    options.callbacks = callbacks_of(mirror);
    return git_remote_fetch(mirror->remote, specs, &options, NULL) == 0 ? 0 : explain(mirror, "fetched", error);
}

static int fetch_these(struct exportd_git_mirror *mirror, const char *const *refs, struct exportd_kit_error *error)
{
    if (ask(mirror, error) != 0)
        return -1;
    git_strarray *list = make_specs(mirror, refs, error);
    if (!list)
        return -1;
    int fetched = list->count > 0;
    int failed = fetched ? fetch_specs(mirror, list, error) : 0;
    free_specs(list);
    for (size_t i = 0; !failed && fetched && refs[i]; i++)
        if (!is_up_to_date(mirror, refs[i]))
            failed = git_kit_fail(error, "git_failed", 1, "the mirror of %s is damaged: it lacks objects of %s",
                                  mirror->url, refs[i]);
    return failed;
}

/* By patterns, for libgit2 holds each reference against each refspec. */
static int fetch_all(struct exportd_git_mirror *mirror, struct exportd_kit_error *error)
{
    static char branches[] = "+refs/heads/*:refs/heads/*", tags[] = "+refs/tags/*:refs/tags/*";
    char *specs[] = {branches, tags};
    const git_strarray list = {.strings = specs, .count = 2};
    return ask(mirror, error) == 0 ? fetch_specs(mirror, &list, error) : -1;
}

/* refs: NULL for all. */
static int fetch(struct exportd_git_mirror *mirror, const char *const *refs, struct exportd_kit_error *error)
{
    if ((refs ? fetch_these(mirror, refs, error) : fetch_all(mirror, error)) == 0)
        return 0;
    /* Whatever is wrong may be the mirror itself: once more with an empty one. */
    if (strcmp(error->code, "git_failed") != 0 || mirror->http_status > 0 || git_kit_renew(mirror, error) != 0)
        return -1;
    return refs ? fetch_these(mirror, refs, error) : fetch_all(mirror, error);
}

int exportd_git_fetch(struct exportd_git_mirror *mirror, const char *const *refs, struct exportd_kit_error *error)
{
    return fetch(mirror, refs, error);
}

int exportd_git_fetch_all(struct exportd_git_mirror *mirror, struct exportd_kit_error *error)
{
    return fetch(mirror, NULL, error);
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
        return explain(mirror, "pushed to", error);
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
        code = explain(mirror, "pushed to", error);
    git_kit_disconnect(mirror);
    return code == 0 ? 0 : -1;
}
