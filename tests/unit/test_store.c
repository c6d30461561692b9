/* The store's behaviour, over its interface alone, held against each engine: SQLite, and, where EXPORTD_TEST_DATABASE
 * names one, PostgreSQL. */
#include "store_support.h"

static void a_job_is_found_again_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    struct job *job = get(fixture, "a");
    assert_string_equal(job->data, "{\"x\":1}");
    assert_string_equal(job->route, "noop");
    assert_int_equal(job->state, JOB_PENDING);
    assert_int_equal(job->attempts, 0);
    job_free(job);
    assert_null(get(fixture, "b"));
}

static void the_same_id_is_the_same_job_or_a_conflict(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    struct store_op *same = submit(fixture, make_job("a", "noop"), false);
    assert_int_equal(same->submit.outcome, STORE_SAME);
    store_op_free(same);
    struct job *other = make_job("a", "noop");
    other->body_hash[0] ^= 1;
    struct store_op *conflict = submit(fixture, other, true);
    assert_int_equal(conflict->submit.outcome, STORE_CONFLICT);
    assert_string_equal(conflict->submit.job->id, "a");
    store_op_free(conflict);
}

static void a_job_is_claimed_once(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    struct job *first = claim_one(fixture, "noop");
    assert_non_null(first);
    assert_int_equal(first->attempts, 1);
    assert_string_equal(first->data, "{\"x\":1}");
    assert_null(claim_one(fixture, "noop"));
    assert_null(claim_one(fixture, "other"));
    job_free(first);
}

static void claims_come_by_priority_and_then_in_order(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *id;
        int priority;
    } jobs[] = {{"a", 0}, {"b", 5}, {"c", 0}, {"d", -5}, {"e", 5}};
    for (size_t i = 0; i < 5; i++) {
        struct job *job = make_job(jobs[i].id, "noop");
        job->priority = jobs[i].priority;
        store_op_free(submit(fixture, job, false));
    }
    struct store_op *op = run(fixture, store_op_claim("noop", 10, NULL, NULL));
    assert_int_equal(op->claim.count, 5);
    static const char *const order[] = {"b", "e", "a", "c", "d"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(op->claim.jobs[i]->id, order[i]);
    for (int i = 1; i < 5; i++)
        assert_true(op->claim.jobs[i]->lease > op->claim.jobs[i - 1]->lease);
    store_op_free(op);
}

/* Each next job comes at a higher or at a lower priority than the one before, and the order of the claim is neither
 * that of the rows nor that of the ids. */
static void a_claim_of_many_takes_the_first_in_order(void **state)
{
    struct fixture *fixture = *state;
    enum { COUNT = 600, CLAIMED = 500 };
    for (int i = 0; i < COUNT; i++) {
        char id[20];
        snprintf(id, sizeof id, "j%03d", (i * 7) % COUNT);
        struct job *job = make_job(id, "noop");
        job->priority = i % 3 - 1;
        store_op_free(submit(fixture, job, false));
    }
    struct store_op *op = run(fixture, store_op_claim("noop", CLAIMED, NULL, NULL));
    assert_int_equal(op->claim.count, CLAIMED);
    for (int i = 1; i < CLAIMED; i++) {
        const struct job *before = op->claim.jobs[i - 1], *job = op->claim.jobs[i];
        assert_true(before->priority > job->priority ||
                    (before->priority == job->priority && before->sequence < job->sequence));
        assert_true(job->lease > before->lease);
        assert_int_equal(job->attempts, 1);
    }
    struct store_op *rest = run(fixture, store_op_claim("noop", CLAIMED, NULL, NULL));
    assert_int_equal(rest->claim.count, COUNT - CLAIMED);
    for (int i = 0; i < rest->claim.count; i++)
        assert_int_equal(rest->claim.jobs[i]->priority, -1);
    store_op_free(rest);
    store_op_free(op);
}

static void a_stale_lease_may_not_complete(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    struct job *first = claim_one(fixture, "noop");
    assert_true(finish(fixture, first, STORE_FINISH_AGAIN, first->lease, NULL));
    struct job *second = claim_one(fixture, "noop");
    assert_true(second->lease > first->lease);
    assert_false(finish(fixture, first, STORE_FINISH_COMPLETED, first->lease, make_delivery("msg_stale", "a")));
    assert_int_equal(state_of(fixture, "a"), JOB_RUNNING);
    assert_true(finish(fixture, second, STORE_FINISH_COMPLETED, second->lease, make_delivery("msg_1", "a")));
    assert_false(finish(fixture, second, STORE_FINISH_FAILED, second->lease, NULL));
    assert_int_equal(state_of(fixture, "a"), JOB_COMPLETED);
    struct store_op *op = store_op_new(STORE_DELIVERY_LIST, NULL, NULL);
    op->delivery_list.state = -1;
    op->delivery_list.limit = 10;
    run(fixture, op);
    assert_non_null(op->delivery_list.deliveries);
    assert_string_equal(op->delivery_list.deliveries->id, "msg_1");
    assert_null(op->delivery_list.deliveries->next);
    store_op_free(op);
    job_free(first);
    job_free(second);
}

static void leases_grow_over_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct store_op *op = submit(fixture, make_job("a", "noop"), true);
    int64_t first = op->submit.job->lease;
    assert_true(first > 0);
    store_op_free(op);
    close_store(fixture);
    open_store(fixture);
    struct job *job = claim_one(fixture, "noop");
    assert_non_null(job);
    assert_true(job->lease > first);
    job_free(job);
}

static void jobs_of_a_dead_host_run_again_and_the_loss_is_counted(void **state)
{
    struct fixture *fixture = *state;
    store_op_free(submit(fixture, make_job("a", "noop"), true));
    close_store(fixture);
    open_store(fixture);
    struct job *job = claim_one(fixture, "noop");
    assert_int_equal(job->losses, 1);
    assert_int_equal(job->attempts, 1); /* the lost one isn't counted against it */
    job_free(job);
}

static void a_released_job_waits_as_if_it_had_not_been_claimed(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    struct job *job = claim_one(fixture, "noop");
    job->attempts--;
    assert_true(finish(fixture, job, STORE_FINISH_RELEASE, job->lease, NULL));
    job_free(job);
    job = claim_one(fixture, "noop");
    assert_int_equal(job->attempts, 1);
    job_free(job);
}

static void a_scheduled_job_waits_for_its_time(void **state)
{
    struct fixture *fixture = *state;
    struct job *job = make_job("a", "noop");
    int64_t due_ms = clock_now_ms() + 3600000;
    job->run_at_ms = due_ms;
    store_op_free(submit(fixture, job, true));
    assert_null(claim_one(fixture, "noop"));
    struct store_op *op = store_op_new(STORE_TICK, NULL, NULL);
    op->tick.now_ms = due_ms - 1;
    run(fixture, op);
    assert_int_equal(op->tick.next_due_ms, due_ms);
    assert_int_equal(op->tick.route_count, 0);
    assert_int_equal(op->tick.waiting, 1);
    store_op_free(op);
    op = store_op_new(STORE_TICK, NULL, NULL);
    op->tick.now_ms = due_ms;
    run(fixture, op);
    assert_int_equal(op->tick.route_count, 1);
    assert_string_equal(op->tick.routes[0], "noop");
    store_op_free(op);
    struct job *claimed = claim_one(fixture, "noop");
    assert_non_null(claimed);
    job_free(claimed);
}

static void cancelling_takes_a_waiting_job_and_marks_a_running_one(void **state)
{
    struct fixture *fixture = *state;
    struct job *job;
    assert_int_equal(cancel(fixture, "nobody", &job), STORE_CANCEL_UNKNOWN);
    submit_plain(fixture, "a");
    assert_int_equal(cancel(fixture, "a", &job), STORE_CANCEL_CLAIMED);
    assert_null(claim_one(fixture, "noop"));
    assert_true(finish(fixture, job, STORE_FINISH_CANCELLED, job->lease, NULL));
    job_free(job);
    assert_int_equal(cancel(fixture, "a", &job), STORE_CANCEL_FINISHED);
    job_free(job);
    store_op_free(submit(fixture, make_job("b", "noop"), true));
    assert_int_equal(cancel(fixture, "b", &job), STORE_CANCEL_RUNNING);
    struct store_op *tick = store_op_new(STORE_TICK, NULL, NULL);
    tick->tick.now_ms = clock_now_ms();
    run(fixture, tick);
    assert_int_equal(tick->tick.cancelled_count, 1); /* whoever runs it hears of it */
    assert_int_equal(tick->tick.cancelled[0], job->lease);
    store_op_free(tick);
    job_free(job);
    close_store(fixture);
    open_store(fixture);
    job = claim_one(fixture, "noop");
    assert_true(job->cancel_requested); /* the wish outlives the host */
    job_free(job);
}

static void retry_runs_a_failed_job_from_its_first_attempt(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    assert_false(retry(fixture, "a"));
    struct job *job = claim_one(fixture, "noop");
    assert_true(finish(fixture, job, STORE_FINISH_FAILED, job->lease, NULL));
    job_free(job);
    job = get(fixture, "a");
    assert_string_equal(job->error_code, "broken");
    job_free(job);
    assert_true(retry(fixture, "a"));
    job = claim_one(fixture, "noop");
    assert_int_equal(job->attempts, 1);
    assert_null(job->error_code);
    assert_true(finish(fixture, job, STORE_FINISH_COMPLETED, job->lease, NULL));
    job_free(job);
    assert_false(retry(fixture, "a"));
}

static void the_queue_has_a_limit_but_known_ids_are_answered(void **state)
{
    struct fixture *fixture = *state;
    close_store(fixture);
    struct error error = {0};
    struct store_options options = store_options_of(fixture);
    options.queue_limit = 2;
    fixture->store = store_open(&options, &fixture->loop, &error);
    assert_non_null(fixture->store);
    submit_plain(fixture, "a");
    submit_plain(fixture, "b");
    struct store_op *op = submit(fixture, make_job("c", "noop"), false);
    assert_int_equal(op->submit.outcome, STORE_QUEUE_FULL);
    store_op_free(op);
    op = submit(fixture, make_job("a", "noop"), false);
    assert_int_equal(op->submit.outcome, STORE_SAME);
    store_op_free(op);
    struct job *job = claim_one(fixture, "noop");
    job_free(job);
    submit_plain(fixture, "c");
}

static int prune_completed(struct fixture *fixture)
{
    struct store_op *op = store_op_new(STORE_TICK, NULL, NULL);
    op->tick.now_ms = clock_now_ms();
    op->tick.prune_completed_before_ms = op->tick.now_ms + 1000;
    run(fixture, op);
    int count = op->tick.pruned_count;
    store_op_free(op);
    return count;
}

static void end_deliveries(struct fixture *fixture, enum store_delivery_state state)
{
    struct store_op *list = store_op_new(STORE_DELIVERY_LIST, NULL, NULL);
    list->delivery_list.state = STORE_DELIVERY_WAITING;
    list->delivery_list.limit = 10;
    run(fixture, list);
    for (const struct store_delivery *delivery = list->delivery_list.deliveries; delivery;
         delivery = delivery->next) {
        struct store_op *op = store_op_new(STORE_DELIVERY_RESULT, NULL, NULL);
        op->delivery_result.sequence = delivery->sequence;
        op->delivery_result.state = state;
        op->delivery_result.attempts = 1;
        run(fixture, op);
        store_op_free(op);
    }
    store_op_free(list);
}

static void finished_jobs_are_pruned_with_all_that_is_theirs_once_their_callbacks_are_over(void **state)
{
    struct fixture *fixture = *state;
    static const char *const ids[] = {"a", "b", "c"};
    static const enum store_finish_kind kinds[] = {STORE_FINISH_COMPLETED, STORE_FINISH_FAILED,
                                                   STORE_FINISH_CANCELLED};
    for (int i = 0; i < 3; i++) {
        submit_plain(fixture, ids[i]);
        struct job *job = claim_one(fixture, "noop");
        char id[16];
        snprintf(id, sizeof id, "msg_%d", i);
        assert_true(finish(fixture, job, kinds[i], job->lease, make_delivery(id, ids[i])));
        job_free(job);
    }
    submit_plain(fixture, "d");
    assert_int_equal(prune_completed(fixture), 0);
    end_deliveries(fixture, STORE_DELIVERY_DONE);
    assert_int_equal(prune_completed(fixture), 2);
    assert_null(get(fixture, "a"));
    assert_null(get(fixture, "c"));
    assert_int_equal(state_of(fixture, "b"), JOB_FAILED);
    assert_int_equal(state_of(fixture, "d"), JOB_PENDING);
    struct store_op *op = store_op_new(STORE_DELIVERY_LIST, NULL, NULL);
    op->delivery_list.state = -1;
    op->delivery_list.limit = 10;
    run(fixture, op);
    assert_string_equal(op->delivery_list.deliveries->job_id, "b");
    assert_null(op->delivery_list.deliveries->next);
    store_op_free(op);
}

static int take(struct fixture *fixture, int64_t now_ms, int64_t until_ms, struct store_delivery **deliveries)
{
    struct store_op *op = store_op_new(STORE_DELIVERY_TAKE, NULL, NULL);
    op->delivery_take.now_ms = now_ms;
    op->delivery_take.taken_until_ms = until_ms;
    op->delivery_take.limit = 10;
    run(fixture, op);
    int count = 0;
    for (struct store_delivery *delivery = op->delivery_take.deliveries; delivery; delivery = delivery->next)
        count++;
    *deliveries = op->delivery_take.deliveries;
    op->delivery_take.deliveries = NULL;
    store_op_free(op);
    return count;
}

static void a_delivery_is_handed_out_once_until_its_time(void **state)
{
    struct fixture *fixture = *state;
    submit_plain(fixture, "a");
    struct job *job = claim_one(fixture, "noop");
    assert_true(finish(fixture, job, STORE_FINISH_COMPLETED, job->lease, make_delivery("msg_a", "a")));
    job_free(job);
    int64_t now_ms = clock_now_ms() + 10;
    struct store_delivery *taken, *none;
    assert_int_equal(take(fixture, now_ms, now_ms + 1000, &taken), 1);
    assert_int_equal(take(fixture, now_ms, now_ms + 1000, &none), 0);
    struct store_op *op = store_op_new(STORE_DELIVERY_RESULT, NULL, NULL);
    op->delivery_result.sequence = taken->sequence;
    op->delivery_result.state = STORE_DELIVERY_WAITING;
    op->delivery_result.attempts = 1;
    op->delivery_result.next_at_ms = now_ms + 5000;
    op->delivery_result.last_error = memory_text("no answer");
    store_op_free(run(fixture, op));
    store_delivery_free(taken);
    assert_int_equal(take(fixture, now_ms + 4999, now_ms + 9000, &none), 0);
    assert_int_equal(take(fixture, now_ms + 5000, now_ms + 9000, &taken), 1);
    assert_int_equal(taken->attempts, 1);
    assert_string_equal(taken->last_error, "no answer");
    store_delivery_free(taken);
}

static void counting_done(struct store_op *op, void *client)
{
    assert_false(error_is_set(&op->error));
    ++*(int *)client;
    store_op_free(op);
}

static void many_operations_share_a_commit(void **state)
{
    struct fixture *fixture = *state;
    int done = 0;
    for (int i = 0; i < 500; i++) {
        char id[32];
        snprintf(id, sizeof id, "job-%d", i);
        struct store_op *op = store_op_new(STORE_SUBMIT, counting_done, &done);
        op->submit.job = make_job(id, "noop");
        store_enqueue(fixture->store, op);
    }
    while (done < 500)
        uv_run(&fixture->loop, UV_RUN_ONCE);
    struct store_stats stats = store_stats(fixture->store);
    assert_true(stats.commits < 400);
    uint64_t large = 0, all = 0;
    for (int i = 0; i <= HISTOGRAM_BOUNDS_MAX; i++) {
        all += stats.batches.buckets[i];
        large += i > 0 ? stats.batches.buckets[i] : 0;
    }
    assert_true(large > 0);
    assert_true(all == stats.commits);
    assert_true(stats.batches.sum == (double)stats.operations);
    struct store_op *op = store_op_new(STORE_LIST, NULL, NULL);
    op->list.state = JOB_PENDING;
    op->list.limit = 1000;
    run(fixture, op);
    assert_int_equal(op->list.count, 500);
    assert_true(op->list.jobs[0]->sequence > op->list.jobs[499]->sequence);
    store_op_free(op);
}

static void a_second_host_on_the_folder_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct store_options options = store_options_of(fixture);
    assert_null(store_open(&options, &fixture->loop, &error));
    assert_string_equal(error.code, "store_locked");
    char process[32];
    snprintf(process, sizeof process, "process %d", (int)getpid());
    assert_non_null(strstr(error.message, process));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_found_again_as_it_was),
        TEST(the_same_id_is_the_same_job_or_a_conflict),
        TEST(a_job_is_claimed_once),
        TEST(claims_come_by_priority_and_then_in_order),
        TEST(a_claim_of_many_takes_the_first_in_order),
        TEST(a_stale_lease_may_not_complete),
        TEST(leases_grow_over_restarts),
        TEST(jobs_of_a_dead_host_run_again_and_the_loss_is_counted),
        TEST(a_released_job_waits_as_if_it_had_not_been_claimed),
        TEST(a_scheduled_job_waits_for_its_time),
        TEST(cancelling_takes_a_waiting_job_and_marks_a_running_one),
        TEST(retry_runs_a_failed_job_from_its_first_attempt),
        TEST(the_queue_has_a_limit_but_known_ids_are_answered),
        TEST(finished_jobs_are_pruned_with_all_that_is_theirs_once_their_callbacks_are_over),
        TEST(a_delivery_is_handed_out_once_until_its_time),
        TEST(many_operations_share_a_commit),
        TEST(a_second_host_on_the_folder_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
