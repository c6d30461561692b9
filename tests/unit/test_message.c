/* NATS messages: what becomes a job, what becomes a dead letter, and what brings one back. */
#include "support.h"

#include "job/message.h"

#include <sodium.h>
#include <string.h>

#define EXPORT_ID "0a1b2c3d-1111-4222-8333-444455556666"
#define REPRO_ID "7a1b2c3d-1111-4222-8333-444455556666"

struct fixture {
    struct config config;
    struct route pdf, json, pr, open;
    struct route *routes[4];
    struct catalog catalog;
};

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    static char empty[] = "";
    fixture->config.jobs.max_attempts = 5;
    fixture->config.http.max_body_bytes = 100000;
    fixture->config.http.max_json_depth = 16;
    fixture->config.repros.folder = empty;
    fixture->config.repros.query = empty;
    fixture->config.store.url = empty;
    fixture->pdf = (struct route){.name = "report/pdf",
                                  .task = "report",
                                  .option = "format",
                                  .value = "pdf",
                                  .schema = parse("{\"type\": \"object\", \"properties\": {\"format\": {}, \"page\": "
                                                  "{\"type\": \"string\", \"default\": \"A4\"}}}")};
    fixture->json = (struct route){.name = "report/json",
                                   .task = "report",
                                   .option = "format",
                                   .value = "json",
                                   .schema = parse("{\"type\": \"object\", \"properties\": {\"format\": {}}}")};
    fixture->pr = (struct route){
        .name = "pr",
        .task = "pr",
        .schema = parse("{\"type\": \"object\", \"properties\": {\"repo_url\": {\"type\": \"string\"}, "
                        "\"branch_name\": {\"type\": \"string\"}}, \"required\": [\"repo_url\"]}")};
    fixture->open = (struct route){
        .name = "open", .task = "open", .schema = parse("{\"type\": \"object\", \"additionalProperties\": true}")};
    struct route *routes[] = {&fixture->open, &fixture->pr, &fixture->json, &fixture->pdf};
    memcpy(fixture->routes, routes, sizeof routes);
    fixture->catalog = (struct catalog){.routes = fixture->routes, .route_count = 4, .config = &fixture->config};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < 4; i++)
        json_decref(fixture->routes[i]->schema);
    free(fixture);
    return 0;
}

static struct message message_of(const char *subject, const char *text)
{
    return (struct message){.subject = subject, .bytes = text, .length = strlen(text)};
}

static struct job *read_export(struct fixture *fixture, const char *text, struct error *error)
{
    struct message message = message_of(MESSAGE_EXPORT_REQUEST, text);
    const struct route *route = NULL;
    struct job *job = message_read(&fixture->catalog, &message, &route, error);
    if (job)
        assert_string_equal(job->route, route->name);
    return job;
}

#define REQUEST(type, options)                                                                                       \
    "{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": \"" REPRO_ID "\", \"export_type\": \"" type                    \
    "\", \"options\": " options "}"

static void assert_data(struct job *job, const char *expected)
{
    assert_non_null(job);
    json_t *got = parse(job->data), *wanted = parse(expected);
    if (!json_equal(got, wanted))
        fail_msg("%s instead of %s", job->data, expected);
    json_decref(got);
    json_decref(wanted);
    job_free(job);
}

#define ALL_OPTIONS                                                                                                  \
    "{\"repo_url\": \"https://github.com/o/r\", \"branch_name\": \"b\", \"platform\": \"codesandbox\", "             \
    "\"format\": \"json\"}"

static void the_contracts_options_come_all_at_once_and_a_route_takes_its_own(void **state)
{
    struct error error = {0};
    assert_data(read_export(*state, REQUEST("report", ALL_OPTIONS), &error),
                "{\"format\": \"json\", \"repro_id\": \"" REPRO_ID "\"}");
    assert_data(read_export(*state, REQUEST("pr", ALL_OPTIONS), &error),
                "{\"repo_url\": \"https://github.com/o/r\", \"branch_name\": \"b\", \"repro_id\": \"" REPRO_ID "\"}");
    assert_data(read_export(*state, REQUEST("open", ALL_OPTIONS), &error),
                "{\"repo_url\": \"https://github.com/o/r\", \"branch_name\": \"b\", \"platform\": \"codesandbox\", "
                "\"format\": \"json\", \"repro_id\": \"" REPRO_ID "\"}");
}

static void an_option_that_is_null_counts_as_not_sent(void **state)
{
    struct error error = {0};
    assert_data(read_export(*state, REQUEST("report", "{\"format\": \"pdf\", \"platform\": null}"), &error),
                "{\"format\": \"pdf\", \"page\": \"A4\", \"repro_id\": \"" REPRO_ID "\"}");
    assert_null(read_export(*state, REQUEST("report", "{\"format\": null}"), &error));
    assert_string_equal(error.code, "route_ambiguous");
}

static void a_route_goes_by_its_name_too(void **state)
{
    struct error error = {0};
    assert_data(read_export(*state, REQUEST("report/json", "null"), &error),
                "{\"format\": \"json\", \"repro_id\": \"" REPRO_ID "\"}");
}

static void an_option_beyond_the_contract_is_held_against_the_schema(void **state)
{
    struct error error = {0};
    assert_null(read_export(*state, REQUEST("report", "{\"format\": \"pdf\", \"pgae\": \"A5\"}"), &error));
    assert_string_equal(error.code, "options_invalid");
    assert_non_null(strstr(error.message, "/options/pgae: there is no such option; did you mean \"page\"?"));
    error_clear(&error);
    assert_null(read_export(*state, REQUEST("report", "{\"format\": \"pdf\", \"page\": 5}"), &error));
    assert_non_null(strstr(error.message, "/options/page: must be of type string"));
}

static void the_job_has_the_uuid_in_lower_case_and_the_request_as_it_came(void **state)
{
    struct error error = {0};
    struct job *job = read_export(*state,
                                  "{\"export_id\": \"0A1B2C3D-1111-4222-8333-444455556666\", \"repro_id\": \"r\", "
                                  "\"export_type\": \"pr\", \"options\": {\"repo_url\": \"u\", \"format\": \"pdf\"}, "
                                  "\"trace\": 1}",
                                  &error);
    assert_non_null(job);
    assert_string_equal(job->id, EXPORT_ID);
    assert_int_equal(job->door, JOB_DOOR_EXPORT);
    assert_int_equal(job->max_attempts, 5);
    json_t *origin = parse(job->origin);
    assert_string_equal(json_string_value(json_object_get(origin, "export_id")),
                        "0A1B2C3D-1111-4222-8333-444455556666");
    assert_non_null(json_object_get(json_object_get(origin, "options"), "format"));
    json_decref(origin);
    job_free(job);
}

static void the_same_request_has_the_same_hash_however_it_is_written(void **state)
{
    struct error error = {0};
    struct job *a = read_export(*state, REQUEST("open", "{\"a\": 1, \"b\": 2}"), &error);
    struct job *b = read_export(*state, " " REQUEST("open", "{\"b\": 2, \"a\":1}") "\n", &error);
    struct job *c = read_export(*state, REQUEST("open", "{\"a\": 1, \"b\": 3}"), &error);
    assert_memory_equal(a->body_hash, b->body_hash, JOB_HASH_BYTES);
    assert_memory_not_equal(a->body_hash, c->body_hash, JOB_HASH_BYTES);
    job_free(a);
    job_free(b);
    job_free(c);
}

static const char *const bad[][2] = {
    {"[]", "request_invalid"},
    {"\"text\"", "json_invalid"},
    {"{}", "request_invalid"},
    {"{\"export_id\": 17}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": \"r\"}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": \"r\", \"export_type\": \"\"}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"export_type\": \"open\"}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": null, \"export_type\": \"open\"}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": 5, \"export_type\": \"open\"}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repo_id\": \"r\", \"export_type\": \"open\"}", "request_invalid"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": \"r\", \"export_type\": \"x\"}", "route_unknown"},
    {"{\"export_id\": \"" EXPORT_ID "\", \"repro_id\": \"r\", \"repro\": {}, \"export_type\": \"open\"}",
     "repro_invalid"},
    {"{\"export_id\"", "json_invalid"},
    {"", "json_invalid"},
    {"{\"a\": \"\\u0000\"}", "json_invalid"},
    {"[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]", "json_too_deep"},
};

static void what_cannot_become_a_job_becomes_a_dead_letter_that_keeps_it(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct error error = {0};
        struct message message = message_of(MESSAGE_EXPORT_REQUEST, bad[i][0]);
        assert_null(read_export(fixture, bad[i][0], &error));
        assert_string_equal(error.code, bad[i][1]);
        struct job *dead = message_dead(&fixture->catalog, &message, &error, false);
        assert_true(message_is_dead(dead));
        assert_string_equal(dead->error_code, bad[i][1]);
        assert_int_equal(dead->state, JOB_FAILED);
        assert_true(dead->finished_at_ms > 0);
        if (strstr(bad[i][0], EXPORT_ID))
            assert_string_equal(dead->id, EXPORT_ID);
        json_t *data = parse(dead->data), *origin = parse(dead->origin);
        assert_true(json_is_object(origin));
        assert_string_equal(json_string_value(json_object_get(data, "message")), bad[i][0]);
        json_decref(data);
        json_decref(origin);
        struct error again = {0};
        assert_null(message_revive(&fixture->catalog, dead, &again));
        assert_string_equal(again.code, bad[i][1]);
        job_free(dead);
    }
}

static void bytes_that_are_no_text_are_kept_too(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct message message = {.subject = MESSAGE_EXPORT_REQUEST, .bytes = "{\xff\0}", .length = 4};
    const struct route *route = NULL;
    assert_null(message_read(&fixture->catalog, &message, &route, &error));
    struct job *dead = message_dead(&fixture->catalog, &message, &error, false);
    assert_string_equal(dead->data, "{\"subject\":\"export.request\",\"message_base64\":\"e/8AfQ==\"}");
    assert_string_equal(dead->task, "?");
    struct error again = {0};
    assert_null(message_revive(&fixture->catalog, dead, &again));
    assert_string_equal(again.code, "json_invalid");
    job_free(dead);
}

static void a_message_that_is_too_large_is_kept_in_part_and_never_read_again(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    size_t length = (size_t)fixture->config.http.max_body_bytes + 1;
    char *bytes = malloc(length);
    assert_non_null(bytes);
    memset(bytes, 'x', length);
    struct message message = {.subject = MESSAGE_TASK_REQUEST, .bytes = bytes, .length = length};
    const struct route *route = NULL;
    assert_null(message_read(&fixture->catalog, &message, &route, &error));
    assert_string_equal(error.code, "message_too_large");
    struct job *dead = message_dead(&fixture->catalog, &message, &error, false);
    assert_true(dead->data_length < 70000);
    assert_int_equal(dead->door, JOB_DOOR_TASK);
    struct error again = {0};
    assert_null(message_revive(&fixture->catalog, dead, &again));
    assert_non_null(strstr(again.message, "publish it anew"));
    job_free(dead);
    free(bytes);
}

static void a_dead_letter_becomes_a_job_once_its_route_exists(void **state)
{
    struct fixture *fixture = *state;
    const char *text = REQUEST("report", "{\"format\": \"pdf\"}");
    struct message message = message_of(MESSAGE_EXPORT_REQUEST, text);
    struct error error = {0};
    fixture->catalog.route_count = 3; /* no PDF yet */
    assert_null(read_export(fixture, text, &error));
    struct job *dead = message_dead(&fixture->catalog, &message, &error, false);
    assert_string_equal(dead->task, "report");
    fixture->catalog.route_count = 4;
    struct error again = {0};
    struct job *job = message_revive(&fixture->catalog, dead, &again);
    assert_string_equal(job->route, "report/pdf");
    assert_data(job, "{\"format\": \"pdf\", \"page\": \"A4\", \"repro_id\": \"" REPRO_ID "\"}");
    job_free(dead);
}

static void what_was_asked_for_is_shown_printable_and_short(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    char text[600];
    snprintf(text, sizeof text, "{\"export_type\": \"a\\nb%0200d\"}", 0);
    struct message message = message_of(MESSAGE_EXPORT_REQUEST, text);
    assert_null(read_export(fixture, text, &error));
    struct job *dead = message_dead(&fixture->catalog, &message, &error, false);
    assert_memory_equal(dead->task, "a?b000", 6);
    assert_true(strlen(dead->task) < 64);
    job_free(dead);
}

#define ACK_1 "$JS.ACK.EXPORTD.exportd.1.17.17.1700000000000000000.3"
#define ACK_1_AGAIN "$JS.ACK.EXPORTD.exportd.4.17.99.1700000000000000000.0"
#define ACK_1_NEWER "$JS.ACK._.ACCOUNT.EXPORTD.exportd.2.17.20.1700000000000000000.0.word"
#define ACK_2 "$JS.ACK.EXPORTD.exportd.1.18.18.1700000000000000000.2"

static char *id_of(struct fixture *fixture, const char *reply)
{
    struct message message = message_of(MESSAGE_TASK_REQUEST, "{\"task\": \"open\"}");
    message.reply = reply;
    struct error error = {0};
    const struct route *route = NULL;
    struct job *job = message_read(&fixture->catalog, &message, &route, &error);
    assert_non_null(job);
    assert_int_equal(job->door, JOB_DOOR_TASK);
    char *id = strdup(job->id);
    job_free(job);
    return id;
}

static void a_redelivery_of_a_nameless_task_is_the_same_job(void **state)
{
    char *ids[] = {id_of(*state, ACK_1), id_of(*state, ACK_1_AGAIN), id_of(*state, ACK_1_NEWER),
                   id_of(*state, ACK_2), id_of(*state, NULL),        id_of(*state, "_INBOX.reply")};
    assert_int_equal(strlen(ids[0]), 36);
    assert_string_equal(ids[0], ids[1]);
    assert_string_equal(ids[0], ids[2]);
    assert_string_not_equal(ids[0], ids[3]);
    assert_string_not_equal(ids[4], ids[5]);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        free(ids[i]);
}

static void a_redelivery_of_a_dead_letter_is_the_same_dead_letter(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct message message = message_of(MESSAGE_EXPORT_REQUEST, "nothing");
    error_set(&error, "json_invalid", false, "nothing");
    message.reply = ACK_1;
    struct job *first = message_dead(&fixture->catalog, &message, &error, false);
    message.reply = ACK_1_AGAIN;
    struct job *second = message_dead(&fixture->catalog, &message, &error, false);
    assert_string_equal(first->id, second->id);
    assert_memory_equal(first->body_hash, second->body_hash, JOB_HASH_BYTES);
    job_free(first);
    job_free(second);
}

static void a_conflict_goes_by_an_id_of_its_own_and_echoes_the_one_it_names(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct message message = message_of(MESSAGE_EXPORT_REQUEST, REQUEST("open", "{}"));
    error_set(&error, "job_conflict", false, "another");
    struct job *dead = message_dead(&fixture->catalog, &message, &error, true);
    assert_string_not_equal(dead->id, EXPORT_ID);
    assert_non_null(strstr(dead->origin, EXPORT_ID));
    job_free(dead);
}

int main(void)
{
    if (sodium_init() < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_contracts_options_come_all_at_once_and_a_route_takes_its_own, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_option_that_is_null_counts_as_not_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_route_goes_by_its_name_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_option_beyond_the_contract_is_held_against_the_schema, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_job_has_the_uuid_in_lower_case_and_the_request_as_it_came, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_same_request_has_the_same_hash_however_it_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_become_a_job_becomes_a_dead_letter_that_keeps_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_text_are_kept_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_message_that_is_too_large_is_kept_in_part_and_never_read_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_dead_letter_becomes_a_job_once_its_route_exists, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_asked_for_is_shown_printable_and_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_redelivery_of_a_nameless_task_is_the_same_job, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_redelivery_of_a_dead_letter_is_the_same_dead_letter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_conflict_goes_by_an_id_of_its_own_and_echoes_the_one_it_names, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
