/* The kit's mirrors: against bare repositories on this disk, which libgit2 speaks to as it does to servers. */
#include <exportd/kit/git.h>

#include "support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char top[64], cache[96], workspace[96], origin[96];
    struct exportd_git_options options;
    struct exportd_kit_error error;
    git_oid first;
    int steps, stop_at;
};

static int on_step(void *context, size_t objects, size_t all_objects, size_t bytes)
{
    struct fixture *fixture = context;
    (void)objects;
    (void)all_objects;
    (void)bytes;
    return ++fixture->steps == fixture->stop_at;
}

/* Adds a commit with one file to a branch of a bare repository. */
static git_oid commit_to(const char *path, const char *branch, const char *name, const char *content)
{
    git_repository *repository;
    git_tree *tree = NULL, *before = NULL;
    git_commit *parent = NULL;
    git_signature *who;
    git_oid blob, id;
    char reference[128];
    snprintf(reference, sizeof reference, "refs/heads/%s", branch);
    assert_int_equal(git_repository_open_bare(&repository, path), 0);
    assert_int_equal(git_signature_new(&who, "Somebody", "somebody@example.org", 1700000000, 0), 0);
    assert_int_equal(git_blob_create_from_buffer(&blob, repository, content, strlen(content)), 0);
    if (git_reference_name_to_id(&id, repository, reference) == 0) {
        assert_int_equal(git_commit_lookup(&parent, repository, &id), 0);
        assert_int_equal(git_commit_tree(&before, parent), 0);
    }
    git_treebuilder *builder;
    assert_int_equal(git_treebuilder_new(&builder, repository, before), 0);
    assert_int_equal(git_treebuilder_insert(NULL, builder, name, &blob, GIT_FILEMODE_BLOB), 0);
    assert_int_equal(git_treebuilder_write(&id, builder), 0);
    assert_int_equal(git_tree_lookup(&tree, repository, &id), 0);
    const git_commit *parents[] = {parent};
    assert_int_equal(
        git_commit_create(&id, repository, reference, who, who, NULL, "a change\n", tree, parent ? 1 : 0, parents),
        0);
    git_treebuilder_free(builder);
    git_tree_free(tree);
    git_tree_free(before);
    git_commit_free(parent);
    git_signature_free(who);
    git_repository_free(repository);
    return id;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    git_repository *repository;
    git_libgit2_init();
    snprintf(fixture->top, sizeof fixture->top, "/tmp/exportd-kit-git-XXXXXX");
    assert_non_null(mkdtemp(fixture->top));
    snprintf(fixture->cache, sizeof fixture->cache, "%s/cache", fixture->top);
    snprintf(fixture->workspace, sizeof fixture->workspace, "%s/work", fixture->top);
    snprintf(fixture->origin, sizeof fixture->origin, "%s/origin.git", fixture->top);
    assert_int_equal(mkdir(fixture->cache, 0700) | mkdir(fixture->workspace, 0700), 0);
    assert_int_equal(git_repository_init(&repository, fixture->origin, 1), 0);
    assert_int_equal(git_repository_set_head(repository, "refs/heads/main"), 0);
    git_repository_free(repository);
    fixture->first = commit_to(fixture->origin, "main", "readme", "one");
    fixture->options = (struct exportd_git_options){.cache = fixture->cache,
                                                    .workspace = fixture->workspace,
                                                    .wait_ms = 200,
                                                    .step = on_step,
                                                    .context = fixture};
    *state = fixture;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status;
    (void)kind;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    nftw(fixture->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    git_libgit2_shutdown();
    free(fixture);
    return 0;
}

static struct exportd_git_mirror *open_mirror(struct fixture *fixture)
{
    struct exportd_git_mirror *mirror = exportd_git_open(&fixture->options, fixture->origin, &fixture->error);
    if (!mirror)
        fail_msg("%s: %s", fixture->error.code, fixture->error.message);
    return mirror;
}

static int has_commit(const struct exportd_git_mirror *mirror, const git_oid *id)
{
    git_commit *commit = NULL;
    int missing = git_commit_lookup(&commit, exportd_git_repository(mirror), id);
    git_commit_free(commit);
    return !missing;
}

static const char *const main_branch[] = {"refs/heads/main", NULL};

/* The one mirror in the cache, and the file that locks it. */
static void find_mirror(const struct fixture *fixture, char *folder, char *lock, size_t size)
{
    char command[256];
    snprintf(command, sizeof command, "ls -d %s/mirrors/*.lock", fixture->cache);
    FILE *list = popen(command, "r");
    assert_non_null(fgets(lock, (int)size, list));
    pclose(list);
    lock[strcspn(lock, "\n")] = '\0';
    snprintf(folder, size, "%.*s", (int)strlen(lock) - 5, lock);
}

static void what_the_remote_has_is_told_and_fetched(void **state)
{
    struct fixture *fixture = *state;
    char id[EXPORTD_GIT_SIZE], wanted[EXPORTD_GIT_SIZE];
    const char *branch;
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_remote_branch(mirror, &branch, &fixture->error), 0);
    assert_string_equal(branch, "main");
    assert_int_equal(exportd_git_remote_ref(mirror, "refs/heads/main", id, &fixture->error), 0);
    git_oid_tostr(wanted, sizeof wanted, &fixture->first);
    assert_string_equal(id, wanted);
    assert_int_equal(exportd_git_remote_ref(mirror, "refs/heads/none", id, &fixture->error), 1);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_true(has_commit(mirror, &fixture->first));
    static const char *const none[] = {"refs/heads/none", NULL};
    assert_int_equal(exportd_git_fetch(mirror, none, &fixture->error), -1);
    assert_string_equal(fixture->error.code, "ref_not_found");
    exportd_git_close(mirror);
}

static void a_mirror_that_is_open_is_locked(void **state)
{
    struct fixture *fixture = *state;
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_null(exportd_git_open(&fixture->options, fixture->origin, &fixture->error));
    assert_string_equal(fixture->error.code, "mirror_busy");
    assert_true(fixture->error.retryable);
    fixture->stop_at = fixture->steps + 1;
    assert_null(exportd_git_open(&fixture->options, fixture->origin, &fixture->error));
    assert_string_equal(fixture->error.code, "cancelled");
    exportd_git_close(mirror);
    exportd_git_close(open_mirror(fixture));
}

static void a_fetch_is_seen_by_the_next_who_opens_it(void **state)
{
    struct fixture *fixture = *state;
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    exportd_git_close(mirror);
    mirror = open_mirror(fixture);
    assert_true(has_commit(mirror, &fixture->first));
    git_oid second = commit_to(fixture->origin, "main", "more", "two");
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_true(has_commit(mirror, &second));
    exportd_git_close(mirror);
    /* A branch that was moved back is followed, too. */
    git_repository *repository;
    git_reference *moved;
    assert_int_equal(git_repository_open_bare(&repository, fixture->origin), 0);
    assert_int_equal(git_reference_create(&moved, repository, "refs/heads/main", &fixture->first, 1, NULL), 0);
    git_reference_free(moved);
    git_repository_free(repository);
    mirror = open_mirror(fixture);
    git_oid here;
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_int_equal(git_reference_name_to_id(&here, exportd_git_repository(mirror), "refs/heads/main"), 0);
    assert_true(git_oid_equal(&here, &fixture->first));
    exportd_git_close(mirror);
}

static void all_branches_and_tags_are_fetched_and_found_by_what_they_name(void **state)
{
    struct fixture *fixture = *state;
    char id[EXPORTD_GIT_SIZE];
    const char *name;
    git_repository *repository;
    git_object *commit;
    git_oid tag, blob, other = commit_to(fixture->origin, "side/one", "more", "two");
    git_signature *who;
    assert_int_equal(git_repository_open_bare(&repository, fixture->origin), 0);
    assert_int_equal(git_signature_new(&who, "Somebody", "somebody@example.org", 1700000000, 0), 0);
    assert_int_equal(git_object_lookup(&commit, repository, &fixture->first, GIT_OBJECT_COMMIT), 0);
    assert_int_equal(git_tag_create(&tag, repository, "v1", commit, who, "one\n", 0), 0);
    git_object_free(commit);
    assert_int_equal(git_blob_create_from_buffer(&blob, repository, "key", 3), 0);
    assert_int_equal(git_object_lookup(&commit, repository, &blob, GIT_OBJECT_BLOB), 0);
    assert_int_equal(git_tag_create_lightweight(&blob, repository, "a-file", commit, 0), 0);
    git_object_free(commit);
    git_signature_free(who);
    git_repository_free(repository);

    struct exportd_git_mirror *mirror = open_mirror(fixture);
    git_oid_tostr(id, sizeof id, &other);
    assert_int_equal(exportd_git_remote_name(mirror, id, &name, &fixture->error), 0);
    assert_string_equal(name, "refs/heads/side/one");
    git_oid_tostr(id, sizeof id, &tag);
    assert_int_equal(exportd_git_remote_name(mirror, id, &name, &fixture->error), 0);
    assert_string_equal(name, "refs/tags/v1");
    id[0] = id[0] == '0' ? '1' : '0';
    assert_int_equal(exportd_git_remote_name(mirror, id, &name, &fixture->error), 1);
    for (int time = 0; time < 2; time++) {
        assert_int_equal(exportd_git_fetch_all(mirror, &fixture->error), 0);
        assert_true(has_commit(mirror, &fixture->first));
        assert_true(has_commit(mirror, &other));
    }
    static const char *const named[] = {"refs/tags/v1", "refs/tags/a-file", NULL};
    assert_int_equal(exportd_git_fetch(mirror, named, &fixture->error), 0);
    exportd_git_close(mirror);
}

static void who_only_looks_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    char id[EXPORTD_GIT_SIZE], path[200];
    struct exportd_git_mirror *remote = exportd_git_look(&fixture->options, fixture->origin, &fixture->error);
    assert_non_null(remote);
    assert_int_equal(exportd_git_remote_ref(remote, "refs/heads/main", id, &fixture->error), 0);
    exportd_git_close(remote);
    snprintf(path, sizeof path, "%s/mirrors", fixture->cache);
    assert_int_equal(access(path, F_OK), -1);
}

static void without_a_cache_it_lies_in_the_workspace(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.cache = NULL;
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_int_equal(
        strncmp(git_repository_path(exportd_git_repository(mirror)), fixture->workspace, strlen(fixture->workspace)),
        0);
    exportd_git_close(mirror);
}

static void put_file(const char *folder, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void what_a_killed_worker_left_is_cleaned_up(void **state)
{
    struct fixture *fixture = *state;
    char folder[512], lock[512], path[600];
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    exportd_git_close(mirror);
    find_mirror(fixture, folder, lock, sizeof folder);
    put_file(folder, "refs/heads/main.lock", "");
    put_file(folder, "HEAD.lock", "");
    put_file(folder, "objects/pack/pack_git2_abcdef", "half a pack");
    git_oid second = commit_to(fixture->origin, "main", "more", "two");
    mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_true(has_commit(mirror, &second));
    snprintf(path, sizeof path, "%s/objects/pack/pack_git2_abcdef", folder);
    assert_int_equal(access(path, F_OK), -1);
    exportd_git_close(mirror);
}

static void a_damaged_mirror_is_fetched_anew(void **state)
{
    struct fixture *fixture = *state;
    char folder[256], lock[256], command[700];
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    exportd_git_close(mirror);
    find_mirror(fixture, folder, lock, sizeof folder);
    put_file(folder, "HEAD", "nonsense\n");

    mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_true(has_commit(mirror, &fixture->first));
    exportd_git_close(mirror);
    /* Its objects are gone, its references are not. */
    snprintf(command, sizeof command, "rm -rf %s/objects/?? %s/objects/pack/*", folder, folder);
    assert_int_equal(system(command), 0);
    mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_true(has_commit(mirror, &fixture->first));
    exportd_git_close(mirror);
}

static void the_least_recently_used_goes_when_the_cache_is_full(void **state)
{
    struct fixture *fixture = *state;
    char folder[256], lock[256], command[256];
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    exportd_git_close(mirror);
    find_mirror(fixture, folder, lock, sizeof folder);
    snprintf(command, sizeof command, "cp -r %s %s.copy", fixture->origin, fixture->origin);
    assert_int_equal(system(command), 0);
    char other[128];
    snprintf(other, sizeof other, "%s.copy", fixture->origin);
    fixture->options.cache_bytes = 1;
    struct exportd_git_mirror *second = exportd_git_open(&fixture->options, other, &fixture->error);
    assert_non_null(second);
    assert_int_equal(exportd_git_fetch(second, main_branch, &fixture->error), 0);
    exportd_git_close(second);
    assert_int_equal(access(folder, F_OK), -1);
    assert_int_equal(access(lock, F_OK), -1);
}

static void a_fetch_can_be_stopped_and_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    fixture->stop_at = fixture->steps + 1;
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), -1);
    assert_string_equal(fixture->error.code, "cancelled");
    exportd_git_close(mirror);
    fixture->stop_at = 0;
    fixture->options.max_bytes = 1;
    mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), -1);
    assert_string_equal(fixture->error.code, "repository_too_large");
    exportd_git_close(mirror);
}

static void a_push_makes_a_branch_and_never_moves_one_by_force(void **state)
{
    struct fixture *fixture = *state;
    char id[EXPORTD_GIT_SIZE], wanted[EXPORTD_GIT_SIZE];
    struct exportd_git_mirror *mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_fetch(mirror, main_branch, &fixture->error), 0);
    assert_int_equal(exportd_git_push(mirror, &fixture->first, "feature/one", &fixture->error), 0);
    assert_int_equal(exportd_git_remote_ref(mirror, "refs/heads/feature/one", id, &fixture->error), 0);
    git_oid_tostr(wanted, sizeof wanted, &fixture->first);
    assert_string_equal(id, wanted);
    git_oid theirs = commit_to(fixture->origin, "feature/one", "their", "work");
    assert_int_equal(exportd_git_push(mirror, &fixture->first, "feature/one", &fixture->error), -1);
    assert_string_equal(fixture->error.code, "branch_moved");
    exportd_git_close(mirror);
    mirror = open_mirror(fixture);
    assert_int_equal(exportd_git_remote_ref(mirror, "refs/heads/feature/one", id, &fixture->error), 0);
    git_oid_tostr(wanted, sizeof wanted, &theirs);
    assert_string_equal(id, wanted);
    exportd_git_close(mirror);
}

static void a_repository_that_is_not_there_is_said_to_be_so(void **state)
{
    struct fixture *fixture = *state;
    const char *branch;
    struct exportd_git_mirror *mirror =
        exportd_git_open(&fixture->options, "http://127.0.0.1:1/x.git", &fixture->error);
    assert_non_null(mirror);
    assert_int_equal(exportd_git_remote_branch(mirror, &branch, &fixture->error), -1);
    assert_string_equal(fixture->error.code, "service_unreachable");
    assert_true(fixture->error.retryable);
    exportd_git_close(mirror);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_the_remote_has_is_told_and_fetched),
        TEST(a_mirror_that_is_open_is_locked),
        TEST(a_fetch_is_seen_by_the_next_who_opens_it),
        TEST(all_branches_and_tags_are_fetched_and_found_by_what_they_name),
        TEST(who_only_looks_leaves_nothing_behind),
        TEST(without_a_cache_it_lies_in_the_workspace),
        TEST(what_a_killed_worker_left_is_cleaned_up),
        TEST(a_damaged_mirror_is_fetched_anew),
        TEST(the_least_recently_used_goes_when_the_cache_is_full),
        TEST(a_fetch_can_be_stopped_and_is_bounded),
        TEST(a_push_makes_a_branch_and_never_moves_one_by_force),
        TEST(a_repository_that_is_not_there_is_said_to_be_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
