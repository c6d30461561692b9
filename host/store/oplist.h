/*
 * store/oplist.h: lists of operations, in the order in which they came.
 */
#ifndef EXPORTD_STORE_OPLIST_H
#define EXPORTD_STORE_OPLIST_H

#include "store/store.h"

#define STORE_BATCH_MAX 2000 /* operations in one transaction */

struct op_list {
    struct store_op *first, *last;
    size_t count;
};

void op_list_append(struct op_list *list, struct store_op *op);
void op_list_join(struct op_list *list, struct op_list *more); /* more is empty afterwards */
struct op_list op_list_take(struct op_list *list, size_t most);

/* Sets error for those that have none. */
void op_list_fail(struct store_op *first, const struct error *error);

/* Runs each callback, which takes its operation; the list is empty afterwards. */
void op_list_call_back(struct op_list *list);

#endif
