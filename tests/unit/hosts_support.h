/*
 * What the tests of hosts on one database share: a second host, leases, and rows in the callers' tables.
 */
#ifndef EXPORTD_TESTS_HOSTS_SUPPORT_H
#define EXPORTD_TESTS_HOSTS_SUPPORT_H

#include "database_support.h"
#include "store_support.h"

static const char repro_id[] = "5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018";

/* A second host, with a folder of its own, on the same database. */
static inline void open_other(struct fixture *other)
{
    *other = (struct fixture){0};
    assert_int_equal(uv_loop_init(&other->loop), 0);
    other->folder = support_make_folder();
    open_store(other);
}

static inline void close_other(struct fixture *other)
{
    if (other->store)
        close_store(other);
    assert_int_equal(uv_loop_close(&other->loop), 0);
    support_remove_folder(other->folder);
}

static inline struct store_op *tick(struct fixture *fixture, const int64_t *held, int count)
{
    struct store_op *op = store_op_new(STORE_TICK, NULL, NULL);
    op->tick.now_ms = clock_now_ms();
    op->tick.held = memory_zeroed((size_t)count + 1, sizeof *op->tick.held);
    if (count > 0)
        memcpy(op->tick.held, held, (size_t)count * sizeof *held);
    op->tick.held_count = count;
    return run(fixture, op);
}

/* Another host's tick takes nothing from the one that runs the job, which renews its lease and finishes it. */
static inline void expect_lease_kept(struct fixture *other, struct fixture *runner, const struct job *job)
{
    store_op_free(tick(other, NULL, 0));
    struct store_op *renewed = tick(runner, &job->lease, 1);
    assert_int_equal(renewed->tick.lost_count, 0);
    store_op_free(renewed);
    assert_true(finish(runner, job, STORE_FINISH_COMPLETED, job->lease, NULL));
}

static inline struct job *make_export(const char *id, const char *repro)
{
    struct job *job = make_job(id, "report/pdf");
    job->door = JOB_DOOR_EXPORT;
    job->origin = memory_format("{\"export_id\":\"%s\",\"repro_id\":\"%s\",\"export_type\":\"report\","
                                "\"options\":{\"format\":\"pdf\"}}",
                                id, repro);
    return job;
}

static inline void insert_repro(void)
{
    execute("INSERT INTO repros (id, title, test) VALUES ('5b0f6f0e-8f55-4a3e-9b35-2f3a1f1c2018', 'a bug', '{}')");
}

/* Enqueues them all, and waits for the last. */
static inline void run_together(struct fixture *fixture, struct store_op **ops, int count)
{
    fixture->done = NULL;
    for (int i = 0; i < count; i++) {
        ops[i]->callback = on_done;
        ops[i]->client = fixture;
        store_enqueue(fixture->store, ops[i]);
    }
    while (fixture->done != ops[count - 1])
        uv_run(&fixture->loop, UV_RUN_ONCE);
}

static inline struct store_op *completed(const struct job *job)
{
    struct store_op *op = store_op_new(STORE_FINISH, NULL, NULL);
    op->finish.finish = STORE_FINISH_COMPLETED;
    op->finish.sequence = job->sequence;
    op->finish.door = job->door;
    op->finish.lease = job->lease;
    op->finish.attempts = job->attempts;
    op->finish.finished_at_ms = clock_now_ms();
    op->finish.result = memory_text("{}");
    return op;
}

#endif
