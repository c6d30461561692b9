/*
 * artifact/s3_internal.h: what the files of the S3 client share. s3_sign.c: keys, URLs, signed URLs; s3_request.c:
 * one request; s3_answer.c: what the answer means; s3_upload.c: a file.
 */
#ifndef EXPORTD_ARTIFACT_S3_INTERNAL_H
#define EXPORTD_ARTIFACT_S3_INTERNAL_H

#include "artifact/s3.h"
#include "base/sha256.h"

#include <curl/curl.h>
#include <sodium.h>

#define S3_ANSWER_MAX 65536
#define S3_ETAG_MAX 256

struct s3_connection {
    const struct config_s3 *config;
    CURL *curl;
};

struct s3_request {
    const char *method;
    const char *key;     /* NULL: the bucket */
    const char *query;   /* encoded, sorted, with a '=' after each name; NULL: none */
    const char *headers; /* more of them, one a line; NULL: none */
    const char *sha256;  /* of the body; NULL: there is none */
    const char *text;    /* the body; NULL: from fd */
    int fd;
    int64_t offset, bytes; /* of the file's piece */
    int64_t give_up_ms;    /* for the whole; 0: as long as something moves */
    atomic_bool *stop;
    atomic_ullong *counter;
};

struct s3_answer {
    long status;
    char etag[S3_ETAG_MAX];
    char sha256[SHA256_HEX_MAX]; /* x-amz-meta-sha256 */
    int64_t bytes;               /* Content-Length, or -1 */
    size_t length;
    char text[S3_ANSWER_MAX + 1]; /* cut where it is longer */
};

/* s3_sign.c */
char *s3_encode(const char *text, const char *kept); /* unreserved bytes and those in kept stay; new string */

/* s3_request.c: 0: answered with 2xx and no <Error>; else -1 with error set, by s3_answer.c where there is an answer.
 * server_code: <Code> of the answer, or "". */
int s3_request(struct s3_connection *connection, const struct s3_request *request, struct s3_answer *answer,
               char server_code[ERROR_CODE_MAX], struct error *error);

/* s3_upload.c */
int64_t s3_part_bytes(int64_t wanted_bytes, int64_t file_bytes); /* no file may have more than 10,000 parts */

/* s3_answer.c */
bool s3_answer_element(const char *xml, const char *name, char *value, size_t size); /* the first of that name */
void s3_answer_error(const struct config_s3 *config, const struct s3_answer *answer, char server_code[ERROR_CODE_MAX],
                     struct error *error);

#endif
