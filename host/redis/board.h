/*
 * redis/board.h: the blackboard. The live status of each job as a hash in Redis, and a message at each change, so
 * that dashboards need not ask the store.
 *
 * It is told, and never waited for: what can't be sent at the moment is dropped and counted, and Redis may be away
 * for as long as it likes. Loop thread only.
 *
 * <prefix>job:<id>, a hash: status (pending, running, completed, failed, cancelled), task, route, attempts, progress
 * (0 to 1), stage, error, errorCode, host, updatedAt. It goes [redis] ttl after its last change.
 * <prefix>events, a channel: {"jobId", "event", "status", "route", …} as of struct dispatch_listener.
 */
#ifndef EXPORTD_REDIS_BOARD_H
#define EXPORTD_REDIS_BOARD_H

#include "base/error.h"
#include "config/config.h"
#include "job/job.h"

#include <jansson.h>
#include <uv.h>

struct board;

/* host: how this host is called in hashes; borrowed. NULL where [redis] url is empty. Connects in the background. */
struct board *board_new(uv_loop_t *loop, const struct config_redis *config, const char *host);

/* Something happened to a job: "pending", or an event of struct dispatch_listener. data is borrowed. */
void board_tell(struct board *board, const struct job *job, const char *event, const json_t *data);

/* Sends what is on its way for at most half a second, then calls on_closed(client); the board is freed by then. */
void board_close(struct board *board, void (*on_closed)(void *client), void *client);

struct board_stats {
    bool connected;
    uint64_t told, dropped, reconnects;
};

struct board_stats board_stats(const struct board *board); /* zeroes for NULL */

/* For `exportd check`: connects, authenticates, asks for PONG. Blocking. Returns 0, or -1 with error set. */
int board_check(const struct config_redis *config, struct error *error);

#endif
