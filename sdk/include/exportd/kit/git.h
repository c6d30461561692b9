/*
 * exportd/kit/git.h: repositories over libgit2, with a cache of mirrors.
 *
 * A mirror is a bare repository in the plugin's cache (exportd_cache()), one for each URL, shared by all workers: it
 * is fetched into, so that only what is new comes over the network, and read from. Without a cache it lies in the
 * workspace and is gone after the job. A mirror is locked for as long as it is open; whoever comes second waits. One
 * that is damaged is thrown away and fetched anew; those that were used least recently go when all together outgrow
 * their bound.
 *
 * Redirects are not followed, the user's and the system's Git configuration is not read, tokens are neither written
 * down nor part of any error. What goes over HTTP goes by libcurl: it times out and can be stopped at any time. Link
 * libexportd-kit-git beside the kit: it brings libgit2 and libcurl along.
 */
#ifndef EXPORTD_KIT_GIT_H
#define EXPORTD_KIT_GIT_H

#include <exportd/kit/bundle.h>
#include <git2.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXPORTD_GIT_SIZE 65 /* of an object's id as text, with its NUL */

struct exportd_git_options {
    const char *cache;     /* exportd_cache(), or NULL */
    const char *workspace; /* exportd_workspace() */
    const char *user;      /* with token, for HTTP's basic authentication; NULL: "x-access-token" */
    const char *token;     /* or NULL: as nobody */
    const char *ca_file;   /* PEM, instead of the system's authorities; NULL or "": the system's */
    uint64_t max_bytes;    /* that one fetch may receive; 0: 2 GiB */
    uint64_t cache_bytes;  /* of all mirrors in the cache; 0: 4 GiB */
    int64_t wait_ms;       /* for another worker that has the mirror; 0: 60 s */
    int64_t connect_ms;    /* for a connection; 0: 15 s */
    int64_t stall_ms;      /* without a byte from the server; 0: 60 s */
    const char *proxy;     /* "http://proxy.example.org:3128"; NULL or "": none */
    int guarded;           /* connect to public addresses alone, where there is no proxy, and to those in allow */
    const char *allow;     /* "10.0.0.0/8 127.0.0.1", or NULL: see address.h */
    /* Called now and then with what a fetch has received of what it will, objects and bytes; with zeros while nothing
     * comes. Nonzero stops it. May be NULL. */
    int (*step)(void *context, size_t objects, size_t all_objects, size_t bytes);
    void *context;
};

struct exportd_git_mirror;

/* Opens the mirror of a URL, making it where it isn't there, and locks it. Returns it (close it with
 * exportd_git_close()), or NULL with error filled: "mirror_busy" (retryable), "cancelled", "mirror_failed" (the
 * disk), "out_of_memory". The options' strings are borrowed until it is closed. */
struct exportd_git_mirror *exportd_git_open(const struct exportd_git_options *options, const char *url,
                                            struct exportd_kit_error *error);

/* The remote alone, to be asked what it has: nothing is made on the disk or locked, and nothing can be fetched. */
struct exportd_git_mirror *exportd_git_look(const struct exportd_git_options *options, const char *url,
                                            struct exportd_kit_error *error);

/* Unlocks it, and throws out what the cache has no more room for. NULL is fine. Returns NULL. */
struct exportd_git_mirror *exportd_git_close(struct exportd_git_mirror *mirror);

/* Says that objects which were fetched can't be read: the mirror goes when it is closed, and the next job fetches all
 * of it anew. */
void exportd_git_discard(struct exportd_git_mirror *mirror);

/* The bare repository. Borrowed; another one after exportd_git_fetch(). */
git_repository *exportd_git_repository(const struct exportd_git_mirror *mirror);

/* What the remote has: its branches and tags, "refs/heads/main" and so on. Asked of the remote once, by the first
 * call. exportd_git_remote_branch(): where HEAD points to, "main", or NULL where it names no branch.
 * exportd_git_remote_ref(): the id of a reference by its full name, as hex text in out. Both return 0, 1 where there
 * is none, -1 with error filled as exportd_git_fetch() does. */
int exportd_git_remote_branch(struct exportd_git_mirror *mirror, const char **branch,
                              struct exportd_kit_error *error);
int exportd_git_remote_ref(struct exportd_git_mirror *mirror, const char *name, char out[EXPORTD_GIT_SIZE],
                           struct exportd_kit_error *error);

/* A reference of the remote that has this id (hex text), a branch rather than another. *name is borrowed until the
 * next call that goes to the remote. Returns as exportd_git_remote_ref() does. */
int exportd_git_remote_name(struct exportd_git_mirror *mirror, const char *id, const char **name,
                            struct exportd_kit_error *error);

/* Fetches these references (full names, ended by NULL) into the mirror, under the same names, whatever it had there.
 * Returns 0, or -1 with error filled: "git_unauthorized" (401), "git_forbidden" (403), "repository_not_found" (404,
 * or that it says nothing to strangers), "ref_not_found", "service_unreachable" and "service_timeout" (retryable),
 * "address_forbidden", "repository_too_large", "git_failed" (retryable, but for a redirect), "cancelled". */
int exportd_git_fetch(struct exportd_git_mirror *mirror, const char *const *refs, struct exportd_kit_error *error);

/* The same for all branches and tags that the remote has. */
int exportd_git_fetch_all(struct exportd_git_mirror *mirror, struct exportd_kit_error *error);

/* Makes the remote's branch point to a commit of the mirror: never by force. Returns 0, or -1 with error filled: as
 * above, "branch_moved" (retryable: somebody else was faster), "push_rejected" with the server's words (a hook, a
 * protected branch). */
int exportd_git_push(struct exportd_git_mirror *mirror, const git_oid *commit, const char *branch,
                     struct exportd_kit_error *error);

/* Nonzero for a URL that goes over HTTP: https://, http://. */
int exportd_git_url_is_http(const char *url);

#ifdef __cplusplus
}
#endif
#endif
