#include "job/request.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"
#include "job/schema.h"
#include "plugin/pipeline.h"
#include "store/repros.h"

#include <errno.h>
#include <exportd/kit/repro.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define URL_MAX 2000
#define PRIORITY_LIMIT 100
#define ATTEMPTS_LIMIT 1000

/* jansson's parser calls itself for each level: what is too deep must be seen before. */
static int check_depth(const char *body, size_t length, int64_t max_depth, struct error *error)
{
    int64_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < length; i++) {
        char c = body[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > max_depth)
                return error_set(error, "json_too_deep", false,
                                 "the JSON nests deeper than %lld levels (at byte %zu)", (long long)max_depth, i);
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return 0;
}

json_t *request_parse(const char *body, size_t length, int64_t max_depth, struct error *error)
{
    if (check_depth(body, length, max_depth, error) != 0)
        return NULL;
    json_error_t where;
    json_t *value = json_loadb(body, length, JSON_REJECT_DUPLICATES, &where);
    if (!value)
        error_set(error, "json_invalid", false, "this is no JSON: %s (line %d, column %d)",
                  strstr(where.text, "JSON_ALLOW_NUL") ? "a string holds \\u0000, which no export can carry"
                                                       : where.text,
                  where.line, where.column);
    return value;
}

int request_check_repro(const struct config *config, const json_t *repro, struct error *error)
{
    char message[512];
    if (exportd_repro_check(repro, message, sizeof message) != 0)
        return error_set(error, "repro_invalid", false, "the repro document: %s", message);
    const json_t *files = exportd_repro_array(repro, "files");
    if ((int64_t)json_array_size(files) > config->repros.max_files)
        return error_set(error, "repro_too_large", false,
                         "the repro has %zu files, more than the %lld allowed; raise [repros] max_files",
                         json_array_size(files), (long long)config->repros.max_files);
    return 0;
}

static int read_run_at(const json_t *value, int64_t *run_at_ms, struct error *error)
{
    *run_at_ms = 0;
    if (!value || json_is_null(value))
        return 0;
    if (json_is_integer(value)) {
        *run_at_ms = json_integer_value(value);
    } else if (json_is_string(value)) {
        struct tm parts = {0};
        const char *rest = strptime(json_string_value(value), "%Y-%m-%dT%H:%M:%S", &parts);
        if (rest && *rest == '.')
            while (*++rest >= '0' && *rest <= '9')
                continue;
        if (!rest || strcmp(rest, "Z") != 0)
            return error_set(error, "request_invalid", false,
                             "/runAt: must be a time in UTC as 2025-04-27T12:34:56Z");
        *run_at_ms = (int64_t)timegm(&parts) * 1000;
    } else {
        return error_set(error, "request_invalid", false, "/runAt: must be a time as 2025-04-27T12:34:56Z");
    }
    if (*run_at_ms < 0 || *run_at_ms > INT64_C(253402300800000))
        return error_set(error, "request_invalid", false, "/runAt: out of range");
    return 0;
}

static int read_integer(const json_t *request, const char *key, json_int_t least, json_int_t most, int otherwise,
                        int *number, struct error *error)
{
    const json_t *value = json_object_get(request, key);
    *number = otherwise;
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < least || json_integer_value(value) > most)
        return error_set(error, "request_invalid", false, "/%s: must be a whole number from %lld to %lld", key,
                         (long long)least, (long long)most);
    *number = (int)json_integer_value(value);
    return 0;
}

static int check_members(json_t *request, struct error *error)
{
    static const char *const known[] = {"jobId", "task", "callbackUrl", "data", "priority", "runAt", "maxAttempts"};
    const char *key;
    json_t *value;
    json_object_foreach(request, key, value)
    {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found = found || strcmp(key, known[i]) == 0;
        if (found)
            continue;
        const char *nearest = config_nearest(key, known, sizeof known / sizeof known[0]);
        return error_set(error, "request_invalid", false, "/%.100s: there is no such member%s%s%s", key,
                         nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    }
    return 0;
}

bool request_id_is_usable(const char *id)
{
    size_t length = id ? strlen(id) : 0;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)id[i] < 0x20 || id[i] == 0x7f)
            return false;
    return length > 0 && length <= JOB_ID_MAX;
}

static int read_id(const json_t *request, struct job *job, struct error *error)
{
    const json_t *value = json_object_get(request, "jobId");
    if (!value) {
        char text[ID_TEXT_SIZE];
        id_make(text);
        job->id = memory_text(text);
        return 0;
    }
    const char *id = json_string_value(value);
    if (!request_id_is_usable(id))
        return error_set(error, "request_invalid", false,
                         "/jobId: must be a string of 1 to %d bytes without control characters", JOB_ID_MAX);
    job->id = memory_text(id);
    return 0;
}

static int read_callback(const json_t *request, struct job *job, struct error *error)
{
    const json_t *value = json_object_get(request, "callbackUrl");
    if (!value || json_is_null(value))
        return 0;
    const char *url = json_string_value(value);
    if (!url || strlen(url) > URL_MAX || (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0))
        return error_set(error, "request_invalid", false,
                         "/callbackUrl: must be an http or https URL of at most %d bytes", URL_MAX);
    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == 0x7f)
            return error_set(error, "request_invalid", false,
                             "/callbackUrl: must not hold spaces or control characters");
    job->callback_url = memory_text(url);
    return 0;
}

void request_hash(const json_t *request, struct job *job)
{
    char *canonical = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    if (canonical)
        crypto_generichash(job->body_hash, JOB_HASH_BYTES, (const unsigned char *)canonical, strlen(canonical), NULL,
                           0);
    free(canonical);
}

static int set_data(struct job *job, const json_t *data, struct error *error)
{
    free(job->data);
    job->data = json_dumps(data, JSON_COMPACT);
    if (!job->data)
        return error_set(error, "request_invalid", true, "the request's data can't be kept: out of memory");
    job->data_length = strlen(job->data);
    return 0;
}

/* Options are checked beside the host's own members of data, which are put back afterwards. */
static int check_data(const struct config *config, const struct route *route, json_t *data, const char *where,
                      struct error *error)
{
    json_t *repro = json_incref(json_object_get(data, "repro"));
    json_t *repro_id = json_incref(json_object_get(data, "repro_id"));
    json_object_del(data, "repro");
    json_object_del(data, "repro_id");
    if (route->option && !json_object_get(data, route->option))
        json_object_set_new(data, route->option, json_string(route->value));
    int failed = route->steps ? pipeline_check_data(route, data, where, error)
                              : schema_apply(route->schema, data, where, error);
    if (!failed && repro)
        failed = request_check_repro(config, repro, error);
    if (!failed && repro_id && !json_is_string(repro_id))
        failed = error_set(error, "request_invalid", false, "%s/repro_id: must be a string", where);
    if (!failed && route->needs_repro && !repro && !repro_id)
        failed =
            error_set(error, "request_invalid", false,
                      "%s: %s needs a repro: give \"repro_id\", or the document as \"repro\"", where, route->name);
    if (!failed && route->needs_repro && !repro && !config->repros.folder[0] &&
        !(config->store.url[0] && config->repros.query[0]))
        failed = error_set(
            error, "repro_not_found", false,
            "%s/repro_id: this host has no place to look repros up; set [repros] folder or [store] url, or send "
            "the document as \"repro\"",
            where);
    if (repro)
        json_object_set_new(data, "repro", repro);
    if (repro_id)
        json_object_set_new(data, "repro_id", repro_id);
    return failed;
}

int request_fill(const struct config *config, const struct route *route, json_t *data, const char *where,
                 struct job *job, struct error *error)
{
    if (check_data(config, route, data, where, error) != 0 || set_data(job, data, error) != 0)
        return -1;
    job->task = memory_text(route->task);
    job->route = memory_text(route->name);
    job->created_at_ms = clock_now_ms();
    return 0;
}

struct job *request_read(const struct catalog *catalog, json_t *request, const struct route **route,
                         struct error *error)
{
    if (!json_is_object(request)) {
        error_set(error, "request_invalid", false,
                  "the body must be a JSON object: {\"jobId\", \"task\", \"data\": {…}}");
        return NULL;
    }
    struct job *job = job_new();
    request_hash(request, job);
    json_t *data = json_object_get(request, "data");
    json_t *own_data = NULL;
    const char *task = json_string_value(json_object_get(request, "task"));
    if (check_members(request, error) != 0)
        goto fail;
    if (!task || !*task) {
        error_set(error, "request_invalid", false, "/task: must be a string that names a task");
        goto fail;
    }
    if (data && !json_is_object(data)) {
        error_set(error, "request_invalid", false, "/data: must be an object");
        goto fail;
    }
    if (!data)
        data = own_data = json_object();
    *route = catalog_route(catalog, task, data, error);
    if (!*route || request_fill(catalog->config, *route, data, "/data", job, error) != 0 ||
        read_id(request, job, error) != 0 || read_callback(request, job, error) != 0 ||
        read_integer(request, "priority", -PRIORITY_LIMIT, PRIORITY_LIMIT, 0, &job->priority, error) != 0 ||
        read_integer(request, "maxAttempts", 1, ATTEMPTS_LIMIT, (int)catalog->config->jobs.max_attempts,
                     &job->max_attempts, error) != 0 ||
        read_run_at(json_object_get(request, "runAt"), &job->run_at_ms, error) != 0)
        goto fail;
    if (job->run_at_ms <= job->created_at_ms)
        job->run_at_ms = 0;
    json_decref(own_data);
    return job;
fail:
    json_decref(own_data);
    job_free(job);
    return NULL;
}

char *request_missing_repro(const struct job *job)
{
    /* Cheap first: most jobs carry their repro, or need none. */
    if (!strstr(job->data, "\"repro_id\""))
        return NULL;
    json_t *data = json_loadb(job->data, job->data_length, 0, NULL);
    const char *id = json_string_value(json_object_get(data, "repro_id"));
    char *copy = id && !json_object_get(data, "repro") ? memory_text(id) : NULL;
    json_decref(data);
    return copy;
}

static char *read_file(const char *path, int64_t max_bytes, size_t *length, struct error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    char *text = NULL;
    if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        error_set(error, "repro_not_found", false, "%s: %s", path, fd < 0 ? strerror(errno) : "not a regular file");
    } else if (status.st_size > max_bytes) {
        error_set(error, "repro_too_large", false,
                  "%s: %lld bytes, more than the %lld allowed; raise [repros] max_bytes", path,
                  (long long)status.st_size, (long long)max_bytes);
    } else {
        text = memory_zeroed(1, (size_t)status.st_size + 1);
        size_t done = 0;
        ssize_t count;
        while (done < (size_t)status.st_size && (count = read(fd, text + done, (size_t)status.st_size - done)) > 0)
            done += (size_t)count;
        *length = done;
    }
    if (fd >= 0)
        close(fd);
    return text;
}

/* NULL with error set: there is none (repro_not_found), or it can't be used. */
static json_t *read_repro_file(const struct config *config, const char *repro_id, struct error *error)
{
    if (!*repro_id || repro_id[0] == '.' || strchr(repro_id, '/') || strlen(repro_id) > 200) {
        error_set(error, "repro_not_found", false,
                  "the repro_id can't be a file's name: it holds a slash, begins with a dot or is too long");
        return NULL;
    }
    char *path = memory_format("%s/%s.json", config->repros.folder, repro_id);
    size_t length = 0;
    char *text = read_file(path, config->repros.max_bytes, &length, error);
    json_t *repro = text ? request_parse(text, length, 64, error) : NULL;
    if (repro && request_check_repro(config, repro, error) != 0) {
        json_decref(repro);
        repro = NULL;
    }
    if (text && !repro)
        error_prefix(error, "%s: ", path);
    free(text);
    free(path);
    return repro;
}

/* As read_repro_file(). */
static json_t *read_repro_row(const struct config *config, struct repros *repros, const char *repro_id,
                              struct error *error)
{
    json_t *repro = repros_find(repros, repro_id, error);
    if (!repro || request_check_repro(config, repro, error) == 0)
        return repro;
    error_prefix(error, "%.200s: ", repro_id);
    json_decref(repro);
    return NULL;
}

int request_load_repro(const struct config *config, struct repros *repros, const char *repro_id, struct job *job,
                       struct error *error)
{
    json_t *repro = config->repros.folder[0] ? read_repro_file(config, repro_id, error) : NULL;
    if (!repro && repros && (!error_is_set(error) || strcmp(error->code, "repro_not_found") == 0)) {
        error_clear(error);
        repro = read_repro_row(config, repros, repro_id, error);
    }
    if (!repro)
        return error_set(error, "repro_not_found", false, "there is no place to look the repro %.200s up", repro_id);
    json_t *data = json_loadb(job->data, job->data_length, 0, NULL);
    json_object_set(data, "repro", repro);
    int failed = set_data(job, data, error);
    json_decref(data);
    json_decref(repro);
    return failed;
}
