/* exportd/kit/remote.h: where something is to be pushed. A token goes to the addresses of conf.d alone. */
#include <exportd/kit/remote.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX 1024
#define KNOWN_MAX 400

/* The addresses that conf.d may name, with what goes to each. */
static const struct forge {
    enum exportd_remote_kind kind;
    const char *key;
    const char *api_key; /* or NULL: api_path below the address */
    const char *api_path;
    const char *secret;
    const char *user; /* NULL: conf.d's git_user */
} forges[] = {
    {EXPORTD_REMOTE_GITHUB, "github", "github_api", "/api/v3", "GITHUB_TOKEN", "x-access-token"},
    {EXPORTD_REMOTE_GITHUB, "enterprise", "enterprise_api", "/api/v3", "GITHUB_ENTERPRISE_TOKEN", "x-access-token"},
    {EXPORTD_REMOTE_GITLAB, "gitlab", NULL, "/api/v4", "GITLAB_TOKEN", "x-access-token"},
    {EXPORTD_REMOTE_GITEA, "gitea", NULL, "/api/v1", "GITEA_TOKEN", "x-access-token"},
    {EXPORTD_REMOTE_GIT, "git", NULL, NULL, "GIT_TOKEN", NULL},
};
#define FORGE_COUNT (sizeof forges / sizeof *forges)

/* An address in its parts. */
struct address {
    bool https;
    char host[256];     /* lower case, with its port where it is not the scheme's own */
    char path[URL_MAX]; /* without slashes at its ends */
};

/* What is looked for, by whom, and what was found. */
struct search {
    struct exportd_job *job;
    const char *plugin, *key; /* for messages */
    struct exportd_remote *remote;
    struct exportd_kit_error *error;
};

static void copy_path(struct address *address, const char *path)
{
    while (*path == '/')
        path++;
    size_t length = strlen(path);
    while (length && path[length - 1] == '/')
        length--;
    snprintf(address->path, sizeof address->path, "%.*s", (int)length, path);
}

static void copy_host(struct address *address, const char *host, size_t length)
{
    const char *own_port = address->https ? ":443" : ":80";
    for (size_t i = 0; i < length; i++)
        address->host[i] = (char)tolower((unsigned char)host[i]);
    address->host[length] = '\0';
    size_t suffix = strlen(own_port);
    if (length > suffix && strcmp(address->host + length - suffix, own_port) == 0)
        address->host[length - suffix] = '\0';
}

/* Takes an http or https URL apart. Returns NULL, or what is wrong with it; never a piece of it, for it may hold a
 * password. */
static const char *read_url(const char *url, struct address *address)
{
    size_t scheme = strncasecmp(url, "https://", 8) == 0 ? 8 : strncasecmp(url, "http://", 7) == 0 ? 7 : 0;
    *address = (struct address){.https = scheme == 8};
    if (!scheme)
        return "is no https URL";
    if (strlen(url) >= URL_MAX)
        return "is too long";
    for (const char *at = url; *at; at++)
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7F || strchr("\"'\\<>^`{|}", *at))
            return "has a character in it that no URL has";
    const char *host = url + scheme;
    size_t length = strcspn(host, "/?#");
    if (memchr(host, '@', length))
        return "has a user or a password in it; take that out, and give the token as a secret in conf.d";
    if (length == 0 || length >= sizeof address->host)
        return "names no host";
    if (strpbrk(host, "?#"))
        return "has a query or a fragment; leave out what follows the repository's name";
    copy_host(address, host, length);
    copy_path(address, host + length);
    return NULL;
}

/* "git@host:path" and "ssh://git@host/path": host and path, as of https. Returns whether it is one. */
static bool read_ssh(const char *url, struct address *address)
{
    const char *host = NULL;
    char end = ':';
    if (strncmp(url, "git@", 4) == 0) {
        host = url + 4;
    } else if (strncmp(url, "ssh://git@", 10) == 0) {
        host = url + 10;
        end = '/';
    }
    size_t length = host ? strcspn(host, ":/") : 0;
    if (!length || length >= sizeof address->host || strlen(url) >= URL_MAX)
        return false;
    const char *path = host + length;
    if (end == '/' && *path == ':') /* a port */
        path += strcspn(path, "/");
    if (*path != end)
        return false;
    *address = (struct address){.https = true};
    copy_host(address, host, length);
    copy_path(address, path + 1);
    return true;
}

static bool is_plain_path(const char *path, bool any_character)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/";
    if (!*path || strstr(path, "//"))
        return false;
    for (const char *at = path; at;) {
        size_t length = strcspn(at, "/");
        if ((length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at = at[length] ? at + length + 1 : NULL;
    }
    return any_character || path[strspn(path, plain)] == '\0';
}

static size_t count_segments(const char *path)
{
    size_t count = 1;
    for (; *path; path++)
        count += *path == '/';
    return count;
}

/* What of path lies below the forge's own, or NULL. */
static const char *below(const char *path, const char *prefix)
{
    size_t length = strlen(prefix);
    if (length == 0)
        return path;
    return strncmp(path, prefix, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

/* Reads a key of conf.d. Returns 1 where it names an address, 0 where it is empty, -1 with error filled. */
static int read_key(const struct search *search, const char *key, struct address *address, char web[URL_MAX])
{
    const char *value = exportd_option(search->job, key);
    if (!value || !*value)
        return 0;
    const char *wrong = read_url(value, address);
    if (wrong)
        return exportd_kit_fail(search->error, "configuration_invalid", 0, "[plugin %s] %s in conf.d %s",
                                search->plugin, key, wrong);
    snprintf(web, URL_MAX, "%s", value);
    for (size_t length = strlen(web); length && web[length - 1] == '/'; length--)
        web[length - 1] = '\0';
    return 1;
}

static int fill_api(const struct search *search, const struct forge *forge, const struct address *address,
                    const char *web)
{
    struct exportd_remote *remote = search->remote;
    char api[URL_MAX];
    struct address ignored;
    if (!forge->api_path)
        return 0;
    int named = forge->api_key ? read_key(search, forge->api_key, &ignored, api) : 0;
    if (named < 0)
        return -1;
    int length = named ? asprintf(&remote->api, "%s", api)
                 : forge->kind == EXPORTD_REMOTE_GITHUB && address->https && strcmp(address->host, "github.com") == 0
                     ? asprintf(&remote->api, "https://api.github.com")
                     : asprintf(&remote->api, "%s%s", web, forge->api_path);
    if (length < 0)
        remote->api = NULL;
    return remote->api ? 0 : exportd_kit_no_memory(search->error);
}

static int fill(const struct search *search, const struct forge *forge, const struct address *address,
                const char *web, const char *path)
{
    struct exportd_remote *remote = search->remote;
    size_t length = strlen(path);
    size_t suffix = length > 4 && strcasecmp(path + length - 4, ".git") == 0 ? 4 : 0;
    const char *secret = exportd_secret(search->job, forge->secret);
    remote->kind = forge->kind;
    remote->web = strdup(web);
    remote->path = strndup(path, length - suffix);
    /* A plain server may know the one name or the other; the forges know both. */
    if (asprintf(&remote->url, "%s/%s%s", web, path, forge->kind == EXPORTD_REMOTE_GIT || suffix ? "" : ".git") < 0)
        remote->url = NULL;
    remote->token = secret && *secret ? secret : NULL;
    remote->user = forge->user ? forge->user : exportd_option(search->job, "git_user");
    if (!remote->web || !remote->path || !remote->url)
        return exportd_kit_no_memory(search->error);
    bool plain = is_plain_path(remote->path, forge->kind == EXPORTD_REMOTE_GIT);
    size_t segments = count_segments(remote->path);
    bool fits =
        forge->kind == EXPORTD_REMOTE_GIT || (forge->kind == EXPORTD_REMOTE_GITLAB ? segments >= 2 : segments == 2);
    if (!plain || !fits)
        return exportd_kit_fail(search->error, "repo_url_invalid", 0,
                                "%s names no repository of %s; write it as %s/owner/name, without what may follow "
                                "the name",
                                search->key, web, web);
    if (!remote->token && forge->kind != EXPORTD_REMOTE_GIT)
        return exportd_kit_fail(search->error, "token_missing", 0,
                                "there is no token for %s: set the secret %s, and grant it with secrets = %s in "
                                "[plugin %s] of conf.d",
                                web, forge->secret, forge->secret, search->plugin);
    return fill_api(search, forge, address, web);
}

static int refuse_unknown(const struct search *search, const char *host)
{
    char known[KNOWN_MAX] = "";
    char quoted[300];
    size_t length = 0;
    for (size_t i = 0; i < FORGE_COUNT && length < sizeof known; i++) {
        const char *value = exportd_option(search->job, forges[i].key);
        if (value && *value)
            length += (size_t)snprintf(known + length, sizeof known - length, "%s%s = %.80s", length ? ", " : "",
                                       forges[i].key, value);
    }
    return exportd_kit_fail(search->error, "remote_unknown", 0,
                            "%s leads to %s, which [plugin %s] in conf.d does not name (it has %s), so no token goes "
                            "there; add its address as enterprise, gitlab, gitea or git",
                            search->key, exportd_bundle_quote(host, quoted, sizeof quoted), search->plugin,
                            known[0] ? known : "none");
}

/* Finds the forge that the address belongs to. ssh: its scheme says nothing. */
static int match(const struct search *search, const struct address *wanted, bool ssh)
{
    char web[URL_MAX];
    const char *other_scheme = NULL;
    for (size_t i = 0; i < FORGE_COUNT; i++) {
        struct address address;
        int named = read_key(search, forges[i].key, &address, web);
        if (named < 0)
            return -1;
        const char *path =
            named && strcmp(address.host, wanted->host) == 0 ? below(wanted->path, address.path) : NULL;
        if (!path)
            continue;
        if (ssh || address.https == wanted->https)
            return fill(search, &forges[i], &address, web, path);
        other_scheme = address.https ? "https" : "http";
    }
    if (other_scheme)
        return exportd_kit_fail(search->error, "repo_url_invalid", 0,
                                "%s begins with %s, and conf.d names that host with %s; write %s", search->key,
                                wanted->https ? "https" : "http", other_scheme, other_scheme);
    return refuse_unknown(search, wanted->host);
}

/* "owner/name": at GitHub. */
static bool is_shorthand(const char *text)
{
    return strlen(text) < URL_MAX && is_plain_path(text, false) && count_segments(text) == 2 && text[0] != '/' &&
           text[strlen(text) - 1] != '/';
}

int exportd_remote_find(struct exportd_job *job, const char *plugin, const char *key, const char *text,
                        struct exportd_remote *remote, struct exportd_kit_error *error)
{
    const struct search search = {.job = job, .plugin = plugin, .key = key, .remote = remote, .error = error};
    struct address address;
    char web[URL_MAX];
    *remote = (struct exportd_remote){0};
    if (is_shorthand(text)) {
        int named = read_key(&search, forges[0].key, &address, web);
        if (named < 0)
            return -1;
        if (named)
            return fill(&search, &forges[0], &address, web, text);
        return exportd_kit_fail(error, "repo_url_invalid", 0,
                                "%s names no host, and [plugin %s] in conf.d has no github; write the whole URL", key,
                                plugin);
    }
    if (read_ssh(text, &address))
        return match(&search, &address, true);
    const char *wrong = read_url(text, &address);
    if (wrong)
        return exportd_kit_fail(error, "repo_url_invalid", 0,
                                "%s %s; write it as https://github.com/owner/name, git@github.com:owner/name.git or "
                                "owner/name",
                                key, wrong);
    return match(&search, &address, false);
}

void exportd_remote_clear(struct exportd_remote *remote)
{
    free(remote->web);
    free(remote->api);
    free(remote->path);
    free(remote->url);
    *remote = (struct exportd_remote){0};
}
