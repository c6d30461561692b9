/*
 * artifact/uploader.h: takes jobs' artifacts from the local folder to the bucket.
 *
 * A few threads of its own ([s3] concurrency, started when there is something to do) send one job's files each. What
 * failed and may work later waits on the loop's timer, not in a thread, and goes on with the file and the part that
 * failed; after [s3] retry_for it is given up. However an upload ends, the local folder is gone, and so are parts
 * that belong to no object. Loop thread only.
 */
#ifndef EXPORTD_ARTIFACT_UPLOADER_H
#define EXPORTD_ARTIFACT_UPLOADER_H

#include "base/error.h"
#include "config/config.h"

#include <jansson.h>
#include <uv.h>

struct uploader;
struct upload;

/* Returns NULL with error set where the settings can't work. No other thread may run yet that uses libcurl. */
struct uploader *uploader_new(uv_loop_t *loop, const struct config_s3 *config, struct error *error);

/* Asks the bucket in the background, so that the log and uploader_stats() name a mistake before a job meets it. Once;
 * takes NULL. */
void uploader_check(struct uploader *uploader);

/* error: NULL where all files are in the bucket, else why not; its code is "stopped" after upload_stop(). */
typedef void (*uploader_finished)(void *client, const struct error *error);

/* Uploads what artifact_collect() took: artifacts is its answer, folder the job's folder. Both are copied. Never
 * calls back before it returns. */
struct upload *uploader_start(struct uploader *uploader, const char *job_id, const char *folder,
                              const json_t *artifacts, uploader_finished on_finished, void *client);

/* Breaks an upload off wherever it is. The callback comes soon; it may still tell of success. */
void upload_stop(struct upload *upload);

/* Gives each of a job's artifacts the URL that it has in the bucket, signed where [s3] presign says so. */
void uploader_set_urls(const struct uploader *uploader, const char *job_id, json_t *artifacts);

struct uploader_stats {
    uint64_t done;            /* jobs whose artifacts are in the bucket */
    uint64_t failed_attempts; /* at a job's */
    uint64_t given_up;        /* jobs */
    uint64_t bytes;           /* that went out, those of failed attempts too */
    int waiting;              /* jobs, for a thread or for the next attempt */
    int running;              /* jobs */
    const char *problem;      /* why the last attempt failed; "" once one succeeded; borrowed */
};

struct uploader_stats uploader_stats(const struct uploader *uploader);

/* When nothing is under way any more. Frees it once the loop has closed its handles. Takes NULL. */
void uploader_close(struct uploader *uploader);

#endif
