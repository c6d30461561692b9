/*
 * artifact/artifact.h: the files that jobs leave behind.
 *
 * A worker names files in its workspace; the host takes them: it opens each without following a link out of the
 * workspace, hashes it, links that very file into the artifacts' folder and flushes it, all before the job counts as
 * done.
 */
#ifndef EXPORTD_ARTIFACT_ARTIFACT_H
#define EXPORTD_ARTIFACT_ARTIFACT_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

struct artifact_limits {
    int64_t max_count;
    int64_t max_bytes; /* of one job's together */
};

/*
 * Takes the files of one job. workspace: the job's folder; wanted: array of {path, name, media_type}; folder: where
 * they go, made anew (what an earlier attempt left there is removed); base_url: put before the name, percent-encoded,
 * for "url". Blocking; any thread. Returns a new array [{"name","url","bytes","sha256","media_type"}], or NULL with
 * error set (artifact_invalid, artifact_failed).
 */
json_t *artifact_collect(const char *workspace, const json_t *wanted, const char *folder, const char *base_url,
                         const struct artifact_limits *limits, struct error *error);

/* The folder of a job's artifacts below root: the id itself where it can be a name, else its hash. New string. */
char *artifact_folder(const char *root, const char *job_id);

/* Percent-encodes one segment of a URL's path. New string. */
char *artifact_url_segment(const char *text);

#endif
