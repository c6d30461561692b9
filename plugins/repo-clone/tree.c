/* tree.h: checks a commit's tree out. */
#include "tree.h"

#include "writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_EVERY 64
#define WALK_STEP_EVERY 4096
#define GITMODULES_BYTES (1u << 20)

struct file {
    char *path;
    git_oid id;
    git_filemode_t mode;
};

struct walk {
    const struct tree_options *options;
    git_odb *odb;
    struct file *files;
    size_t count, capacity;
    size_t seen; /* entries, for the steps */
};

/* Missing, or there and not to be understood. */
static int fail_object(const char *what, const char *path, int code, struct exportd_kit_error *error)
{
    char quoted[220];
    const git_error *cause = git_error_last();
    exportd_bundle_quote(*path ? path : ".", quoted, sizeof quoted);
    if (cause && cause->klass == GIT_ERROR_NOMEMORY)
        return exportd_kit_no_memory(error);
    if (code == GIT_ENOTFOUND || code == GIT_EMISMATCH || (cause && cause->klass == GIT_ERROR_OS))
        return exportd_kit_fail(error, "objects_missing", 1, "the mirror lacks the %s of %s: %s", what, quoted,
                                cause ? cause->message : "unknown");
    return exportd_kit_fail(error, "repository_unsafe", 0,
                            "the %s of %s is no such object of git's: %s; the repository was not checked out", what,
                            quoted, cause ? cause->message : "unknown");
}

static int stopped(const struct walk *walk, size_t done, struct exportd_kit_error *error)
{
    const struct tree_options *options = walk->options;
    if (!options->step || !options->step(options->context, done, walk->count))
        return 0;
    exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
    return 1;
}

static int add_file(struct walk *walk, const char *path, const git_tree_entry *entry)
{
    if (walk->count == walk->capacity) {
        size_t capacity = 2 * walk->capacity + 256;
        struct file *grown = realloc(walk->files, capacity * sizeof *grown);
        if (!grown)
            return -1;
        walk->files = grown;
        walk->capacity = capacity;
    }
    struct file *file = &walk->files[walk->count];
    file->path = strdup(path);
    file->id = *git_tree_entry_id(entry);
    file->mode = git_tree_entry_filemode(entry);
    walk->count += file->path != NULL;
    return file->path ? 0 : -1;
}

static int take_file(struct walk *walk, const char *path, const git_tree_entry *entry,
                     struct exportd_kit_error *error)
{
    size_t size;
    git_object_t kind;
    enum rules_kind as = git_tree_entry_filemode(entry) == GIT_FILEMODE_LINK ? RULES_LINK : RULES_FILE;
    int code = git_odb_read_header(&size, &kind, walk->odb, git_tree_entry_id(entry));
    if (code != 0 || kind != GIT_OBJECT_BLOB)
        return fail_object("file", path, code, error);
    if (rules_take(walk->options->rules, path, as, size, error) != 0)
        return -1;
    return add_file(walk, path, entry) == 0 ? 0 : exportd_kit_no_memory(error);
}

static int take_submodule(struct walk *walk, const char *path, const git_tree_entry *entry,
                          struct exportd_kit_error *error)
{
    char id[GIT_OID_HEXSZ + 1];
    git_oid_tostr(id, sizeof id, git_tree_entry_id(entry));
    if (rules_take(walk->options->rules, path, RULES_FOLDER, 0, error) != 0 ||
        checkout_folder(walk->options->checkout, path, error) != 0)
        return -1;
    json_array_append_new(walk->options->submodules, json_pack("{s:s, s:s}", "path", path, "commit", id));
    return 0;
}

/* Takes all entries of a tree below path ("": the top), and those of the trees in it: no deeper than the rules let
 * it. */
static int take_tree(struct walk *walk, const git_oid *id, const char *path, struct exportd_kit_error *error)
{
    git_tree *tree = NULL;
    int code = git_tree_lookup(&tree, walk->options->repository, id), failed = 0;
    if (code != 0)
        return fail_object("folder", path, code, error);
    for (size_t i = 0; !failed && i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *entry = git_tree_entry_byindex(tree, i);
        const char *name = git_tree_entry_name(entry);
        char *below = NULL;
        if (++walk->seen % WALK_STEP_EVERY == 0 && stopped(walk, 0, error)) {
            failed = -1;
        } else if (strchr(name, '/')) {
            char quoted[220];
            failed = exportd_kit_fail(error, "repository_unsafe", 0,
                                      "the name %s in a folder has a slash in it; the repository was not checked out",
                                      exportd_bundle_quote(name, quoted, sizeof quoted));
        } else if (asprintf(&below, "%s%s%s", path, *path ? "/" : "", name) < 0) {
            below = NULL;
            failed = exportd_kit_no_memory(error);
        } else if (git_tree_entry_filemode(entry) == GIT_FILEMODE_TREE) {
            failed = rules_take(walk->options->rules, below, RULES_FOLDER, 0, error);
            failed = failed ? failed : take_tree(walk, git_tree_entry_id(entry), below, error);
        } else if (git_tree_entry_filemode(entry) == GIT_FILEMODE_COMMIT) {
            failed = take_submodule(walk, below, entry, error);
        } else {
            failed = take_file(walk, below, entry, error);
        }
        free(below);
    }
    git_tree_free(tree);
    return failed;
}

/* The folders down to the subfolder, and what is in that. */
static int take_subfolder(struct walk *walk, const char *subfolder, struct exportd_kit_error *error)
{
    const struct tree_options *options = walk->options;
    git_tree *tree = NULL;
    git_tree_entry *entry = NULL;
    char quoted[220];
    int code = git_tree_lookup(&tree, options->repository, options->tree);
    int failed = code == 0 ? 0 : fail_object("folder", "", code, error);
    if (!failed &&
        (git_tree_entry_bypath(&entry, tree, subfolder) != 0 || git_tree_entry_filemode(entry) != GIT_FILEMODE_TREE))
        failed = exportd_kit_fail(error, "subfolder_not_found", 0, "the repository has no folder %s at this ref",
                                  exportd_bundle_quote(subfolder, quoted, sizeof quoted));
    for (const char *at = subfolder; !failed && at; at = strchr(at + 1, '/')) {
        const char *end = strchr(at + 1, '/');
        char *folder = strndup(subfolder, end ? (size_t)(end - subfolder) : strlen(subfolder));
        failed = folder ? rules_take(options->rules, folder, RULES_FOLDER, 0, error) : exportd_kit_no_memory(error);
        free(folder);
    }
    failed = failed ? failed : take_tree(walk, git_tree_entry_id(entry), subfolder, error);
    git_tree_entry_free(entry);
    git_tree_free(tree);
    return failed;
}

static int read_file(struct walk *walk, const struct file *file, struct writer *writer,
                     struct exportd_kit_error *error)
{
    git_odb_object *object = NULL;
    int code = git_odb_read(&object, walk->odb, &file->id);
    return code == 0 ? writer_put(writer, file->path, file->mode, object)
                     : fail_object("file", file->path, code, error);
}

static int write_files(struct walk *walk, struct exportd_kit_error *error)
{
    struct writer *writer = writer_start(walk->options->checkout, error);
    int failed = writer ? 0 : -1;
    for (size_t i = 0; !failed && i < walk->count; i++)
        failed =
            i % STEP_EVERY == 0 && stopped(walk, i, error) ? -1 : read_file(walk, &walk->files[i], writer, error);
    return writer_end(writer, error) != 0 ? -1 : failed;
}

int tree_check_out(const struct tree_options *options, struct exportd_kit_error *error)
{
    struct walk walk = {.options = options};
    int failed = git_repository_odb(&walk.odb, options->repository) == 0 ? 0 : exportd_kit_no_memory(error);
    if (!failed)
        failed = options->subfolder ? take_subfolder(&walk, options->subfolder, error)
                                    : take_tree(&walk, options->tree, options->prefix, error);
    failed = failed ? failed : write_files(&walk, error);
    for (size_t i = 0; i < walk.count; i++)
        free(walk.files[i].path);
    free(walk.files);
    git_odb_free(walk.odb);
    return failed;
}

char *tree_gitmodules(git_repository *repository, const git_oid *id)
{
    git_tree *tree = NULL;
    git_blob *blob = NULL;
    char *text = NULL;
    const git_tree_entry *entry = NULL;
    size_t size;
    git_object_t kind;
    git_odb *odb = NULL;
    if (git_tree_lookup(&tree, repository, id) == 0)
        entry = git_tree_entry_byname(tree, ".gitmodules");
    if (entry && git_tree_entry_filemode(entry) != GIT_FILEMODE_LINK && git_repository_odb(&odb, repository) == 0 &&
        git_odb_read_header(&size, &kind, odb, git_tree_entry_id(entry)) == 0 && kind == GIT_OBJECT_BLOB &&
        size <= GITMODULES_BYTES && git_blob_lookup(&blob, repository, git_tree_entry_id(entry)) == 0)
        text = strndup(git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    git_odb_free(odb);
    git_tree_free(tree);
    return text;
}
