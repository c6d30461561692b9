#include "conformance/conformance.h"

#include "base/memory.h"
#include "conformance/sample.h"
#include "job/request.h"

#include <stdlib.h>
#include <string.h>

static void on_log(void *client, enum exportd_log_level level, const char *text)
{
    struct conformance *conformance = client;
    (void)level;
    /* So the worker's runtime begins when it refuses an artifact. */
    if (strncmp(text, "exportd_artifact:", 17) == 0 && !conformance->artifact_fault[0])
        snprintf(conformance->artifact_fault, sizeof conformance->artifact_fault, "%s", text);
}

struct trial_options conformance_trial(struct conformance *conformance)
{
    struct trial_options options = {
        .spec = conformance->plugin->spec,
        .scratch = conformance->scratch,
        .interrupted = &conformance->interrupted,
        .artifacts = {.max_count = conformance->config->jobs.max_artifacts,
                      .max_bytes = conformance->config->jobs.max_artifact_bytes},
    };
    if (options.spec.timeout_ms > CONFORMANCE_JOB_LIMIT_MS)
        options.spec.timeout_ms = CONFORMANCE_JOB_LIMIT_MS;
    if (options.spec.cache_folder)
        options.spec.cache_folder = conformance->cache;
    if (!conformance->granted) {
        options.spec.network = false;
        options.spec.secrets = NULL;
    }
    return options;
}

json_t *conformance_data(const struct conformance *conformance, const struct route *route)
{
    json_t *data = sample_data(route);
    json_object_update(data, (json_t *)(uintptr_t)conformance->options);
    return data;
}

/* The job's data as the plugin gets it. NULL with error set: the host refuses it. */
static char *make_text(const struct conformance *conformance, const struct route *route, const json_t *data,
                       struct error *error)
{
    json_t *copy = json_deep_copy(data);
    json_t *previous = json_incref(json_object_get(copy, "previous")); /* the host's own: no request names it */
    json_object_del(copy, "previous");
    json_t *request = json_pack("{s:s, s:O}", "task", route->name, "data", copy);
    char *sent = json_dumps(request, JSON_COMPACT);
    json_t *parsed = sent ? request_parse(sent, strlen(sent), conformance->config->http.max_json_depth, error) : NULL;
    const struct route *taken = NULL;
    struct job *job = parsed ? request_read(conformance->catalog, parsed, &taken, error) : NULL;
    char *text = NULL;
    if (job && previous) {
        json_t *whole = json_loadb(job->data, job->data_length, 0, NULL);
        json_object_set(whole, "previous", previous);
        text = json_dumps(whole, JSON_COMPACT);
        json_decref(whole);
    } else if (job) {
        text = memory_bytes(job->data, job->data_length);
    } else {
        error_set(error, "request_invalid", false, "it can't be written as JSON");
    }
    job_free(job);
    free(sent);
    json_decref(parsed);
    json_decref(request);
    json_decref(previous);
    json_decref(copy);
    return text;
}

int conformance_job(struct conformance *conformance, struct trial *trial, const struct route *route,
                    const json_t *data, int64_t cancel_after_ms, struct trial_end *end, struct error *error)
{
    if (conformance->interrupted)
        return error_set(error, "cancelled", false, "the run was interrupted");
    char *text = make_text(conformance, route, data, error);
    if (!text)
        return -1;
    struct trial_listener listener = {.client = conformance, .log = on_log};
    trial_listen(trial, &listener);
    char *workspace = sample_workspace(route, conformance->scratch);
    struct trial_job job = {.route = route->name,
                            .data = text,
                            .data_length = strlen(text),
                            .workspace = workspace,
                            .cancel_after_ms = cancel_after_ms};
    trial_run(trial, &job, end);
    free(workspace);
    trial_listen(trial, NULL);
    if (conformance->interrupted)
        report_stop(&conformance->report);
    if (strcmp(end->error.code, "artifact_invalid") == 0 && !conformance->artifact_fault[0])
        snprintf(conformance->artifact_fault, sizeof conformance->artifact_fault, "%.1000s", end->error.message);
    free(text);
    return 0;
}

static void check_routes(struct conformance *conformance)
{
    const struct catalog *catalog = conformance->catalog;
    struct first_job *firsts = memory_zeroed(catalog->route_count + 1, sizeof *firsts);
    size_t tried = 0;
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *route = catalog->routes[i];
        if (conformance->only_route && strcmp(route->name, conformance->only_route) != 0)
            continue;
        tried++;
        check_job(conformance, route, &firsts[i]);
        check_options(conformance, route, &firsts[i]);
        check_same(conformance, route, &firsts[i]);
        check_leaks(conformance, route, &firsts[i]);
        check_hostile(conformance, route, &firsts[i]);
        check_cancel(conformance, route, &firsts[i]);
    }
    if (tried > 0)
        check_grants(conformance, firsts);
    else
        report_add(&conformance->report, REPORT_FAILED, "job", conformance->only_route,
                   "the plugin offers no such route; exportd inspect %s lists them", conformance->file);
    for (size_t i = 0; i < catalog->route_count; i++)
        json_decref(firsts[i].slowest);
    free(firsts);
}

bool conformance_run(struct conformance *conformance)
{
    setenv("SOURCE_DATE_EPOCH", "1745757296", 0); /* workers get it, and it makes output repeatable */
    if (check_load(conformance))
        check_routes(conformance);
    return report_end(&conformance->report, conformance->file,
                      conformance->plugin ? conformance->plugin->name : NULL);
}
