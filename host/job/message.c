#include "job/message.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "job/request.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define TASK_MAX 64
#define ECHO_MAX 1000  /* of an id that is only echoed */
#define KEPT_MAX 65536 /* of a message that is too large */
#define SUBJECT_ACK "$JS.ACK."

static const char *const contract_options[] = {"repo_url", "branch_name", "platform", "format"};
#define CONTRACT_OPTION_COUNT (sizeof contract_options / sizeof contract_options[0])

static enum job_door door_of(const struct message *message)
{
    return strcmp(message->subject, MESSAGE_TASK_REQUEST) == 0 ? JOB_DOOR_TASK : JOB_DOOR_EXPORT;
}

/* $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumer's>.<time>.<pending>, or, from newer servers, with
 * domain and account before the stream and a random word behind. Stream, sequence and time are the same for each
 * redelivery, and no other message's. */
static bool derive_id(const char *reply, char id[ID_TEXT_SIZE])
{
    const char *tokens[16];
    size_t lengths[16], count = 0;
    if (!reply || strncmp(reply, SUBJECT_ACK, sizeof SUBJECT_ACK - 1) != 0)
        return false;
    for (const char *at = reply; at && count < 16; count++) {
        const char *dot = strchr(at, '.');
        tokens[count] = at;
        lengths[count] = dot ? (size_t)(dot - at) : strlen(at);
        at = dot ? dot + 1 : NULL;
    }
    if (count != 9 && count < 11)
        return false;
    size_t stream = count == 9 ? 2 : 4;
    const size_t parts[] = {stream, stream + 3, stream + 5};
    unsigned char hash[16];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (size_t i = 0; i < 3; i++) {
        crypto_generichash_update(&state, (const unsigned char *)tokens[parts[i]], lengths[parts[i]]);
        crypto_generichash_update(&state, (const unsigned char *)".", 1);
    }
    crypto_generichash_final(&state, hash, sizeof hash);
    hash[6] = (unsigned char)((hash[6] & 0x0f) | 0x80); /* UUID version 8: the maker's own */
    hash[8] = (unsigned char)((hash[8] & 0x3f) | 0x80);
    char *out = id;
    for (size_t i = 0; i < sizeof hash; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        static const char digits[] = "0123456789abcdef";
        *out++ = digits[hash[i] >> 4];
        *out++ = digits[hash[i] & 15];
    }
    *out = '\0';
    return true;
}

static int invalid(struct error *error, const char *text)
{
    return error_set(error, "request_invalid", false, "%s", text);
}

/* Callers may carry members of their own; one that looks like a slip of the pen is told. */
static int check_members(const json_t *request, struct error *error)
{
    static const char *const known[] = {"export_id", "repro_id", "export_type", "options", "repro"};
    const size_t count = sizeof known / sizeof known[0];
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request, key, value)
    {
        const char *nearest = config_nearest(key, known, count);
        bool same = nearest && strcmp(key, nearest) == 0;
        if (nearest && !same && !json_object_get(request, nearest))
            return error_set(error, "request_invalid", false,
                             "/%.100s: there is no such member; did you mean \"%s\"?", key, nearest);
    }
    return 0;
}

static int read_export_id(const json_t *request, struct job *job, struct error *error)
{
    char id[ID_TEXT_SIZE];
    const char *text = json_string_value(json_object_get(request, "export_id"));
    if (!text || !id_is_uuid(text, id))
        return invalid(error, "/export_id: must be a UUID");
    job->id = memory_text(id);
    return 0;
}

static int check_repro_id(const json_t *request, struct error *error)
{
    const json_t *value = json_object_get(request, "repro_id");
    if (!value && json_object_get(request, "repro"))
        return 0;
    if (!value)
        return invalid(error, "/repro_id: is missing");
    if (!request_id_is_usable(json_string_value(value)))
        return invalid(error, "/repro_id: must be a string that names a repro");
    return 0;
}

/* The request without the document that its job's data has anyway. */
static char *dump_origin(const json_t *request)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)request);
    json_object_del(copy, "repro");
    char *text = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    return text;
}

static void drop_nulls(json_t *options)
{
    for (size_t i = 0; i < CONTRACT_OPTION_COUNT; i++)
        if (json_is_null(json_object_get(options, contract_options[i])))
            json_object_del(options, contract_options[i]);
}

static void drop_unknown(const struct route *route, json_t *options)
{
    const json_t *properties = json_object_get(route->schema, "properties");
    if (json_is_true(json_object_get(route->schema, "additionalProperties")))
        return;
    for (size_t i = 0; i < CONTRACT_OPTION_COUNT; i++) {
        const char *name = contract_options[i];
        bool selects = route->option && strcmp(route->option, name) == 0;
        if (!selects && !json_object_get(properties, name))
            json_object_del(options, name);
    }
}

static struct job *read_export(const struct catalog *catalog, const json_t *request, const struct route **route,
                               struct error *error)
{
    const char *type = json_string_value(json_object_get(request, "export_type"));
    const json_t *options = json_object_get(request, "options");
    struct job *job = job_new();
    json_t *data = NULL;
    job->door = JOB_DOOR_EXPORT;
    job->max_attempts = (int)catalog->config->jobs.max_attempts;
    request_hash(request, job);
    if (check_members(request, error) != 0 || read_export_id(request, job, error) != 0)
        goto fail;
    if (!type || !*type) {
        invalid(error, "/export_type: must be a string that names an export");
        goto fail;
    }
    if (options && !json_is_null(options) && !json_is_object(options)) {
        invalid(error, "/options: must be an object");
        goto fail;
    }
    data = json_is_object(options) ? json_deep_copy(options) : json_object();
    drop_nulls(data);
    *route = catalog_route(catalog, type, data, error);
    if (!*route || check_repro_id(request, error) != 0)
        goto fail;
    drop_unknown(*route, data);
    json_t *repro = json_object_get(request, "repro");
    if (json_object_get(request, "repro_id"))
        json_object_set(data, "repro_id", json_object_get(request, "repro_id"));
    if (repro)
        json_object_set(data, "repro", repro);
    job->origin = dump_origin(request);
    if (request_fill(catalog->config, *route, data, "/options", job, error) != 0)
        goto fail;
    json_decref(data);
    return job;
fail:
    json_decref(data);
    job_free(job);
    return NULL;
}

/* A task that brings no id gets the message's own, so that a redelivery is the same job. */
static struct job *read_task(const struct catalog *catalog, const struct message *message, json_t *request,
                             const struct route **route, struct error *error)
{
    char id[ID_TEXT_SIZE];
    bool named = json_object_get(request, "jobId") != NULL;
    struct job *job = request_read(catalog, request, route, error);
    if (!job)
        return NULL;
    job->door = JOB_DOOR_TASK;
    if (!named && derive_id(message->reply, id)) {
        free(job->id);
        job->id = memory_text(id);
    }
    return job;
}

struct job *message_read(const struct catalog *catalog, const struct message *message, const struct route **route,
                         struct error *error)
{
    const struct config_http *limits = &catalog->config->http;
    if ((int64_t)message->length > limits->max_body_bytes) {
        error_set(error, "message_too_large", false,
                  "the message has %zu bytes, more than the %lld allowed; raise [http] max_body", message->length,
                  (long long)limits->max_body_bytes);
        return NULL;
    }
    json_t *request = request_parse(message->bytes, message->length, limits->max_json_depth, error);
    if (!request)
        return NULL;
    struct job *job = NULL;
    if (door_of(message) == JOB_DOOR_TASK)
        job = read_task(catalog, message, request, route, error);
    else if (json_is_object(request))
        job = read_export(catalog, request, route, error);
    else
        invalid(error, "the message must be a JSON object: {\"export_id\", \"repro_id\", \"export_type\", "
                       "\"options\": {…}}");
    json_decref(request);
    return job;
}

/* What of an unreadable request its answer can carry. */
static char *dump_echo(const json_t *request)
{
    static const char *const members[] = {"export_id", "repro_id", "export_type"};
    json_t *echo = json_object();
    for (size_t i = 0; i < 3; i++) {
        json_t *value = json_object_get(request, members[i]);
        if (json_is_string(value) && json_string_length(value) <= ECHO_MAX)
            json_object_set(echo, members[i], value);
    }
    json_t *options = json_object_get(request, "options");
    if (json_is_object(options))
        json_object_set(echo, "options", options);
    char *text = json_dumps(echo, JSON_COMPACT);
    json_decref(echo);
    return text;
}

static char *task_name(const json_t *request, enum job_door door)
{
    char name[TASK_MAX];
    const json_t *value = json_object_get(request, door == JOB_DOOR_TASK ? "task" : "export_type");
    if (!json_is_string(value) || json_string_length(value) == 0)
        return memory_text("?");
    utf8_copy(name, sizeof name, json_string_value(value), json_string_length(value));
    for (char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
    return memory_text(name);
}

static char *dead_id(const struct message *message, const json_t *request, enum job_door door, bool made_id)
{
    char id[ID_TEXT_SIZE];
    const char *named =
        made_id ? NULL : json_string_value(json_object_get(request, door == JOB_DOOR_TASK ? "jobId" : "export_id"));
    if (named && door == JOB_DOOR_TASK && request_id_is_usable(named))
        return memory_text(named);
    if (named && door == JOB_DOOR_EXPORT && id_is_uuid(named, id))
        return memory_text(id);
    if (!derive_id(message->reply, id))
        id_make(id);
    return memory_text(id);
}

static json_t *encode(const char *bytes, size_t length)
{
    size_t size = sodium_base64_encoded_len(length, sodium_base64_VARIANT_ORIGINAL);
    char *text = memory_zeroed(1, size);
    sodium_bin2base64(text, size, (const unsigned char *)bytes, length, sodium_base64_VARIANT_ORIGINAL);
    json_t *value = json_string(text);
    free(text);
    return value;
}

static void keep_message(const struct message *message, int64_t most, struct job *job)
{
    bool whole = (int64_t)message->length <= most;
    size_t length = whole ? message->length : KEPT_MAX;
    json_t *data = json_pack("{s:s}", "subject", message->subject);
    json_t *text = memchr(message->bytes, '\0', length) ? NULL : json_stringn(message->bytes, length);
    if (text)
        json_object_set_new(data, "message", text);
    else
        json_object_set_new(data, "message_base64", encode(message->bytes, length));
    if (!whole)
        json_object_set_new(data, "message_bytes", json_integer((json_int_t)message->length)); /* it is cut */
    job->data = json_dumps(data, JSON_COMPACT);
    job->data_length = strlen(job->data);
    json_decref(data);
}

struct job *message_dead(const struct catalog *catalog, const struct message *message, const struct error *error,
                         bool made_id)
{
    enum job_door door = door_of(message);
    int64_t most = catalog->config->http.max_body_bytes;
    /* Read once more, with no more patience than the parser's own, for what the answer should carry. */
    json_t *request = (int64_t)message->length <= most ? json_loadb(message->bytes, message->length, 0, NULL) : NULL;
    struct job *job = job_new();
    job->door = door;
    job->id = dead_id(message, request, door, made_id);
    job->task = task_name(request, door);
    job->route = memory_text("");
    job->state = JOB_FAILED;
    job->max_attempts = (int)catalog->config->jobs.max_attempts;
    job->created_at_ms = job->finished_at_ms = clock_now_ms();
    job->origin = door == JOB_DOOR_EXPORT ? dump_echo(request) : NULL;
    job->error_code = memory_text(error->code);
    job->error_message = memory_text(error->message);
    crypto_generichash(job->body_hash, JOB_HASH_BYTES, (const unsigned char *)message->bytes, message->length, NULL,
                       0);
    keep_message(message, most, job);
    json_decref(request);
    return job;
}

bool message_is_dead(const struct job *job)
{
    return job->state == JOB_FAILED && job->door != JOB_DOOR_HTTP && job->route && !job->route[0];
}

struct job *message_revive(const struct catalog *catalog, const struct job *dead, struct error *error)
{
    const struct route *route = NULL;
    struct job *job = NULL;
    unsigned char *bytes = NULL;
    json_t *data = dead->data ? json_loadb(dead->data, dead->data_length, 0, NULL) : NULL;
    const json_t *text = json_object_get(data, "message");
    const json_t *encoded = json_object_get(data, "message_base64");
    struct message message = {
        .subject = json_string_value(json_object_get(data, "subject")),
        .bytes = json_string_value(text),
        .length = json_string_length(text),
    };
    if (!message.bytes && json_is_string(encoded)) {
        size_t size = json_string_length(encoded);
        bytes = memory_zeroed(1, size + 1);
        if (sodium_base642bin(bytes, size, json_string_value(encoded), size, NULL, &message.length, NULL,
                              sodium_base64_VARIANT_ORIGINAL) == 0)
            message.bytes = (const char *)bytes;
    }
    if (!message.subject || !message.bytes || json_object_get(data, "message_bytes"))
        error_set(error, dead->error_code ? dead->error_code : "request_invalid", false,
                  "the message wasn't kept whole, so it can't be read again; publish it anew");
    else
        job = message_read(catalog, &message, &route, error);
    free(bytes);
    json_decref(data);
    return job;
}
