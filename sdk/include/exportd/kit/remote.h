/*
 * exportd/kit/remote.h: where something is to be pushed, and the token that goes there.
 *
 * A plugin that writes to repositories names the addresses in conf.d, by the keys github (and github_api), enterprise
 * (and enterprise_api), gitlab, gitea and git (and git_user), which it declares as options, and asks for the secrets
 * GITHUB_TOKEN, GITHUB_ENTERPRISE_TOKEN, GITLAB_TOKEN, GITEA_TOKEN and GIT_TOKEN. No other address gets a token.
 */
#ifndef EXPORTD_KIT_REMOTE_H
#define EXPORTD_KIT_REMOTE_H

#include <exportd/kit/bundle.h>
#include <exportd/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum exportd_remote_kind {
    EXPORTD_REMOTE_GITHUB, /* github.com or GitHub Enterprise */
    EXPORTD_REMOTE_GITLAB,
    EXPORTD_REMOTE_GITEA, /* Forgejo too */
    EXPORTD_REMOTE_GIT,   /* a plain server */
};

struct exportd_remote {
    enum exportd_remote_kind kind;
    char *web;         /* "https://github.com", as conf.d has it, without a slash at its end */
    char *api;         /* "https://api.github.com"; NULL for EXPORTD_REMOTE_GIT */
    char *path;        /* "owner/name" ("group/sub/name" at GitLab), without .git */
    char *url;         /* for git: "https://github.com/owner/name.git"; never with a user or token in it */
    const char *token; /* borrowed; NULL where conf.d grants none */
    const char *user;  /* with the token as the password of HTTP's basic authentication */
};

/* Finds the remote of an address: "https://host/owner/name", with or without .git; "git@host:owner/name.git"; or
 * "owner/name" at GitHub. plugin and key: for messages, as "export-pr" and "repo_url". Returns 0, or -1 with error
 * filled: "repo_url_invalid", "remote_unknown", "token_missing", "configuration_invalid", "out_of_memory". Clear it
 * with exportd_remote_clear() in either case. */
int exportd_remote_find(struct exportd_job *job, const char *plugin, const char *key, const char *address,
                        struct exportd_remote *remote, struct exportd_kit_error *error);
void exportd_remote_clear(struct exportd_remote *remote);

#ifdef __cplusplus
}
#endif
#endif
