/*
 * source.h: where a repository lies, whether conf.d lets it be cloned from there, and which token goes along.
 *
 * A token goes to the addresses that conf.d names for it, and nowhere else; any other https address is asked as
 * nobody, and only where it is public (see guarded).
 */
#ifndef REPO_CLONE_SOURCE_H
#define REPO_CLONE_SOURCE_H

#include <exportd/kit/bundle.h>
#include <exportd/plugin.h>
#include <stdbool.h>

enum source_kind { SOURCE_ANY, SOURCE_GIT, SOURCE_GITHUB, SOURCE_GITLAB, SOURCE_GITEA };

struct source {
    enum source_kind kind;
    char *url;         /* for git, without a user or a token in it */
    char *web;         /* "https://github.com", as conf.d names it; NULL for SOURCE_ANY */
    char *path;        /* "owner/name" at a forge, else NULL */
    const char *token; /* borrowed; NULL: none */
    const char *user;  /* with the token, for git; NULL: any */
    bool guarded;      /* conf.d doesn't name it: only public addresses, and those that it allows */
};

/* Returns 0, or -1 with error filled: "repo_url_invalid", "scheme_refused". Free it with source_clear(). */
int source_find(struct exportd_job *job, const char *url, struct source *source, struct exportd_kit_error *error);
void source_clear(struct source *source);

/* What url means beside base, the address of a repository: itself, or, where it begins with ./ or ../, as git's
 * submodules have it. A new string, or NULL: it leads above the server's top (or there is no memory). */
char *source_beside(const char *base, const char *url);

#endif
