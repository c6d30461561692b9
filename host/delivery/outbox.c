#include "delivery/outbox.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/transfers.h"
#include "delivery/guard.h"
#include "delivery/signature.h"
#include "delivery/slow.h"
#include "job/trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_AFTER_MAX_S 86400
#define SLOW_AFTER_NS 5000000000LL /* an attempt that takes longer, or half its timeout, makes a slow receiver */

struct sending {
    struct outbox *outbox;
    struct store_delivery *delivery;
    CURL *curl;
    struct curl_slist *headers;
    char error_text[CURL_ERROR_SIZE];
    char refused_address[64]; /* the guard said no to it */
    int64_t received_bytes;
    int64_t started_ns;
    struct sending *next;
};

struct outbox {
    const struct config *config;
    struct store *store;
    struct transfers *transfers;
    struct sending *first;
    int sending;
    struct store_delivery *held; /* taken, but their receivers have their share of what is under way */
    int64_t held_until_ns;       /* then the store hands them out again */
    struct slow_receivers slow;
    bool taking, take_again, closing, closed;
    int pending_ops;
    struct outbox_stats stats;
    void (*on_closed)(void *client);
    void *closed_client;
};

static void check_closed(struct outbox *outbox);

static void on_recorded(struct store_op *op, void *client)
{
    struct outbox *outbox = client;
    outbox->pending_ops--;
    if (error_is_set(&op->error))
        log_write(LOG_LEVEL_ERROR, "delivery", NULL,
                  "what became of a delivery isn't on disk, so it will be sent again: %s", op->error.message);
    store_op_free(op);
    outbox_kick(outbox);
    check_closed(outbox);
}

static void record(struct outbox *outbox, const struct store_delivery *delivery, const char *problem, bool hopeless,
                   int64_t retry_after_s)
{
    int64_t now_ms = clock_now_ms();
    struct store_op *op = store_op_new(STORE_DELIVERY_RESULT, on_recorded, outbox);
    op->delivery_result.sequence = delivery->sequence;
    op->delivery_result.attempts = delivery->attempts + 1;
    op->delivery_result.state = STORE_DELIVERY_DONE;
    op->lazy = problem == NULL; /* lost, it is only sent again */
    if (problem) {
        const struct config_webhook *webhook = &outbox->config->webhook;
        int64_t wait_ms = backoff_wait_ms(webhook->backoff_ms, webhook->backoff_max_ms, delivery->attempts + 1);
        if (retry_after_s * 1000 > wait_ms)
            wait_ms = retry_after_s * 1000;
        bool dead = hopeless || now_ms + wait_ms > delivery->give_up_at_ms;
        op->delivery_result.state = dead ? STORE_DELIVERY_DEAD : STORE_DELIVERY_WAITING;
        op->delivery_result.next_at_ms = now_ms + wait_ms;
        op->delivery_result.last_error = memory_text(problem);
        outbox->stats.failed_attempts++;
        outbox->stats.dead += dead ? 1 : 0;
        log_write(dead ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "delivery", delivery->job_id,
                  "callback %s, attempt %d: %s%s", delivery->id, delivery->attempts + 1, problem,
                  dead ? "; given up, send it again with: exportd deliveries retry ID" : "");
    } else {
        outbox->stats.delivered++;
    }
    outbox->pending_ops++;
    store_enqueue(outbox->store, op);
}

static void free_sending(struct sending *sending)
{
    struct outbox *outbox = sending->outbox;
    for (struct sending **at = &outbox->first; *at; at = &(*at)->next) {
        if (*at == sending) {
            *at = sending->next;
            break;
        }
    }
    transfers_remove(outbox->transfers, sending->curl);
    curl_easy_cleanup(sending->curl);
    curl_slist_free_all(sending->headers);
    store_delivery_free(sending->delivery);
    free(sending);
    outbox->sending--;
}

/* What went wrong, as a sentence; NULL: it arrived. */
static const char *judge(struct sending *sending, CURLcode code, char *text, size_t size, bool *hopeless)
{
    long status = 0;
    curl_easy_getinfo(sending->curl, CURLINFO_RESPONSE_CODE, &status);
    *hopeless = false;
    if (code != CURLE_OK && sending->refused_address[0]) {
        snprintf(text, size, "the address %s is not public; to allow it, add it to [webhook] allow",
                 sending->refused_address);
        return text;
    }
    /* Once its body has begun, the answer is known; that the rest was cut, stalled or broke off changes nothing. */
    if (code != CURLE_OK && sending->received_bytes == 0) {
        snprintf(text, size, "%s", sending->error_text[0] ? sending->error_text : curl_easy_strerror(code));
        return text;
    }
    if (status >= 200 && status < 300)
        return NULL;
    *hopeless = status == 410;
    if (status >= 300 && status < 400)
        snprintf(
            text, size,
            "the receiver answered %ld, a redirect; redirects aren't followed: give the final URL as callbackUrl",
            status);
    else
        snprintf(text, size, "the receiver answered %ld", status);
    return text;
}

static void complete(struct sending *sending, CURLcode code)
{
    struct outbox *outbox = sending->outbox;
    char text[400];
    bool hopeless;
    const char *problem = judge(sending, code, text, sizeof text, &hopeless);
    curl_off_t retry_after_s = 0;
    curl_easy_getinfo(sending->curl, CURLINFO_RETRY_AFTER, &retry_after_s);
    if (retry_after_s < 0)
        retry_after_s = 0;
    if (retry_after_s > RETRY_AFTER_MAX_S)
        retry_after_s = RETRY_AFTER_MAX_S;
    if (code == CURLE_OPERATION_TIMEDOUT)
        slow_note(&outbox->slow, sending->delivery->target, clock_monotonic_ns());
    else if (!problem)
        slow_forget(&outbox->slow, sending->delivery->target);
    if (!outbox->closing)
        record(outbox, sending->delivery, problem, hopeless, retry_after_s);
    free_sending(sending);
}

static void on_done(void *client, CURL *curl, CURLcode code)
{
    struct sending *sending = NULL;
    curl_easy_getinfo(curl, CURLINFO_PRIVATE, (char **)&sending);
    complete(sending, code);
    check_closed(client);
}

/* Called with the very address that is about to be connected to. */
static curl_socket_t open_guarded(void *client, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct sending *sending = client;
    char text[64];
    (void)purpose;
    if (!guard_allows(&address->addr, &sending->outbox->config->webhook.allow, text, sizeof text)) {
        snprintf(sending->refused_address, sizeof sending->refused_address, "%s", text);
        return CURL_SOCKET_BAD;
    }
    sending->refused_address[0] = '\0';
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t discard(char *bytes, size_t size, size_t count, void *client)
{
    struct sending *sending = client;
    (void)bytes;
    sending->received_bytes += (int64_t)(size * count);
    /* An answer without end: its status is known, and that is enough. */
    return sending->received_bytes > sending->outbox->config->webhook.max_response_bytes ? 0 : size * count;
}

static void add_header(struct sending *sending, const char *format, const char *value)
{
    char *line = memory_format("%s%s", format, value);
    sending->headers = curl_slist_append(sending->headers, line);
    free(line);
}

static void set_up(struct sending *sending)
{
    const struct config_webhook *webhook = &sending->outbox->config->webhook;
    const struct store_delivery *delivery = sending->delivery;
    size_t length = strlen(delivery->body);
    int64_t now_s = clock_now_ms() / 1000;
    char text[SIGNATURE_TEXT_MAX];
    add_header(sending, "Content-Type: ", "application/json");
    add_header(sending, "webhook-id: ", delivery->id);
    snprintf(text, sizeof text, "%lld", (long long)now_s);
    add_header(sending, "webhook-timestamp: ", text);
    if (webhook->secret[0] && signature_make(webhook->secret, delivery->id, now_s, delivery->body, length, text) == 0)
        add_header(sending, "webhook-signature: ", text);
    if (delivery->trace)
        add_header(sending, TRACE_HEADER ": ", delivery->trace);
    CURL *curl = sending->curl;
    curl_easy_setopt(curl, CURLOPT_PRIVATE, sending);
    curl_easy_setopt(curl, CURLOPT_URL, delivery->target);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* a proxy would hide the address that the guard looks at */
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, sending->headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, delivery->body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "exportd/" EXPORTD_VERSION);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    /* Else whoever gives a name up that is still being looked up waits for the resolver: here, the whole loop. */
    curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)webhook->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)webhook->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_guarded);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, sending);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, discard);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, sending);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, sending->error_text);
}

/* Takes delivery. */
static void send_one(struct outbox *outbox, struct store_delivery *delivery)
{
    struct sending *sending = memory_zeroed(1, sizeof *sending);
    sending->outbox = outbox;
    sending->delivery = delivery;
    sending->curl = curl_easy_init();
    sending->started_ns = clock_monotonic_ns();
    sending->next = outbox->first;
    outbox->first = sending;
    outbox->sending++;
    set_up(sending);
    transfers_add(outbox->transfers, sending->curl);
}

/* A slow receiver gets a quarter of the places, and any other leaves a quarter free: no one of them holds the rest
 * up. */
static bool has_room(const struct outbox *outbox, const char *url, bool *slow)
{
    int64_t now_ns = clock_monotonic_ns();
    int64_t slow_after_ns = outbox->config->webhook.timeout_ms * 500000;
    int places = (int)outbox->config->webhook.concurrency;
    int quarter = places / 4 > 1 ? places / 4 : 1;
    int under_way = 0;
    if (slow_after_ns > SLOW_AFTER_NS)
        slow_after_ns = SLOW_AFTER_NS;
    *slow = slow_has(&outbox->slow, url, now_ns);
    for (const struct sending *sending = outbox->first; sending; sending = sending->next) {
        if (!slow_same_origin(sending->delivery->target, url))
            continue;
        under_way++;
        *slow = *slow || now_ns - sending->started_ns > slow_after_ns;
    }
    if (outbox->sending >= places)
        return false;
    return under_way == 0 || under_way < (*slow ? quarter : places - quarter);
}

/* Sends what is held and has room by now. What a slow receiver has no room for is let go: it is due again when the
 * store's time for it is over, and what is behind it goes first. */
static void send_held(struct outbox *outbox)
{
    bool is_over = clock_monotonic_ns() > outbox->held_until_ns;
    for (struct store_delivery **at = &outbox->held; *at;) {
        struct store_delivery *delivery = *at;
        bool slow = false;
        bool room = !is_over && has_room(outbox, delivery->target, &slow);
        if (!room && !slow && !is_over) {
            at = &delivery->next;
            continue;
        }
        *at = delivery->next;
        delivery->next = NULL;
        if (room)
            send_one(outbox, delivery);
        else
            store_delivery_free(delivery);
    }
}

static void on_taken(struct store_op *op, void *client)
{
    struct outbox *outbox = client;
    outbox->pending_ops--;
    outbox->taking = false;
    if (error_is_set(&op->error)) {
        log_write(LOG_LEVEL_ERROR, "delivery", NULL, "%s", op->error.message);
    } else if (!outbox->closing) {
        int count = 0;
        for (const struct store_delivery *delivery = op->delivery_take.deliveries; delivery;
             delivery = delivery->next)
            count++;
        outbox->held = op->delivery_take.deliveries; /* it was empty */
        op->delivery_take.deliveries = NULL;
        outbox->held_until_ns = clock_monotonic_ns() + outbox->config->webhook.timeout_ms * 1000000;
        send_held(outbox);
        if (outbox->take_again || count == op->delivery_take.limit)
            outbox_kick(outbox);
    }
    store_op_free(op);
    check_closed(outbox);
}

void outbox_kick(struct outbox *outbox)
{
    if (outbox->closing)
        return;
    if (outbox->taking) {
        outbox->take_again = true;
        return;
    }
    send_held(outbox);
    int room = (int)outbox->config->webhook.concurrency - outbox->sending;
    if (room <= 0 || outbox->held)
        return;
    outbox->taking = true;
    outbox->take_again = false;
    struct store_op *op = store_op_new(STORE_DELIVERY_TAKE, on_taken, outbox);
    op->delivery_take.channel = STORE_CHANNEL_WEBHOOK;
    op->delivery_take.now_ms = clock_now_ms();
    op->delivery_take.taken_until_ms = op->delivery_take.now_ms + outbox->config->webhook.timeout_ms + 5000;
    op->delivery_take.limit = room;
    outbox->pending_ops++;
    store_enqueue(outbox->store, op);
}

struct outbox *outbox_new(uv_loop_t *loop, const struct config *config, struct store *store, struct error *error)
{
    struct outbox *outbox = memory_zeroed(1, sizeof *outbox);
    outbox->config = config;
    outbox->store = store;
    outbox->transfers = transfers_new(loop, on_done, outbox, error);
    if (outbox->transfers)
        return outbox;
    free(outbox);
    return NULL;
}

void outbox_adopt(struct outbox *outbox, const struct config *config)
{
    outbox->config = config;
}

static void on_transfers_closed(void *client)
{
    struct outbox *outbox = client;
    void (*told)(void *client) = outbox->on_closed;
    void *closed_client = outbox->closed_client;
    slow_clear(&outbox->slow);
    free(outbox);
    told(closed_client);
}

static void check_closed(struct outbox *outbox)
{
    if (!outbox->closing || outbox->closed || outbox->pending_ops > 0 || outbox->first)
        return;
    outbox->closed = true;
    transfers_close(outbox->transfers, on_transfers_closed, outbox);
}

void outbox_close(struct outbox *outbox, void (*on_closed)(void *client), void *client)
{
    outbox->closing = true;
    outbox->on_closed = on_closed;
    outbox->closed_client = client;
    store_delivery_free(outbox->held); /* in the store they still wait */
    outbox->held = NULL;
    struct sending *next;
    for (struct sending *sending = outbox->first; sending; sending = next) {
        next = sending->next;
        free_sending(sending);
    }
    check_closed(outbox);
}

struct outbox_stats outbox_stats(const struct outbox *outbox)
{
    struct outbox_stats stats = outbox->stats;
    stats.sending = outbox->sending;
    return stats;
}
