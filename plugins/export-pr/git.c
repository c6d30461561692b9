/*
 * Any remote but GitHub: the commit is built in a mirror's object database, without a checkout, and pushed. What the
 * forge then needs for a pull request is in gitlab.c and gitea.c; a plain remote gets the branch.
 */
#include "forge.h"

#include <exportd/kit/git.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 50
#define FETCH_SHARE 0.6 /* of the progress */

/* What stands on the remote, and what is to stand there. */
struct work {
    const struct pull *pull;
    struct exportd_git_mirror *mirror;
    git_repository *repository; /* the mirror's, after the last fetch */
    char *base;
    char base_id[EXPORTD_GIT_SIZE];
    git_commit *parent; /* of our commit */
    git_commit *commit; /* ours */
};

static int on_step(void *context, size_t objects, size_t all_objects, size_t bytes)
{
    struct exportd_job *job = context;
    char stage[96];
    snprintf(stage, sizeof stage, "fetching: %zu of %zu objects, %.1f MB", objects, all_objects, (double)bytes / 1e6);
    if (all_objects > 0)
        exportd_progress(job, FETCH_SHARE * (double)objects / (double)all_objects, stage);
    return exportd_cancelled(job);
}

/* Whatever of the mirror can't be read or written, an empty one is worth the next try. */
static int fail_git(struct work *work, struct exportd_kit_error *error, const char *doing)
{
    const git_error *cause = git_error_last();
    exportd_git_discard(work->mirror);
    error->code = "git_failed";
    error->retryable = 1;
    snprintf(error->message, sizeof error->message, "%s: %s", doing, cause ? cause->message : "unknown");
    return -1;
}

static int fetch_branch(struct work *work, const char *branch, struct exportd_kit_error *error)
{
    char name[1024];
    snprintf(name, sizeof name, "refs/heads/%s", branch);
    const char *refs[] = {name, NULL};
    int failed = exportd_git_fetch(work->mirror, refs, error);
    work->repository = exportd_git_repository(work->mirror);
    return failed;
}

static int find_base(struct work *work, const struct exportd_remote *remote, struct exportd_kit_error *error)
{
    const char *branch = work->pull->base;
    char name[1024];
    int found = branch ? 0 : exportd_git_remote_branch(work->mirror, &branch, error);
    if (found < 0)
        return -1;
    if (found > 0) {
        error->code = "repository_empty";
        error->retryable = 0;
        snprintf(error->message, sizeof error->message,
                 "%s has no commit on its default branch; push one first, or name another branch as base",
                 remote->url);
        return -1;
    }
    work->base = strdup(branch);
    snprintf(name, sizeof name, "refs/heads/%s", branch);
    found = exportd_git_remote_ref(work->mirror, name, work->base_id, error);
    if (found <= 0)
        return found;
    error->code = "base_not_found";
    error->retryable = 0;
    snprintf(error->message, sizeof error->message, "%s has no branch %s; leave base out for its default branch",
             remote->url, branch);
    return -1;
}

static int look_up_commit(struct work *work, const char *hex, git_commit **commit, struct exportd_kit_error *error)
{
    git_oid id;
    if (git_oid_fromstr(&id, hex) == 0 && git_commit_lookup(commit, work->repository, &id) == 0)
        return 0;
    return fail_git(work, error, "a commit that was fetched can't be read");
}

/* The tree of a commit with the pull request's files in it. */
static int make_tree(struct work *work, git_commit *commit, git_tree **tree, struct exportd_kit_error *error)
{
    const struct exportd_bundle *bundle = work->pull->bundle;
    size_t count = exportd_bundle_count(bundle);
    git_tree_update *updates = calloc(count + 1, sizeof *updates);
    git_tree *before = NULL;
    git_oid id;
    int failed = !updates || git_commit_tree(&before, commit) != 0;
    for (size_t i = 0; !failed && i < count; i++) {
        struct exportd_bundle_file file = exportd_bundle_get(bundle, i);
        updates[i] = (git_tree_update){
            .action = GIT_TREE_UPDATE_UPSERT,
            .filemode = file.mode == 0755 ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB,
            .path = file.path,
        };
        failed = git_blob_create_from_buffer(&updates[i].id, work->repository, file.content, file.size_bytes) != 0;
    }
    failed = failed || git_tree_create_updated(&id, work->repository, before, count, updates) != 0 ||
             git_tree_lookup(tree, work->repository, &id) != 0;
    if (failed)
        fail_git(work, error,
                 "the files can't be put into the repository's tree (is a folder of theirs a file there?)");
    git_tree_free(before);
    free(updates);
    return failed ? -1 : 0;
}

static bool has_tree(const git_commit *commit, const git_tree *tree)
{
    return git_oid_equal(git_commit_tree_id(commit), git_tree_id(tree)) != 0;
}

/* The trailer stands in a line of its own. */
static bool is_ours(const struct pull *pull, const git_commit *commit)
{
    const char *message = git_commit_message(commit);
    size_t length = strlen(pull->mark);
    for (const char *at = message; (at = strstr(at, pull->mark)); at += length)
        if ((at == message || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\0'))
            return true;
    return false;
}

static int make_commit(struct work *work, const git_tree *tree, struct exportd_kit_error *error)
{
    const struct pull *pull = work->pull;
    git_signature *who = NULL;
    git_oid id;
    const git_commit *parents[] = {work->parent};
    int failed =
        git_signature_new(&who, pull->author_name, pull->author_email, pull->time_s, 0) != 0 ||
        git_commit_create(&id, work->repository, NULL, who, who, "UTF-8", pull->message, tree, 1, parents) != 0 ||
        git_commit_lookup(&work->commit, work->repository, &id) != 0;
    git_signature_free(who);
    return failed ? fail_git(work, error, "the commit can't be made") : 0;
}

static int fail_nothing(const struct work *work, struct exportd_kit_error *error)
{
    error->code = "nothing_to_change";
    error->retryable = 0;
    snprintf(
        error->message, sizeof error->message,
        "the branch %s has these files already, with the same content: there is nothing to open a pull request for",
        work->base);
    return -1;
}

enum branch_state { BRANCH_NEW, BRANCH_DONE, BRANCH_BEHIND, BRANCH_TAKEN };

/* Looks at a branch, and makes the commit that it lacks. Returns an enum branch_state, or -1. */
static int prepare(struct work *work, const char *branch, struct exportd_kit_error *error)
{
    char name[1024], head[EXPORTD_GIT_SIZE];
    git_tree *tree = NULL;
    snprintf(name, sizeof name, "refs/heads/%s", branch);
    int found = exportd_git_remote_ref(work->mirror, name, head, error);
    if (found < 0 || (found == 0 && fetch_branch(work, branch, error) != 0) ||
        look_up_commit(work, found == 0 ? head : work->base_id, &work->parent, error) != 0 ||
        make_tree(work, work->parent, &tree, error) != 0)
        return -1;
    int state;
    if (found > 0)
        state = has_tree(work->parent, tree) ? fail_nothing(work, error) : BRANCH_NEW;
    else if (has_tree(work->parent, tree))
        state = BRANCH_DONE;
    else
        state = is_ours(work->pull, work->parent) ? BRANCH_BEHIND : BRANCH_TAKEN;
    if (state == BRANCH_DONE)
        git_commit_dup(&work->commit, work->parent);
    if ((state == BRANCH_NEW || state == BRANCH_BEHIND) && make_commit(work, tree, error) != 0)
        state = -1;
    git_tree_free(tree);
    return state;
}

static void forget_commits(struct work *work)
{
    git_commit_free(work->parent);
    git_commit_free(work->commit);
    work->parent = work->commit = NULL;
}

/* The wanted branch, or the first numbered one that is free or ours. Returns an enum branch_state, or -1. */
static int choose_branch(struct work *work, char **branch, struct exportd_kit_error *error)
{
    const struct pull *pull = work->pull;
    for (int number = 1; number <= NUMBERS_MAX; number++) {
        char name[512];
        snprintf(name, sizeof name, number > 1 ? "%s-%d" : "%s", pull->branch, number);
        int state = prepare(work, name, error);
        if (state != BRANCH_TAKEN) {
            *branch = strdup(name);
            return state;
        }
        forget_commits(work);
        if (!pull->numbered)
            break;
    }
    return forge_branch_taken(pull, error);
}

static int push(struct work *work, const struct exportd_remote *remote, struct pull_outcome *outcome,
                struct exportd_kit_error *error)
{
    static const char *const states[] = {
        [BRANCH_NEW] = "created", [BRANCH_DONE] = "unchanged", [BRANCH_BEHIND] = "updated"};
    char id[EXPORTD_GIT_SIZE];
    if (find_base(work, remote, error) != 0 || fetch_branch(work, work->base, error) != 0)
        return -1;
    int state = choose_branch(work, &outcome->branch, error);
    if (state < 0)
        return -1;
    exportd_progress(work->pull->job, FETCH_SHARE, "pushing the branch");
    if (state != BRANCH_DONE &&
        exportd_git_push(work->mirror, git_commit_id(work->commit), outcome->branch, error) != 0)
        return -1;
    outcome->state = states[state];
    outcome->base = strdup(work->base);
    git_oid_tostr(id, sizeof id, git_commit_id(work->commit));
    outcome->commit = strdup(id);
    return 0;
}

/* What the kit says of any repository, said of this one: which token, which key of conf.d. */
static void name_the_mend(const struct exportd_remote *remote, struct exportd_kit_error *error)
{
    static const char *const scopes[] = {
        [EXPORTD_REMOTE_GITLAB] = "GITLAB_TOKEN needs the scopes api and write_repository, and the role Developer",
        [EXPORTD_REMOTE_GITEA] = "GITEA_TOKEN needs the scopes write:repository and write:issue",
        [EXPORTD_REMOTE_GIT] = "set GIT_TOKEN, and [plugin export-pr] git_user where the server wants a name with it",
    };
    bool refused = strcmp(error->code, "git_unauthorized") == 0 || strcmp(error->code, "git_forbidden") == 0 ||
                   strcmp(error->code, "repository_not_found") == 0;
    size_t length = strlen(error->message);
    if (refused && remote->kind != EXPORTD_REMOTE_GITHUB)
        snprintf(error->message + length, sizeof error->message - length, "; %s", scopes[remote->kind]);
}

int git_open(const struct pull *pull, const struct exportd_remote *remote, struct pull_outcome *outcome,
             struct exportd_kit_error *error)
{
    struct work work = {.pull = pull};
    const struct exportd_git_options options = {
        .cache = exportd_cache(pull->job),
        .workspace = exportd_workspace(pull->job),
        .user = remote->user,
        .token = remote->token,
        .ca_file = exportd_option(pull->job, "ca_file"),
        .max_bytes = (uint64_t)exportd_option_integer(pull->job, "max_fetch", 0),
        .cache_bytes = (uint64_t)exportd_option_integer(pull->job, "cache_size", 0),
        .step = on_step,
        .context = pull->job,
    };
    if (pull->fork) {
        error->code = "fork_unsupported";
        error->retryable = 0;
        snprintf(error->message, sizeof error->message,
                 "fork works on GitHub only; leave it out, and let the token push to %s", remote->path);
        return -1;
    }
    int failed = -1;
    work.mirror = exportd_git_open(&options, remote->url, error);
    if (work.mirror)
        failed = push(&work, remote, outcome, error);
    forget_commits(&work);
    free(work.base);
    exportd_git_close(work.mirror);
    if (failed) {
        name_the_mend(remote, error);
        return -1;
    }
    exportd_progress(pull->job, 0.8, "opening the pull request");
    if (remote->kind == EXPORTD_REMOTE_GITLAB)
        return gitlab_open(pull, remote, outcome, error);
    if (remote->kind == EXPORTD_REMOTE_GITEA)
        return gitea_open(pull, remote, outcome, error);
    outcome->note = strdup("a plain Git remote has no pull requests: the branch is there, and that is all");
    return 0;
}
