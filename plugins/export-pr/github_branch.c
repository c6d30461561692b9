/* github.h: the branch: tree, commit, reference. */
#include "github.h"

#include "forge.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NUMBERS_MAX 50
#define NAME_SIZE 240 /* of a branch with its number */
#define FORK_WAIT_MS 10000

/* A fork is made in the background, and takes writes only later. */
static int refuse_write(struct github *github, int status, const json_t *answer, const char *doing)
{
    char words[200];
    if (!github->forked || (status != 404 && status != 409))
        return github_refused(github, status, answer, doing);
    exportd_retry_after(github->pull->job, FORK_WAIT_MS);
    return github_fail(github, "fork_not_ready", 1,
                       "GitHub is still making the fork %s (%d, %s); the job comes back in %d s. Where it never is "
                       "ready, the token may not write there: give it the scope repo",
                       github->head, status, github_words(github, answer, words, sizeof words), FORK_WAIT_MS / 1000);
}

/* The id in an answer. */
static int take_id(struct github *github, const json_t *answer, const char *what, char id[GITHUB_ID_SIZE])
{
    snprintf(id, GITHUB_ID_SIZE, "%s", github_text(answer, "sha"));
    if (*id)
        return 0;
    return github_fail(github, "answer_unexpected", 1, "%s made a %s without an id; the job tries again",
                       github->remote->api, what);
}

/* A file that JSON can't hold as text, as a blob. */
static int make_blob(struct github *github, const struct exportd_bundle_file *file, char id[GITHUB_ID_SIZE])
{
    size_t size = sodium_base64_encoded_len(file->size_bytes, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(size);
    json_t *answer;
    if (!text)
        return github_out_of_memory(github);
    sodium_bin2base64(text, size, (const unsigned char *)file->content, file->size_bytes,
                      sodium_base64_VARIANT_ORIGINAL);
    json_t *body = json_pack("{s:s, s:s}", "content", text, "encoding", "base64");
    free(text);
    int status = github_call(github, "POST", body, &answer, "/repos/%s/git/blobs", github->head);
    if (status >= 0)
        status =
            status == 201 ? take_id(github, answer, "blob", id) : refuse_write(github, status, answer, "take a file");
    json_decref(answer);
    return status;
}

static int make_entry(struct github *github, const struct exportd_bundle_file *file)
{
    json_t *entry = json_pack("{s:s, s:s, s:s}", "path", file->path, "mode", file->mode == 0755 ? "100755" : "100644",
                              "type", "blob");
    json_t *text =
        memchr(file->content, '\0', file->size_bytes) ? NULL : json_stringn(file->content, file->size_bytes);
    char id[GITHUB_ID_SIZE];
    int status = 0;
    if (text)
        json_object_set_new(entry, "content", text);
    else if ((status = make_blob(github, file, id)) == 0)
        json_object_set_new(entry, "sha", json_string(id));
    if (!entry || json_array_append_new(github->entries, entry) < 0)
        return status < 0 ? -1 : github_out_of_memory(github);
    return status;
}

static int make_entries(struct github *github)
{
    const struct exportd_bundle *bundle = github->pull->bundle;
    size_t count = exportd_bundle_count(bundle);
    github->entries = json_array();
    if (!github->entries)
        return github_out_of_memory(github);
    for (size_t i = 0; i < count; i++) {
        struct exportd_bundle_file file = exportd_bundle_get(bundle, i);
        exportd_progress(github->pull->job, 0.3 + 0.2 * (double)i / (double)count, "sending the files");
        if (make_entry(github, &file) < 0)
            return -1;
    }
    return 0;
}

/* The tree below with the files in it. */
static int make_tree(struct github *github, const char *below, char id[GITHUB_ID_SIZE])
{
    json_t *answer;
    json_t *body = json_pack("{s:s, s:O}", "base_tree", below, "tree", github->entries);
    exportd_progress(github->pull->job, 0.5, "writing the tree");
    int status = github_call(github, "POST", body, &answer, "/repos/%s/git/trees", github->head);
    if (status >= 0)
        status = status == 201 ? take_id(github, answer, "tree", id)
                               : refuse_write(github, status, answer, "take the files");
    json_decref(answer);
    return status;
}

static int make_commit(struct github *github, const char *parent, const char *tree, char id[GITHUB_ID_SIZE])
{
    const struct pull *pull = github->pull;
    json_t *answer;
    char date[40];
    struct tm parts;
    time_t seconds = (time_t)pull->time_s;
    gmtime_r(&seconds, &parts);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_t *who = json_pack("{s:s, s:s, s:s}", "name", pull->author_name, "email", pull->author_email, "date", date);
    json_t *body = json_pack("{s:s, s:s, s:[s], s:O, s:o}", "message", pull->message, "tree", tree, "parents", parent,
                             "author", who, "committer", who);
    exportd_progress(pull->job, 0.6, "making the commit");
    int status = github_call(github, "POST", body, &answer, "/repos/%s/git/commits", github->head);
    if (status >= 0)
        status = status == 201 ? take_id(github, answer, "commit", id)
                               : refuse_write(github, status, answer, "make the commit");
    json_decref(answer);
    return status;
}

static int refuse_branch(struct github *github, const char *branch, int status, const json_t *answer)
{
    char words[240];
    if (status != 422)
        return refuse_write(github, status, answer, "create the branch");
    return github_fail(github, "branch_refused", 0,
                       "GitHub would not create or move the branch %s (422, %s): a rule protects such names, or a "
                       "branch is there that it would be a folder of; give another branch_name",
                       branch, github_words(github, answer, words, sizeof words));
}

/* Returns 1 where a branch of that name was there before, 0 where it is new, -1 with error filled. */
static int create_branch(struct github *github, const char *branch, const char *commit)
{
    char ref[NAME_SIZE + 16];
    json_t *answer;
    snprintf(ref, sizeof ref, "refs/heads/%s", branch);
    exportd_progress(github->pull->job, 0.7, "creating the branch");
    int status = github_call(github, "POST", json_pack("{s:s, s:s}", "ref", ref, "sha", commit), &answer,
                             "/repos/%s/git/refs", github->head);
    if (status == 201)
        status = 0;
    else if (status == 422 && github_says(answer, "already exists"))
        status = 1;
    else if (status >= 0)
        status = refuse_branch(github, branch, status, answer);
    json_decref(answer);
    return status;
}

/* Never by force: whoever was faster stays. */
static int move_branch(struct github *github, const char *branch, const char *commit)
{
    json_t *answer;
    char *escaped = exportd_http_escape(branch);
    if (!escaped)
        return github_out_of_memory(github);
    exportd_progress(github->pull->job, 0.75, "moving the branch");
    int status = github_call(github, "PATCH", json_pack("{s:s, s:b}", "sha", commit, "force", 0), &answer,
                             "/repos/%s/git/refs/heads%%2F%s", github->head, escaped);
    free(escaped);
    if (status == 200)
        status = 0;
    else if (status == 422 && (github_says(answer, "fast forward") || github_says(answer, "does not exist")))
        status = github_fail(github, "branch_moved", 1,
                             "the branch %s was moved by somebody else just now; the job looks again", branch);
    else if (status >= 0)
        status = refuse_branch(github, branch, status, answer);
    json_decref(answer);
    return status;
}

/* The trailer stands in a line of its own. */
static bool is_ours(const struct pull *pull, const char *message)
{
    size_t length = strlen(pull->mark);
    for (const char *at = message; (at = strstr(at, pull->mark)); at += length)
        if ((at == message || at[-1] == '\n') && (at[length] == '\n' || at[length] == '\r' || !at[length]))
            return true;
    return false;
}

/* Reads where a branch is. Returns 1 where the last commit is this export's, 0 where it is somebody else's, 2 where
 * there is no such branch, -1 with error filled. */
static int read_branch(struct github *github, const char *branch, struct github_commit *commit)
{
    json_t *answer;
    char *escaped = exportd_http_escape(branch);
    if (!escaped)
        return github_out_of_memory(github);
    int status = github_call(github, "GET", NULL, &answer, "/repos/%s/branches/%s", github->head, escaped);
    free(escaped);
    if (status == 200) {
        snprintf(commit->id, GITHUB_ID_SIZE, "%s", github_text(answer, "commit.sha"));
        snprintf(commit->tree, GITHUB_ID_SIZE, "%s", github_text(answer, "commit.commit.tree.sha"));
        status = is_ours(github->pull, github_text(answer, "commit.commit.message"));
    } else if (status == 404) {
        status = 2;
    } else if (status >= 0) {
        status = github_refused(github, status, answer, "show the branch");
    }
    json_decref(answer);
    return status;
}

static int use_branch(struct github *github, const char *branch, const char *id, enum github_branch_state state)
{
    github->branch = strdup(branch);
    github->state = state;
    snprintf(github->id, GITHUB_ID_SIZE, "%s", id);
    return github->branch ? 0 : github_out_of_memory(github);
}

/* A branch that was there. Returns 0 where it is the one to use, 1 where it belongs to somebody else, -1. */
static int settle(struct github *github, const char *branch, const struct github_commit *there, bool ours)
{
    char tree[GITHUB_ID_SIZE];
    char commit[GITHUB_ID_SIZE];
    if (make_tree(github, there->tree, tree) < 0)
        return -1;
    if (strcmp(tree, there->tree) == 0) {
        if (ours)
            return use_branch(github, branch, there->id, GITHUB_BRANCH_KEPT);
        /* Somebody has added to it. Where the pull request is ours, so is the branch; else it is any branch that
         * holds these files, a release's say. */
        int marked = github_has_marked_pull(github, branch);
        if (marked <= 0)
            return marked < 0 ? -1 : 1;
        return use_branch(github, branch, there->id, GITHUB_BRANCH_FOREIGN);
    }
    if (!ours)
        return 1;
    if (make_commit(github, there->id, tree, commit) < 0 || move_branch(github, branch, commit) < 0)
        return -1;
    return use_branch(github, branch, commit, GITHUB_BRANCH_MOVED);
}

static void number_name(const struct github *github, int number, char out[NAME_SIZE])
{
    if (number > 1)
        snprintf(out, NAME_SIZE, "%s-%d", github->pull->branch, number);
    else
        snprintf(out, NAME_SIZE, "%s", github->pull->branch);
}

static bool is_listed(const json_t *references, const char *branch)
{
    char ref[NAME_SIZE + 16];
    size_t index;
    json_t *reference;
    snprintf(ref, sizeof ref, "refs/heads/%s", branch);
    json_array_foreach((json_t *)(uintptr_t)references, index, reference)
    {
        if (strcmp(github_text(reference, "ref"), ref) == 0)
            return true;
    }
    return false;
}

/* Goes through the numbered branches that are there. Returns 0 where one of them is the one to use; 1 with free the
 * first name that nobody has; -1 with error filled. */
static int find_numbered(struct github *github, char free_name[NAME_SIZE])
{
    json_t *references;
    char name[NAME_SIZE];
    char *escaped = exportd_http_escape(github->pull->branch);
    if (!escaped)
        return github_out_of_memory(github);
    int status = github_call(github, "GET", NULL, &references, "/repos/%s/git/matching-refs/heads%%2F%s",
                             github->head, escaped);
    free(escaped);
    if (status != 200) {
        status = status < 0 ? -1 : refuse_write(github, status, references, "list the branches");
        json_decref(references);
        return status;
    }
    free_name[0] = '\0';
    status = 1;
    for (int number = 1; number <= NUMBERS_MAX && status == 1; number++) {
        struct github_commit there;
        number_name(github, number, name);
        if (!is_listed(references, name)) {
            if (!free_name[0])
                snprintf(free_name, NAME_SIZE, "%s", name);
            continue;
        }
        int ours = read_branch(github, name, &there);
        status = ours < 0 ? -1 : ours == 2 ? 1 : settle(github, name, &there, ours == 1);
    }
    json_decref(references);
    return status == 1 && !free_name[0] ? forge_branch_taken(github->pull, github->error) : status;
}

/* The branch was there when it should be created. */
static int look_again(struct github *github, const char *branch, const char *commit)
{
    struct github_commit there;
    int ours = read_branch(github, branch, &there);
    if (ours < 0)
        return -1;
    if (ours == 2)
        return github_fail(github, "branch_moved", 1,
                           "the branch %s was there and is gone again; the job looks again", branch);
    if (strcmp(there.id, commit) == 0)
        return use_branch(github, branch, commit, GITHUB_BRANCH_KEPT);
    int status = settle(github, branch, &there, ours == 1);
    return status == 1 ? forge_branch_taken(github->pull, github->error) : status;
}

int github_put_branch(struct github *github)
{
    char name[NAME_SIZE];
    char tree[GITHUB_ID_SIZE];
    char commit[GITHUB_ID_SIZE];
    number_name(github, 1, name);
    if (make_entries(github) < 0)
        return -1;
    if (github->pull->numbered) {
        int found = find_numbered(github, name);
        if (found <= 0)
            return found;
    }
    if (make_tree(github, github->base_commit.tree, tree) < 0)
        return -1;
    if (strcmp(tree, github->base_commit.tree) == 0)
        return use_branch(github, name, "", GITHUB_BRANCH_NONE);
    if (make_commit(github, github->base_commit.id, tree, commit) < 0)
        return -1;
    int there = create_branch(github, name, commit);
    if (there < 0)
        return -1;
    return there ? look_again(github, name, commit) : use_branch(github, name, commit, GITHUB_BRANCH_NEW);
}
