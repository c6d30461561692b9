/* archive.h: a repository's files as its forge's tarball. */
#include "archive.h"

#include "download.h"

#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536
#define REDIRECT_HOSTS_MAX 16
#define UNPACKED_MORE ((int64_t)64 << 20) /* that a tarball may hold besides its files: headers, what is skipped */
#define UNPACKED_TIMES 4

struct unpacking {
    struct request *request;
    struct download *download;
    struct archive *archive;
    struct exportd_kit_error *error;
    int failed; /* of the download: error is filled */
    char top[512];
    int64_t time_s;
    uint64_t max_bytes;
    uint64_t received;
};

static la_ssize_t read_piece(struct archive *archive, void *context, const void **bytes)
{
    struct unpacking *unpacking = context;
    char stage[96];
    ssize_t size = download_next(unpacking->download, bytes, unpacking->error);
    if (size < 0) {
        unpacking->failed = 1;
        archive_set_error(archive, 5, "%s", unpacking->error->message);
        return -1;
    }
    unpacking->received += (uint64_t)size;
    struct rules_counts counts = rules_counts(unpacking->request->rules);
    snprintf(stage, sizeof stage, "unpacking: %llu files, %.1f MB", (unsigned long long)counts.files,
             (double)unpacking->received / 1e6);
    /* How much there is to come, the forge doesn't say. */
    double share = (double)unpacking->received / ((double)unpacking->received + 2e7);
    exportd_progress(unpacking->request->job, 0.05 + 0.85 * share, stage);
    return size;
}

static int fail_archive(struct unpacking *unpacking)
{
    const char *why = archive_error_string(unpacking->archive);
    return unpacking->failed
               ? -1
               : exportd_kit_fail(unpacking->error, "archive_invalid", 1,
                                  "the forge's tarball is broken or cut short: %s", why ? why : "unknown");
}

/* The path below the tarball's one folder: "" for that itself; NULL with error filled. */
static const char *below_top(struct unpacking *unpacking, const char *path)
{
    char quoted[220];
    size_t length = path ? strcspn(path, "/") : 0;
    if (length > 0 && length < sizeof unpacking->top) {
        if (!unpacking->top[0])
            snprintf(unpacking->top, sizeof unpacking->top, "%.*s", (int)length, path);
        if (strncmp(unpacking->top, path, length) == 0 && !unpacking->top[length] && path[length] == '/')
            return path + length + 1;
    }
    exportd_kit_fail(unpacking->error, "repository_unsafe", 0,
                     "the tarball has %s beside its one folder; it was not unpacked",
                     exportd_bundle_quote(path ? path : "a path that is not UTF-8", quoted, sizeof quoted));
    return NULL;
}

/* Takes the folders above path that were not there yet; path itself too, where it is one. */
static int take_folders(struct unpacking *unpacking, const char *path, int itself)
{
    struct rules *rules = unpacking->request->rules;
    for (const char *end = path; end;) {
        end = strchr(end, '/');
        if (!end && !itself)
            return 0;
        char *folder = strndup(path, end ? (size_t)(end - path) : strlen(path));
        int failed = folder ? 0 : exportd_kit_no_memory(unpacking->error);
        if (!failed && !rules_has_folder(rules, folder))
            failed = rules_take(rules, folder, RULES_FOLDER, 0, unpacking->error);
        free(folder);
        if (failed)
            return -1;
        end = end ? end + 1 : NULL;
    }
    return 0;
}

static int unpack_file(struct unpacking *unpacking, struct archive_entry *entry, const char *path)
{
    struct checkout *checkout = unpacking->request->checkout;
    char piece[PIECE_BYTES];
    int64_t size = archive_entry_size(entry);
    la_ssize_t got = 0;
    if (take_folders(unpacking, path, 0) != 0 ||
        rules_take(unpacking->request->rules, path, RULES_FILE, (uint64_t)(size > 0 ? size : 0), unpacking->error) !=
            0 ||
        checkout_begin(checkout, path, (archive_entry_perm(entry) & 0100) != 0, unpacking->error) != 0)
        return -1;
    while ((got = archive_read_data(unpacking->archive, piece, sizeof piece)) > 0) {
        size -= got;
        if (size < 0)
            return exportd_kit_fail(unpacking->error, "archive_invalid", 1,
                                    "a file of the tarball is longer than it says");
        if (checkout_write(checkout, piece, (size_t)got, unpacking->error) != 0)
            return -1;
    }
    return got < 0 ? fail_archive(unpacking) : checkout_end(checkout, unpacking->error);
}

static int unpack_link(struct unpacking *unpacking, struct archive_entry *entry, const char *path)
{
    const char *target = archive_entry_symlink(entry);
    target = target ? target : "";
    if (take_folders(unpacking, path, 0) != 0 ||
        rules_take(unpacking->request->rules, path, RULES_LINK, strlen(target), unpacking->error) != 0)
        return -1;
    return checkout_link(unpacking->request->checkout, path, target, strlen(target), unpacking->error);
}

static int unpack_folder(struct unpacking *unpacking, const char *path)
{
    size_t length = strlen(path);
    char *folder = strndup(path, length > 0 && path[length - 1] == '/' ? length - 1 : length);
    int failed = folder ? take_folders(unpacking, folder, 1) : exportd_kit_no_memory(unpacking->error);
    failed = failed ? failed : checkout_folder(unpacking->request->checkout, folder, unpacking->error);
    free(folder);
    return failed;
}

static int is_wanted(const struct request *request, const char *path)
{
    size_t length = request->subfolder ? strlen(request->subfolder) : 0;
    return length == 0 || (strncmp(path, request->subfolder, length) == 0 && path[length] == '/');
}

static int unpack_entry(struct unpacking *unpacking, struct archive_entry *entry)
{
    const char *path = below_top(unpacking, archive_entry_pathname(entry));
    char quoted[220];
    if (!path)
        return -1;
    if (unpacking->time_s == 0)
        unpacking->time_s = archive_entry_mtime(entry);
    if (!*path || !is_wanted(unpacking->request, path))
        return 0;
    if (archive_entry_hardlink(entry))
        return exportd_kit_fail(
            unpacking->error, "repository_unsafe", 0,
            "%s in the tarball is a second name of another file, which git has none of; it was not "
            "unpacked",
            exportd_bundle_quote(path, quoted, sizeof quoted));
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return unpack_folder(unpacking, path);
    case AE_IFREG:
        return unpack_file(unpacking, entry, path);
    case AE_IFLNK:
        return unpack_link(unpacking, entry, path);
    default:
        return exportd_kit_fail(unpacking->error, "repository_unsafe", 0,
                                "%s in the tarball is neither a file nor a folder nor a link; it was not unpacked",
                                exportd_bundle_quote(path, quoted, sizeof quoted));
    }
}

static int unpack_all(struct unpacking *unpacking)
{
    struct archive *archive = unpacking->archive;
    struct archive_entry *entry;
    int64_t most = (int64_t)unpacking->max_bytes * UNPACKED_TIMES + UNPACKED_MORE;
    int code;
    if (archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
        archive_read_open2(archive, unpacking, NULL, read_piece, NULL, NULL) != ARCHIVE_OK)
        return fail_archive(unpacking);
    while ((code = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || code == ARCHIVE_WARN) {
        if (archive_filter_bytes(archive, 0) > most)
            return exportd_kit_fail(
                unpacking->error, "repository_too_large", 0,
                "the tarball unpacks to more than %lld MB; raise max_bytes in [plugin repo-clone]",
                (long long)(most >> 20));
        if (unpack_entry(unpacking, entry) != 0)
            return -1;
    }
    return code == ARCHIVE_EOF ? 0 : fail_archive(unpacking);
}

static int unpack(struct unpacking *unpacking)
{
    /* libarchive turns pax's UTF-8 into the thread's locale, and in "C" it can't. */
    locale_t unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    if (!unicode)
        return exportd_kit_fail(unpacking->error, "locale_missing", 0, "the locale C.UTF-8 is missing");
    locale_t before = uselocale(unicode);
    unpacking->archive = archive_read_new();
    int failed = unpacking->archive ? unpack_all(unpacking) : exportd_kit_no_memory(unpacking->error);
    archive_read_free(unpacking->archive);
    uselocale(before);
    freelocale(unicode);
    if (!failed && unpacking->request->subfolder &&
        !rules_has_folder(unpacking->request->rules, unpacking->request->subfolder)) {
        char quoted[220];
        failed = exportd_kit_fail(unpacking->error, "subfolder_not_found", 0,
                                  "the repository has no folder %s at this ref",
                                  exportd_bundle_quote(unpacking->request->subfolder, quoted, sizeof quoted));
    }
    return failed;
}

/* The commit that the ref names, by asking the remote: the tarball is then of that one, whatever is pushed meanwhile.
 */
static int find_commit(struct request *request, struct revision *revision, struct exportd_kit_error *error)
{
    const struct exportd_git_options options = clone_git_options(request, &request->source);
    char name[1200], peeled[EXPORTD_GIT_SIZE];
    struct exportd_git_mirror *remote = exportd_git_look(&options, request->source.url, error);
    int failed = remote ? clone_find(remote, request->ref, revision, error) : -1;
    if (!failed && !revision->branch && strncmp(revision->ref, "refs/", 5) == 0) {
        /* What an annotated tag names is told beside it. */
        snprintf(name, sizeof name, "%s^{}", revision->ref);
        int found = exportd_git_remote_ref(remote, name, peeled, error);
        if (found == 0)
            memcpy(revision->commit, peeled, sizeof peeled);
        failed = found < 0 ? -1 : 0;
    }
    exportd_git_close(remote);
    return failed;
}

static int make_url(const struct request *request, const char *commit, char **url, char **header)
{
    const struct source *source = &request->source;
    const char *github = exportd_option(request->job, "github"), *api = exportd_option(request->job, "github_api");
    char *escaped = NULL;
    int made = -1;
    *url = *header = NULL;
    if (source->kind == SOURCE_GITLAB) {
        escaped = curl_easy_escape(NULL, source->path, 0);
        made = escaped ? asprintf(url, "%s/api/v4/projects/%s/repository/archive.tar.gz?sha=%s", source->web, escaped,
                                  commit)
                       : -1;
        curl_free(escaped);
    } else if (source->kind == SOURCE_GITEA) {
        made = asprintf(url, "%s/api/v1/repos/%s/archive/%s.tar.gz", source->web, source->path, commit);
    } else {
        size_t length = github ? strlen(source->web) : 0;
        int is_public = github && api && strncasecmp(github, source->web, length) == 0 &&
                        (!github[length] || github[length] == '/');
        made = asprintf(url, "%s%s/repos/%s/tarball/%s", is_public ? api : source->web, is_public ? "" : "/api/v3",
                        source->path, commit);
    }
    static const char *const forms[] = {[SOURCE_GITHUB] = "Authorization: Bearer %s",
                                        [SOURCE_GITLAB] = "PRIVATE-TOKEN: %s",
                                        [SOURCE_GITEA] = "Authorization: token %s"};
    if (made >= 0 && source->token && !strpbrk(source->token, "\r\n")) {
        const char *form = forms[source->kind];
        int length = (int)(strchr(form, '%') - form);
        made = asprintf(header, "%.*s%s", length, form, source->token);
    }
    return made < 0 ? -1 : 0;
}

/* Where the forge may have its tarballs: github.com's lie at codeload.github.com. Words of list are cut in place. */
static void name_hosts(const struct source *source, char *codeload, size_t size, char *list, const char **hosts)
{
    size_t count = 0;
    char *rest = NULL;
    const char *host = strstr(source->web, "://");
    host = host ? host + 3 : source->web;
    snprintf(codeload, size, "codeload.%.*s", (int)strcspn(host, ":/"), host);
    hosts[count++] = codeload + strlen("codeload.");
    hosts[count++] = codeload;
    for (char *word = list ? strtok_r(list, " ,\t", &rest) : NULL; word && count < REDIRECT_HOSTS_MAX;
         word = strtok_r(NULL, " ,\t", &rest))
        hosts[count++] = word;
    hosts[count] = NULL;
}

int archive_run(struct request *request, struct revision *revision, struct exportd_kit_error *error)
{
    struct exportd_job *job = request->job;
    const struct source *source = &request->source;
    const char *named = exportd_option(job, "archive_hosts");
    const char *hosts[REDIRECT_HOSTS_MAX + 1];
    char codeload[300];
    if (source->kind != SOURCE_GITHUB && source->kind != SOURCE_GITLAB && source->kind != SOURCE_GITEA)
        return exportd_kit_fail(
            error, "archive_unsupported", 0,
            "mode=archive works where conf.d names a GitHub, GitLab or Gitea server; leave mode out");
    if (request->submodules || request->history)
        return exportd_kit_fail(error, "option_invalid", 0,
                                "a forge's tarball holds neither submodules nor history; leave out mode, or those");
    exportd_progress(job, 0.01, "asking for the commit");
    if (find_commit(request, revision, error) != 0) {
        clone_name_the_mend(source, error);
        return -1;
    }
    struct download_options options = {
        .job = job, .hosts = hosts, .max_bytes = (uint64_t)exportd_option_integer(job, "max_fetch", 0)};
    struct unpacking unpacking = {
        .request = request, .error = error, .max_bytes = (uint64_t)exportd_option_integer(job, "max_bytes", 0)};
    char *url = NULL, *header = NULL, *list = named ? strdup(named) : NULL;
    name_hosts(source, codeload, sizeof codeload, list, hosts);
    int failed = make_url(request, revision->commit, &url, &header) == 0 ? 0 : exportd_kit_no_memory(error);
    options.url = url;
    options.header = header;
    if (!failed)
        unpacking.download = download_open(&options, error);
    failed = unpacking.download ? unpack(&unpacking) : -1;
    revision->time_s = unpacking.time_s;
    download_free(unpacking.download);
    if (failed)
        clone_name_the_mend(source, error);
    else if (strlen(revision->commit) < GIT_OID_HEXSZ)
        revision->commit[0] = '\0';
    if (header)
        explicit_bzero(header, strlen(header));
    free(header);
    free(url);
    free(list);
    return failed;
}
