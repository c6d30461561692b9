/*
 * What an attempt leaves in its workspace: artifacts are hashed, linked and flushed on a thread of the loop's own, go
 * to the bucket where there is one, and only then the job counts as done.
 */
#include "artifact/artifact.h"
#include "base/memory.h"
#include "base/tree.h"
#include "dispatch/internal.h"

#include <stdlib.h>
#include <string.h>

struct collection {
    uv_work_t request;
    struct active *active;
    char *workspace;
    char *folder;
    char *base_url;
    char *result;   /* the plugin's, or NULL */
    json_t *wanted; /* NULL: only remove the workspace */
    json_t *taken;
    struct artifact_limits limits;
    struct error error;
};

static void collect(uv_work_t *request)
{
    struct collection *collection = request->data;
    if (collection->wanted)
        collection->taken = artifact_collect(collection->workspace, collection->wanted, collection->folder,
                                             collection->base_url, &collection->limits, &collection->error);
    if (collection->workspace)
        tree_remove(collection->workspace);
}

static void free_collection(struct collection *collection)
{
    free(collection->workspace);
    free(collection->folder);
    free(collection->base_url);
    free(collection->result);
    json_decref(collection->wanted);
    json_decref(collection->taken);
    free(collection);
}

static char *result_with_artifacts(const char *result_text, json_t *taken)
{
    json_t *result = result_text ? json_loads(result_text, 0, NULL) : json_object();
    json_object_set(result, "artifacts", taken);
    char *text = json_dumps(result, JSON_COMPACT);
    json_decref(result);
    return text;
}

static void on_uploaded(void *client, const struct error *error)
{
    struct collection *collection = client;
    struct active *active = collection->active;
    struct dispatch *dispatch = active->lane->dispatch;
    active->uploading = false;
    active->upload = NULL;
    dispatch->uploading--;
    dispatch->pending_ops--;
    if (active->lost) {
        dispatch_drop(active);
        dispatch_check_drained(dispatch);
    } else if (!error) {
        uploader_set_urls(dispatch->options.uploader, active->job->id, collection->taken);
        dispatch_finish_completed(active, result_with_artifacts(collection->result, collection->taken));
    } else if (active->cancelled) {
        dispatch_finish_cancelled(active);
    } else if (strcmp(error->code, "stopped") == 0) {
        dispatch_release(active);
    } else {
        /* The export was done, and doing it again would not help the bucket. */
        struct error final = *error;
        final.retryable = false;
        dispatch_finish_error(active, &final);
    }
    free_collection(collection);
}

static void begin_upload(struct collection *collection)
{
    struct active *active = collection->active;
    struct dispatch *dispatch = active->lane->dispatch;
    dispatch->pending_ops++;
    active->upload = uploader_start(dispatch->options.uploader, active->job->id, collection->folder,
                                    collection->taken, on_uploaded, collection);
    if (active->cancelled || active->lost || dispatch->closing)
        upload_stop(active->upload);
}

void dispatch_stop_upload(struct active *active)
{
    if (active->upload)
        upload_stop(active->upload); /* else it is stopped when it begins */
}

static void on_collected(uv_work_t *request, int status)
{
    (void)status;
    struct collection *collection = request->data;
    struct active *active = collection->active;
    if (!active) {
        free_collection(collection);
        return;
    }
    struct dispatch *dispatch = active->lane->dispatch;
    dispatch->pending_ops--;
    if (active->uploading && !error_is_set(&collection->error)) {
        begin_upload(collection);
        return;
    }
    if (active->uploading)
        dispatch->uploading--;
    active->uploading = false;
    if (error_is_set(&collection->error))
        dispatch_finish_error(active, &collection->error);
    else
        dispatch_finish_completed(active, result_with_artifacts(collection->result, collection->taken));
    free_collection(collection);
}

void dispatch_collect(struct dispatch *dispatch, struct active *active, const struct worker_outcome *outcome)
{
    struct collection *collection = memory_zeroed(1, sizeof *collection);
    const struct config_jobs *jobs = &dispatch->generation->config->jobs;
    collection->request.data = collection;
    collection->workspace = memory_text(outcome->folder);
    collection->limits =
        (struct artifact_limits){.max_count = jobs->max_artifacts, .max_bytes = jobs->max_artifact_bytes};
    if (active) {
        collection->active = active;
        collection->wanted = json_deep_copy(outcome->artifacts); /* counts of references aren't atomic */
        collection->result = outcome->result ? memory_bytes(outcome->result, outcome->result_length) : NULL;
        collection->folder = artifact_folder(dispatch->options.artifact_folder, active->job->id);
        char *segment = artifact_url_segment(active->job->id);
        collection->base_url = memory_format("%s/artifacts/%s/", dispatch->options.public_url, segment);
        free(segment);
        active->state = ACTIVE_FINISHING;
        active->uploading = dispatch->options.uploader != NULL;
        dispatch->uploading += active->uploading ? 1 : 0;
        dispatch->pending_ops++;
    }
    if (uv_queue_work(dispatch->options.loop, &collection->request, collect, on_collected) != 0) {
        collect(&collection->request);
        on_collected(&collection->request, 0);
    }
}
