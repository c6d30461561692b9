/* source.h: where a repository lies. */
#include "source.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES 2000

/* The keys of conf.d that name addresses, and the secrets that go there. */
struct forge {
    const char *option;
    enum source_kind kind;
    const char *secret;
};
static const struct forge forges[] = {
    {"github", SOURCE_GITHUB, "GITHUB_TOKEN"}, {"enterprise", SOURCE_GITHUB, "GITHUB_TOKEN"},
    {"gitlab", SOURCE_GITLAB, "GITLAB_TOKEN"}, {"gitea", SOURCE_GITEA, "GITEA_TOKEN"},
    {"git", SOURCE_GIT, "GIT_TOKEN"},
};

static int refuse_url(struct exportd_kit_error *error, const char *url, const char *why)
{
    char quoted[220];
    const char *at = strchr(url, '@'); /* what stands before it may be a secret */
    return exportd_kit_fail(error, "repo_url_invalid", 0,
                            "repo_url %s %s; write one such as https://github.com/owner/name",
                            exportd_bundle_quote(at ? at : url, quoted, sizeof quoted), why);
}

/* Nonzero where list, words between blanks or commas, has that word. */
static int lists(const char *list, const char *word, size_t length)
{
    for (const char *at = list ? list : ""; *at;) {
        size_t word_length = strcspn(at, " ,\t");
        if (word_length == length && strncasecmp(at, word, length) == 0)
            return 1;
        at += word_length;
        at += strspn(at, " ,\t");
    }
    return 0;
}

/* One exact host, port and path, as libcurl understands the address, so that there is one reading of it. */
static int read_url(const char *text, char **url, struct exportd_kit_error *error)
{
    static const CURLUPart unwanted[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT};
    CURLU *parsed = curl_url();
    char *host = NULL;
    *url = NULL;
    if (!parsed)
        return exportd_kit_no_memory(error);
    CURLUcode code = curl_url_set(parsed, CURLUPART_URL, text, CURLU_PATH_AS_IS);
    int failed = code == CURLUE_OK ? 0 : refuse_url(error, text, curl_url_strerror(code));
    for (size_t i = 0; !failed && i < sizeof unwanted / sizeof *unwanted; i++) {
        char *part = NULL;
        if (curl_url_get(parsed, unwanted[i], &part, 0) == CURLUE_OK)
            failed = refuse_url(error, text,
                                unwanted[i] == CURLUPART_USER || unwanted[i] == CURLUPART_PASSWORD
                                    ? "has a user or a password in it, which would end up in logs: leave it out, and "
                                      "set the token as a secret"
                                    : "has a query or a fragment behind its path");
        curl_free(part);
    }
    if (!failed && (curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK || !*host ||
                    curl_url_get(parsed, CURLUPART_URL, url, CURLU_NO_DEFAULT_PORT) != CURLUE_OK))
        failed = refuse_url(error, text, "names no host");
    curl_free(host);
    curl_url_cleanup(parsed);
    if (!failed && *url)
        return 0;
    curl_free(*url);
    *url = NULL;
    return -1;
}

/* A server may read what is written another way as another path. */
static int check_path(const char *url, struct exportd_kit_error *error)
{
    const char *path = strstr(url, "://");
    path = path ? strchr(path + 3, '/') : NULL;
    if (!path || !path[1])
        return refuse_url(error, url, "names no repository behind the host");
    for (const char *at = path; *at; at++) {
        if ((unsigned char)*at <= ' ' || *at == 0x7F || *at == '\\')
            return refuse_url(error, url, "has a character in it that no address has");
        if (*at == '%' && (strncasecmp(at, "%2e", 3) == 0 || strncasecmp(at, "%2f", 3) == 0 ||
                           strncasecmp(at, "%5c", 3) == 0 || strncmp(at, "%0", 2) == 0 || strncmp(at, "%1", 2) == 0))
            return refuse_url(error, url, "hides a dot, a slash or a control character behind a %");
        if (*at != '/')
            continue;
        size_t length = strcspn(at + 1, "/");
        if ((length == 1 && at[1] == '.') || (length == 2 && at[1] == '.' && at[2] == '.'))
            return refuse_url(error, url, "has . or .. in its path");
    }
    return 0;
}

/* Where url goes on behind base (an address of conf.d), or NULL. A host is the same in any case. */
static const char *below(const char *base, const char *url)
{
    size_t length = strlen(base);
    while (length > 0 && base[length - 1] == '/')
        length--;
    const char *host = strstr(base, "://");
    if (!host || length == 0)
        return NULL;
    const char *path = strchr(host + 3, '/');
    size_t folded = path && path < base + length ? (size_t)(path - base) : length;
    return strncasecmp(base, url, folded) == 0 && strncmp(base + folded, url + folded, length - folded) == 0 &&
                   url[length] == '/'
               ? url + length + 1
               : NULL;
}

/* A forge's repository has one address, with .git at its end; others redirect there. */
static int take_forge(struct exportd_job *job, const struct forge *forge, const char *base, const char *rest,
                      struct source *source, struct exportd_kit_error *error)
{
    size_t slashes = 0, base_length = strlen(base);
    char *url = NULL;
    while (base_length > 0 && base[base_length - 1] == '/')
        base_length--;
    size_t length = strlen(rest);
    while (length > 0 && rest[length - 1] == '/')
        length--;
    if (forge->kind != SOURCE_GIT && length > 4 && strncmp(rest + length - 4, ".git", 4) == 0)
        length -= 4;
    for (size_t i = 0; i < length; i++)
        slashes += rest[i] == '/';
    if (forge->kind != SOURCE_GIT && (slashes == 0 || (slashes > 1 && forge->kind != SOURCE_GITLAB)))
        return refuse_url(error, source->url, "is not the address of a repository there (owner/name)");
    source->kind = forge->kind;
    source->web = strndup(base, base_length);
    source->path = forge->kind == SOURCE_GIT ? NULL : strndup(rest, length);
    const char *token = exportd_secret(job, forge->secret);
    source->token = token && *token ? token : NULL;
    source->user = forge->kind == SOURCE_GIT ? exportd_option(job, "git_user") : NULL;
    source->guarded = false;
    if (!source->web || (forge->kind != SOURCE_GIT && !source->path) ||
        asprintf(&url, "%.*s/%.*s%s", (int)base_length, base, (int)length, rest,
                 forge->kind == SOURCE_GIT ? "" : ".git") < 0)
        return exportd_kit_no_memory(error);
    free(source->url);
    source->url = url;
    return 0;
}

static int find_forge(struct exportd_job *job, struct source *source, struct exportd_kit_error *error)
{
    for (size_t i = 0; i < sizeof forges / sizeof *forges; i++) {
        const char *list = exportd_option(job, forges[i].option);
        for (const char *at = list ? list : ""; *at;) {
            char base[URL_BYTES];
            size_t length = strcspn(at, " ,\t");
            snprintf(base, sizeof base, "%.*s", (int)(length < sizeof base ? length : 0), at);
            const char *rest = below(base, source->url);
            if (rest && *rest)
                return take_forge(job, &forges[i], base, rest, source, error);
            at += length;
            at += strspn(at, " ,\t");
        }
    }
    return 0;
}

static int check_scheme(struct exportd_job *job, const char *url, struct exportd_kit_error *error)
{
    const char *end = strstr(url, "://");
    const char *schemes = exportd_option(job, "schemes");
    size_t length = end ? (size_t)(end - url) : 0;
    if (url[0] == '/')
        return lists(schemes, "file", 4)
                   ? 0
                   : exportd_kit_fail(
                         error, "scheme_refused", 0,
                         "repo_url is a path on this machine, which is not cloned; write an https:// address, "
                         "or add file to schemes in [plugin repo-clone]");
    if (!end)
        return strchr(url, ':')
                   ? exportd_kit_fail(error, "scheme_refused", 0,
                                      "repo_url is an address for ssh, which is not cloned here; write the "
                                      "repository's https:// address")
                   : refuse_url(error, url, "has no scheme");
    if (length == 3 && strncasecmp(url, "ssh", 3) == 0)
        return exportd_kit_fail(
            error, "scheme_refused", 0,
            "repo_url begins with ssh://, which is not cloned here, for there is no place for its keys; "
            "write the repository's https:// address");
    bool known = (length == 5 && strncasecmp(url, "https", 5) == 0) ||
                 (length == 4 && (strncasecmp(url, "http", 4) == 0 || strncasecmp(url, "file", 4) == 0));
    if (known && lists(schemes, url, length))
        return 0;
    return exportd_kit_fail(
        error, "scheme_refused", 0, "repo_url begins with %.*s://, which %s; write an https:// address",
        (int)(length < 20 ? length : 20), url,
        known ? "schemes in [plugin repo-clone] doesn't allow" : "is nothing that can be cloned here");
}

/* A path on this machine: file:///srv/x.git or /srv/x.git. */
static int take_local(struct source *source, const char *url, struct exportd_kit_error *error)
{
    const char *path = url[0] == '/' ? url : url + strlen("file://");
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7F || *path != '/')
            return refuse_url(error, url, "is no absolute path");
    source->url = strdup(path);
    return source->url ? 0 : exportd_kit_no_memory(error);
}

int source_find(struct exportd_job *job, const char *url, struct source *source, struct exportd_kit_error *error)
{
    char *canonical = NULL;
    *source = (struct source){.kind = SOURCE_ANY, .guarded = true};
    if (strlen(url) >= URL_BYTES)
        return refuse_url(error, url, "is over 2,000 characters long");
    if (check_scheme(job, url, error) != 0)
        return -1;
    if (url[0] == '/' || strncasecmp(url, "file:", 5) == 0)
        return take_local(source, url, error);
    if (read_url(url, &canonical, error) != 0 || !canonical)
        return -1;
    if (check_path(canonical, error) == 0) {
        source->url = strdup(canonical);
        if (!source->url)
            exportd_kit_no_memory(error);
    }
    curl_free(canonical);
    if (source->url && find_forge(job, source, error) == 0)
        return 0;
    source_clear(source);
    return -1;
}

void source_clear(struct source *source)
{
    free(source->url);
    free(source->web);
    free(source->path);
    *source = (struct source){0};
}

char *source_beside(const char *base, const char *url)
{
    char *joined = NULL;
    if (strncmp(url, "./", 2) != 0 && strncmp(url, "../", 3) != 0)
        return strdup(url);
    size_t length = strlen(base);
    const char *top = strstr(base, "://");
    top = top ? strchr(top + 3, '/') : base;
    while (top && length > 0 && base[length - 1] == '/')
        length--;
    for (;;) {
        if (strncmp(url, "./", 2) == 0) {
            url += 2;
        } else if (strncmp(url, "../", 3) == 0) {
            url += 3;
            while (top && base + length > top && base[length - 1] != '/')
                length--;
            if (!top || base + length <= top)
                return NULL;
            length--;
        } else {
            break;
        }
    }
    return asprintf(&joined, "%.*s/%s", (int)length, base, url) < 0 ? NULL : joined;
}
