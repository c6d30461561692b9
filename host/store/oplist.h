/*
 * store/oplist.h: lists of operations, in the order in which they came.
 */
#ifndef EXPORTD_STORE_OPLIST_H
#define EXPORTD_STORE_OPLIST_H

#include "store/store.h"

#define STORE_BATCH_MAX 2000                         /* operations in one transaction */
#define STORE_BATCH_BYTES ((size_t)64 * 1024 * 1024) /* of what they carry; one alone may have more */

struct op_list {
    struct store_op *first, *last;
    size_t count;
};

void op_list_append(struct op_list *list, struct store_op *op);
void op_list_join(struct op_list *list, struct op_list *more); /* more is empty afterwards */
/* The first ones, as one batch may hold: STORE_BATCH_MAX, STORE_BATCH_BYTES. */
struct op_list op_list_take(struct op_list *list);
/* Those that aren't lazy, all of them. */
struct op_list op_list_take_urgent(struct op_list *list);

/* How much data an operation brings, about, in bytes. */
size_t op_list_weight(const struct store_op *op);

/* Sets error for those that have none. */
void op_list_fail(struct store_op *first, const struct error *error);

/* Runs each callback, which takes its operation; the list is empty afterwards. */
void op_list_call_back(struct op_list *list);

#endif
