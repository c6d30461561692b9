#include "store/oplist.h"

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

struct op_list op_list_take(struct op_list *list, size_t most)
{
    struct op_list taken = {0};
    while (list->first && taken.count < most) {
        struct store_op *op = list->first;
        list->first = op->next;
        list->count--;
        op_list_append(&taken, op);
    }
    if (!list->first)
        list->last = NULL;
    return taken;
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
