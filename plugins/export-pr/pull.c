/* pull.h: a pull request made of the request, the repro and conf.d. */
#include "pull.h"

#include "body.h"
#include "branch_name.h"
#include "escape.h"
#include "files.h"
#include "values.h"

#include <ctype.h>
#include <exportd/kit/repro.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define TITLE_MAX 250   /* characters; GitHub takes 256 */
#define SUBJECT_MAX 100 /* of a commit */
#define ID_MAX 100
#define TIME_MAX_S 4102444800LL /* 2100: later ones are no time that Git servers take */

static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(struct exportd_kit_error *error, const char *code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error->code = code;
    error->retryable = 0;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return -1;
}

static int out_of_memory(struct exportd_kit_error *error)
{
    refuse(error, "out_of_memory", "not enough memory for the pull request");
    error->retryable = 1;
    return -1;
}

static const char *given(const json_t *data, const char *name)
{
    const char *value = json_string_value(json_object_get(data, name));
    return value && *value ? value : NULL;
}

/* conf.d's value, or otherwise. */
static const char *configured(struct exportd_job *job, const char *key, const char *otherwise)
{
    const char *value = exportd_option(job, key);
    return value && *value ? value : otherwise;
}

static const json_t *list_of(const json_t *data, const char *name)
{
    const json_t *list = json_object_get(data, name);
    return json_array_size(list) ? list : NULL;
}

static int set_branch(struct pull *pull, const json_t *data, const json_t *values, struct exportd_kit_error *error)
{
    const char *wanted = given(data, "branch_name");
    char quoted[300];
    if (wanted && strncmp(wanted, "refs/heads/", 11) == 0)
        wanted += 11;
    pull->branch = wanted
                       ? strdup(wanted)
                       : body_name(configured(pull->job, "branch", "bug-repro-{{bug.id}}"), "branch", values, error);
    if (!pull->branch)
        return wanted ? out_of_memory(error) : -1;
    const char *problem = branch_name_problem(pull->branch);
    if (problem)
        return refuse(error, "branch_invalid",
                      "the branch's name %s %s, which git does not take; give another branch_name",
                      exportd_bundle_quote(pull->branch, quoted, sizeof quoted), problem);
    return 0;
}

/* A caller's own title stands as it is; one that holds the repro's words is made harmless. */
static int set_title(struct pull *pull, const json_t *data, const json_t *values, struct exportd_kit_error *error)
{
    const char *wanted = given(data, "title");
    char *title = wanted ? strdup(wanted)
                         : body_title(configured(pull->job, "title", "Add a regression test: {{title}}"), "title",
                                      values, error);
    if (!title)
        return wanted ? out_of_memory(error) : -1;
    pull->title = escape_clean(title, TITLE_MAX);
    free(title);
    if (!pull->title)
        return out_of_memory(error);
    for (char *at = pull->title; *at; at++)
        if (*at == '\n' || *at == '\t')
            *at = ' ';
    if (pull->title[strspn(pull->title, " ")] == '\0')
        return refuse(error, "option_invalid", "the title is empty; give one, or leave it out");
    return 0;
}

/* A name or address as a commit's header takes it. */
static int take_person(char **out, const char *text, const char *what, int is_email, struct exportd_kit_error *error)
{
    const char *odd = strpbrk(text, is_email ? "<> \t\r\n" : "<>\t\r\n");
    size_t letters = 0;
    for (const char *at = text; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            odd = at;
        letters += *at != ' ';
    }
    if (odd || !letters || (is_email && !strchr(text, '@')) || strlen(text) > 200)
        return refuse(
            error, "option_invalid",
            "the author's %s is %s; give one without < > and line breaks, in the option author or in [plugin "
            "export-pr] author_%s",
            what, letters ? "none that a commit takes" : "empty", what);
    *out = strdup(text);
    return *out ? 0 : out_of_memory(error);
}

static int set_author(struct pull *pull, const json_t *data, struct exportd_kit_error *error)
{
    const json_t *author = json_object_get(data, "author");
    const char *name = given(author, "name");
    const char *email = given(author, "email");
    if ((name || email) && (!name || !email))
        return refuse(error, "option_invalid", "the option author needs a name and an email; give both");
    if (!name) {
        name = configured(pull->job, "author_name", "exportd");
        email = configured(pull->job, "author_email", "noreply@exportd.invalid");
    }
    if (take_person(&pull->author_name, name, "name", 0, error) < 0)
        return -1;
    return take_person(&pull->author_email, email, "email", 1, error);
}

/* The repro's id where it can stand in a trailer and in a comment, else its hash. */
static int set_mark(struct pull *pull, const json_t *repro, struct exportd_kit_error *error)
{
    const char *id = exportd_repro_string(repro, "id", "");
    size_t length = strlen(id);
    int plain = length > 0 && length <= ID_MAX && !strstr(id, "--") && id[length - 1] != '-';
    for (size_t i = 0; i < length && plain; i++)
        plain = isalnum((unsigned char)id[i]) || strchr("._-", id[i]);
    char text[80 + ID_MAX];
    if (plain) {
        snprintf(text, sizeof text, "Exportd-Repro: %s", id);
    } else {
        unsigned char hash[crypto_hash_sha256_BYTES];
        char hex[2 * sizeof hash + 1];
        crypto_hash_sha256(hash, (const unsigned char *)id, length);
        sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
        snprintf(text, sizeof text, "Exportd-Repro: sha256-%s", hex);
    }
    pull->mark = strdup(text);
    return pull->mark ? 0 : out_of_memory(error);
}

static int set_message(struct pull *pull, const json_t *data, const json_t *repro, struct exportd_kit_error *error)
{
    const json_t *wish = json_object_get(data, "sign_off");
    bool sign_off = wish ? json_is_true(wish) : exportd_option_integer(pull->job, "sign_off", 0) != 0;
    const char *url = exportd_repro_string(repro, "bug.url", "");
    char *subject = escape_title(pull->title, SUBJECT_MAX);
    char *link = escape_link(url);
    /* In <…> where it is one. */
    size_t length = link && link[0] == '<' ? strlen(link) - 2 : 0;
    int made = subject && link
                   ? asprintf(&pull->message, "%s\n\n%s%.*s%s%s\n%s%s%s%s%s", subject, length ? "Bug: " : "",
                              (int)length, link + (length ? 1 : 0), length ? "\n\n" : "", pull->mark,
                              sign_off ? "Signed-off-by: " : "", sign_off ? pull->author_name : "",
                              sign_off ? " <" : "", sign_off ? pull->author_email : "", sign_off ? ">\n" : "")
                   : -1;
    if (made < 0)
        pull->message = NULL;
    free(subject);
    free(link);
    return pull->message ? 0 : out_of_memory(error);
}

/* The folder that the test is run from: that of its files, where it lies there. */
static const char *folder_of(const struct pull *pull, const struct files_place *place)
{
    size_t length = strlen(place->folder);
    return strncmp(pull->test_path, place->folder, length) == 0 && pull->test_path[length] == '/' ? place->folder
                                                                                                  : "";
}

static int set_body(struct pull *pull, const json_t *data, const json_t *repro, const struct files_place *place,
                    struct exportd_kit_error *error)
{
    const struct body_place about = {
        .test_path = pull->test_path, .folder = folder_of(pull, place), .branch = pull->branch};
    const char *wanted = given(data, "body");
    char *body = wanted ? escape_clean(wanted, BODY_MAX_BYTES)
                        : body_make(exportd_option(pull->job, "body_template"), repro, &about, error);
    if (!body)
        return wanted ? out_of_memory(error) : -1;
    int made = asprintf(&pull->body, "%s\n\n" PULL_MARK_BEGIN "%s" PULL_MARK_END "\n", body, pull->mark);
    free(body);
    if (made >= 0)
        return 0;
    pull->body = NULL;
    return out_of_memory(error);
}

static int make(struct pull *pull, const json_t *data, const json_t *repro, struct exportd_kit_error *error)
{
    struct files_place place = {0};
    json_t *values = values_new(repro, 200);
    int status = -1;
    if (!values)
        out_of_memory(error);
    else if (set_branch(pull, data, values, error) == 0 && set_title(pull, data, values, error) == 0 &&
             set_author(pull, data, error) == 0 && set_mark(pull, repro, error) == 0 &&
             set_message(pull, data, repro, error) == 0 &&
             files_place_find(&place, pull->job, data, values, error) == 0 &&
             files_collect(pull, &place, data, repro, error) == 0)
        status = set_body(pull, data, repro, &place, error);
    files_place_clear(&place);
    json_decref(values);
    return status;
}

int pull_make(struct exportd_job *job, const json_t *data, struct pull *pull, struct exportd_kit_error *error)
{
    const json_t *repro = json_object_get(data, "repro");
    const char *on_conflict = given(data, "on_conflict");
    char why[512];
    int64_t time_s = exportd_repro_time(repro);
    *pull = (struct pull){
        .job = job,
        .numbered = on_conflict && strcmp(on_conflict, "number") == 0,
        .base = given(data, "base"),
        .time_s = time_s < 0            ? 0
                  : time_s > TIME_MAX_S ? TIME_MAX_S
                                        : time_s,
        .labels = list_of(data, "labels"),
        .reviewers = list_of(data, "reviewers"),
        .team_reviewers = list_of(data, "team_reviewers"),
        .assignees = list_of(data, "assignees"),
        .draft = json_is_true(json_object_get(data, "draft")),
        .fork = json_is_true(json_object_get(data, "fork")),
    };
    if (exportd_repro_check(repro, why, sizeof why) < 0)
        return refuse(error, "repro_invalid", "%s", why);
    if (pull->base && strncmp(pull->base, "refs/heads/", 11) == 0)
        pull->base += 11;
    const char *problem = pull->base ? branch_name_problem(pull->base) : NULL;
    if (problem)
        return refuse(error, "branch_invalid",
                      "the base branch's name %s, which git does not take; give another base", problem);
    int status = make(pull, data, repro, error);
    if (status == 0 && pull->base && strcmp(pull->base, pull->branch) == 0)
        status =
            refuse(error, "branch_invalid", "branch_name and base are one; a pull request needs a branch of its own");
    return status;
}

void pull_clear(struct pull *pull)
{
    free(pull->branch);
    free(pull->title);
    free(pull->body);
    free(pull->message);
    free(pull->mark);
    free(pull->author_name);
    free(pull->author_email);
    free(pull->test_path);
    exportd_bundle_free(pull->bundle);
    *pull = (struct pull){0};
}

void pull_outcome_clear(struct pull_outcome *outcome)
{
    free(outcome->url);
    free(outcome->branch);
    free(outcome->base);
    free(outcome->commit);
    free(outcome->note);
    *outcome = (struct pull_outcome){0};
}
