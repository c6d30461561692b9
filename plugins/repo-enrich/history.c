/* history.h: contributors and activity. */
#include "history.h"

#include "commits.h"
#include "value.h"

#include <ctype.h>
#include <exportd/kit/git.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONTRIBUTORS_MAX 50000 /* that are told apart */
#define NAME_BYTES 200
#define EMAIL_BYTES 254
#define MAILMAP_BYTES 262144
#define MONTHS 12
#define STEP 256 /* commits between two looks at the clock */

struct contributor {
    char *name, *email;
    size_t commits;
    int64_t first_s, last_s;
};

struct history {
    const struct history_options *options;
    git_mailmap *mailmap;
    struct contributor *contributors;
    size_t count, capacity;
    json_t *by_email; /* in lower case: the place in contributors */
    size_t commits, months[MONTHS], weekdays[7];
    int last_month;
    struct commit first, last;
    bool whole; /* the walk came to its end */
};

static json_t *date_of(int64_t time_s)
{
    char text[32];
    struct tm date;
    time_t time = (time_t)time_s;
    if (time_s < 0 || time_s > 253402300799 || !gmtime_r(&time, &date) ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &date) == 0)
        return json_null();
    return json_string(text);
}

/* Months since the year 0. */
static int month_of(int64_t time_s)
{
    struct tm date;
    time_t time = (time_t)time_s;
    return gmtime_r(&time, &date) ? (date.tm_year + 1900) * 12 + date.tm_mon : 0;
}

static struct contributor *find(struct history *history, const char *name, const char *email)
{
    char key[EMAIL_BYTES + 1];
    size_t length = 0;
    for (; length < EMAIL_BYTES && email[length]; length++)
        key[length] = (char)tolower((unsigned char)email[length]);
    key[length] = '\0';
    json_t *place = json_object_get(history->by_email, key);
    if (place)
        return &history->contributors[json_integer_value(place)];
    if (history->count == CONTRIBUTORS_MAX)
        return NULL;
    if (history->count == history->capacity) {
        size_t capacity = history->capacity ? 2 * history->capacity : 64;
        struct contributor *grown = reallocarray(history->contributors, capacity, sizeof *grown);
        if (!grown)
            return NULL;
        history->contributors = grown;
        history->capacity = capacity;
    }
    if (json_object_set_new_nocheck(history->by_email, key, json_integer((json_int_t)history->count)) != 0)
        return NULL;
    struct contributor *made = &history->contributors[history->count++];
    /* The newest commit comes first: its name is the one that goes. */
    *made = (struct contributor){.name = strndup(name, NAME_BYTES), .email = strdup(key), .first_s = INT64_MAX};
    return made;
}

static void take(struct history *history, const struct commit *commit)
{
    git_signature *author = NULL;
    const char *name, *email;
    int month = month_of(commit->time_s);
    if (history->commits++ == 0) {
        history->last = *commit;
        history->last_month = month;
    }
    if (commit->root)
        history->first = *commit;
    if (month <= history->last_month && month > history->last_month - MONTHS)
        history->months[MONTHS - 1 - (history->last_month - month)]++;
    if (git_signature_from_buffer(&author, commit->author) != 0)
        return;
    name = author->name;
    email = author->email;
    if (history->mailmap)
        git_mailmap_resolve(&name, &email, history->mailmap, author->name, author->email);
    struct contributor *contributor = find(history, name, email);
    int64_t time_s = author->when.time;
    if (contributor) {
        contributor->commits++;
        contributor->first_s = time_s < contributor->first_s ? time_s : contributor->first_s;
        contributor->last_s = time_s > contributor->last_s ? time_s : contributor->last_s;
    }
    /* The day at the author's place. The epoch was a Thursday; the week begins with Monday. */
    if (time_s >= 0 && time_s < 253402300799)
        history->weekdays[((time_s + 86400 + (int64_t)author->when.offset * 60) / 86400 + 2) % 7]++;
    git_signature_free(author);
}

/* .mailmap as the commit has it. */
static git_mailmap *read_mailmap(git_repository *repository, const git_oid *id)
{
    git_commit *commit = NULL;
    git_tree *tree = NULL;
    git_blob *blob = NULL;
    git_mailmap *mailmap = NULL;
    const git_tree_entry *entry = NULL;
    if (git_commit_lookup(&commit, repository, id) == 0 && git_commit_tree(&tree, commit) == 0)
        entry = git_tree_entry_byname(tree, ".mailmap");
    if (entry && git_tree_entry_type(entry) == GIT_OBJECT_BLOB &&
        git_blob_lookup(&blob, repository, git_tree_entry_id(entry)) == 0 && git_blob_rawsize(blob) <= MAILMAP_BYTES)
        git_mailmap_from_buffer(&mailmap, git_blob_rawcontent(blob), (size_t)git_blob_rawsize(blob));
    git_blob_free(blob);
    git_tree_free(tree);
    git_commit_free(commit);
    return mailmap;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 0, 1 where the commit isn't there, -1 with error filled. */
static int walk(struct history *history, git_repository *repository, const char *commit_id,
                struct exportd_kit_error *error)
{
    git_oid id;
    struct commit commit;
    int got = 0;
    int64_t end_ms = now_ms() + history->options->time_ms;
    if (git_oid_fromstr(&id, commit_id) != 0)
        return 1;
    struct commits *commits = commits_new(repository, &id);
    if (!commits)
        return 1;
    history->mailmap = read_mailmap(repository, &id);
    while (history->commits < history->options->max_commits && (got = commits_next(commits, &commit)) == 0) {
        take(history, &commit);
        if (history->commits % STEP != 0)
            continue;
        exportd_progress(history->options->job, 0.7, "reading the history");
        if (exportd_cancelled(history->options->job)) {
            commits_free(commits);
            return exportd_kit_fail(error, "cancelled", 0, "the job was cancelled");
        }
        if (now_ms() > end_ms)
            break;
    }
    /* The bound may be just as many as there are. */
    history->whole = got == 1 || (got == 0 && history->commits == history->options->max_commits &&
                                  commits_next(commits, &commit) == 1);
    commits_free(commits);
    return 0;
}

static int by_commits(const void *a, const void *b)
{
    const struct contributor *one = a, *other = b;
    if (one->commits != other->commits)
        return one->commits > other->commits ? -1 : 1;
    int order = strcmp(one->name ? one->name : "", other->name ? other->name : "");
    return order ? order : strcmp(one->email ? one->email : "", other->email ? other->email : "");
}

static json_t *describe_commit(const struct commit *commit)
{
    char id[GIT_OID_HEXSZ + 1];
    if (git_oid_is_zero(&commit->id))
        return json_null();
    git_oid_tostr(id, sizeof id, &commit->id);
    return json_pack("{s:s, s:o}", "commit", id, "at", date_of(commit->time_s));
}

static json_t *describe_contributors(struct history *history)
{
    json_t *list = json_array();
    if (history->count > 0)
        qsort(history->contributors, history->count, sizeof *history->contributors, by_commits);
    for (size_t i = 0; i < history->count && i < history->options->max_contributors; i++) {
        const struct contributor *one = &history->contributors[i];
        json_t *item =
            json_pack("{s:o, s:I, s:o, s:o}", "name", value_string(one->name, NAME_BYTES), "commits",
                      (json_int_t)one->commits, "first", date_of(one->first_s), "last", date_of(one->last_s));
        if (history->options->emails)
            json_object_set_new(item, "email", value_string(one->email, EMAIL_BYTES));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *describe(struct history *history, const char *source)
{
    json_t *months = json_array(), *weekdays = json_array();
    for (int i = 0; i < MONTHS; i++) {
        char text[16];
        int month = history->last_month - (MONTHS - 1 - i);
        snprintf(text, sizeof text, "%04d-%02d", month / 12, month % 12 + 1);
        json_array_append_new(months,
                              json_pack("{s:s, s:I}", "month", text, "commits", (json_int_t)history->months[i]));
    }
    for (size_t i = 0; i < 7; i++)
        json_array_append_new(weekdays, json_integer((json_int_t)history->weekdays[i]));
    return json_pack("{s:s, s:I, s:b, s:o, s:o, s:{s:I, s:o}, s:o, s:o}", "source", source, "commits",
                     (json_int_t)history->commits, "truncated", !history->whole, "first",
                     history->whole ? describe_commit(&history->first) : json_null(), "last",
                     describe_commit(&history->last), "contributors", "count", (json_int_t)history->count, "list",
                     describe_contributors(history), "months", months, "weekdays", weekdays);
}

static void clear(struct history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        free(history->contributors[i].name);
        free(history->contributors[i].email);
    }
    free(history->contributors);
    json_decref(history->by_email);
    git_mailmap_free(history->mailmap);
}

/* Nonzero where a repository holds all its objects itself: nothing in it leads elsewhere, such as to another mirror.
 */
static bool stands_alone(const char *folder)
{
    char *paths[] = {(char *)(uintptr_t)folder, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;
    bool alone = tree != NULL;
    while (alone && (entry = fts_read(tree)))
        alone = entry->fts_info != FTS_SL && entry->fts_info != FTS_SLNONE && entry->fts_info != FTS_ERR &&
                strcmp(entry->fts_name, "alternates") != 0 && strcmp(entry->fts_name, "commondir") != 0;
    if (tree)
        fts_close(tree);
    return alone;
}

static int on_wait(void *context, size_t objects, size_t all_objects, size_t bytes)
{
    (void)objects, (void)all_objects, (void)bytes;
    return exportd_cancelled(context);
}

/* Reads one source. Returns 0 with *result set, 1 where the commit isn't there, -1 with error filled. */
static int read_source(git_repository *repository, const struct exportd_checkout *checkout, const char *source,
                       const struct history_options *options, json_t **result, struct exportd_kit_error *error)
{
    struct history history = {.options = options, .by_email = json_object()};
    int failed =
        history.by_email ? walk(&history, repository, checkout->commit, error) : exportd_kit_no_memory(error);
    if (failed == 0) {
        *result = describe(&history, source);
        failed = *result ? 0 : exportd_kit_no_memory(error);
    }
    clear(&history);
    return failed;
}

/* The history beside the files. Returns as read_source(). */
static int read_beside(const struct exportd_checkout *checkout, const struct exportd_git_options *git,
                       const struct history_options *options, json_t **result, struct exportd_kit_error *error)
{
    git_repository *repository = NULL;
    int failed = 1;
    if (!checkout->git_folder || !stands_alone(checkout->git_folder))
        return 1;
    struct exportd_git_mirror *set_up = exportd_git_look(git, checkout->url ? checkout->url : "", error);
    if (!set_up)
        return -1;
    if (git_repository_open_ext(&repository, checkout->git_folder,
                                GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_NO_DOTGIT, NULL) == 0)
        failed = read_source(repository, checkout, "checkout", options, result, error);
    git_repository_free(repository);
    exportd_git_close(set_up);
    return failed;
}

/* The mirror of the repository's address. Returns as read_source(); note: why there is nothing in it. */
static int read_mirror(const struct exportd_checkout *checkout, const struct exportd_git_options *git,
                       const struct history_options *options, json_t **result, const char **note,
                       struct exportd_kit_error *error)
{
    struct exportd_git_mirror *mirror = exportd_git_open(git, checkout->url, error);
    if (!mirror) {
        bool ends = strcmp(error->code, "cancelled") == 0 || strcmp(error->code, "out_of_memory") == 0;
        *note = "the mirror of the repository could not be had (another job may have it): the history is left out";
        return ends ? -1 : 1;
    }
    int failed = read_source(exportd_git_repository(mirror), checkout, "mirror", options, result, error);
    if (git_repository_is_empty(exportd_git_repository(mirror)) == 1)
        exportd_git_discard(mirror); /* it was made just now */
    exportd_git_close(mirror);
    return failed;
}

json_t *history_read(const struct exportd_checkout *checkout, const struct history_options *options, json_t *notes,
                     struct exportd_kit_error *error)
{
    const char *note =
        "there is no history: acquire-user-repo with mode=git leaves it in the cache that both plugins "
        "are granted (cache = git), and with history=true beside the files";
    const struct exportd_git_options git = {
        .cache = exportd_cache(options->job),
        .workspace = exportd_workspace(options->job),
        .cache_bytes = UINT64_MAX, /* which mirrors have to go is repo-clone's business */
        .wait_ms = options->wait_ms > 0 ? options->wait_ms : 1,
        .step = on_wait,
        .context = options->job,
    };
    json_t *result = NULL;
    bool named = checkout->commit && strlen(checkout->commit) == GIT_OID_HEXSZ &&
                 strspn(checkout->commit, "0123456789abcdef") == GIT_OID_HEXSZ;
    int failed = named ? read_beside(checkout, &git, options, &result, error) : 1;
    if (failed == 1 && named && checkout->url)
        failed = read_mirror(checkout, &git, options, &result, &note, error);
    if (failed < 0)
        return NULL;
    if (failed == 0)
        return result;
    json_array_append_new(notes, json_string(note));
    return json_null();
}
