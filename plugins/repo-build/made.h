/*
 * made.h: which files a build made, and which of them are its output.
 *
 * A snapshot of the repository before the build tells what is new or changed behind it. The output is the folder that
 * the request names, else what was installed, else the usual folder that has new files in it (dist, build, out …),
 * else all new files but objects and the build systems' own.
 */
#ifndef REPO_BUILD_MADE_H
#define REPO_BUILD_MADE_H

#include "plan.h"

#include <exportd/kit/archive.h>

struct made_file {
    char *path;   /* below the folder that was listed */
    char *target; /* of a link, else NULL */
    uint64_t size_bytes;
    int64_t changed_ns; /* since the epoch */
    bool executable;
};

struct made_list {
    struct made_file *files; /* by their paths' bytes */
    size_t count, room;
};

struct made {
    char *folder; /* absolute: that the files lie in */
    char *name;   /* the same as one says it: "dist"; "." */
    struct made_list list;
};

struct made_limits {
    size_t max_files;
    uint64_t max_bytes;
};

/* Lists a folder's files and links; what lies in .git is left out, and node_modules where they aren't wanted. Returns
 * 0, or -1 with error filled: "output_unreadable", "output_too_large", "out_of_memory". */
int made_list(const char *folder, bool with_modules, struct made_list *list, struct exportd_kit_error *error);
void made_list_clear(struct made_list *list);

/* What the build made. output: what the request names, or NULL. notes: gets what was left out and why. Returns 0, or
 * -1 with error filled: "output_missing", "output_too_large", "output_unsafe", and as above. Clear it with
 * made_clear() in either case. */
int made_find(const struct exportd_checkout *checkout, const struct plan *plan, const struct made_list *before,
              const char *output, const struct made_limits *limits, json_t *notes, struct made *made,
              struct exportd_kit_error *error);
void made_clear(struct made *made);

/* Writes them as a tarball to a new file. *manifest: a new object, {"schema", "output", "files": [{"path", "bytes",
 * "sha256", "executable"} or {"path", "target"}]}, of what was written. Returns as exportd_archive_write_folder(). */
int made_pack(const struct made *made, const struct exportd_archive_options *options, const char *path,
              json_t **manifest, struct exportd_kit_error *error);

#endif
