/*
 * What the server has: JetStream or not, the streams that capture requests and answers, the consumer. Asked over
 * JetStream's own JSON interface, each question with [nats] timeout.
 */
#include "base/memory.h"
#include "job/message.h"
#include "nats/internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL
#define DUPLICATE_WINDOW_MS 120000
#define MAX_ACK_PENDING 65536
#define CODE_NOT_FOUND 404
#define CODE_NOT_ENABLED 503

const char *const nats_request_subjects[NATS_SOURCE_MAX] = {MESSAGE_EXPORT_REQUEST, MESSAGE_TASK_REQUEST};
const char *const nats_answer_subjects[NATS_ANSWER_COUNT] = {"export.completed", "export.failed", "task.completed",
                                                             "task.failed"};

struct asker {
    natsConnection *connection;
    const struct config_nats *config;
    struct nats_setup *setup;
    bool make;
    bool absent; /* the last thing asked for isn't there */
};

/* The answer to one question; takes body (NULL: none). NULL with error set, or with absent set where nobody or
 * nothing is there. */
static json_t *ask(struct asker *asker, const char *subject, json_t *body, struct error *error)
{
    natsMsg *reply = NULL;
    char *text = body ? json_dumps(body, JSON_COMPACT) : memory_text("");
    json_decref(body);
    natsStatus status =
        natsConnection_RequestString(&reply, asker->connection, subject, text, asker->config->timeout_ms);
    free(text);
    asker->absent = status == NATS_NO_RESPONDERS;
    if (status != NATS_OK) {
        if (!asker->absent)
            error_set(error, "nats_jetstream", true, "JetStream gives no answer to %s: %s", subject,
                      status == NATS_TIMEOUT ? "is the user allowed to publish it?" : natsStatus_GetText(status));
        return NULL;
    }
    json_t *answer = json_loadb(natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply), 0, NULL);
    natsMsg_Destroy(reply);
    const json_t *fault = json_object_get(answer, "error");
    if (answer && !fault)
        return answer;
    json_int_t code = json_integer_value(json_object_get(fault, "code"));
    const char *description = json_string_value(json_object_get(fault, "description"));
    asker->absent = code == CODE_NOT_FOUND || code == CODE_NOT_ENABLED;
    if (code != CODE_NOT_FOUND)
        error_set(error, "nats_jetstream", true, "%s: %s", subject, description ? description : "no JSON");
    json_decref(answer);
    return NULL;
}

/* Whether the account has JetStream; -1 with error set where that can't be learned. */
static int find_jetstream(struct asker *asker, struct error *error)
{
    struct error refused = {0};
    json_t *answer = ask(asker, "$JS.API.INFO", NULL, &refused);
    bool there = answer != NULL;
    json_decref(answer);
    if (there || asker->absent)
        return there;
    *error = refused;
    return -1;
}

/* The stream that captures a subject: 1 and its name, 0: none, -1: error set. */
static int find_stream(struct asker *asker, const char *subject, char name[NATS_NAME_MAX], struct error *error)
{
    json_t *answer = ask(asker, "$JS.API.STREAM.NAMES", json_pack("{s:s}", "subject", subject), error);
    const char *first = json_string_value(json_array_get(json_object_get(answer, "streams"), 0));
    int found = first ? 1 : answer ? 0 : -1;
    if (first)
        snprintf(name, NATS_NAME_MAX, "%s", first);
    json_decref(answer);
    return found;
}

static json_t *stream_config(struct asker *asker, const char *name, struct error *error)
{
    char *subject = memory_format("$JS.API.STREAM.INFO.%s", name);
    json_t *answer = ask(asker, subject, NULL, error);
    json_t *config = json_incref(json_object_get(answer, "config"));
    json_decref(answer);
    free(subject);
    return config;
}

/* Makes the stream; where one of its name is there, it gets the subjects too. Takes config, whose "subjects" are
 * those that no stream captures. */
static int make_stream(struct asker *asker, const char *name, json_t *config, const char *key, struct error *error)
{
    struct error cause = {0};
    json_t *present = stream_config(asker, name, &cause);
    bool update = present != NULL;
    if (update) {
        json_array_extend(json_object_get(present, "subjects"), json_object_get(config, "subjects"));
        json_decref(config);
        config = present;
    } else if (error_is_set(&cause)) {
        json_decref(config);
        *error = cause;
        return -1;
    }
    char *subject = memory_format("$JS.API.STREAM.%s.%s", update ? "UPDATE" : "CREATE", name);
    json_t *answer = ask(asker, subject, config, &cause);
    bool made = answer != NULL;
    json_decref(answer);
    free(subject);
    if (made)
        return 0;
    return error_set(error, "nats_stream", true,
                     "the stream %s can't be %s (%s); make it yourself, or name another in [nats] %s", name,
                     update ? "changed" : "made", cause.message[0] ? cause.message : "no answer", key);
}

static json_t *answers_config(const struct config_nats *config, json_t *subjects)
{
    int64_t window_ms = config->answers_keep_ms < DUPLICATE_WINDOW_MS ? config->answers_keep_ms : DUPLICATE_WINDOW_MS;
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:i, s:s}", "name", config->answers,
                     "subjects", subjects, "retention", "limits", "storage", "file", "discard", "old",
                     "max_consumers", -1, "max_msgs", -1, "max_bytes", -1, "max_age",
                     (json_int_t)config->answers_keep_ms * 1000000, "duplicate_window",
                     (json_int_t)window_ms * 1000000, "num_replicas", 1, "description", "exportd: answers");
}

static int setup_answers(struct asker *asker, struct error *error)
{
    json_t *missing = json_array();
    char name[NATS_NAME_MAX];
    for (int i = 0; i < NATS_ANSWER_COUNT; i++) {
        int found = find_stream(asker, nats_answer_subjects[i], name, error);
        if (found < 0) {
            json_decref(missing);
            return -1;
        }
        if (found == 0) {
            json_array_append_new(missing, json_string(nats_answer_subjects[i]));
            continue;
        }
        json_t *config = stream_config(asker, name, error);
        asker->setup->captured[i] = !json_is_true(json_object_get(config, "no_ack"));
        json_decref(config);
        if (error_is_set(error)) {
            json_decref(missing);
            return -1;
        }
    }
    if (json_array_size(missing) == 0 || !asker->config->answers[0] || !asker->make) {
        json_decref(missing);
        return 0;
    }
    for (int i = 0; i < NATS_ANSWER_COUNT; i++) {
        size_t index;
        json_t *subject;
        json_array_foreach(missing, index, subject)
        {
            if (strcmp(json_string_value(subject), nats_answer_subjects[i]) == 0)
                asker->setup->captured[i] = true;
        }
    }
    return make_stream(asker, asker->config->answers, answers_config(asker->config, missing), "answers", error);
}

static int check_consumer(const struct nats_source *source, const json_t *config, struct error *error)
{
    const char *filter = json_string_value(json_object_get(config, "filter_subject"));
    const char *ack = json_string_value(json_object_get(config, "ack_policy"));
    const char *wrong = NULL;
    if (json_object_get(config, "deliver_subject"))
        wrong = "it pushes, and exportd pulls";
    else if (!ack || strcmp(ack, "explicit") != 0)
        wrong = "its ack policy isn't explicit";
    else if (strcmp(filter ? filter : "", source->filter) != 0)
        wrong = source->filter[0] ? "it doesn't filter as exportd needs it" : "it filters, so requests would be left";
    if (!wrong)
        return 0;
    return error_set(error, "nats_consumer", true,
                     "the consumer %s of the stream %s is of no use: %s; remove it (nats consumer rm %s %s), or name "
                     "another in [nats] consumer",
                     source->consumer, source->stream, wrong, source->stream, source->consumer);
}

static json_t *consumer_config(const struct asker *asker, const struct nats_source *source, json_t *present)
{
    json_t *config =
        present ? json_incref(present)
                : json_pack("{s:s, s:s, s:s, s:s, s:s}", "durable_name", source->consumer, "deliver_policy", "all",
                            "ack_policy", "explicit", "replay_policy", "instant", "description", "exportd: requests");
    if (!present && source->filter[0])
        json_object_set_new(config, "filter_subject", json_string(source->filter));
    json_object_set_new(config, "ack_wait", json_integer((json_int_t)asker->config->ack_wait_ms * 1000000));
    json_object_set_new(config, "max_deliver", json_integer(-1));
    if (json_integer_value(json_object_get(config, "max_ack_pending")) < MAX_ACK_PENDING)
        json_object_set_new(config, "max_ack_pending", json_integer(MAX_ACK_PENDING));
    return config;
}

static int setup_consumer(struct asker *asker, const struct nats_source *source, struct error *error)
{
    struct error cause = {0};
    char *subject = memory_format("$JS.API.CONSUMER.INFO.%s.%s", source->stream, source->consumer);
    json_t *answer = ask(asker, subject, NULL, &cause);
    json_t *present = json_object_get(answer, "config");
    free(subject);
    int failed = 0;
    if (!answer && error_is_set(&cause))
        failed = error_set(error, cause.code, true, "%s", cause.message);
    else if (present)
        failed = check_consumer(source, present, error);
    json_t *before = json_deep_copy(present);
    json_t *wanted = failed ? NULL : consumer_config(asker, source, present);
    if (!failed && asker->make && !json_equal(before, wanted)) {
        subject = memory_format("$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", source->stream, source->consumer);
        json_t *made =
            ask(asker, subject, json_pack("{s:s, s:O}", "stream_name", source->stream, "config", wanted), &cause);
        free(subject);
        if (!made)
            failed = error_set(error, "nats_consumer", true,
                               "the consumer %s of the stream %s can't be %s: %s; see `nats consumer info %s %s`",
                               source->consumer, source->stream, present ? "changed" : "made",
                               cause.message[0] ? cause.message : "no answer", source->stream, source->consumer);
        json_decref(made);
    }
    json_decref(wanted);
    json_decref(before);
    json_decref(answer);
    return failed;
}

/* One consumer takes all that a stream has where that is requests alone; else each subject needs one of its own. */
static int add_source(struct asker *asker, const char *stream, const char *subject, bool alone, struct error *error)
{
    struct nats_setup *setup = asker->setup;
    struct nats_source *source = &setup->sources[setup->source_count];
    bool tasks = strcmp(subject, MESSAGE_TASK_REQUEST) == 0;
    snprintf(source->stream, sizeof source->stream, "%s", stream);
    snprintf(source->consumer, sizeof source->consumer, "%.200s%s", asker->config->consumer,
             alone || !tasks ? "" : "-tasks");
    snprintf(source->filter, sizeof source->filter, "%s", alone ? "" : subject);
    if (setup_consumer(asker, source, error) != 0)
        return -1;
    setup->source_count++;
    return 0;
}

static bool has_requests_alone(const json_t *subjects)
{
    size_t index;
    json_t *subject;
    json_array_foreach(subjects, index, subject)
    {
        const char *text = json_string_value(subject);
        if (!text || (strcmp(text, MESSAGE_EXPORT_REQUEST) != 0 && strcmp(text, MESSAGE_TASK_REQUEST) != 0))
            return false;
    }
    return true;
}

static int setup_requests(struct asker *asker, struct error *error)
{
    const struct config_nats *config = asker->config;
    char streams[NATS_SOURCE_MAX][NATS_NAME_MAX] = {"", ""};
    json_t *missing = json_array();
    for (int i = 0; i < NATS_SOURCE_MAX; i++) {
        int found = find_stream(asker, nats_request_subjects[i], streams[i], error);
        if (found < 0) {
            json_decref(missing);
            return -1;
        }
        if (found == 0) {
            json_array_append_new(missing, json_string(nats_request_subjects[i]));
            snprintf(streams[i], sizeof streams[i], "%s", config->stream);
        }
    }
    if (json_array_size(missing) > 0 && !asker->make) {
        json_decref(missing);
        return error_set(error, "nats_absent", true,
                         "no stream captures %s and %s yet; exportd makes %s at its start", nats_request_subjects[0],
                         nats_request_subjects[1], config->stream);
    }
    if (json_array_size(missing) > 0) {
        json_t *wanted = json_pack("{s:s, s:o, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:s}", "name", config->stream,
                                   "subjects", missing, "retention", "workqueue", "storage", "file", "discard", "old",
                                   "max_consumers", -1, "max_msgs", -1, "max_bytes", -1, "max_age", 0, "num_replicas",
                                   1, "description", "exportd: requests");
        if (make_stream(asker, config->stream, wanted, "stream", error) != 0)
            return -1;
    } else {
        json_decref(missing);
    }
    if (strcmp(streams[0], streams[1]) != 0)
        return add_source(asker, streams[0], nats_request_subjects[0], false, error) != 0 ||
                       add_source(asker, streams[1], nats_request_subjects[1], false, error) != 0
                   ? -1
                   : 0;
    json_t *present = stream_config(asker, streams[0], error);
    bool alone = has_requests_alone(json_object_get(present, "subjects"));
    json_decref(present);
    if (error_is_set(error))
        return -1;
    if (add_source(asker, streams[0], nats_request_subjects[0], alone, error) != 0)
        return -1;
    return alone ? 0 : add_source(asker, streams[1], nats_request_subjects[1], false, error);
}

void nats_setup_run(natsConnection *connection, const struct config_nats *config, bool make, struct nats_setup *setup)
{
    struct asker asker = {.connection = connection, .config = config, .setup = setup, .make = make};
    if (config->jetstream == CONFIG_JETSTREAM_OFF) {
        setup->answers_known = setup->requests_known = true;
        return;
    }
    int there = find_jetstream(&asker, &setup->error);
    if (there < 0)
        return;
    setup->jetstream = there;
    if (!there) {
        setup->answers_known = setup->requests_known = config->jetstream == CONFIG_JETSTREAM_AUTO;
        if (!setup->requests_known)
            error_set(&setup->error, "nats_jetstream", true,
                      "the server has no JetStream, and [nats] jetstream is required; start nats-server with -js, or "
                      "set jetstream = auto");
        return;
    }
    setup->answers_known = setup_answers(&asker, &setup->error) == 0;
    setup->requests_known = setup->answers_known && setup_requests(&asker, &setup->error) == 0;
    if (!setup->requests_known)
        setup->source_count = 0;
}
