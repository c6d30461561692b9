/*
 * base/transfers.h: libcurl's transfers on the loop: its sockets and its timer, and a call for each that is over.
 * Loop thread only.
 */
#ifndef EXPORTD_BASE_TRANSFERS_H
#define EXPORTD_BASE_TRANSFERS_H

#include "base/error.h"

#include <curl/curl.h>
#include <uv.h>

struct transfers;

/* on_done: a transfer is over; whoever gets the call removes and frees the handle. NULL with error set where libcurl
 * can't be started. */
struct transfers *transfers_new(uv_loop_t *loop, void (*on_done)(void *client, CURL *curl, CURLcode code),
                                void *client, struct error *error);

void transfers_add(struct transfers *transfers, CURL *curl);
void transfers_remove(struct transfers *transfers, CURL *curl); /* under way or over */

/* Once no transfer is left. on_closed(client) comes when all is freed. */
void transfers_close(struct transfers *transfers, void (*on_closed)(void *client), void *client);

#endif
