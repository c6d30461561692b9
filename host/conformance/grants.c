/*
 * What a plugin does beyond its grants and its workspace: jobs under exportd-watch, which sees the calls that the
 * sandbox refuses; and jobs from which every grant is withheld.
 */
#include "base/memory.h"
#include "conformance/conformance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct findings {
    bool watched;
    char cause[200];              /* why it was not */
    char write[600], beyond[600]; /* calls, by commas; "" for none */
};

char *conformance_watch(const struct conformance *conformance, const char *report)
{
    const char *program = conformance->plugin->spec.program;
    const char *slash = strrchr(program, '/');
    char *watch = memory_format("%.*s/exportd-watch", slash ? (int)(slash - program) : 0, program);
    char *launcher = NULL;
    const char *cache = conformance->plugin->spec.cache_folder ? conformance->cache : NULL;
    bool network = conformance->granted && conformance->plugin->spec.network;
    if (access(watch, X_OK) == 0)
        launcher = memory_format("'%s' '%s' '%s' '%s'", watch, report, cache ? cache : "", network ? "network" : "");
    free(watch);
    return launcher;
}

static bool asks_for(const struct conformance *conformance, const char *grant)
{
    size_t index;
    json_t *entry;
    json_array_foreach(json_object_get(conformance->plugin->manifest, "grants"), index, entry)
    {
        if (strcmp(json_string_value(entry), grant) == 0)
            return true;
    }
    return false;
}

static void append(char *list, size_t size, const char *text)
{
    size_t length = strlen(list);
    snprintf(list + length, size - length, "%s%s", length ? ", " : "", text);
}

static void read_report(const struct conformance *conformance, const char *path, struct findings *findings)
{
    char line[400];
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(findings->cause, sizeof findings->cause, "exportd-watch wrote nothing: %s", strerror(errno));
        return;
    }
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *tab = strchr(line, '\t');
        if (!tab)
            continue;
        *tab = '\0';
        if (strcmp(line, "watching") == 0)
            findings->watched = true;
        else if (strcmp(line, "refused") == 0)
            snprintf(findings->cause, sizeof findings->cause, "its calls can't be watched here (ptrace: %.100s)",
                     tab + 1);
        else if (strcmp(line, "write") == 0)
            append(findings->write, sizeof findings->write, tab + 1);
        else if (!asks_for(conformance, line)) /* "network", "exec", "process" */
            append(findings->beyond, sizeof findings->beyond, tab + 1);
    }
    fclose(file);
    if (!findings->watched && !findings->cause[0])
        snprintf(findings->cause, sizeof findings->cause, "its calls can't be watched: the worker put up no sandbox");
}

static bool is_tried(const struct conformance *conformance, size_t i, const struct first_job *firsts)
{
    const char *only = conformance->only_route;
    return firsts[i].usable && (!only || strcmp(conformance->catalog->routes[i]->name, only) == 0);
}

/* One job of each route; returns how many. complaint: of the first that crashed, or gave no reason. */
static int run_each(struct conformance *conformance, const struct trial_options *options,
                    const struct first_job *firsts, char *complaint, size_t size)
{
    struct trial *trial = trial_new(options);
    int tried = 0;
    for (size_t i = 0; i < conformance->catalog->route_count; i++) {
        const struct route *route = conformance->catalog->routes[i];
        struct trial_end end = {0};
        struct error error = {0};
        if (!is_tried(conformance, i, firsts))
            continue;
        json_t *data = conformance_data(conformance, route);
        if (conformance_job(conformance, trial, route, data, 0, &end, &error) == 0) {
            tried++;
            bool bare = end.status != EXPORTD_OK && strstr(end.error.message, "gave no reason");
            if ((end.crashed || bare) && !complaint[0])
                snprintf(complaint, size, "%s: %.400s", route->name, end.error.message);
            trial_end_clear(&end);
        }
        json_decref(data);
    }
    trial_free(trial, NULL);
    return tried;
}

static void watch_jobs(struct conformance *conformance, const struct first_job *firsts, struct findings *findings)
{
    struct trial_options options = conformance_trial(conformance);
    char *path = memory_format("%s/watched", conformance->scratch);
    char *launcher = conformance_watch(conformance, path);
    char complaint[600] = "";
    options.launcher = launcher;
    options.spec.exec = false; /* what it may start is another matter, and the keeper's */
    if (!options.spec.sandbox)
        snprintf(findings->cause, sizeof findings->cause, "[host] sandbox is off");
    else if (!launcher)
        snprintf(findings->cause, sizeof findings->cause, "exportd-watch is not beside exportd-worker; install it");
    else if (run_each(conformance, &options, firsts, complaint, sizeof complaint) == 0)
        snprintf(findings->cause, sizeof findings->cause, "no job of it can be run");
    else
        read_report(conformance, path, findings);
    unlink(path);
    free(launcher);
    free(path);
}

static void check_withheld(struct conformance *conformance, const struct first_job *firsts, bool beyond)
{
    struct report *report = &conformance->report;
    struct trial_options options = conformance_trial(conformance);
    char complaint[600] = "";
    options.spec.network = options.spec.exec = false;
    options.spec.secrets = NULL;
    options.spec.cache_folder = NULL;
    int tried = run_each(conformance, &options, firsts, complaint, sizeof complaint);
    if (complaint[0])
        report_add(
            report, REPORT_FAILED, "grants", NULL,
            "without any grant it does not fail clearly: %s; look at what exportd_secret(), exportd_cache() and "
            "each call answer, and end with exportd_fail()",
            complaint);
    else if (!beyond && tried > 0)
        report_add(report, REPORT_OK, "grants", NULL, "without any grant, %d jobs end in a result or a clear error",
                   tried);
    else if (!beyond)
        report_add(report, REPORT_SKIPPED, "grants", NULL, "no job of it can be run");
}

void check_grants(struct conformance *conformance, const struct first_job *firsts)
{
    struct report *report = &conformance->report;
    struct findings findings = {0};
    watch_jobs(conformance, firsts, &findings);
    if (findings.beyond[0])
        report_add(report, REPORT_FAILED, "grants", NULL,
                   "it uses what it does not ask for: %s; ask for the grant in .grants, or leave the call out",
                   findings.beyond);
    else if (!findings.watched)
        report_add(report, REPORT_SKIPPED, "watched", NULL, "%s", findings.cause);
    check_withheld(conformance, firsts, findings.beyond[0] != '\0');
    if (conformance->artifact_fault[0])
        report_add(report, REPORT_FAILED, "workspace", NULL,
                   "%s; hand over regular files below exportd_workspace(job)", conformance->artifact_fault);
    if (findings.write[0])
        report_add(report, REPORT_FAILED, "workspace", NULL,
                   "it writes outside its workspace: %s; write below exportd_workspace(job), or exportd_cache(job)",
                   findings.write);
    if (!conformance->artifact_fault[0] && !findings.write[0])
        report_add(report, findings.watched ? REPORT_OK : REPORT_SKIPPED, "workspace", NULL, "%s",
                   findings.watched ? "it writes nowhere else, and its artifacts lie in it" : findings.cause);
}
