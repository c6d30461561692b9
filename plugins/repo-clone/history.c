/* history.h: a repository's history beside its files. */
#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy_bytes(int in, int out)
{
    char buffer[65536];
    ssize_t got;
    do
        got = copy_file_range(in, NULL, out, NULL, 1 << 30, 0);
    while (got > 0);
    if (got == 0)
        return 0;
    /* A file system that can't says so before the first byte. */
    while ((got = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)got) != got)
            return -1;
    return got == 0 ? 0 : -1;
}

static int copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    int failed = out < 0 ? -1 : copy_bytes(in, out);
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0)
        failed = -1;
    return failed;
}

/* What lies in the mirror's objects: folders of two digits, packs with their indexes. A copy, for what shares its
 * bytes with the cache could change them there. */
static int copy_objects(const char *from, const char *to)
{
    char path[4096];
    char *paths[] = {(char *)(uintptr_t)from, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    int failed = tree ? 0 : -1;
    while (!failed && (entry = fts_read(tree))) {
        int length = snprintf(path, sizeof path, "%s%s", to, entry->fts_path + strlen(from));
        if (length < 0 || (size_t)length >= sizeof path)
            failed = -1;
        else if (entry->fts_info == FTS_D)
            failed = mkdir(path, 0755) != 0 && errno != EEXIST ? -1 : 0;
        else if (entry->fts_info == FTS_F)
            failed = copy_file(entry->fts_path, path);
    }
    if (tree)
        fts_close(tree);
    return failed;
}

static int point_head(git_repository *repository, git_commit *commit, const struct revision *revision)
{
    git_reference *reference = NULL;
    char name[1100];
    if (!revision->branch)
        return git_repository_set_head_detached(repository, git_commit_id(commit));
    snprintf(name, sizeof name, "refs/heads/%s", revision->branch);
    int failed = git_reference_create(&reference, repository, name, git_commit_id(commit), 1, NULL);
    git_reference_free(reference);
    return failed ? failed : git_repository_set_head(repository, name);
}

static int write_index(git_repository *repository, git_commit *commit)
{
    git_index *index = NULL;
    git_tree *tree = NULL;
    int failed = git_repository_index(&index, repository);
    failed = failed ? failed : git_commit_tree(&tree, commit);
    failed = failed ? failed : git_index_read_tree(index, tree);
    failed = failed ? failed : git_index_write(index);
    git_tree_free(tree);
    git_index_free(index);
    return failed;
}

int history_copy(git_repository *mirror, git_commit *commit, const struct revision *revision, const char *url,
                 const char *top, struct exportd_kit_error *error)
{
    git_repository *repository = NULL;
    git_remote *origin = NULL;
    git_commit *own = NULL;
    char *from = NULL, *to = NULL;
    int failed = git_repository_init(&repository, top, 0);
    if (!failed && (asprintf(&from, "%sobjects", git_repository_path(mirror)) < 0 ||
                    asprintf(&to, "%sobjects", git_repository_path(repository)) < 0))
        failed = -1;
    if (!failed && copy_objects(from, to) != 0) {
        failed = exportd_kit_fail(error, "workspace_failed", errno == ENOSPC || errno == EDQUOT,
                                  "the history can't be copied to the workspace: %s", strerror(errno));
    } else {
        failed = failed ? failed : git_remote_create(&origin, repository, "origin", url);
        failed = failed ? failed : git_commit_lookup(&own, repository, git_commit_id(commit));
        failed = failed ? failed : point_head(repository, own, revision);
        failed = failed ? failed : write_index(repository, own);
        if (failed) {
            const git_error *cause = git_error_last();
            exportd_kit_fail(error, "history_failed", 1, "the history can't be put beside the files: %s",
                             cause ? cause->message : "unknown");
        }
    }
    git_commit_free(own);
    git_remote_free(origin);
    git_repository_free(repository);
    free(from);
    free(to);
    return failed ? -1 : 0;
}
