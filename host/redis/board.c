#include "redis/board.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "redis/address.h"

#include <hiredis/adapters/libuv.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PENDING_MAX 20000 /* commands that Redis has not answered; beyond, news are dropped */
#define RETRY_MS 250
#define RETRY_MAX_MS 10000
#define CLOSE_MS 500
#define FIELDS_MAX 12

struct board {
    uv_loop_t *loop;
    const struct config_redis *config;
    const char *host;
    struct redis_address address;
    redisAsyncContext *redis; /* connected or about to be */
    uv_getaddrinfo_t lookup;
    bool looking_up;
    uv_timer_t timer; /* the next try, the end of this one, or the end of closing */
    bool connected, ready, said, closing;
    int tries;
    int pending;
    struct board_stats stats;
    void (*on_closed)(void *client);
    void *closed_client;
};

static void start(struct board *board);
static void check_closed(struct board *board);

static void on_retry(uv_timer_t *timer)
{
    start(timer->data);
}

/* Said once for each time that it goes away. */
static void lost(struct board *board, const char *why)
{
    board->connected = board->ready = false;
    if (board->closing) {
        check_closed(board);
        return;
    }
    if (!board->said)
        log_write(LOG_LEVEL_WARNING, "redis", NULL, "Redis can't be told of jobs: %s; it is tried again", why);
    board->said = true;
    board->tries++;
    int64_t wait_ms = backoff_wait_ms(RETRY_MS, RETRY_MAX_MS, board->tries);
    uv_timer_start(&board->timer, on_retry, (uint64_t)wait_ms, 0);
}

static void on_answer(redisAsyncContext *redis, void *reply, void *client)
{
    struct board *board = client;
    const redisReply *answer = reply;
    (void)redis;
    board->pending--;
    if (answer && answer->type == REDIS_REPLY_ERROR) {
        if (!board->said)
            log_write(LOG_LEVEL_WARNING, "redis", NULL, "Redis refuses what it is told: %s", answer->str);
        board->said = true;
        board->stats.dropped++;
    }
    if (reply && board->closing && board->pending == 0)
        redisAsyncDisconnect(board->redis);
}

static void command(struct board *board, int count, const char **words)
{
    if (redisAsyncCommandArgv(board->redis, on_answer, board, count, words, NULL) == REDIS_OK)
        board->pending++;
}

static void on_disconnected(const redisAsyncContext *redis, int status)
{
    struct board *board = redis->data;
    char why[200];
    snprintf(why, sizeof why, "%s", status == REDIS_OK ? "it closed the connection" : redis->errstr);
    board->redis = NULL; /* hiredis frees it */
    board->pending = 0;
    lost(board, why);
}

/* The first answer tells whether the password was right. */
static void on_ping(redisAsyncContext *redis, void *reply, void *client)
{
    struct board *board = client;
    const redisReply *answer = reply;
    board->pending--;
    if (!answer || board->closing)
        return; /* on_disconnected() comes */
    if (answer->type == REDIS_REPLY_ERROR) {
        if (!board->said)
            log_write(LOG_LEVEL_ERROR, "redis", NULL, "Redis refuses this host: %s; look at [redis] url",
                      answer->str);
        board->said = true;
        redisAsyncDisconnect(redis);
        return;
    }
    uv_timer_stop(&board->timer);
    log_write(LOG_LEVEL_INFO, "redis", NULL, "Redis is told of jobs");
    board->stats.reconnects += board->tries > 0 ? 1 : 0;
    board->ready = true;
    board->said = false;
    board->tries = 0;
}

static void introduce(struct board *board)
{
    const struct redis_address *address = &board->address;
    if (address->password) {
        const char *words[] = {"AUTH", address->user ? address->user : address->password, address->password};
        redisAsyncCommandArgv(board->redis, NULL, NULL, address->user ? 3 : 2, words, NULL);
    }
    if (address->database) {
        const char *words[] = {"SELECT", address->database};
        redisAsyncCommandArgv(board->redis, NULL, NULL, 2, words, NULL);
    }
    const char *words[] = {"PING"};
    if (redisAsyncCommandArgv(board->redis, on_ping, board, 1, words, NULL) == REDIS_OK)
        board->pending++;
}

static void on_connected(const redisAsyncContext *redis, int status)
{
    struct board *board = redis->data;
    if (status == REDIS_OK) {
        board->connected = true;
        introduce(board);
        return;
    }
    char why[200];
    snprintf(why, sizeof why, "%s", redis->errstr);
    board->redis = NULL; /* hiredis frees it */
    lost(board, why);
}

/* No answer within [redis] timeout: freeing calls on_disconnected() where it was connected. */
static void on_timeout(uv_timer_t *timer)
{
    struct board *board = timer->data;
    redisAsyncContext *redis = board->redis;
    bool was_connected = board->connected;
    if (!redis)
        return;
    if (!was_connected)
        board->redis = NULL;
    redisAsyncFree(redis);
    if (!was_connected)
        lost(board, "no answer in [redis] timeout");
}

/* Takes the context. */
static void attach(struct board *board, redisAsyncContext *redis)
{
    if (!redis || redis->err) {
        char why[200];
        snprintf(why, sizeof why, "%s", redis ? redis->errstr : "out of memory");
        if (redis)
            redisAsyncFree(redis);
        lost(board, why);
        return;
    }
    board->redis = redis;
    redis->data = board;
    redisLibuvAttach(redis, board->loop);
    redisAsyncSetConnectCallback(redis, on_connected);
    redisAsyncSetDisconnectCallback(redis, on_disconnected);
    uv_timer_start(&board->timer, on_timeout, (uint64_t)board->config->timeout_ms, 0);
}

/* hiredis itself would wait for the resolver: it gets an address. */
static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *found)
{
    struct board *board = lookup->data;
    char text[64] = "", why[200];
    board->looking_up = false;
    if (status == 0)
        status = getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    uv_freeaddrinfo(found);
    if (board->closing) {
        check_closed(board);
    } else if (!text[0]) {
        snprintf(why, sizeof why, "its host %s isn't found: %s", board->address.host, uv_strerror(status));
        lost(board, why);
    } else {
        attach(board, redisAsyncConnect(text, (int)strtol(board->address.port, NULL, 10)));
    }
}

static void start(struct board *board)
{
    if (board->address.path) {
        attach(board, redisAsyncConnectUnix(board->address.path));
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    board->lookup.data = board;
    int status =
        uv_getaddrinfo(board->loop, &board->lookup, on_looked_up, board->address.host, board->address.port, &hints);
    board->looking_up = status == 0;
    if (status != 0)
        lost(board, uv_strerror(status));
}

struct board *board_new(uv_loop_t *loop, const struct config_redis *config, const char *host)
{
    if (!config->url[0])
        return NULL;
    struct board *board = memory_zeroed(1, sizeof *board);
    struct error error = {0};
    board->loop = loop;
    board->config = config;
    board->host = host;
    uv_timer_init(loop, &board->timer);
    board->timer.data = board;
    if (redis_address_read(config->url, &board->address, &error) == 0)
        start(board);
    else
        log_write(LOG_LEVEL_ERROR, "redis", NULL, "%s", error.message);
    return board;
}

static void add(const char **words, int *count, const char *field, const char *value)
{
    if (!value)
        return;
    words[(*count)++] = field;
    words[(*count)++] = value;
}

static const char *status_after(const char *event)
{
    if (strcmp(event, "started") == 0 || strcmp(event, "progress") == 0)
        return "running";
    return strcmp(event, "retry") == 0 ? "pending" : event;
}

static void tell_hash(struct board *board, const struct job *job, const char *event, const json_t *data,
                      const char *key)
{
    const char *words[2 + 2 * FIELDS_MAX] = {"HSET", key};
    int count = 2;
    char attempts[24], progress[32], now[CLOCK_TEXT_MAX];
    const json_t *fraction = json_object_get(data, "progress");
    bool begins = strcmp(event, "pending") == 0 || strcmp(event, "started") == 0;
    snprintf(attempts, sizeof attempts, "%d", job->attempts);
    snprintf(progress, sizeof progress, "%.4g", strcmp(event, "completed") == 0 ? 1.0 : json_number_value(fraction));
    add(words, &count, "status", status_after(event));
    add(words, &count, "task", job->task);
    add(words, &count, "route", job->route);
    add(words, &count, "attempts", attempts);
    add(words, &count, "host", board->host);
    add(words, &count, "updatedAt", clock_format(clock_now_ms(), now));
    if (fraction || begins || strcmp(event, "completed") == 0)
        add(words, &count, "progress", progress);
    add(words, &count, "stage", begins ? "" : json_string_value(json_object_get(data, "stage")));
    add(words, &count, "error", begins ? "" : json_string_value(json_object_get(data, "error")));
    add(words, &count, "errorCode", begins ? "" : json_string_value(json_object_get(data, "errorCode")));
    command(board, count, words);
    char ttl[24];
    snprintf(ttl, sizeof ttl, "%lld", (long long)board->config->ttl_ms);
    const char *expire[] = {"PEXPIRE", key, ttl};
    command(board, 3, expire);
}

static void tell_channel(struct board *board, const struct job *job, const char *event, const json_t *data)
{
    json_t *message = json_pack("{s:s, s:s, s:s, s:s}", "jobId", job->id, "event", event, "status",
                                status_after(event), "route", job->route);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)data, key, value)
    {
        if (strcmp(key, "result") != 0 && !json_object_get(message, key)) /* the store has results */
            json_object_set(message, key, value);
    }
    char *text = json_dumps(message, JSON_COMPACT);
    char *channel = memory_format("%sevents", board->config->prefix);
    const char *words[] = {"PUBLISH", channel, text};
    command(board, 3, words);
    free(channel);
    free(text);
    json_decref(message);
}

void board_tell(struct board *board, const struct job *job, const char *event, const json_t *data)
{
    if (!board || strcmp(event, "log") == 0)
        return;
    if (!board->ready || board->closing || board->pending > PENDING_MAX) {
        board->stats.dropped++;
        return;
    }
    char *key = memory_format("%sjob:%s", board->config->prefix, job->id);
    tell_hash(board, job, event, data, key);
    tell_channel(board, job, event, data);
    free(key);
    board->stats.told++;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct board *board = handle->data;
    void (*on_closed)(void *client) = board->on_closed;
    void *client = board->closed_client;
    redis_address_clear(&board->address);
    free(board);
    on_closed(client);
}

static void check_closed(struct board *board)
{
    if (board->closing && !board->redis && !board->looking_up && !uv_is_closing((uv_handle_t *)&board->timer))
        uv_close((uv_handle_t *)&board->timer, on_timer_closed);
}

void board_close(struct board *board, void (*on_closed)(void *client), void *client)
{
    if (!board) {
        on_closed(client);
        return;
    }
    board->closing = true;
    board->on_closed = on_closed;
    board->closed_client = client;
    uv_timer_stop(&board->timer);
    if (board->looking_up)
        uv_cancel((uv_req_t *)&board->lookup);
    if (board->redis)
        uv_timer_start(&board->timer, on_timeout, CLOSE_MS, 0);
    if (board->redis && board->connected && board->pending == 0)
        redisAsyncDisconnect(board->redis);
    check_closed(board);
}

struct board_stats board_stats(const struct board *board)
{
    if (!board)
        return (struct board_stats){0};
    struct board_stats stats = board->stats;
    stats.connected = board->ready;
    return stats;
}

static int ask(redisContext *redis, int count, const char **words, struct error *error)
{
    redisReply *reply = redisCommandArgv(redis, count, words, NULL);
    if (!reply)
        error_set(error, "redis_unreachable", true, "Redis can't be reached: %s", redis->errstr);
    else if (reply->type == REDIS_REPLY_ERROR)
        error_set(error, "redis_refused", false, "Redis refuses this host: %s; look at [redis] url", reply->str);
    if (reply)
        freeReplyObject(reply);
    return error_is_set(error) ? -1 : 0;
}

int board_check(const struct config_redis *config, struct error *error)
{
    struct redis_address address;
    redisContext *redis = NULL;
    struct timeval timeout = {.tv_sec = config->timeout_ms / 1000, .tv_usec = config->timeout_ms % 1000 * 1000};
    if (redis_address_read(config->url, &address, error) == 0)
        redis = address.path ? redisConnectUnixWithTimeout(address.path, timeout)
                             : redisConnectWithTimeout(address.host, (int)strtol(address.port, NULL, 10), timeout);
    if (redis && redis->err)
        error_set(error, "redis_unreachable", true, "Redis can't be reached: %s; look at [redis] url", redis->errstr);
    if (!error_is_set(error)) {
        const char *login[] = {"AUTH", address.user ? address.user : address.password, address.password};
        const char *select[] = {"SELECT", address.database}, *ping[] = {"PING"};
        redisSetTimeout(redis, timeout);
        if ((!address.password || ask(redis, address.user ? 3 : 2, login, error) == 0) &&
            (!address.database || ask(redis, 2, select, error) == 0))
            ask(redis, 1, ping, error);
    }
    if (redis)
        redisFree(redis);
    redis_address_clear(&address);
    return error_is_set(error) ? -1 : 0;
}
