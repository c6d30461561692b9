/*
 * The operations on deliveries, the outbox.
 */
#include "base/memory.h"
#include "store/sqlite.h"

#include <stdlib.h>

static struct store_delivery *read_delivery(sqlite3_stmt *row)
{
    struct store_delivery *delivery = memory_zeroed(1, sizeof *delivery);
    delivery->sequence = sqlite3_column_int64(row, 0);
    delivery->id = sqlite_text(row, 1);
    delivery->job_id = sqlite_text(row, 2);
    delivery->target = sqlite_text(row, 3);
    delivery->body = sqlite_text(row, 4);
    delivery->state = (enum store_delivery_state)sqlite3_column_int(row, 5);
    delivery->attempts = sqlite3_column_int(row, 6);
    delivery->created_at_ms = sqlite3_column_int64(row, 7);
    delivery->next_at_ms = sqlite3_column_int64(row, 8);
    delivery->give_up_at_ms = sqlite3_column_int64(row, 9);
    delivery->last_error = sqlite_text(row, 10);
    delivery->channel = (enum store_channel)sqlite3_column_int(row, 11);
    delivery->job_sequence = sqlite3_column_int64(row, 12);
    delivery->trace = sqlite_text(row, 13);
    return delivery;
}

static int insert(struct sqlite_store *store, struct store_delivery *delivery, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_INSERT_DELIVERY, error);
    if (!statement)
        return -1;
    sqlite_bind_text(statement, 1, delivery->id);
    sqlite3_bind_int64(statement, 2, delivery->job_sequence);
    sqlite_bind_text(statement, 3, delivery->job_id);
    sqlite_bind_text(statement, 4, delivery->target);
    sqlite_bind_text(statement, 5, delivery->body);
    sqlite3_bind_int64(statement, 6, delivery->created_at_ms);
    sqlite3_bind_int64(statement, 7, delivery->next_at_ms);
    sqlite3_bind_int64(statement, 8, delivery->give_up_at_ms);
    sqlite3_bind_int(statement, 9, (int)delivery->channel);
    if (sqlite_run(store, statement, error) != 0)
        return -1;
    delivery->sequence = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int sqlite_insert_deliveries(struct sqlite_store *store, struct store_delivery *first, int64_t job_sequence,
                             struct error *error)
{
    for (struct store_delivery *delivery = first; delivery; delivery = delivery->next) {
        delivery->job_sequence = job_sequence;
        if (insert(store, delivery, error) != 0)
            return -1;
    }
    return 0;
}

int sqlite_delivery_take(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_DUE_DELIVERIES, error);
    if (!statement)
        return -1;
    sqlite3_bind_int(statement, 1, (int)op->delivery_take.channel);
    sqlite3_bind_int64(statement, 2, op->delivery_take.now_ms);
    sqlite3_bind_int(statement, 3, op->delivery_take.limit);
    struct store_delivery **tail = &op->delivery_take.deliveries;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        *tail = read_delivery(statement);
        tail = &(*tail)->next;
    }
    sqlite3_reset(statement);
    if (code != SQLITE_DONE)
        return sqlite_fail(store, "read the outbox", error);
    for (struct store_delivery *delivery = op->delivery_take.deliveries; delivery; delivery = delivery->next) {
        sqlite3_stmt *take = sqlite_statement(store, SQL_TAKE_DELIVERY, error);
        if (!take)
            return -1;
        sqlite3_bind_int64(take, 1, op->delivery_take.taken_until_ms);
        sqlite3_bind_int64(take, 2, delivery->sequence);
        if (sqlite_run(store, take, error) != 0)
            return -1;
    }
    return 0;
}

int sqlite_delivery_result(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_DELIVERY_RESULT, error);
    if (!statement)
        return -1;
    sqlite3_bind_int(statement, 1, (int)op->delivery_result.state);
    sqlite3_bind_int(statement, 2, op->delivery_result.attempts);
    sqlite3_bind_int64(statement, 3, op->delivery_result.next_at_ms);
    sqlite_bind_text(statement, 4, op->delivery_result.last_error);
    sqlite3_bind_int64(statement, 5, op->delivery_result.sequence);
    return sqlite_run(store, statement, error);
}

#define LIST_COLUMNS                                                                                                 \
    "SELECT sequence, id, job_id, target, body, state, attempts, created_at, next_at, give_up_at, last_error,"       \
    " channel, job_sequence, (SELECT trace FROM jobs WHERE jobs.sequence = job_sequence) FROM deliveries "

int sqlite_delivery_list(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    static const char *const by_state[] = {
        [STORE_DELIVERY_WAITING] =
            LIST_COLUMNS "INDEXED BY deliveries_due WHERE state = 0 ORDER BY channel, next_at LIMIT ?",
        [STORE_DELIVERY_DONE] = LIST_COLUMNS "WHERE state = 1 ORDER BY sequence DESC LIMIT ?",
        [STORE_DELIVERY_DEAD] =
            LIST_COLUMNS "INDEXED BY deliveries_dead WHERE state = 2 ORDER BY sequence DESC LIMIT ?",
    };
    const char *text = op->delivery_list.state < 0 ? LIST_COLUMNS "ORDER BY sequence DESC LIMIT ?"
                                                   : by_state[op->delivery_list.state];
    if (op->delivery_list.job_id)
        text = LIST_COLUMNS "INDEXED BY deliveries_job WHERE job_sequence = (SELECT sequence FROM jobs WHERE id = ?2)"
                            " ORDER BY sequence DESC LIMIT ?1";
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store->db, text, -1, &statement, NULL) != SQLITE_OK)
        return sqlite_fail(store, "list deliveries", error);
    sqlite3_bind_int(statement, 1, op->delivery_list.limit);
    if (op->delivery_list.job_id)
        sqlite_bind_text(statement, 2, op->delivery_list.job_id);
    struct store_delivery **tail = &op->delivery_list.deliveries;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        *tail = read_delivery(statement);
        tail = &(*tail)->next;
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? 0 : sqlite_fail(store, "list deliveries", error);
}

int sqlite_delivery_retry(struct sqlite_store *store, struct store_op *op, struct error *error)
{
    sqlite3_stmt *statement = sqlite_statement(store, SQL_DELIVERY_RETRY, error);
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, op->delivery_retry.now_ms);
    sqlite3_bind_int64(statement, 2, op->delivery_retry.give_up_at_ms);
    sqlite_bind_text(statement, 3, op->delivery_retry.id);
    if (sqlite_run(store, statement, error) != 0)
        return -1;
    op->delivery_retry.applied = sqlite3_changes(store->db) > 0;
    return 0;
}
