/*
 * A file into the bucket: in one piece, or in parts that are sent one after the other and remembered, so that a
 * failure costs one part.
 */
#include "artifact/s3_internal.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARTS_MAX 10000
#define MIB 1048576
#define MEDIA_TYPE_MAX 200
#define ABORT_MS 3000

/* A header's value comes from a plugin: what isn't plain must not reach the header. */
static const char *safe_media_type(const char *media_type)
{
    static const char fallback[] = "application/octet-stream";
    if (!media_type || !strchr(media_type, '/') || strlen(media_type) > MEDIA_TYPE_MAX || strstr(media_type, "  ") ||
        media_type[0] == ' ' || media_type[strlen(media_type) - 1] == ' ')
        return fallback;
    for (const unsigned char *c = (const unsigned char *)media_type; *c; c++)
        if (*c < ' ' || *c > '~')
            return fallback;
    return media_type;
}

static char *object_headers(const struct s3_upload *upload)
{
    return memory_format("Content-Type: %s\nx-amz-meta-sha256: %s", safe_media_type(upload->media_type),
                         upload->sha256);
}

static void forget_parts(struct s3_upload *upload)
{
    for (int i = 0; i < upload->part_count; i++)
        free(upload->etags[i]);
    free(upload->etags);
    free(upload->id);
    upload->etags = NULL;
    upload->id = NULL;
    upload->part_count = upload->parts_done = 0;
}

void s3_upload_clear(struct s3_upload *upload)
{
    forget_parts(upload);
}

static int put_whole(struct s3_connection *connection, struct s3_upload *upload, int fd, struct s3_answer *answer,
                     struct error *error)
{
    char server_code[ERROR_CODE_MAX];
    char *headers = object_headers(upload);
    const struct s3_request request = {
        .method = "PUT",
        .key = upload->key,
        .headers = headers,
        .sha256 = upload->sha256,
        .fd = fd,
        .bytes = upload->bytes,
        .stop = upload->stop,
        .counter = upload->counter,
    };
    int failed = s3_request(connection, &request, answer, server_code, error);
    free(headers);
    return failed;
}

int64_t s3_part_bytes(int64_t wanted_bytes, int64_t file_bytes)
{
    int64_t least = (file_bytes + PARTS_MAX - 1) / PARTS_MAX;
    least = (least + MIB - 1) / MIB * MIB;
    return wanted_bytes > least ? wanted_bytes : least;
}

static int begin_parts(struct s3_connection *connection, struct s3_upload *upload, struct s3_answer *answer,
                       struct error *error)
{
    const struct config_s3 *config = connection->config;
    char server_code[ERROR_CODE_MAX], id[2048];
    char *headers = object_headers(upload);
    const struct s3_request request = {
        .method = "POST", .key = upload->key, .query = "uploads=", .headers = headers, .stop = upload->stop};
    int failed = s3_request(connection, &request, answer, server_code, error);
    free(headers);
    if (failed)
        return failed;
    if (!s3_answer_element(answer->text, "UploadId", id, sizeof id))
        return error_set(error, "s3_refused", false,
                         "bucket %s: the server gave no id for an upload in parts; mend [s3] endpoint, or raise [s3] "
                         "multipart",
                         config->bucket);
    upload->part_bytes = s3_part_bytes(config->part_bytes, upload->bytes);
    upload->part_count = (int)((upload->bytes + upload->part_bytes - 1) / upload->part_bytes);
    upload->etags = memory_zeroed((size_t)upload->part_count, sizeof *upload->etags);
    upload->parts_done = 0;
    upload->id = s3_encode(id, "");
    return 0;
}

static int hash_part(const struct s3_upload *upload, int fd, int64_t offset, int64_t bytes, char hex[SHA256_HEX_MAX],
                     struct error *error)
{
    int64_t got = 0;
    int cause = sha256_of_file(fd, offset, bytes, upload->stop, hex, &got);
    if (cause == ECANCELED)
        return error_set(error, "stopped", true, "the upload was stopped");
    if (cause || got < bytes)
        return error_set(error, "artifact_failed", true, "the artifact can't be read for its upload: %s",
                         cause ? strerror(cause) : "it has changed");
    return 0;
}

static int send_part(struct s3_connection *connection, struct s3_upload *upload, int fd, struct s3_answer *answer,
                     struct error *error)
{
    char server_code[ERROR_CODE_MAX], hex[SHA256_HEX_MAX];
    int64_t offset = upload->parts_done * upload->part_bytes;
    int64_t left = upload->bytes - offset;
    int64_t bytes = left < upload->part_bytes ? left : upload->part_bytes;
    if (hash_part(upload, fd, offset, bytes, hex, error) != 0)
        return -1;
    char *query = memory_format("partNumber=%d&uploadId=%s", upload->parts_done + 1, upload->id);
    const struct s3_request request = {
        .method = "PUT",
        .key = upload->key,
        .query = query,
        .sha256 = hex,
        .fd = fd,
        .offset = offset,
        .bytes = bytes,
        .stop = upload->stop,
        .counter = upload->counter,
    };
    int failed = s3_request(connection, &request, answer, server_code, error);
    free(query);
    if (failed) {
        if (strcmp(server_code, "NoSuchUpload") == 0)
            forget_parts(upload);
        return failed;
    }
    if (!answer->etag[0] || strpbrk(answer->etag, "<>&"))
        return error_set(error, "s3_refused", false,
                         "bucket %s: the server gave no usable ETag for a part; raise [s3] multipart",
                         connection->config->bucket);
    upload->etags[upload->parts_done++] = memory_text(answer->etag);
    return 0;
}

/* An answer may have been lost, and the object is there. */
static bool is_there(struct s3_connection *connection, const struct s3_upload *upload, struct s3_answer *answer)
{
    char server_code[ERROR_CODE_MAX];
    struct error error = {0};
    const struct s3_request request = {.method = "HEAD", .key = upload->key, .stop = upload->stop};
    return s3_request(connection, &request, answer, server_code, &error) == 0 && answer->bytes == upload->bytes &&
           strcmp(answer->sha256, upload->sha256) == 0;
}

static char *parts_as_xml(const struct s3_upload *upload)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return NULL;
    fputs("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">", out);
    for (int i = 0; i < upload->part_count; i++)
        fprintf(out, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i + 1, upload->etags[i]);
    fputs("</CompleteMultipartUpload>", out);
    fclose(out);
    return text;
}

static int complete_parts(struct s3_connection *connection, struct s3_upload *upload, struct s3_answer *answer,
                          struct error *error)
{
    char server_code[ERROR_CODE_MAX], hex[SHA256_HEX_MAX];
    unsigned char hash[crypto_hash_sha256_BYTES];
    char *text = parts_as_xml(upload);
    if (!text)
        return error_set(error, "artifact_failed", true, "out of memory");
    crypto_hash_sha256(hash, (const unsigned char *)text, strlen(text));
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    char *query = memory_format("uploadId=%s", upload->id);
    const struct s3_request request = {
        .method = "POST",
        .key = upload->key,
        .query = query,
        .headers = "Content-Type: application/xml",
        .sha256 = hex,
        .text = text,
        .stop = upload->stop,
    };
    int failed = s3_request(connection, &request, answer, server_code, error);
    free(query);
    free(text);
    if (failed && strcmp(server_code, "NoSuchUpload") == 0) {
        if (is_there(connection, upload, answer)) {
            error_clear(error);
            return 0;
        }
        forget_parts(upload);
    } else if (failed && strncmp(server_code, "InvalidPart", 11) == 0) {
        s3_upload_abort(connection, upload);
    }
    return failed;
}

static int put_parts(struct s3_connection *connection, struct s3_upload *upload, int fd, struct s3_answer *answer,
                     struct error *error)
{
    if (!upload->id && begin_parts(connection, upload, answer, error) != 0)
        return -1;
    while (upload->parts_done < upload->part_count)
        if (send_part(connection, upload, fd, answer, error) != 0)
            return -1;
    if (complete_parts(connection, upload, answer, error) != 0)
        return -1;
    forget_parts(upload);
    return 0;
}

int s3_upload(struct s3_connection *connection, struct s3_upload *upload, struct error *error)
{
    if (upload->done)
        return 0;
    struct stat status;
    int fd = open(upload->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size != upload->bytes) {
        error_set(error, "artifact_failed", false, "an artifact can't be read for its upload: %s",
                  fd < 0 ? strerror(errno) : "it has changed");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    struct s3_answer *answer = memory_zeroed(1, sizeof *answer);
    int failed = upload->bytes > connection->config->multipart_bytes
                     ? put_parts(connection, upload, fd, answer, error)
                     : put_whole(connection, upload, fd, answer, error);
    free(answer);
    close(fd);
    upload->done = !failed;
    return failed;
}

void s3_upload_abort(struct s3_connection *connection, struct s3_upload *upload)
{
    if (!upload->id)
        return;
    char server_code[ERROR_CODE_MAX];
    struct error error = {0};
    struct s3_answer *answer = memory_zeroed(1, sizeof *answer);
    char *query = memory_format("uploadId=%s", upload->id);
    const struct s3_request request = {
        .method = "DELETE", .key = upload->key, .query = query, .give_up_ms = ABORT_MS};
    s3_request(connection, &request, answer, server_code, &error);
    free(query);
    free(answer);
    forget_parts(upload);
}

int s3_check_settings(const struct config_s3 *config, struct error *error)
{
    if (!config->access_key[0] || !config->secret_key[0])
        return error_set(error, "s3_settings", false,
                         "[s3] bucket is set and [s3] %s is not; set it (%s), or leave the bucket out",
                         config->access_key[0] ? "secret_key" : "access_key",
                         config->access_key[0] ? "S3_SECRET_KEY" : "S3_ACCESS_KEY");
    const char *host = strstr(config->endpoint, "://");
    if (host && (strchr(host, '@') || strpbrk(host, "?#")))
        return error_set(error, "s3_settings", false,
                         "[s3] endpoint must be http(s)://host[:port][/path] alone: no user, no query");
    return 0;
}

int s3_check(const struct config_s3 *config, struct error *error)
{
    return s3_check_until(config, NULL, error);
}

/* Keys that may upload need not be allowed to list. To throw away parts that there never were changes nothing, and
 * needs a right that uploads need. No artifact can have this key: theirs have a folder. */
static bool may_write(struct s3_connection *connection, atomic_bool *stop, struct s3_answer *answer)
{
    char server_code[ERROR_CODE_MAX];
    struct error error = {0};
    char *key = memory_format("%sexportd-check", connection->config->prefix);
    const struct s3_request request = {.method = "DELETE",
                                       .key = key,
                                       .query = "uploadId=exportd-check",
                                       .give_up_ms = connection->config->timeout_ms,
                                       .stop = stop};
    s3_request(connection, &request, answer, server_code, &error);
    free(key);
    return strcmp(server_code, "NoSuchUpload") == 0;
}

int s3_check_until(const struct config_s3 *config, atomic_bool *stop, struct error *error)
{
    char server_code[ERROR_CODE_MAX];
    if (s3_check_settings(config, error) != 0)
        return -1;
    struct s3_connection *connection = s3_connection_new(config);
    struct s3_answer *answer = memory_zeroed(1, sizeof *answer);
    const struct s3_request request = {
        .method = "GET", .query = "list-type=2&max-keys=1", .give_up_ms = config->timeout_ms, .stop = stop};
    int failed = s3_request(connection, &request, answer, server_code, error);
    if (failed && strcmp(error->code, "s3_denied") == 0 && may_write(connection, stop, answer)) {
        error_clear(error);
        failed = 0;
    }
    free(answer);
    s3_connection_free(connection);
    return failed;
}
