/*
 * exportd jobs, cancel, retry.
 */
#include "artifact/artifact.h"
#include "base/memory.h"
#include "command/command.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_table(const json_t *jobs)
{
    static const char *const heads[] = {"JOB", "ROUTE", "STATUS", "ATTEMPTS", "CREATED", "ERROR"};
    struct table *table = table_new(heads, 6);
    size_t index;
    json_t *job;
    json_array_foreach(jobs, index, job)
    {
        char attempts[32], status[64];
        snprintf(attempts, sizeof attempts, "%d/%d", (int)json_integer_value(json_object_get(job, "attempts")),
                 (int)json_integer_value(json_object_get(job, "maxAttempts")));
        const json_t *progress = json_object_get(job, "progress");
        if (progress)
            snprintf(status, sizeof status, "%s %.0f %%", text_of(job, "status"), json_number_value(progress) * 100);
        else
            snprintf(status, sizeof status, "%s", text_of(job, "status"));
        const char *route = text_of(job, "route"); /* a dead letter has none, but what it asked for */
        const char *cells[] = {text_of(job, "jobId"),
                               route && *route ? route : text_of(job, "task"),
                               status,
                               attempts,
                               text_of(job, "createdAt"),
                               text_of(job, "error")};
        table_add(table, cells);
    }
    table_print(table, stdout);
    table_free(table);
}

static char *list_path(const struct command_options *options)
{
    char *route = options->route ? artifact_url_segment(options->route) : NULL;
    const char *state = options->dead ? "failed" : options->state;
    char *path =
        memory_format("/jobs?limit=%s%s%s%s%s", options->limit ? options->limit : "50", state ? "&state=" : "",
                      state ? state : "", route ? "&route=" : "", route ? route : "");
    free(route);
    return path;
}

int command_jobs(int count, char **arguments)
{
    static const char usage[] = "usage: exportd jobs [-c DIR] [--url URL] [--json] [--state STATE | --dead] [--route "
                                "ROUTE] [--limit N] [ID]\n"
                                "\n"
                                "Lists the host's newest jobs, or shows one. STATE: pending, running, completed, "
                                "failed, cancelled. --dead: those\n"
                                "that failed for good; `exportd retry ID` runs one again.\n";
    struct command_options options;
    int code = command_parse(count, arguments, "cjudsrn", usage, &options);
    if (code >= 0)
        return code;
    bool one = options.first_operand < count;
    char *segment = one ? artifact_url_segment(arguments[options.first_operand]) : NULL;
    char *path = one ? memory_format("/jobs/%s", segment) : list_path(&options);
    json_t *answer = client_ask_or_explain(&options, "GET", path, &code);
    free(path);
    free(segment);
    if (!answer)
        return code;
    if (options.json || one)
        print_json(answer);
    else
        print_table(json_object_get(answer, "jobs"));
    json_decref(answer);
    return 0;
}

static int change(int count, char **arguments, const char *usage, const char *method, const char *suffix,
                  const char *done)
{
    struct command_options options;
    int code = command_parse(count, arguments, "cju", usage, &options);
    if (code >= 0)
        return code;
    if (options.first_operand >= count) {
        fprintf(stderr, "exportd %s: name the job\n%s", arguments[0], usage);
        return EXIT_WRONG_USE;
    }
    int worst = 0;
    for (int i = options.first_operand; i < count; i++) {
        char *segment = artifact_url_segment(arguments[i]);
        char *path = memory_format("/jobs/%s%s", segment, suffix);
        json_t *answer = client_ask_or_explain(&options, method, path, &code);
        free(path);
        free(segment);
        worst = code > worst ? code : worst;
        if (answer && options.json)
            print_json(answer);
        else if (answer)
            printf("%s: %s\n", arguments[i], done);
        json_decref(answer);
    }
    return worst;
}

int command_cancel(int count, char **arguments)
{
    return change(
        count, arguments,
        "usage: exportd cancel [-c DIR] [--url URL] [--json] ID…\n\n"
        "Cancels jobs. One that waits ends at once; one that runs is asked to stop, and killed if it doesn't.\n",
        "DELETE", "", "cancelled");
}

int command_retry(int count, char **arguments)
{
    return change(
        count, arguments,
        "usage: exportd retry [-c DIR] [--url URL] [--json] ID…\n\n"
        "Runs failed or cancelled jobs again, from their first attempt. Their callers get a new callback.\n",
        "POST", "/retry", "waiting again");
}
