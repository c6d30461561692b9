/*
 * What the tests of batches under way share: an engine on a database of its own, lists of jobs, and the database as
 * others see it.
 */
#ifndef EXPORTD_TESTS_PIPELINE_SUPPORT_H
#define EXPORTD_TESTS_PIPELINE_SUPPORT_H

#include "database_support.h"
#include "store_support.h"

#include "store/engine.h"
#include "store/oplist.h"
#include "store/postgres.h"

#include <poll.h>

#define QUEUE_LIMIT 10

struct under_way {
    char *folder;
    struct store_engine *engine;
    int socket;
};

static inline int64_t count_jobs(void)
{
    return strtoll(ask("SELECT count(*) FROM exportd.jobs"), NULL, 10);
}

static inline struct store_engine *make_engine(const char *folder)
{
    struct error error = {0};
    struct store_options options = {.folder = folder,
                                    .url = getenv("EXPORTD_TEST_DATABASE"),
                                    .lease_ms = 2000,
                                    .timeout_ms = 10000,
                                    .queue_limit = QUEUE_LIMIT,
                                    .create = true};
    struct store_engine *engine = store_postgres_open(&options, &error);
    if (!engine)
        fail_msg("%s", error.message);
    return engine;
}

static inline int open_engine(void **state)
{
    struct under_way *test = calloc(1, sizeof *test);
    empty_database();
    test->folder = support_make_folder();
    test->engine = make_engine(test->folder);
    *state = test;
    return 0;
}

static inline int close_engine(void **state)
{
    struct under_way *test = *state;
    test->engine->type->close(test->engine);
    support_remove_folder(test->folder);
    free(test);
    return 0;
}

/* A batch of jobs prefix-0, prefix-1, …; claim: they don't wait. */
static inline struct op_list jobs_of(const char *prefix, int count, bool claim)
{
    struct op_list list = {0};
    for (int i = 0; i < count; i++) {
        struct store_op *op = store_op_new(STORE_SUBMIT, NULL, NULL);
        char id[40];
        snprintf(id, sizeof id, "%s-%d", prefix, i);
        op->submit.job = make_job(id, "noop");
        op->submit.claim = claim;
        op_list_append(&list, op);
    }
    return list;
}

static inline void free_list(struct op_list *list)
{
    for (struct store_op *op = list->first, *next; op; op = next) {
        next = op->next;
        store_op_free(op);
    }
}

static inline bool start(struct under_way *test, const struct op_list *list)
{
    bool wants_write = false;
    return test->engine->type->start(test->engine, list->first, &test->socket, &wants_write);
}

/* Until the oldest batch is over. */
static inline enum store_engine_progress end_of(struct under_way *test, const struct op_list *list,
                                                struct error *error)
{
    for (;;) {
        bool wants_write = false;
        enum store_engine_progress progress =
            test->engine->type->go_on(test->engine, list->first, false, &wants_write, error);
        if (progress != STORE_ENGINE_WAITS)
            return progress;
        struct pollfd descriptor = {.fd = test->socket, .events = (short)(wants_write ? POLLIN | POLLOUT : POLLIN)};
        assert_int_equal(poll(&descriptor, 1, 20000), 1);
    }
}

static inline void expect_outcomes(const struct op_list *list, enum store_submit_outcome outcome)
{
    for (const struct store_op *op = list->first; op; op = op->next) {
        assert_false(error_is_set(&op->error));
        assert_int_equal(op->submit.outcome, outcome);
    }
}

#endif
