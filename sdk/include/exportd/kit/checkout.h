/*
 * exportd/kit/checkout.h: the repository that acquire-user-repo put into the workspace, for the tasks behind it.
 *
 * A task that works on a repository names acquire-user-repo as its .after (plugin.h): the host then runs that first,
 * in a worker of its own that has the network and the tokens, and the task finds the files. In a pipeline there may
 * be other steps between; each of them hands on what it was told as "repository" of its result.
 */
#ifndef EXPORTD_KIT_CHECKOUT_H
#define EXPORTD_KIT_CHECKOUT_H

#include <exportd/kit/bundle.h>
#include <exportd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct exportd_checkout {
    char *folder;       /* absolute: the files, or the subfolder of them that was asked for */
    char *git_folder;   /* absolute: where the history lies beside them, or NULL */
    json_t *repository; /* {"url", "commit", "branch", "ref", "folder"}, as far as known: for the result */
    const char *url;    /* borrowed from it; NULL: not known. So is commit. */
    const char *commit;
};

/* A regular file of it. */
struct exportd_checkout_file {
    const char *path; /* below folder, with "/" between names; borrowed */
    const char *name; /* its last part */
    uint64_t size_bytes;
    int executable;
};

/* Finds the repository by data.previous. Returns 0, or -1 with error filled: "repository_missing",
 * "out_of_memory". Clear it with exportd_checkout_clear() in either case. */
int exportd_checkout_open(struct exportd_job *job, const json_t *data, struct exportd_checkout *checkout,
                          struct exportd_kit_error *error);
void exportd_checkout_clear(struct exportd_checkout *checkout);

/* Calls visit for every regular file, folder by folder in the order of their names' bytes. What lies in .git is left
 * out, and links are neither followed nor shown. Nonzero of visit ends the walk. Returns what visit did, 0, or -1
 * with error filled ("workspace_failed"). */
int exportd_checkout_walk(const struct exportd_checkout *checkout,
                          int (*visit)(void *context, const struct exportd_checkout_file *file), void *context,
                          struct exportd_kit_error *error);

/* The content of one of its files, with a NUL behind it; cut at max_bytes. *size_bytes: without the NUL. A new
 * string, or NULL with error filled ("workspace_failed", "out_of_memory"). No link is followed. */
char *exportd_checkout_read(const struct exportd_checkout *checkout, const char *path, size_t max_bytes,
                            size_t *size_bytes, struct exportd_kit_error *error);

#ifdef __cplusplus
}
#endif
#endif
