/* publish.h: the first commit. */
#include "publish.h"

#include <exportd/kit/git.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static int on_step(void *context, size_t objects, size_t all_objects, size_t bytes)
{
    (void)objects;
    (void)all_objects;
    (void)bytes;
    return exportd_cancelled(context);
}

static int fail_git(struct exportd_git_mirror *mirror, const char *doing, struct exportd_kit_error *error)
{
    const git_error *cause = git_error_last();
    exportd_git_discard(mirror);
    return exportd_kit_fail(error, "git_failed", 1, "%s: %s", doing, cause ? cause->message : "unknown");
}

static int make_tree(const struct publish *publish, git_repository *repository, git_tree **tree)
{
    size_t count = exportd_bundle_count(publish->bundle);
    git_tree_update *updates = calloc(count + 1, sizeof *updates);
    git_treebuilder *empty = NULL;
    git_tree *base = NULL;
    git_oid id;
    int failed = !updates || git_treebuilder_new(&empty, repository, NULL) != 0 ||
                 git_treebuilder_write(&id, empty) != 0 || git_tree_lookup(&base, repository, &id) != 0;
    for (size_t i = 0; !failed && i < count; i++) {
        struct exportd_bundle_file file = exportd_bundle_get(publish->bundle, i);
        updates[i] = (git_tree_update){
            .action = GIT_TREE_UPDATE_UPSERT,
            .filemode = file.mode == 0755 ? GIT_FILEMODE_BLOB_EXECUTABLE : GIT_FILEMODE_BLOB,
            .path = file.path,
        };
        failed = git_blob_create_from_buffer(&updates[i].id, repository, file.content, file.size_bytes) != 0;
    }
    failed = failed || git_tree_create_updated(&id, repository, base, count, updates) != 0 ||
             git_tree_lookup(tree, repository, &id) != 0;
    git_tree_free(base);
    git_treebuilder_free(empty);
    free(updates);
    return failed ? -1 : 0;
}

static int make_commit(const struct publish *publish, git_repository *repository, const git_tree *tree, git_oid *id)
{
    git_signature *who = NULL;
    int failed =
        git_signature_new(&who, publish->author_name, publish->author_email, (git_time_t)time(NULL), 0) != 0 ||
        git_commit_create(id, repository, NULL, who, who, "UTF-8", publish->message, tree, 0, NULL) != 0;
    git_signature_free(who);
    return failed ? -1 : 0;
}

/* The branch is there. Where it has these very files in one commit, an attempt before did all this. */
static int check_present(const struct publish *publish, struct exportd_git_mirror *mirror, const char *name,
                         const char *head, struct published *published, struct exportd_kit_error *error)
{
    const char *refs[] = {name, NULL};
    git_commit *commit = NULL;
    git_tree *tree = NULL;
    git_oid id;
    if (exportd_git_fetch(mirror, refs, error) != 0)
        return -1;
    git_repository *repository = exportd_git_repository(mirror);
    int failed = git_oid_fromstr(&id, head) != 0 || git_commit_lookup(&commit, repository, &id) != 0 ||
                         make_tree(publish, repository, &tree) != 0
                     ? fail_git(mirror, "a commit that was fetched can't be read", error)
                     : 0;
    if (!failed) {
        published->unchanged =
            git_commit_parentcount(commit) == 0 && git_oid_equal(git_commit_tree_id(commit), git_tree_id(tree));
        snprintf(published->commit, sizeof published->commit, "%s", head);
        if (!published->unchanged)
            failed =
                exportd_kit_fail(error, "branch_taken", 0,
                                 "%s has a branch %s already, with other content; it is left alone: name an empty "
                                 "repository as target_url, or another target_branch",
                                 publish->remote->url, publish->branch);
    }
    git_tree_free(tree);
    git_commit_free(commit);
    return failed;
}

static int push(const struct publish *publish, struct exportd_git_mirror *mirror, struct published *published,
                struct exportd_kit_error *error)
{
    char name[1100], head[EXPORTD_GIT_SIZE];
    git_tree *tree = NULL;
    git_oid id;
    snprintf(name, sizeof name, "refs/heads/%s", publish->branch);
    int found = exportd_git_remote_ref(mirror, name, head, error);
    if (found <= 0)
        return found < 0 ? -1 : check_present(publish, mirror, name, head, published, error);
    git_repository *repository = exportd_git_repository(mirror);
    int failed = make_tree(publish, repository, &tree) != 0 || make_commit(publish, repository, tree, &id) != 0
                     ? fail_git(mirror, "the commit can't be made", error)
                     : exportd_git_push(mirror, &id, publish->branch, error);
    if (!failed)
        git_oid_tostr(published->commit, sizeof published->commit, &id);
    git_tree_free(tree);
    return failed;
}

static void name_the_mend(const struct exportd_remote *remote, struct exportd_kit_error *error)
{
    static const char *const scopes[] = {
        [EXPORTD_REMOTE_GITHUB] = "GITHUB_TOKEN needs to write the repository's contents (and the scope workflow for "
                                  ".github/workflows)",
        [EXPORTD_REMOTE_GITLAB] = "GITLAB_TOKEN needs the scope write_repository, and the role Developer",
        [EXPORTD_REMOTE_GITEA] = "GITEA_TOKEN needs the scope write:repository",
        [EXPORTD_REMOTE_GIT] = "set GIT_TOKEN, and git_user where the server wants a name with it",
    };
    bool refused = strcmp(error->code, "git_unauthorized") == 0 || strcmp(error->code, "git_forbidden") == 0 ||
                   strcmp(error->code, "repository_not_found") == 0;
    size_t length = strlen(error->message);
    if (refused)
        snprintf(error->message + length, sizeof error->message - length, "; %s", scopes[remote->kind]);
}

int publish_push(const struct publish *publish, struct published *published, struct exportd_kit_error *error)
{
    struct exportd_job *job = publish->job;
    const struct exportd_git_options options = {
        .workspace = exportd_workspace(job), /* a mirror of what is to be empty isn't worth keeping */
        .user = publish->remote->user,
        .token = publish->remote->token,
        .ca_file = exportd_option(job, "ca_file"),
        .max_bytes = (uint64_t)exportd_option_integer(job, "max_fetch", 0),
        .step = on_step,
        .context = job,
    };
    struct exportd_git_mirror *mirror = exportd_git_open(&options, publish->remote->url, error);
    int failed = mirror ? push(publish, mirror, published, error) : -1;
    exportd_git_close(mirror);
    if (failed)
        name_the_mend(publish->remote, error);
    return failed;
}
