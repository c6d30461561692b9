/* The sentences for GitLab's and Gitea's refusals. */
#include "forge.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int forge_refused(const struct exportd_remote *remote, int status, const json_t *answer, const char *doing,
                  struct exportd_kit_error *error)
{
    const char *name = exportd_forge_name(remote);
    const char *token = remote->kind == EXPORTD_REMOTE_GITLAB ? "GITLAB_TOKEN" : "GITEA_TOKEN";
    const char *scope =
        remote->kind == EXPORTD_REMOTE_GITLAB ? "the scope api" : "the scopes write:repository and write:issue";
    char words[300];
    exportd_forge_words(answer, words, sizeof words);
    switch (status) {
    case 401:
        return exportd_kit_fail(error, "token_refused", 0,
                                "%s doesn't know the token (401): it may have expired; set a new %s", name, token);
    case 403:
        return exportd_kit_fail(error, "token_scope", 0,
                                "the token may not %s (403): give %s %s, and its user the right to write to %s",
                                doing, token, scope, remote->path);
    case 404:
        return exportd_kit_fail(
            error, "repository_not_found", 0,
            "%s has no project %s, or the token may not see it (404): check repo_url and who %s belongs to", name,
            remote->path, token);
    case 409:
    case 422:
    case 400:
        return exportd_kit_fail(error, "request_refused", 0, "%s would not %s (%d): %s", name, doing, status, words);
    default:
        return exportd_kit_fail(error, "request_refused", 0, "%s would not %s: status %d %s", name, doing, status,
                                words);
    }
}

void forge_note(struct pull_outcome *outcome, const char *format, ...)
{
    char *text = NULL, *all = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if (!outcome->note) {
        outcome->note = text;
        return;
    }
    if (asprintf(&all, "%s; %s", outcome->note, text) >= 0) {
        free(outcome->note);
        outcome->note = all;
    }
    free(text);
}

int forge_branch_taken(const struct pull *pull, struct exportd_kit_error *error)
{
    return exportd_kit_fail(
        error, "branch_taken", 0,
        "the branch %s is there, with commits that aren't this export's: it is left alone; give another "
        "branch_name, or on_conflict = number",
        pull->branch);
}
