/*
 * Pipelines: a job that is several steps, each in a worker of its own plugin. The workspace goes from step to step;
 * between attempts it waits, with what was done so far, in a folder of the job's own, so that the next attempt goes
 * on at the step that failed. On another host, which has no such folder, it begins again.
 */
#include "plugin/pipeline.h"
#include "artifact/artifact.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/tree.h"
#include "dispatch/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAITING_MAX 16 /* jobs that wait before a later step, each with its workspace, until no more begin */

struct pipeline_run {
    size_t step;
    json_t *results;   /* of the steps that are done: [{"step", "durationMs", "result"}] */
    json_t *artifacts; /* that they named: [{"path", "name", "media_type"}] */
    bool has_workspace;
    char *folder; /* of the job, for what waits */
    char *data;   /* of the current step; borrowed by the worker while it is handed over */
};

static char *state_path(const struct pipeline_run *run, const char *name)
{
    return memory_format("%s/%s", run->folder, name);
}

static json_t *names_of_steps(const struct route *route)
{
    json_t *names = json_array();
    for (size_t i = 0; i < route->step_count; i++)
        json_array_append_new(names, json_string(route->steps[i]->name));
    return names;
}

static void begin_again(struct pipeline_run *run)
{
    run->step = 0;
    run->has_workspace = false;
    json_array_clear(run->results);
    json_array_clear(run->artifacts);
}

struct removal {
    uv_work_t request;
    char *folder;
};

static void remove_folder(uv_work_t *request)
{
    tree_remove(((struct removal *)request->data)->folder);
}

static void on_removed(uv_work_t *request, int status)
{
    struct removal *removal = request->data;
    (void)status;
    free(removal->folder);
    free(removal);
}

/* Out of the way at once, so that another attempt finds nothing of it, and away on a thread. */
static void throw_away(struct dispatch *dispatch, const char *folder)
{
    char *aside = memory_format("%s/pruned-pipeline-%llu", dispatch->options.work_folder,
                                (unsigned long long)++dispatch->pruned);
    struct removal *removal = memory_zeroed(1, sizeof *removal);
    removal->folder = aside;
    removal->request.data = removal;
    bool moved = rename(folder, aside) == 0;
    if (!moved || uv_queue_work(dispatch->options.loop, &removal->request, remove_folder, on_removed) != 0) {
        tree_remove(moved ? aside : folder);
        on_removed(&removal->request, 0);
    }
}

/* What an earlier attempt left, where it is of these steps and whole. */
static void read_state(struct active *active)
{
    struct pipeline_run *run = active->pipeline;
    const struct route *route = active->route;
    char *path = state_path(run, "state.json"), *workspace = state_path(run, "workspace");
    json_t *state = json_load_file(path, 0, NULL), *names = names_of_steps(route);
    size_t step = (size_t)json_integer_value(json_object_get(state, "step"));
    bool has_workspace = json_is_true(json_object_get(state, "workspace"));
    json_t *results = json_object_get(state, "results"), *artifacts = json_object_get(state, "artifacts");
    bool same_job = json_integer_value(json_object_get(state, "sequence")) == active->job->sequence;
    if (state && same_job && json_equal(json_object_get(state, "steps"), names) && step < route->step_count &&
        json_array_size(results) == step && json_is_array(artifacts) &&
        has_workspace == (access(workspace, F_OK) == 0)) {
        run->step = step;
        run->has_workspace = has_workspace;
        json_array_extend(run->results, results);
        json_array_extend(run->artifacts, artifacts);
    } else if (state || access(run->folder, F_OK) == 0) {
        throw_away(active->lane->dispatch, run->folder);
    }
    json_decref(state);
    json_decref(names);
    free(path);
    free(workspace);
}

static void write_state(const struct active *active)
{
    const struct pipeline_run *run = active->pipeline;
    char *path = state_path(run, "state.json"), *fresh = state_path(run, "state.json.new");
    json_t *state = json_pack("{s:I, s:o, s:I, s:b, s:O, s:O}", "sequence", (json_int_t)active->job->sequence,
                              "steps", names_of_steps(active->route), "step", (json_int_t)run->step, "workspace",
                              (int)run->has_workspace, "results", run->results, "artifacts", run->artifacts);
    mkdir(run->folder, 0700);
    if (json_dump_file(state, fresh, JSON_COMPACT) != 0 || rename(fresh, path) != 0)
        log_attempt(LOG_LEVEL_WARNING, "dispatch", active->job->id, active->job->attempts,
                    "%s can't be written: %s; another attempt begins at the first step", path, strerror(errno));
    json_decref(state);
    free(path);
    free(fresh);
}

static struct lane *lane_of(struct dispatch *dispatch, const struct route *step)
{
    for (size_t i = 0; i < dispatch->lane_count; i++)
        if (dispatch->lanes[i]->plugin == step->plugin)
            return dispatch->lanes[i];
    return NULL; /* never: only jobs of this generation ask, and its catalog knows no step without its plugin */
}

void dispatch_pipeline_open(struct active *active)
{
    struct dispatch *dispatch = active->lane->dispatch;
    struct pipeline_run *run = memory_zeroed(1, sizeof *run);
    run->results = json_array();
    run->artifacts = json_array();
    run->folder = artifact_folder(dispatch->options.pipeline_folder, active->job->id);
    active->pipeline = run;
    read_state(active);
    active->lane = lane_of(dispatch, active->route->steps[run->step]);
}

void dispatch_pipeline_free(struct pipeline_run *run)
{
    if (!run)
        return;
    json_decref(run->results);
    json_decref(run->artifacts);
    free(run->folder);
    free(run->data);
    free(run);
}

const char *dispatch_step_name(const struct active *active)
{
    return active->pipeline ? active->route->steps[active->pipeline->step]->name : active->job->route;
}

double dispatch_whole_fraction(const struct active *active, double fraction)
{
    if (!active->pipeline)
        return fraction;
    return ((double)active->pipeline->step + fraction) / (double)active->route->step_count;
}

int dispatch_pipeline_job(struct active *active, struct worker_job *job, char **workspace, struct error *error)
{
    struct pipeline_run *run = active->pipeline;
    const json_t *last = run->step > 0 ? json_array_get(run->results, run->step - 1) : NULL;
    json_t *data = json_loadb(active->job->data, active->job->data_length, 0, NULL);
    free(run->data);
    run->data = pipeline_step_data(active->route, data, run->step, json_object_get(last, "result"), error);
    json_decref(data);
    if (!run->data)
        return -1;
    job->route = active->route->steps[run->step]->name;
    job->data = run->data;
    job->data_length = strlen(run->data);
    job->workspace = *workspace = run->has_workspace ? state_path(run, "workspace") : NULL;
    return 0;
}

/* The workspace goes from the worker's folder to where it waits; on one file system nothing is copied. */
static void keep_workspace(struct active *active, const char *folder)
{
    struct pipeline_run *run = active->pipeline;
    char *path = state_path(run, "workspace");
    run->has_workspace = false;
    if (folder) {
        mkdir(run->folder, 0700);
        if (rename(folder, path) == 0)
            run->has_workspace = true;
        else
            log_attempt(LOG_LEVEL_WARNING, "dispatch", active->job->id, active->job->attempts, "%s can't be kept: %s",
                        folder, strerror(errno));
    }
    free(path);
}

bool dispatch_pipeline_keep(struct active *active, const char *folder)
{
    if (active->pipeline->step == 0)
        return false; /* its workspace is to be empty at the start */
    bool had = active->pipeline->has_workspace;
    keep_workspace(active, folder);
    if (had && !active->pipeline->has_workspace)
        begin_again(active->pipeline); /* what the steps before made is lost */
    write_state(active);
    return true;
}

static void note_step(struct active *active, const struct worker_outcome *outcome)
{
    struct pipeline_run *run = active->pipeline;
    json_t *result = outcome->result ? json_loadb(outcome->result, outcome->result_length, 0, NULL) : json_object();
    json_array_append_new(run->results, json_pack("{s:s, s:I, s:o}", "step", dispatch_step_name(active), "durationMs",
                                                  (json_int_t)((clock_monotonic_ns() - active->started_ns) / 1000000),
                                                  "result", result));
    pipeline_add_artifacts(run->artifacts, dispatch_step_name(active), outcome->artifacts);
}

int dispatch_pipeline_advance(struct active *active, const struct worker_outcome *outcome, struct error *error)
{
    struct pipeline_run *run = active->pipeline;
    note_step(active, outcome);
    if (run->step + 1 == active->route->step_count)
        return 0;
    run->step++;
    keep_workspace(active, outcome->folder);
    if (outcome->folder && !run->has_workspace) {
        begin_again(run);
        return error_set(error, "workspace_failed", true, "its workspace could not be kept for the next step");
    }
    write_state(active);
    if (active->generation != active->lane->dispatch->generation) {
        dispatch_release(active); /* to go on with today's plugins */
        return 1;
    }
    active->lane = lane_of(active->lane->dispatch, active->route->steps[run->step]);
    dispatch_enter(active);
    return 1;
}

bool dispatch_pipeline_must_wait(const struct active *active)
{
    const struct pipeline_run *run = active->pipeline;
    for (size_t i = 1; run && run->step == 0 && i < active->route->step_count; i++) {
        const struct lane *lane = lane_of(active->lane->dispatch, active->route->steps[i]);
        if (lane && lane != active->lane && lane->queued >= WAITING_MAX)
            return true;
    }
    return false;
}

char *dispatch_pipeline_result(const struct active *active, json_t **artifacts)
{
    json_t *results = active->pipeline->results;
    json_t *last = json_array_get(results, json_array_size(results) - 1);
    json_t *result =
        active->route->implied ? json_incref(json_object_get(last, "result")) : json_pack("{s:O}", "steps", results);
    char *text = json_dumps(result, JSON_COMPACT);
    json_decref(result);
    *artifacts = active->pipeline->artifacts;
    return text;
}

void dispatch_pipeline_explain(const struct active *active, struct error *error)
{
    error_prefix(error, "step %zu of %zu, %s: ", active->pipeline->step + 1, active->route->step_count,
                 dispatch_step_name(active));
}

void dispatch_pipeline_end(struct active *active)
{
    struct dispatch *dispatch = active->lane->dispatch;
    char *folder = artifact_folder(dispatch->options.pipeline_folder, active->job->id);
    if (access(folder, F_OK) == 0)
        throw_away(dispatch, folder);
    free(folder);
}
