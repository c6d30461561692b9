/* What goes into one commit, and what goes alone, over the store's interface, held against each engine: SQLite, and,
 * where EXPORTD_TEST_DATABASE names one, PostgreSQL. */
#include "store_support.h"

struct counted {
    int left;
};

static void on_one_of_many(struct store_op *op, void *client)
{
    (void)op;
    ((struct counted *)client)->left--;
}

static void run_together(struct fixture *fixture, struct store_op **ops, int count)
{
    struct counted counted = {.left = count};
    for (int i = 0; i < count; i++) {
        ops[i]->callback = on_one_of_many;
        ops[i]->client = &counted;
        store_enqueue(fixture->store, ops[i]);
    }
    while (counted.left > 0)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    for (int i = 0; i < count; i++)
        assert_false(error_is_set(&ops[i]->error));
}

static void free_ops(struct store_op **ops, int count)
{
    for (int i = 0; i < count; i++)
        store_op_free(ops[i]);
}

static struct store_op *submit_of(const char *id, char body, bool claim)
{
    struct store_op *op = store_op_new(STORE_SUBMIT, NULL, NULL);
    op->submit.job = make_job(id, "noop");
    op->submit.claim = claim;
    memset(op->submit.job->body_hash, body, JOB_HASH_BYTES);
    return op;
}

static struct store_op *cancel_of(const char *id)
{
    struct store_op *op = store_op_new(STORE_CANCEL, NULL, NULL);
    op->cancel.id = memory_text(id);
    return op;
}

static struct store_op *retry_of(const char *id)
{
    struct store_op *op = store_op_new(STORE_RETRY, NULL, NULL);
    op->get.id = memory_text(id);
    return op;
}

static struct store_op *end_of(const struct job *job, enum store_finish_kind kind, const char *delivery)
{
    struct store_op *op = store_op_new(STORE_FINISH, NULL, NULL);
    op->finish.finish = kind;
    op->finish.sequence = job->sequence;
    op->finish.lease = job->lease;
    op->finish.attempts = job->attempts;
    op->finish.finished_at_ms = clock_now_ms();
    op->finish.result = kind == STORE_FINISH_COMPLETED ? memory_text("{}") : NULL;
    op->finish.delivery = delivery ? make_delivery(delivery, job->id) : NULL;
    return op;
}

static void operations_of_one_batch_on_one_job_agree(void **state)
{
    struct fixture *fixture = *state;
    struct store_op *made[] = {submit_of("a", 'x', true), submit_of("a", 'x', true), submit_of("a", 'y', false),
                               submit_of("b", 'x', true), submit_of("c", 'x', true)};
    run_together(fixture, made, 5);
    assert_int_equal(made[0]->submit.outcome, STORE_CREATED);
    assert_int_equal(made[1]->submit.outcome, STORE_SAME);
    assert_int_equal(made[2]->submit.outcome, STORE_CONFLICT);
    assert_string_equal(made[1]->submit.job->id, "a");
    const struct job *a = made[0]->submit.job, *b = made[3]->submit.job, *c = made[4]->submit.job;

    struct store_op *ends[] = {end_of(a, STORE_FINISH_FAILED, "msg_1"),    end_of(a, STORE_FINISH_COMPLETED, "msg_2"),
                               end_of(a, STORE_FINISH_AGAIN, NULL),        cancel_of("b"),
                               end_of(b, STORE_FINISH_CANCELLED, "msg_3"), end_of(c, STORE_FINISH_RELEASE, NULL),
                               end_of(c, STORE_FINISH_FAILED, "msg_4")};
    run_together(fixture, ends, 7);
    assert_int_equal(ends[0]->finish.applied + ends[1]->finish.applied + ends[2]->finish.applied, 1);
    assert_int_not_equal(ends[3]->cancel.outcome, STORE_CANCEL_UNKNOWN);
    assert_true(ends[4]->finish.applied);
    assert_int_equal(state_of(fixture, "b"), JOB_CANCELLED);
    assert_int_equal(ends[5]->finish.applied + ends[6]->finish.applied, 1);
    free_ops(ends, 7);

    struct store_op *changes[] = {retry_of("b"),  retry_of("b"),     cancel_of("b"),
                                  cancel_of("b"), cancel_of("none"), retry_of("none")};
    run_together(fixture, changes, 6);
    assert_int_equal(changes[0]->get.applied + changes[1]->get.applied, 1);
    assert_int_equal((changes[2]->cancel.outcome == STORE_CANCEL_CLAIMED) +
                         (changes[3]->cancel.outcome == STORE_CANCEL_CLAIMED),
                     1);
    assert_int_equal(changes[4]->cancel.outcome, STORE_CANCEL_UNKNOWN);
    assert_null(changes[5]->get.job);
    free_ops(changes, 6);
    free_ops(made, 5);
}

static struct store_delivery *deliveries_of(struct fixture *fixture, const char *job_id)
{
    struct store_op *op = store_op_new(STORE_DELIVERY_LIST, NULL, NULL);
    op->delivery_list.state = -1;
    op->delivery_list.limit = 10;
    op->delivery_list.job_id = memory_text(job_id);
    run(fixture, op);
    struct store_delivery *found = op->delivery_list.deliveries;
    op->delivery_list.deliveries = NULL;
    store_op_free(op);
    return found;
}

static struct store_op *result_of(const struct store_delivery *delivery, enum store_delivery_state state,
                                  int attempts)
{
    struct store_op *op = store_op_new(STORE_DELIVERY_RESULT, NULL, NULL);
    op->delivery_result.sequence = delivery->sequence;
    op->delivery_result.state = state;
    op->delivery_result.attempts = attempts;
    op->delivery_result.last_error = attempts > 1 || state == STORE_DELIVERY_DEAD ? memory_text("no answer") : NULL;
    return op;
}

/* Jobs that end together, one of them with two deliveries: each has its own number, by which its end is told. */
static void deliveries_of_one_batch_are_told_apart(void **state)
{
    struct fixture *fixture = *state;
    struct store_op *made[] = {submit_of("a", 'x', true), submit_of("b", 'x', true), submit_of("c", 'x', true)};
    run_together(fixture, made, 3);
    const struct job *a = made[0]->submit.job, *b = made[1]->submit.job, *c = made[2]->submit.job;
    struct store_op *ends[] = {end_of(a, STORE_FINISH_COMPLETED, "msg_a"), end_of(b, STORE_FINISH_FAILED, NULL),
                               end_of(c, STORE_FINISH_COMPLETED, "msg_c1")};
    ends[2]->finish.delivery->next = make_delivery("msg_c2", "c");
    run_together(fixture, ends, 3);
    struct store_delivery *of_a = ends[0]->finish.delivery, *c1 = ends[2]->finish.delivery, *c2 = c1->next;
    assert_true(of_a->sequence > 0 && c1->sequence > 0 && c2->sequence > 0);
    assert_true(of_a->sequence != c1->sequence && of_a->sequence != c2->sequence && c1->sequence != c2->sequence);

    struct store_op *first[] = {result_of(of_a, STORE_DELIVERY_DONE, 1), result_of(c1, STORE_DELIVERY_WAITING, 1),
                                result_of(c2, STORE_DELIVERY_DEAD, 1)};
    run_together(fixture, first, 3);
    struct store_op *second[] = {result_of(c1, STORE_DELIVERY_DONE, 2)};
    run_together(fixture, second, 1);
    struct store_delivery *found = deliveries_of(fixture, "a");
    assert_non_null(found);
    assert_null(found->next);
    assert_int_equal(found->state, STORE_DELIVERY_DONE);
    assert_int_equal(found->attempts, 1);
    assert_null(found->last_error);
    store_delivery_free(found);
    found = deliveries_of(fixture, "c");
    int count = 0;
    for (const struct store_delivery *delivery = found; delivery; delivery = delivery->next, count++) {
        bool is_first = strcmp(delivery->id, "msg_c1") == 0;
        assert_int_equal(delivery->state, is_first ? STORE_DELIVERY_DONE : STORE_DELIVERY_DEAD);
        assert_int_equal(delivery->attempts, is_first ? 2 : 1);
    }
    assert_int_equal(count, 2);
    store_delivery_free(found);
    assert_null(deliveries_of(fixture, "b"));
    free_ops(second, 1);
    free_ops(first, 3);
    free_ops(ends, 3);
    free_ops(made, 3);
}

/* Alone it goes another way than in a batch. */
static void a_job_alone_comes_back_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    static const char odd[] = "{\"x\":\"\\\\ \\\" ' , {NULL,\\\"} $1 %s \xf0\x9f\x98\x80 \x01\"}";
    struct store_op *op = submit_of("{alone,'\xc3\xbc}", 'x', false);
    struct job *job = op->submit.job;
    free(job->data);
    job->data = memory_text(odd);
    job->data_length = strlen(odd);
    job->callback_url = memory_text("http://example.org/'");
    job->trace = memory_text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    job->priority = -7;
    job->max_attempts = 9;
    run_together(fixture, &op, 1);
    assert_int_equal(op->submit.outcome, STORE_CREATED);
    struct job *claimed = claim_one(fixture, "noop");
    assert_non_null(claimed);
    assert_int_equal(claimed->priority, -7);
    assert_int_equal(claimed->max_attempts, 9);
    assert_string_equal(claimed->data, odd);
    assert_string_equal(claimed->trace, job->trace);
    struct store_op *end = end_of(claimed, STORE_FINISH_FAILED, "msg_odd");
    free(end->finish.delivery->body);
    end->finish.delivery->body = memory_text(odd);
    end->finish.error_code = memory_text("odd");
    end->finish.error_message = memory_text(odd);
    end->finish.started_at_ms = 1234;
    run_together(fixture, &end, 1);
    assert_true(end->finish.applied);
    assert_true(end->finish.delivery->sequence > 0);
    struct job *ended = get(fixture, claimed->id);
    assert_int_equal(ended->state, JOB_FAILED);
    assert_int_equal(ended->started_at_ms, 1234);
    assert_null(ended->result);
    assert_string_equal(ended->error_code, "odd");
    assert_string_equal(ended->error_message, odd);
    assert_string_equal(ended->callback_url, "http://example.org/'");
    struct store_delivery *found = deliveries_of(fixture, claimed->id);
    assert_non_null(found);
    assert_int_equal(found->sequence, end->finish.delivery->sequence);
    assert_string_equal(found->body, odd);
    assert_string_equal(found->trace, job->trace);
    store_delivery_free(found);
    job_free(ended);
    store_op_free(end);
    job_free(claimed);
    store_op_free(op);
}

static void texts_come_back_as_they_were(void **state)
{
    struct fixture *fixture = *state;
    static const char odd[] = "{\"x\":\"\\\\ \\\" ' , {NULL,\\\"} $1 %s \\ud83d\\ude00 \xf0\x9f\x98\x80 \x01\"}";
    const size_t large = (size_t)20 << 20;
    struct store_op *ops[40];
    for (int i = 0; i < 40; i++) {
        char id[40];
        snprintf(id, sizeof id, "{\"j\\,%d'\xc3\xbc}", i);
        ops[i] = submit_of(id, 'x', true);
        struct job *job = ops[i]->submit.job;
        free(job->data);
        job->data = i == 7 ? memory_zeroed(1, large + 1) : memory_text(odd);
        if (i == 7)
            memset(job->data, '\\', large);
        job->data_length = strlen(job->data);
        job->callback_url = i % 2 ? memory_text("") : NULL;
    }
    run_together(fixture, ops, 40);
    struct store_op *ends[40];
    for (int i = 0; i < 40; i++) {
        ends[i] = end_of(ops[i]->submit.job, STORE_FINISH_FAILED, NULL);
        ends[i]->finish.result = memory_zeroed(1, (1 << 20) + 1);
        memset(ends[i]->finish.result, '"', 1 << 20);
        ends[i]->finish.error_message = memory_text(odd);
    }
    run_together(fixture, ends, 40);
    for (int i = 0; i < 40; i++) {
        assert_true(ends[i]->finish.applied);
        struct job *job = get(fixture, ops[i]->submit.job->id);
        assert_non_null(job);
        assert_int_equal(job->data_length, ops[i]->submit.job->data_length);
        assert_memory_equal(job->data, ops[i]->submit.job->data, job->data_length);
        assert_string_equal(job->error_message, odd);
        assert_int_equal(strlen(job->result), 1 << 20);
        assert_int_equal(job->callback_url != NULL, i % 2);
        job_free(job);
    }
    free_ops(ends, 40);
    free_ops(ops, 40);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(operations_of_one_batch_on_one_job_agree),
        TEST(deliveries_of_one_batch_are_told_apart),
        TEST(a_job_alone_comes_back_as_it_was),
        TEST(texts_come_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
