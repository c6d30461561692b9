/*
 * Answers out. Each under way has a place; a stream confirms it with a PubAck to the place's inbox. Where no stream
 * captures the subject, an echo of this host's own, published behind the answers of one turn, tells that the server
 * has them. What isn't confirmed in time waits in the outbox and is published again under the same Nats-Msg-Id.
 */
#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "job/trace.h"
#include "nats/internal.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL
#define LOOK_AFTER_MS 10000 /* beyond the timeout: for the commit, and a queue here */
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 60000
#define HEADER_BYTES 200 /* at the most, of an answer's */
#define TAKE_MAX 512
#define BYTES_MAX (32LL << 20) /* of answers in memory; what is beyond waits in the outbox */
#define JAM_BYTES (1 << 20)
#define USUAL_OF 16 /* the last ones count */
#define NO_PLACE (-1)

/* What became of an answer. */

static void on_recorded(struct store_op *op, void *client)
{
    struct nats_door *door = client;
    door->publisher.pending_ops--;
    if (error_is_set(&op->error))
        log_write(LOG_LEVEL_ERROR, "nats", NULL,
                  "what became of an answer isn't on disk, so it will be published again: %s", op->error.message);
    store_op_free(op);
    nats_door_check_closed(door);
}

static struct store_op *new_result(struct nats_door *door, const struct store_delivery *delivery,
                                   enum store_delivery_state state)
{
    struct store_op *op = store_op_new(STORE_DELIVERY_RESULT, on_recorded, door);
    op->delivery_result.sequence = delivery->sequence;
    op->delivery_result.state = state;
    op->delivery_result.attempts = delivery->attempts + 1;
    door->publisher.pending_ops++;
    return op;
}

/* Takes delivery. */
static void record_done(struct nats_door *door, struct store_delivery *delivery)
{
    struct store_op *op = new_result(door, delivery, STORE_DELIVERY_DONE);
    op->lazy = true; /* lost, it is only published again */
    store_enqueue(door->options.store, op);
    door->publisher.published++;
    store_delivery_free(delivery);
}

/* One line a second, however many fail. */
static void complain(struct nats_publisher *publisher, const struct store_delivery *delivery, const char *problem,
                     bool dead)
{
    int64_t now_ns = clock_monotonic_ns();
    if (!dead && now_ns < publisher->quiet_until_ns) {
        publisher->quiet_count++;
        return;
    }
    char others[64] = "";
    if (publisher->quiet_count > 0)
        snprintf(others, sizeof others, " (and %d others before)", publisher->quiet_count);
    log_write(dead ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "nats", delivery->job_id,
              "answer %s on %s, attempt %d: %s%s%s", delivery->id, delivery->target, delivery->attempts + 1, problem,
              dead ? "; given up, publish it again with: exportd deliveries retry ID" : "", others);
    publisher->quiet_until_ns = now_ns + SECOND_NS;
    publisher->quiet_count = 0;
}

/* Takes delivery. */
static void record_failure(struct nats_door *door, struct store_delivery *delivery, const char *problem,
                           bool hopeless)
{
    struct nats_publisher *publisher = &door->publisher;
    int64_t now_ms = clock_now_ms();
    int64_t wait_ms = backoff_wait_ms(BACKOFF_MS, BACKOFF_MAX_MS, delivery->attempts + 1);
    bool dead = hopeless || now_ms + wait_ms > delivery->give_up_at_ms;
    struct store_op *op = new_result(door, delivery, dead ? STORE_DELIVERY_DEAD : STORE_DELIVERY_WAITING);
    op->delivery_result.next_at_ms = now_ms + wait_ms;
    op->delivery_result.last_error = memory_text(problem);
    store_enqueue(door->options.store, op);
    publisher->failed++;
    publisher->dead += dead ? 1 : 0;
    complain(publisher, delivery, problem, dead);
    store_delivery_free(delivery);
}

/* It is due at once: at the next connection, or at another host. Takes delivery. */
static void record_interrupted(struct nats_door *door, struct store_delivery *delivery, const char *problem)
{
    struct store_op *op = new_result(door, delivery, STORE_DELIVERY_WAITING);
    op->delivery_result.attempts = delivery->attempts;
    op->delivery_result.next_at_ms = clock_now_ms();
    op->delivery_result.last_error = memory_text(problem);
    store_enqueue(door->options.store, op);
    store_delivery_free(delivery);
}

/* Places. */

void publisher_init(struct nats_door *door)
{
    struct nats_publisher *publisher = &door->publisher;
    publisher->place_count = (int)door->config->answers_concurrency;
    publisher->places = memory_zeroed((size_t)publisher->place_count, sizeof *publisher->places);
    for (int i = 0; i < publisher->place_count; i++)
        publisher->places[i].next = i + 1 < publisher->place_count ? i + 1 : NO_PLACE;
    publisher->oldest = publisher->newest = NO_PLACE;
    publisher->waiting_tail = &publisher->waiting;
}

static int occupy(struct nats_publisher *publisher, struct store_delivery *delivery)
{
    int index = publisher->free_first;
    struct sending *place = &publisher->places[index];
    publisher->free_first = place->next;
    place->delivery = delivery;
    place->serial = ++publisher->serial;
    place->previous = publisher->newest;
    place->next = NO_PLACE;
    if (publisher->newest != NO_PLACE)
        publisher->places[publisher->newest].next = index;
    else
        publisher->oldest = index;
    publisher->newest = index;
    publisher->used++;
    publisher->bytes += (int64_t)strlen(delivery->body);
    return index;
}

static struct store_delivery *vacate(struct nats_publisher *publisher, int index)
{
    struct sending *place = &publisher->places[index];
    struct store_delivery *delivery = place->delivery;
    if (place->previous != NO_PLACE)
        publisher->places[place->previous].next = place->next;
    else
        publisher->oldest = place->next;
    if (place->next != NO_PLACE)
        publisher->places[place->next].previous = place->previous;
    else
        publisher->newest = place->previous;
    place->delivery = NULL;
    place->next = publisher->free_first;
    publisher->free_first = index;
    publisher->used--;
    publisher->bytes -= (int64_t)strlen(delivery->body);
    return delivery;
}

static bool is_captured(const struct nats_publisher *publisher, const char *subject)
{
    for (int i = 0; i < NATS_ANSWER_COUNT; i++)
        if (strcmp(nats_answer_subjects[i], subject) == 0)
            return publisher->captured[i];
    return false;
}

/* Takes delivery. */
static void publish(struct nats_door *door, struct store_delivery *delivery)
{
    struct nats_publisher *publisher = &door->publisher;
    char inbox[NATS_INBOX_MAX + 64], problem[300];
    size_t length = strlen(delivery->body);
    if ((int64_t)length + HEADER_BYTES > publisher->max_payload) {
        snprintf(problem, sizeof problem,
                 "the answer has %zu bytes, and the server takes %" PRId64 "; raise max_payload in nats-server's "
                 "settings",
                 length, publisher->max_payload);
        record_failure(door, delivery, problem, true);
        return;
    }
    bool plain = !is_captured(publisher, delivery->target);
    int index = occupy(publisher, delivery);
    struct sending *place = &publisher->places[index];
    place->plain = plain;
    place->deadline_ns = clock_monotonic_ns() + door->config->timeout_ms * 1000000;
    snprintf(inbox, sizeof inbox, "%s.%d-%" PRIu64, publisher->inbox, index, place->serial);
    natsMsg *message = NULL;
    natsStatus status = natsMsg_Create(&message, delivery->target, plain ? NULL : inbox, delivery->body, (int)length);
    if (status == NATS_OK)
        status = natsMsgHeader_Set(message, "Nats-Msg-Id", delivery->id);
    if (status == NATS_OK && delivery->trace)
        status = natsMsgHeader_Set(message, TRACE_HEADER, delivery->trace);
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(door->link.connection, message);
    nats_door_discard(door, message);
    if (status != NATS_OK)
        record_failure(door, vacate(publisher, index), natsStatus_GetText(status), false);
    else if (plain)
        publisher->echo_wanted = true;
}

/* The store. */

static void wait_for_place(struct nats_publisher *publisher, struct store_delivery *delivery)
{
    *publisher->waiting_tail = delivery;
    publisher->waiting_tail = &delivery->next;
    publisher->waiting_count++;
    int64_t bytes = (int64_t)strlen(delivery->body);
    publisher->bytes += bytes;
    publisher->usual_bytes += (bytes - publisher->usual_bytes) / USUAL_OF;
}

static void on_taken(struct store_op *op, void *client)
{
    struct nats_door *door = client;
    struct nats_publisher *publisher = &door->publisher;
    publisher->pending_ops--;
    publisher->taking = false;
    if (error_is_set(&op->error))
        log_write(LOG_LEVEL_ERROR, "nats", NULL, "%s", op->error.message);
    int count = 0;
    struct store_delivery *next;
    for (struct store_delivery *delivery = op->delivery_take.deliveries; delivery; delivery = next) {
        next = delivery->next;
        delivery->next = NULL;
        count++;
        if (publisher->open)
            wait_for_place(publisher, delivery);
        else
            record_interrupted(door, delivery, "the connection to NATS was lost");
    }
    op->delivery_take.deliveries = NULL;
    publisher->more = publisher->more || count == op->delivery_take.limit;
    store_op_free(op);
    nats_link_wake(&door->link);
    nats_door_check_closed(door);
}

/* The server takes nothing at the moment. What were published meanwhile would be kept by cnats, and what is published
 * again, twice. */
static bool is_jammed(const struct nats_door *door)
{
    return door->link.polls_writable && natsConnection_Buffered(door->link.connection) >= JAM_BYTES;
}

/* For how many more answers there is room, which are as large as the last ones were. */
static int room_of(const struct nats_door *door)
{
    const struct nats_publisher *publisher = &door->publisher;
    int places = publisher->place_count - publisher->used - publisher->waiting_count;
    int64_t by_bytes = (BYTES_MAX - publisher->bytes) / (publisher->usual_bytes + 1);
    if (publisher->bytes >= BYTES_MAX || is_jammed(door))
        return 0;
    return by_bytes < places ? (int)by_bytes + 1 : places;
}

static void take(struct nats_door *door)
{
    struct nats_publisher *publisher = &door->publisher;
    if (publisher->taking || !publisher->more || !publisher->open || door->closing)
        return;
    int room = room_of(door);
    if (room <= 0 || (room * 2 < publisher->place_count && publisher->used > 0))
        return;
    publisher->taking = true;
    publisher->more = false;
    struct store_op *op = store_op_new(STORE_DELIVERY_TAKE, on_taken, door);
    op->delivery_take.channel = STORE_CHANNEL_NATS;
    op->delivery_take.now_ms = clock_now_ms();
    op->delivery_take.taken_until_ms = op->delivery_take.now_ms + door->config->timeout_ms + LOOK_AFTER_MS;
    op->delivery_take.limit = room < TAKE_MAX ? room : TAKE_MAX;
    publisher->pending_ops++;
    store_enqueue(door->options.store, op);
}

void nats_door_kick(struct nats_door *door)
{
    door->publisher.more = true;
    nats_link_wake(&door->link);
}

/* Deliver is told for most that is reserved, but not for all: so nothing is counted, and what finds no place waits
 * here. */
int64_t nats_door_reserve(struct nats_door *door)
{
    const struct nats_publisher *publisher = &door->publisher;
    if (!publisher->open || room_of(door) <= 0)
        return 0;
    return clock_now_ms() + door->config->timeout_ms + LOOK_AFTER_MS;
}

void nats_door_deliver(struct nats_door *door, struct store_delivery *delivery)
{
    struct nats_publisher *publisher = &door->publisher;
    progress_ended(door, delivery->job_id);
    if (!publisher->open) {
        record_interrupted(door, delivery, "the connection to NATS was lost");
        return;
    }
    wait_for_place(publisher, delivery);
    nats_link_wake(&door->link);
}

static struct store_delivery *next_waiting(struct nats_publisher *publisher)
{
    struct store_delivery *delivery = publisher->waiting;
    if (!delivery)
        return NULL;
    publisher->waiting = delivery->next;
    if (!publisher->waiting)
        publisher->waiting_tail = &publisher->waiting;
    publisher->waiting_count--;
    publisher->bytes -= (int64_t)strlen(delivery->body);
    delivery->next = NULL;
    return delivery;
}

void publisher_before_poll(struct nats_door *door)
{
    struct nats_publisher *publisher = &door->publisher;
    if (!publisher->open)
        return;
    while (publisher->waiting && publisher->used < publisher->place_count && !is_jammed(door))
        publish(door, next_waiting(publisher));
    if (publisher->echo_wanted) {
        char token[32];
        snprintf(token, sizeof token, "echo-%" PRIu64, publisher->serial);
        publisher->echo_wanted = !publisher_ask(door, token);
    }
    take(door);
}

/* What the server says. */

static void on_echo(struct nats_door *door, uint64_t serial)
{
    struct nats_publisher *publisher = &door->publisher;
    for (int index = publisher->oldest, next; index != NO_PLACE; index = next) {
        next = publisher->places[index].next;
        if (publisher->places[index].serial > serial)
            return;
        if (publisher->places[index].plain)
            record_done(door, vacate(publisher, index));
    }
}

static const char *pub_ack_error(natsMsg *message, char *text, size_t size)
{
    const char *data = natsMsg_GetData(message), *status = NULL;
    size_t length = (size_t)natsMsg_GetDataLength(message);
    if (length == 0) {
        bool nobody = natsMsgHeader_Get(message, "Status", &status) == NATS_OK && strcmp(status, "503") == 0;
        return nobody ? "no stream took it" : "the server's confirmation is empty";
    }
    if (!memmem(data, length, "\"error\"", 7))
        return NULL;
    json_t *answer = json_loadb(data, length, 0, NULL);
    const char *description = json_string_value(json_object_get(json_object_get(answer, "error"), "description"));
    snprintf(text, size, "the stream refused it: %s", description ? description : "it doesn't say why");
    json_decref(answer);
    return text;
}

static void on_pub_ack(struct nats_door *door, natsMsg *message, const char *token)
{
    struct nats_publisher *publisher = &door->publisher;
    char *end, text[400];
    long index = strtol(token, &end, 10);
    uint64_t serial = *end == '-' ? strtoull(end + 1, NULL, 10) : 0;
    if (index < 0 || index >= publisher->place_count || !publisher->places[index].delivery ||
        publisher->places[index].serial != serial)
        return; /* too late: it has been given back to the outbox */
    const char *problem = pub_ack_error(message, text, sizeof text);
    struct store_delivery *delivery = vacate(publisher, (int)index);
    if (!problem) {
        record_done(door, delivery);
        return;
    }
    record_failure(door, delivery, problem, false);
    if (natsMsg_GetDataLength(message) == 0 && !door->setup_at_ns) /* the stream is gone */
        door->setup_at_ns = clock_monotonic_ns() + SECOND_NS;
}

void publisher_read(struct nats_door *door)
{
    struct nats_publisher *publisher = &door->publisher;
    size_t prefix = strlen(publisher->inbox) + 1;
    uint64_t queued = 0;
    natsMsg *message;
    while (publisher->subscription && natsSubscription_QueuedMsgs(publisher->subscription, &queued) == NATS_OK &&
           queued > 0 && natsSubscription_NextMsg(&message, publisher->subscription, 0) == NATS_OK) {
        const char *subject = natsMsg_GetSubject(message);
        const char *token = strlen(subject) > prefix ? subject + prefix : "";
        if (strncmp(token, "echo-", 5) == 0)
            on_echo(door, strtoull(token + 5, NULL, 10));
        else if (strcmp(token, "subscribed") == 0)
            requests_confirmed(door);
        else if (strcmp(token, "alive") != 0)
            on_pub_ack(door, message, token);
        nats_door_discard(door, message);
        nats_link_wake(&door->link);
    }
    nats_door_check_closed(door);
}

static void give_back(struct nats_door *door, const char *why)
{
    struct store_delivery *delivery;
    while ((delivery = next_waiting(&door->publisher)))
        record_interrupted(door, delivery, why);
}

void publisher_tick(struct nats_door *door, int64_t now_ns)
{
    struct nats_publisher *publisher = &door->publisher;
    while (publisher->oldest != NO_PLACE && publisher->places[publisher->oldest].deadline_ns <= now_ns)
        record_failure(door, vacate(publisher, publisher->oldest), "the server didn't confirm it in time", false);
    /* Before another host looks after them. */
    if (publisher->waiting && publisher->open && publisher->used == 0 && is_jammed(door)) {
        give_back(door, "the server takes no answers");
        publisher->more = true;
    }
    nats_link_wake(&door->link);
}

/* Connections. */

void publisher_open(struct nats_door *door, const struct nats_setup *setup)
{
    struct nats_publisher *publisher = &door->publisher;
    natsConnection *connection = door->link.connection;
    memcpy(publisher->captured, setup->captured, sizeof publisher->captured);
    if (!publisher->subscription) {
        char subject[NATS_INBOX_MAX + 8];
        natsInbox *inbox = NULL;
        if (natsInbox_Create(&inbox) != NATS_OK)
            return;
        snprintf(publisher->inbox, sizeof publisher->inbox, "%s", inbox);
        natsInbox_Destroy(inbox);
        snprintf(subject, sizeof subject, "%s.*", publisher->inbox);
        if (natsConnection_SubscribeSync(&publisher->subscription, connection, subject) != NATS_OK)
            return;
        natsSubscription_SetPendingLimits(publisher->subscription, -1, -1);
    }
    publisher->max_payload = natsConnection_GetMaxPayload(connection);
    publisher->open = setup->answers_known;
    publisher->more = true;
    nats_link_wake(&door->link);
}

bool publisher_ask(struct nats_door *door, const char *token)
{
    const struct nats_publisher *publisher = &door->publisher;
    char subject[NATS_INBOX_MAX + 32];
    snprintf(subject, sizeof subject, "%s.%s", publisher->inbox, token);
    return publisher->subscription && natsConnection_PublishString(door->link.connection, subject, "") == NATS_OK;
}

void publisher_close(struct nats_door *door, const char *why)
{
    struct nats_publisher *publisher = &door->publisher;
    publisher->open = false;
    publisher->echo_wanted = false;
    natsSubscription_Destroy(publisher->subscription);
    publisher->subscription = NULL;
    while (publisher->oldest != NO_PLACE)
        record_interrupted(door, vacate(publisher, publisher->oldest), why);
    give_back(door, why);
}

bool publisher_is_idle(const struct nats_door *door)
{
    const struct nats_publisher *publisher = &door->publisher;
    return publisher->used == 0 && !publisher->waiting && !publisher->taking;
}

void publisher_free(struct nats_door *door)
{
    free(door->publisher.places);
}
