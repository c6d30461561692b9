#include "store/oplist.h"

#include <string.h>

void op_list_append(struct op_list *list, struct store_op *op)
{
    op->next = NULL;
    if (list->last)
        list->last->next = op;
    else
        list->first = op;
    list->last = op;
    list->count++;
}

void op_list_join(struct op_list *list, struct op_list *more)
{
    if (!more->first)
        return;
    if (list->last)
        list->last->next = more->first;
    else
        list->first = more->first;
    list->last = more->last;
    list->count += more->count;
    *more = (struct op_list){0};
}

size_t op_list_weight(const struct store_op *op)
{
    size_t bytes = 0;
    if (op->kind == STORE_SUBMIT)
        return op->submit.job->data_length + (op->submit.job->origin ? strlen(op->submit.job->origin) : 0);
    if (op->kind != STORE_FINISH)
        return 0;
    bytes += op->finish.result ? strlen(op->finish.result) : 0;
    for (const struct store_delivery *delivery = op->finish.delivery; delivery; delivery = delivery->next)
        bytes += strlen(delivery->body);
    return bytes;
}

struct op_list op_list_take(struct op_list *list)
{
    struct op_list taken = {0};
    size_t bytes = 0;
    while (list->first && taken.count < STORE_BATCH_MAX && bytes < STORE_BATCH_BYTES) {
        struct store_op *op = list->first;
        list->first = op->next;
        list->count--;
        bytes += op_list_weight(op);
        op_list_append(&taken, op);
    }
    if (!list->first)
        list->last = NULL;
    return taken;
}

struct op_list op_list_take_urgent(struct op_list *list)
{
    struct op_list urgent = {0}, lazy = {0};
    for (struct store_op *op = list->first, *next; op; op = next) {
        next = op->next;
        op_list_append(op->lazy ? &lazy : &urgent, op);
    }
    *list = lazy;
    return urgent;
}

void op_list_fail(struct store_op *first, const struct error *error)
{
    for (struct store_op *op = first; op; op = op->next)
        if (!error_is_set(&op->error))
            op->error = *error;
}

void op_list_call_back(struct op_list *list)
{
    struct store_op *op = list->first;
    *list = (struct op_list){0};
    while (op) {
        struct store_op *next = op->next;
        op->callback(op, op->client);
        op = next;
    }
}
