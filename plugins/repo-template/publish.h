/*
 * publish.h: the new repository: made at its forge, and the first commit pushed.
 *
 * All of it can be done again: what an attempt that died left is found, and taken where it has the same files.
 */
#ifndef REPO_TEMPLATE_PUBLISH_H
#define REPO_TEMPLATE_PUBLISH_H

#include <exportd/kit/http.h>
#include <exportd/kit/remote.h>
#include <stdbool.h>

struct publish {
    struct exportd_job *job;
    struct exportd_http_client *http;
    const struct exportd_remote *remote;
    const struct exportd_bundle *bundle;
    const char *branch;
    const char *message; /* of the commit */
    const char *author_name, *author_email;
    const char *description; /* of the repository; or NULL */
    bool is_private;
};

struct published {
    char commit[65]; /* "": not known */
    bool created;    /* the repository, by this attempt */
    bool unchanged;  /* all of it was there already */
};

/* Creates the repository, where it isn't there. Returns 0, or -1 with error filled: "create_unsupported",
 * "token_refused", "token_scope", "owner_not_found", "request_refused", and those of exportd_forge_call(). */
int publish_create(const struct publish *publish, struct published *published, struct exportd_kit_error *error);

/* Has GitHub copy the template. template_path: "owner/name" there. Returns as publish_create(), and
 * "repository_taken" where there is another of that name, "template_refused" where it is no template. */
int publish_generate(const struct publish *publish, const char *template_path, struct published *published,
                     struct exportd_kit_error *error);

/* Pushes one commit with the files, without a parent, to the branch, which must not be there. Returns 0, or -1 with
 * error filled: "branch_taken", and those of exportd/kit/git.h. */
int publish_push(const struct publish *publish, struct published *published, struct exportd_kit_error *error);

#endif
