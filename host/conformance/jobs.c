/*
 * Jobs with ordinary data: how the first one ends, whether options are honoured, whether the same input gives the
 * same bytes, whether a cancel is heard.
 */
#include "base/clock.h"
#include "conformance/conformance.h"
#include "conformance/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VALUES_MAX 200 /* of options that are tried */
#define VALUES_LIMIT_MS 30000
#define NEXT_SECOND_MS 1100
#define SHORT_JOB_MS 20 /* too short to be cancelled */
#define LONG_JOB_MS 500

static bool gave_no_reason(const struct trial_end *end)
{
    return strcmp(end->error.code, "task_failed") == 0 && strstr(end->error.message, "gave no reason");
}

static bool hung(const struct trial_end *end)
{
    return strcmp(end->error.code, "worker_timeout") == 0;
}

static void note_first(struct first_job *first, const struct trial_end *end)
{
    first->done = end->status == EXPORTD_OK;
    first->usable = end->started && !end->crashed && !hung(end);
    first->duration_ms = end->duration_ms;
    if (first->done)
        snprintf(first->ended, sizeof first->ended, "done");
    else
        snprintf(first->ended, sizeof first->ended, "%s: %.200s", end->error.code, end->error.message);
}

void check_job(struct conformance *conformance, const struct route *route, struct first_job *first)
{
    struct report *report = &conformance->report;
    struct trial_options options = conformance_trial(conformance);
    struct trial *trial = trial_new(&options);
    json_t *data = conformance_data(conformance, route);
    struct trial_end end = {0};
    struct error error = {0};
    bool withheld = !conformance->granted &&
                    (conformance->plugin->spec.network || json_object_size(conformance->plugin->spec.secrets) > 0);
    const char *note = withheld ? " (without network and secrets; --granted lends them)" : "";
    if (conformance_job(conformance, trial, route, data, 0, &end, &error) != 0) {
        snprintf(first->ended, sizeof first->ended, "%s: %.200s", error.code, error.message);
        report_add(report, REPORT_SKIPPED, "job", route->name,
                   "no data could be made that its schema takes: %s; give some with --option NAME=VALUE",
                   error.message);
    } else {
        note_first(first, &end);
        if (!end.started && !end.crashed)
            report_add(report, withheld ? REPORT_SKIPPED : REPORT_FAILED, "job", route->name,
                       "the plugin does not start: %s (%s)%s", end.error.message, end.error.code, note);
        else if (hung(&end))
            report_add(report, REPORT_FAILED, "job", route->name, "it did not end: %s", end.error.message);
        else if (end.crashed)
            report_add(report, REPORT_FAILED, "job", route->name,
                       "%s; run it under --gdb or --valgrind with --input FILE", end.error.message);
        else if (end.status != EXPORTD_OK && gave_no_reason(&end))
            report_add(report, REPORT_FAILED, "job", route->name,
                       "it fails and gives no reason; end with return exportd_fail(job, code, retryable, message)");
        else if (end.status == EXPORTD_OK)
            report_add(report, REPORT_OK, "job", route->name, "done in %lld ms, %zu artifacts%s",
                       (long long)end.duration_ms, json_array_size(end.artifacts), note);
        else
            report_add(report, REPORT_OK, "job", route->name, "it fails clearly, %s: %.300s%s", end.error.code,
                       end.error.message, note);
        trial_end_clear(&end);
    }
    json_decref(data);
    trial_free(trial, NULL);
}

struct values {
    struct conformance *conformance;
    const struct route *route;
    const struct first_job *first;
    struct trial *trial;
    int64_t began_ns;
    int tried, faults;
};

static void try_value(struct values *values, const char *name, json_t *value)
{
    struct trial_end end = {0};
    struct error error = {0};
    bool late = clock_monotonic_ns() - values->began_ns > VALUES_LIMIT_MS * 1000000LL;
    if (!value || values->tried >= VALUES_MAX || values->faults >= 3 || late) {
        json_decref(value);
        return;
    }
    char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    json_t *data = conformance_data(values->conformance, values->route);
    json_object_set_new(data, name, value);
    struct report *report = &values->conformance->report;
    if (conformance_job(values->conformance, values->trial, values->route, data, 0, &end, &error) != 0) {
        values->faults++;
        report_add(report, REPORT_FAILED, "options", values->route->name,
                   "its schema does not take its own value %.100s of \"%s\": %s", shown, name, error.message);
    } else {
        values->tried++;
        bool refused = end.status != EXPORTD_OK && strcmp(end.error.code, "options_invalid") == 0;
        if (end.crashed || (refused && values->first->done)) {
            values->faults++;
            report_add(report, REPORT_FAILED, "options", values->route->name,
                       "with %s = %.100s, which its schema offers: %s (%s)", name, shown, end.error.message,
                       end.error.code);
        }
        trial_end_clear(&end);
    }
    json_decref(data);
    free(shown);
}

static void try_property(struct values *values, const char *name, const json_t *schema)
{
    size_t index;
    json_t *value;
    const char *type = json_string_value(json_object_get(schema, "type"));
    if (json_object_get(schema, "const"))
        return;
    json_array_foreach(json_object_get(schema, "enum"), index, value)
    {
        try_value(values, name, json_incref(value));
    }
    if (json_object_get(schema, "enum"))
        return;
    if (type && strcmp(type, "boolean") == 0) {
        try_value(values, name, json_true());
        try_value(values, name, json_false());
        return;
    }
    try_value(values, name, json_incref(json_object_get(schema, "minimum")));
    try_value(values, name, json_incref(json_object_get(schema, "maximum")));
    try_value(values, name, json_incref(json_object_get(schema, "default")));
}

/* Returns how many required options the host does not ask for. */
static int try_without(struct values *values)
{
    int asked = 0;
    size_t index;
    json_t *required;
    json_array_foreach(json_object_get(values->route->schema, "required"), index, required)
    {
        const char *name = json_string_value(required);
        const json_t *of = json_object_get(json_object_get(values->route->schema, "properties"), name);
        json_t *data = conformance_data(values->conformance, values->route);
        struct trial_end end = {0};
        struct error error = {0};
        json_object_del(data, name);
        if (!json_object_get(of, "default") &&
            strcmp(values->route->option ? values->route->option : "", name) != 0) {
            if (conformance_job(values->conformance, values->trial, values->route, data, 0, &end, &error) == 0) {
                values->faults++;
                report_add(&values->conformance->report, REPORT_FAILED, "options", values->route->name,
                           "the required option \"%s\" may be left out; see its schema", name);
                trial_end_clear(&end);
            }
            asked++;
        }
        json_decref(data);
    }
    return asked;
}

void check_options(struct conformance *conformance, const struct route *route, const struct first_job *first)
{
    struct report *report = &conformance->report;
    if (json_is_true(json_object_get(route->schema, "additionalProperties"))) {
        report_add(report, REPORT_FAILED, "options", route->name,
                   "its schema takes options that it doesn't name (\"additionalProperties\": true), so one that is "
                   "misspelt goes unnoticed; name each under \"properties\"");
        return;
    }
    if (!first->usable) {
        report_add(report, REPORT_SKIPPED, "options", route->name, "its first job says why: %s", first->ended);
        return;
    }
    struct trial_options options = conformance_trial(conformance);
    struct values values = {.conformance = conformance,
                            .route = route,
                            .first = first,
                            .trial = trial_new(&options),
                            .began_ns = clock_monotonic_ns()};
    const char *name;
    json_t *schema;
    json_object_foreach(json_object_get(route->schema, "properties"), name, schema)
    {
        try_property(&values, name, schema);
    }
    int asked = try_without(&values);
    json_t *data = conformance_data(conformance, route);
    struct trial_end end = {0};
    struct error error = {0};
    json_object_set_new(data, "there-is-no-such-option", json_true());
    if (conformance_job(conformance, values.trial, route, data, 0, &end, &error) == 0) {
        values.faults++;
        report_add(report, REPORT_FAILED, "options", route->name, "an option that it doesn't name is not refused");
        trial_end_clear(&end);
    }
    json_decref(data);
    trial_free(values.trial, NULL);
    if (values.faults == 0)
        report_add(report, REPORT_OK, "options", route->name,
                   "%d values that its schema offers are taken, %d required options asked for, unknown ones refused",
                   values.tried, asked);
}

/* A worker of its own runs the job. */
static int run_afresh(struct conformance *conformance, const struct route *route, struct trial_end *end)
{
    struct trial_options options = conformance_trial(conformance);
    struct trial *trial = trial_new(&options);
    json_t *data = conformance_data(conformance, route);
    struct error error = {0};
    int failed = conformance_job(conformance, trial, route, data, 0, end, &error);
    json_decref(data);
    trial_free(trial, NULL);
    return failed;
}

/* How long something took is no other result: members of these names are left out of the comparison. */
static void drop_durations(json_t *value)
{
    const char *key;
    json_t *member;
    size_t index;
    json_object_del(value, "durationMs");
    json_object_del(value, "duration_ms");
    json_object_foreach(value, key, member)
    {
        drop_durations(member);
    }
    json_array_foreach(value, index, member)
    {
        drop_durations(member);
    }
}

static const char *first_difference(const struct trial_end *one, const struct trial_end *other, char *text,
                                    size_t size)
{
    if (one->status != other->status)
        return "once it is done, and once it fails";
    if (!json_equal(one->result, other->result)) {
        const char *key;
        json_t *value;
        snprintf(text, size, "the result's members are not the same ones");
        json_object_foreach(one->result, key, value)
        {
            if (!json_equal(value, json_object_get(other->result, key)))
                snprintf(text, size, "the result's member \"%.80s\" is another one", key);
        }
        return text;
    }
    if (json_array_size(one->artifacts) != json_array_size(other->artifacts))
        return "there are more artifacts once than the other time";
    size_t index;
    json_t *artifact;
    json_array_foreach(one->artifacts, index, artifact)
    {
        if (json_equal(artifact, json_array_get(other->artifacts, index)))
            continue;
        snprintf(text, size, "the artifact %.80s has other bytes",
                 json_string_value(json_object_get(artifact, "name")));
        return text;
    }
    return NULL;
}

void check_same(struct conformance *conformance, const struct route *route, const struct first_job *first)
{
    struct report *report = &conformance->report;
    if (!first->usable || !first->done) {
        report_add(report, REPORT_SKIPPED, "same-bytes", route->name, "its job isn't done with the sample data: %s",
                   first->ended);
        return;
    }
    struct trial_end one = {0}, other = {0};
    char text[200];
    struct timespec wait = {NEXT_SECOND_MS / 1000, NEXT_SECOND_MS % 1000 * 1000000L};
    bool refused = run_afresh(conformance, route, &one) != 0;
    nanosleep(&wait, NULL);
    refused = refused || run_afresh(conformance, route, &other) != 0;
    drop_durations(one.result);
    drop_durations(other.result);
    const char *difference =
        refused ? "once the host refuses the data" : first_difference(&one, &other, text, sizeof text);
    if (difference)
        report_add(report, REPORT_FAILED, "same-bytes", route->name,
                   "the same input, a second later, does not give the same bytes: %s; take times from the repro "
                   "(exportd_repro_time()), and nothing from chance, the clock or the workspace's path",
                   difference);
    else
        report_add(report, REPORT_OK, "same-bytes", route->name,
                   "the same input gives the same result and artifacts a second later, in another process");
    trial_end_clear(&one);
    trial_end_clear(&other);
}

void check_cancel(struct conformance *conformance, const struct route *route, const struct first_job *first)
{
    struct report *report = &conformance->report;
    if (!first->usable) {
        report_add(report, REPORT_SKIPPED, "cancel", route->name, "its first job says why: %s", first->ended);
        return;
    }
    struct trial_options options = conformance_trial(conformance);
    struct trial *trial = trial_new(&options);
    bool long_enough = !first->slowest || first->duration_ms >= LONG_JOB_MS;
    json_t *data = long_enough ? conformance_data(conformance, route) : json_incref(first->slowest);
    struct trial_end end = {0};
    struct error error = {0};
    int64_t alone_ms = 0;
    if (conformance_job(conformance, trial, route, data, 0, &end, &error) == 0) {
        alone_ms = end.duration_ms;
        trial_end_clear(&end);
    }
    double grace = (double)options.spec.grace_ms / 1000;
    if (alone_ms < SHORT_JOB_MS) {
        report_add(report, REPORT_SKIPPED, "cancel", route->name,
                   "even its longest job ends by itself within %lld ms", (long long)alone_ms + 1);
    } else if (conformance_job(conformance, trial, route, data, alone_ms / 4 + 1, &end, &error) == 0) {
        if (!end.cancelled)
            report_add(report, REPORT_SKIPPED, "cancel", route->name,
                       "its job ended by itself before it was cancelled");
        else if (end.crashed && end.duration_ms >= options.spec.grace_ms)
            report_add(
                report, REPORT_FAILED, "cancel", route->name,
                "it went on for its whole grace of %g s, and was killed; ask exportd_cancelled() in long loops "
                "and return soon, or raise [plugin %s] grace",
                grace, conformance->plugin->name);
        else
            report_add(report, REPORT_OK, "cancel", route->name, "over %lld ms after it was told (its grace is %g s)",
                       (long long)end.duration_ms, grace);
        trial_end_clear(&end);
    }
    json_decref(data);
    trial_free(trial, NULL);
}
