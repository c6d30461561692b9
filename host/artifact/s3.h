/*
 * artifact/s3.h: a client of S3 for what the host needs: one file into a bucket, and URLs of what lies there.
 *
 * Any server that takes Signature Version 4. libcurl signs requests; URLs that carry their own signature are signed
 * here. An object's key is <prefix><job id>/<name>. In it, those bytes of a job's id that could lead elsewhere ('/',
 * '\', '%', and the dots of "." and "..") are written as %2F and so on, so that each job has exactly one folder; all
 * else of an id (spaces, +, brackets, Unicode) stays as it is. In a URL the whole key is percent-encoded once more,
 * with upper-case escapes.
 *
 * What may be printed of a failure is in struct error: neither keys nor signatures, whatever the server says.
 * Blocking; a struct s3_connection belongs to one thread at a time. curl_global_init() comes first.
 */
#ifndef EXPORTD_ARTIFACT_S3_H
#define EXPORTD_ARTIFACT_S3_H

#include "base/error.h"
#include "config/config.h"

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

/* The key of one artifact. New string. */
char *s3_key(const struct config_s3 *config, const char *job_id, const char *name);

/* The plain URL of an object. New string. */
char *s3_url(const struct config_s3 *config, const char *key);

/* A URL that anyone may GET within expires_s seconds of now (1 to 604800; what is outside is brought inside). */
char *s3_presign(const struct config_s3 *config, const char *key, time_t now, int64_t expires_s);

/* Connections to the server, kept open from one request to the next. */
struct s3_connection;
struct s3_connection *s3_connection_new(const struct config_s3 *config);
void s3_connection_free(struct s3_connection *connection); /* takes NULL */

/*
 * One file on its way. The caller sets the first five; the rest starts as zeroes and remembers how far it came, so
 * that another s3_upload() goes on with the part that failed.
 */
struct s3_upload {
    const char *path; /* of the file, which must not change */
    const char *key;
    const char *media_type;
    const char *sha256; /* of the file, lower-case hex */
    int64_t bytes;

    atomic_bool *stop;      /* or NULL; once true, the transfer is broken off (code "stopped") */
    atomic_ullong *counter; /* or NULL; bytes that went out are added to it */

    char *id; /* the server's, of an upload in parts that is under way */
    int64_t part_bytes;
    char **etags;
    int part_count, parts_done;
    bool done;
};

/*
 * Puts the file into the bucket, in parts where it is larger than [s3] multipart. Returns 0, or -1 with error:
 * retryable where the same may work later (s3_unavailable, s3_timeout, s3_broken, s3_clock), else with the mend in
 * its message (s3_secret, s3_access_key, s3_denied, s3_bucket, s3_region, s3_refused; artifact_failed: the file).
 */
int s3_upload(struct s3_connection *connection, struct s3_upload *upload, struct error *error);

/* Throws away the parts of an upload that is given up; one try. */
void s3_upload_abort(struct s3_connection *connection, struct s3_upload *upload);

void s3_upload_clear(struct s3_upload *upload);

/* What can be told without asking the server: 0, or -1 with error (s3_settings). */
int s3_check_settings(const struct config_s3 *config, struct error *error);

/* Asks the bucket whether it is there and takes the keys; changes nothing. Returns 0, or -1 with error as above. */
int s3_check(const struct config_s3 *config, struct error *error);

/* The same, and once stop is true it ends soon (code "stopped"). */
int s3_check_until(const struct config_s3 *config, atomic_bool *stop, struct error *error);

#endif
