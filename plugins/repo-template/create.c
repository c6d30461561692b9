/* publish.h: a repository at its forge. */
#include "publish.h"

#include <exportd/kit/forge.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int call(const struct publish *publish, const char *method, const char *path, json_t *body, json_t **answer,
                struct exportd_kit_error *error)
{
    return exportd_forge_call(publish->job, publish->http, publish->remote, method, path, body, answer, error);
}

static const char *token_of(const struct exportd_remote *remote)
{
    return remote->kind == EXPORTD_REMOTE_GITEA ? "GITEA_TOKEN" : "GITHUB_TOKEN";
}

/* doing: "create the repository". */
static int refused(const struct publish *publish, int status, const json_t *answer, const char *doing,
                   struct exportd_kit_error *error)
{
    const struct exportd_remote *remote = publish->remote;
    const char *forge = exportd_forge_name(remote), *token = token_of(remote);
    bool gitea = remote->kind == EXPORTD_REMOTE_GITEA;
    char words[300];
    exportd_forge_words(answer, words, sizeof words);
    if (status == 401)
        return exportd_kit_fail(error, "token_refused", 0,
                                "%s doesn't know the token (401): it may have expired; set a new %s", forge, token);
    if (status == 403)
        return exportd_kit_fail(error, "token_scope", 0,
                                "the token may not %s %s (403): give %s %s, and its user the right to make "
                                "repositories there; %s says %s",
                                doing, remote->path, token,
                                gitea ? "the scopes write:user, write:organization and write:repository"
                                      : "the scope repo (a fine-grained one: administration and contents, write)",
                                forge, words);
    if (status == 404)
        return exportd_kit_fail(error, "owner_not_found", 0,
                                "%s has no owner for %s, or the token may not see it (404): check target_url and who "
                                "%s belongs to",
                                forge, remote->path, token);
    return exportd_kit_fail(error, "request_refused", 0, "%s would not %s %s (%d): %s", forge, doing, remote->path,
                            status, words);
}

/* "owner" and "name" of "owner/name". */
static int split(const struct publish *publish, char **owner, char **name, struct exportd_kit_error *error)
{
    const char *slash = strchr(publish->remote->path, '/');
    *owner = slash ? strndup(publish->remote->path, (size_t)(slash - publish->remote->path)) : NULL;
    *name = slash ? strdup(slash + 1) : NULL;
    return *owner && *name ? 0 : exportd_kit_no_memory(error);
}

/* The repository, where it is there: 1 with *found a new reference; 0 where not; -1. */
static int look(const struct publish *publish, json_t **found, struct exportd_kit_error *error)
{
    char path[1100];
    snprintf(path, sizeof path, "/repos/%s", publish->remote->path);
    int status = call(publish, "GET", path, NULL, found, error);
    if (status == 200)
        return 1;
    int result = status < 0 ? -1 : status == 404 ? 0 : refused(publish, status, *found, "see", error);
    json_decref(*found);
    *found = NULL;
    return result;
}

/* Whether the owner is the token's own user: repositories are made elsewhere then than for an organization. */
static int is_own(const struct publish *publish, const char *owner, struct exportd_kit_error *error)
{
    json_t *user = NULL;
    int status = call(publish, "GET", "/user", NULL, &user, error);
    const char *login = json_string_value(json_object_get(user, "login"));
    int own = status == 200 && login ? strcasecmp(login, owner) == 0
              : status < 0           ? -1
                                     : refused(publish, status, user, "say whose it is for", error);
    json_decref(user);
    return own;
}

static int create(const struct publish *publish, const char *owner, const char *name, bool own,
                  struct exportd_kit_error *error)
{
    char path[600];
    json_t *answer = NULL;
    if (own)
        snprintf(path, sizeof path, "/user/repos");
    else
        snprintf(path, sizeof path, "/orgs/%s/repos", owner);
    json_t *body = json_pack("{s:s, s:b, s:b, s:s*}", "name", name, "private", (int)publish->is_private, "auto_init",
                             0, "description", publish->description);
    int status = call(publish, "POST", path, body, &answer, error);
    int failed = status == 201 ? 0
                 : status < 0  ? -1
                               : refused(publish, status, answer, "create the repository", error);
    json_decref(answer);
    return failed;
}

int publish_create(const struct publish *publish, struct published *published, struct exportd_kit_error *error)
{
    const struct exportd_remote *remote = publish->remote;
    char *owner = NULL, *name = NULL;
    json_t *found = NULL;
    if (remote->kind != EXPORTD_REMOTE_GITHUB && remote->kind != EXPORTD_REMOTE_GITEA)
        return exportd_kit_fail(error, "create_unsupported", 0,
                                "repositories are made at GitHub and Gitea alone; make %s by hand, empty, and leave "
                                "out create",
                                remote->path);
    int there = look(publish, &found, error);
    json_decref(found);
    if (there != 0)
        return there < 0 ? -1 : 0;
    int failed = split(publish, &owner, &name, error);
    int own = failed ? -1 : is_own(publish, owner, error);
    failed = own < 0 ? -1 : create(publish, owner, name, own, error);
    published->created = !failed;
    free(owner);
    free(name);
    return failed;
}

/* What is there under the name may be what an attempt before made. */
static int check_copy(const struct publish *publish, const json_t *found, const char *template_path,
                      struct published *published, struct exportd_kit_error *error)
{
    const json_t *origin = json_object_get(found, "template_repository");
    const char *name = json_string_value(json_object_get(origin, "full_name"));
    published->unchanged = name && strcasecmp(name, template_path) == 0;
    return published->unchanged ? 0
                                : exportd_kit_fail(error, "repository_taken", 0,
                                                   "there is a repository %s already, and it wasn't made from %s; "
                                                   "choose another name",
                                                   publish->remote->path, template_path);
}

int publish_generate(const struct publish *publish, const char *template_path, struct published *published,
                     struct exportd_kit_error *error)
{
    char *owner = NULL, *name = NULL, path[1100];
    json_t *found = NULL, *answer = NULL;
    int there = look(publish, &found, error);
    int failed = there < 0 ? -1 : there > 0 ? check_copy(publish, found, template_path, published, error) : 0;
    json_decref(found);
    if (failed || there > 0)
        return failed;
    if (split(publish, &owner, &name, error) == 0) {
        json_t *body =
            json_pack("{s:s, s:s, s:b, s:b, s:s*}", "owner", owner, "name", name, "private", (int)publish->is_private,
                      "include_all_branches", 0, "description", publish->description);
        snprintf(path, sizeof path, "/repos/%s/generate", template_path);
        int status = call(publish, "POST", path, body, &answer, error);
        if (status == 404 || (status == 422 && !json_object_get(answer, "errors")))
            failed = exportd_kit_fail(error, "template_refused", 0,
                                      "GitHub makes nothing from %s (%d): mark it as a template in its settings, and "
                                      "see that the token may read it; or leave out generate",
                                      template_path, status);
        else if (status != 201)
            failed = status < 0 ? -1 : refused(publish, status, answer, "generate the repository", error);
        published->created = !failed;
    } else {
        failed = -1;
    }
    json_decref(answer);
    free(owner);
    free(name);
    return failed;
}
