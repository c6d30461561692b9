/*
 * Requests in: pulled from JetStream with a credit, or pushed by a queue subscription. Each becomes a job, or a dead
 * letter, and is acknowledged after the commit. What the store can't take is kept and tried again, and nothing more
 * is pulled meanwhile.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "delivery/answer.h"
#include "job/message.h"
#include "job/trace.h"
#include "nats/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL
#define PULL_LASTS_NS (30 * SECOND_NS)
#define HEARTBEAT_NS (5 * SECOND_NS)
#define QUIET_NS (10 * SECOND_NS) /* then the store's trouble is over */
#define RETRY_NS SECOND_NS
#define ACK "+ACK"
#define NAK "-NAK"
#define ACK_PREFIX "$JS.ACK."

/* A message on its way to the disk. */
struct request {
    struct nats_door *door;
    natsMsg *message;
    struct nats_inlet *inlet;
    struct error dead; /* why it can't become a job */
    bool made_id;      /* the one it names is another's */
    struct request *next;
};

static void submit(struct request *request);

static void append(struct request_list *list, struct request *request)
{
    request->next = NULL;
    if (list->last)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
}

/* Of a stream, which hands it out again until it is acknowledged. */
static bool is_of_stream(natsMsg *message)
{
    const char *reply_subject = natsMsg_GetReply(message);
    return reply_subject && strncmp(reply_subject, ACK_PREFIX, sizeof ACK_PREFIX - 1) == 0;
}

/* Answers the server, if there is one: without, it hands the message out again, and the store knows it. */
static void reply(struct nats_door *door, natsMsg *message, const char *text)
{
    if (is_of_stream(message) && door->link.connection)
        nats_link_publish_later(&door->link, natsMsg_GetReply(message), text);
}

static void end(struct request *request, const char *text)
{
    struct nats_door *door = request->door;
    reply(door, request->message, text);
    request->inlet->held--;
    door->requests.held--;
    nats_door_discard(request->door, request->message);
    free(request);
    nats_link_wake(&door->link);
}

static void keep(struct request *request, const char *why)
{
    struct nats_requests *requests = &request->door->requests;
    if (requests->draining) {
        end(request, NAK);
        return;
    }
    requests->kept_ns = clock_monotonic_ns();
    if (!requests->later.first)
        requests->retry_at_ns = requests->kept_ns + RETRY_NS;
    if (!requests->stuck)
        log_write(LOG_LEVEL_WARNING, "nats", NULL, "requests wait until the store takes them: %s", why);
    requests->stuck = true;
    append(&requests->later, request);
}

static struct message view(const struct request *request)
{
    return (struct message){
        .subject = natsMsg_GetSubject(request->message),
        .bytes = natsMsg_GetDataLength(request->message) > 0 ? natsMsg_GetData(request->message) : "",
        .length = (size_t)natsMsg_GetDataLength(request->message),
        .reply = natsMsg_GetReply(request->message),
    };
}

static void on_refused(void *client, enum store_submit_outcome outcome, const struct job *job,
                       const struct error *error)
{
    struct request *request = client;
    (void)job;
    if (error) {
        keep(request, error->message);
        return;
    }
    if (outcome == STORE_QUEUE_FULL) {
        keep(request, "the queue is full");
        return;
    }
    if (outcome == STORE_CONFLICT && !request->made_id) {
        request->made_id = true; /* the id that it names is another request's */
        submit(request);
        return;
    }
    request->door->requests.dead_letters += outcome == STORE_CREATED ? 1 : 0;
    end(request, ACK);
}

/* New string, or NULL. */
static char *trace_of(natsMsg *message)
{
    const char *parent = NULL;
    if (natsMsgHeader_Get(message, TRACE_HEADER, &parent) != NATS_OK || !parent || !trace_is_parent(parent))
        return NULL;
    return memory_text(parent);
}

static void refuse(struct request *request)
{
    const struct nats_door_options *options = &request->door->options;
    struct message message = view(request);
    struct job *job = message_dead(options->catalog, &message, &request->dead, request->made_id);
    job->trace = trace_of(request->message);
    log_write(LOG_LEVEL_WARNING, "nats", job->id, "a dead letter on %s: %s: %s", message.subject, request->dead.code,
              request->dead.message);
    struct answer_end answer = {
        .error_code = job->error_code,
        .error_message = job->error_message,
        .attempts = job->attempts,
        .started_at_ms = job->created_at_ms,
        .finished_at_ms = job->finished_at_ms,
    };
    struct store_delivery *delivery = answer_deliveries(job, &answer, options->config);
    dispatch_refuse(options->dispatch, job, delivery, on_refused, request);
}

static void on_submitted(void *client, enum store_submit_outcome outcome, const struct job *job,
                         const struct error *error)
{
    struct request *request = client;
    (void)job;
    if (error) {
        keep(request, error->message);
    } else if (outcome == STORE_QUEUE_FULL) {
        keep(request, "the queue is full; raise [jobs] queue_limit");
    } else if (outcome == STORE_CONFLICT) {
        error_set(&request->dead, "job_conflict", false,
                  "a request with this id was handed in before, with another body; use a new id");
        request->made_id = true;
        refuse(request);
    } else {
        end(request, ACK);
    }
}

static void submit(struct request *request)
{
    const struct nats_door_options *options = &request->door->options;
    const struct route *route = NULL;
    if (!error_is_set(&request->dead)) {
        struct message message = view(request);
        struct job *job = message_read(options->catalog, &message, &route, &request->dead);
        if (job) {
            job->trace = trace_of(request->message);
            dispatch_submit(options->dispatch, job, route, is_of_stream(request->message), on_submitted, request);
            return;
        }
    }
    refuse(request);
}

static void receive(struct nats_inlet *inlet, natsMsg *message)
{
    struct nats_door *door = inlet->door;
    struct nats_requests *requests = &door->requests;
    requests->received++;
    if (requests->draining) {
        reply(door, message, NAK);
        nats_door_discard(door, message);
        nats_link_wake(&door->link);
        return;
    }
    struct request *request = memory_zeroed(1, sizeof *request);
    request->door = door;
    request->message = message;
    request->inlet = inlet;
    inlet->held++;
    requests->held++;
    if (requests->later.first)
        append(&requests->later, request); /* behind those that wait already */
    else
        submit(request);
}

/* Credit. */

/* The oldest pulls are used up first: that is not always so at the server, but their sum is right. */
static void use_credit(struct nats_inlet *inlet, int64_t count)
{
    inlet->credit -= count < inlet->credit ? count : inlet->credit;
    while (count > 0 && inlet->pull_count > 0) {
        struct pull *pull = &inlet->pulls[0];
        int64_t used = count < pull->left ? count : pull->left;
        pull->left -= used;
        count -= used;
        if (pull->left > 0)
            return;
        inlet->pull_count--;
        memmove(inlet->pulls, inlet->pulls + 1, (size_t)inlet->pull_count * sizeof *inlet->pulls);
    }
}

static int64_t left_of(const struct nats_inlet *inlet, natsMsg *message)
{
    const char *pending = NULL;
    if (natsMsgHeader_Get(message, "Nats-Pending-Messages", &pending) == NATS_OK && pending)
        return strtoll(pending, NULL, 10);
    const char *dot = strrchr(natsMsg_GetSubject(message), '.');
    uint64_t number = dot ? strtoull(dot + 1, NULL, 10) : 0;
    for (int i = 0; i < inlet->pull_count; i++)
        if (inlet->pulls[i].number == number)
            return inlet->pulls[i].left;
    return 0;
}

/* What was asked for doesn't come. The stream or the consumer may be gone: nothing is pulled before both were looked
 * at, for a pull from a consumer that isn't there has no answer. */
static void suspend(struct nats_inlet *inlet)
{
    inlet->credit = 0;
    inlet->pull_count = 0;
    inlet->door->requests.suspended = true;
    if (!inlet->door->setup_at_ns)
        inlet->door->setup_at_ns = clock_monotonic_ns() + SECOND_NS;
}

/* A pull ends without a message, or lives (100). 404 and 408: there was nothing, so it is asked again; anything else
 * is trouble, and the server is left in peace for a while. */
static void heed_status(struct nats_inlet *inlet, natsMsg *message, const char *status)
{
    const char *description = NULL;
    if (strcmp(status, "100") == 0) {
        inlet->beats = true;
        return;
    }
    natsMsgHeader_Get(message, "Description", &description);
    use_credit(inlet, left_of(inlet, message));
    if (strcmp(status, "408") == 0)
        return;
    inlet->paused_until_ns = clock_monotonic_ns() + SECOND_NS;
    if (strcmp(status, "404") == 0)
        return;
    log_write(LOG_LEVEL_WARNING, "nats", NULL, "the server ends a pull from %s: %s %s", inlet->source.stream, status,
              description ? description : "");
    suspend(inlet);
}

static void take(struct nats_inlet *inlet, natsMsg *message)
{
    const char *status = NULL;
    inlet->heard_ns = inlet->door->heard_ns;
    if (!inlet->inbox[0] || is_of_stream(message)) {
        use_credit(inlet, 1);
        receive(inlet, message);
        return;
    }
    if (natsMsg_GetDataLength(message) == 0 && natsMsgHeader_Get(message, "Status", &status) == NATS_OK)
        heed_status(inlet, message, status);
    nats_door_discard(inlet->door, message);
}

/* A queue subscription knows no credit: what is too much stays in cnats' own queue. */
static bool has_room(const struct nats_inlet *inlet)
{
    return inlet->inbox[0] || inlet->door->requests.draining ||
           (inlet->held < inlet->share && !inlet->door->requests.later.first);
}

static natsMsg *next_message(struct nats_inlet *inlet)
{
    uint64_t queued = 0;
    natsMsg *message = NULL;
    if (natsSubscription_QueuedMsgs(inlet->subscription, &queued) != NATS_OK || queued == 0)
        return NULL;
    natsStatus status = natsSubscription_NextMsg(&message, inlet->subscription, 0);
    if (status == NATS_SLOW_CONSUMER) { /* said once, where cnats has thrown messages away */
        log_write(LOG_LEVEL_ERROR, "nats", NULL, "requests came faster than this host takes them, and were lost");
        status = natsSubscription_NextMsg(&message, inlet->subscription, 0);
    }
    return status == NATS_OK ? message : NULL;
}

void requests_read(struct nats_door *door)
{
    struct nats_requests *requests = &door->requests;
    requests->starved = false;
    for (int i = 0; i < requests->inlet_count; i++) {
        struct nats_inlet *inlet = &requests->inlets[i];
        natsMsg *message;
        while (inlet->subscription && has_room(inlet) && (message = next_message(inlet)))
            take(inlet, message);
        requests->starved = requests->starved || !has_room(inlet);
    }
    nats_link_wake(&door->link);
}

static void pull(struct nats_inlet *inlet, int64_t count, int64_t now_ns)
{
    struct nats_door *door = inlet->door;
    char reply_subject[NATS_INBOX_MAX + 32], body[128];
    uint64_t number = ++door->requests.pulls;
    snprintf(reply_subject, sizeof reply_subject, "%s.%" PRIu64, inlet->inbox, number);
    int length = snprintf(body, sizeof body, "{\"batch\":%" PRId64 ",\"expires\":%lld,\"idle_heartbeat\":%lld}",
                          count, PULL_LASTS_NS, HEARTBEAT_NS);
    if (natsConnection_PublishRequest(door->link.connection, inlet->subject, reply_subject, body, length) != NATS_OK)
        return;
    inlet->pulls[inlet->pull_count++] = (struct pull){.number = number, .left = count};
    inlet->credit += count;
    inlet->heard_ns = now_ns;
    inlet->good_until_ns = now_ns + PULL_LASTS_NS + door->config->timeout_ms * 1000000;
}

/* Half of what may be under way is enough to ask for: two pulls overlap then, and none is small. */
static void pull_if_needed(struct nats_inlet *inlet, int64_t now_ns)
{
    int64_t room = inlet->share - inlet->credit - inlet->held;
    if (!inlet->inbox[0] || inlet->pull_count >= PULL_MAX || now_ns < inlet->paused_until_ns || room <= 0)
        return;
    if (inlet->credit == 0 || room * 2 >= inlet->share)
        pull(inlet, room, now_ns);
}

void requests_before_poll(struct nats_door *door)
{
    struct nats_requests *requests = &door->requests;
    if (!requests->open || requests->draining || requests->suspended || requests->later.first)
        return;
    if (requests->starved)
        requests_read(door);
    int64_t now_ns = clock_monotonic_ns();
    for (int i = 0; i < requests->inlet_count; i++)
        pull_if_needed(&requests->inlets[i], now_ns);
}

static void retry(struct nats_requests *requests)
{
    struct request *request = requests->later.first;
    requests->later = (struct request_list){0};
    while (request) {
        struct request *next = request->next;
        submit(request);
        request = next;
    }
}

void requests_tick(struct nats_door *door, int64_t now_ns)
{
    struct nats_requests *requests = &door->requests;
    if (requests->later.first && now_ns >= requests->retry_at_ns && !dispatch_is_over(door->options.dispatch))
        retry(requests);
    if (!requests->later.first && now_ns - requests->kept_ns > QUIET_NS)
        requests->stuck = false;
    for (int i = 0; i < requests->inlet_count; i++) {
        struct nats_inlet *inlet = &requests->inlets[i];
        bool silent = inlet->beats && now_ns - inlet->heard_ns > 3 * HEARTBEAT_NS;
        if (requests->open && inlet->credit > 0 && (silent || now_ns > inlet->good_until_ns))
            suspend(inlet);
    }
    nats_link_wake(&door->link);
}

static void open_inlet(struct nats_door *door, struct nats_inlet *inlet, const struct nats_source *source)
{
    natsConnection *connection = door->link.connection;
    natsInbox *inbox = NULL;
    char subject[NATS_INBOX_MAX + 8];
    inlet->source = *source;
    if (natsInbox_Create(&inbox) != NATS_OK)
        return;
    snprintf(inlet->inbox, sizeof inlet->inbox, "%s", inbox);
    natsInbox_Destroy(inbox);
    snprintf(subject, sizeof subject, "%s.*", inlet->inbox);
    snprintf(inlet->subject, sizeof inlet->subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", source->stream,
             source->consumer);
    natsConnection_SubscribeSync(&inlet->subscription, connection, subject);
}

void requests_open(struct nats_door *door, const struct nats_setup *setup)
{
    struct nats_requests *requests = &door->requests;
    requests_close(door);
    bool pulls = setup->source_count > 0;
    requests->inlet_count = pulls ? setup->source_count : NATS_SOURCE_MAX;
    for (int i = 0; i < requests->inlet_count; i++) {
        struct nats_inlet *inlet = &requests->inlets[i];
        int64_t held = inlet->held; /* of the connection before */
        *inlet = (struct nats_inlet){.door = door, .index = i, .held = held};
        inlet->share = door->config->batch / requests->inlet_count;
        inlet->share = inlet->share > 0 ? inlet->share : 1;
        if (pulls)
            open_inlet(door, inlet, &setup->sources[i]);
        else
            natsConnection_QueueSubscribeSync(&inlet->subscription, door->link.connection, nats_request_subjects[i],
                                              NATS_QUEUE_GROUP);
        if (inlet->subscription && pulls)
            natsSubscription_SetPendingLimits(inlet->subscription, -1, -1);
    }
    requests->open = true;
    requests->confirmed = pulls; /* a stream keeps what comes before the server knows who wants it */
    if (!pulls)
        publisher_ask(door, "subscribed");
    nats_link_wake(&door->link);
}

void requests_confirmed(struct nats_door *door)
{
    door->requests.confirmed = true;
}

void requests_resume(struct nats_door *door)
{
    door->requests.suspended = false;
    nats_link_wake(&door->link);
}

void requests_close(struct nats_door *door)
{
    struct nats_requests *requests = &door->requests;
    requests->open = false;
    for (int i = 0; i < NATS_SOURCE_MAX; i++) {
        natsSubscription_Destroy(requests->inlets[i].subscription);
        requests->inlets[i].subscription = NULL;
    }
}

/* The server hears that nothing more is wanted; what it has sent meanwhile is handed back. */
void requests_drain(struct nats_door *door)
{
    struct nats_requests *requests = &door->requests;
    requests->draining = true;
    for (int i = 0; i < requests->inlet_count; i++)
        if (requests->inlets[i].subscription)
            natsSubscription_DrainTimeout(requests->inlets[i].subscription, door->config->timeout_ms);
    struct request *request = requests->later.first;
    requests->later = (struct request_list){0};
    while (request) {
        struct request *next = request->next;
        end(request, NAK);
        request = next;
    }
    if (door->link.connection)
        requests_read(door);
}

bool requests_are_drained(const struct nats_door *door)
{
    const struct nats_requests *requests = &door->requests;
    for (int i = 0; i < requests->inlet_count; i++) {
        natsSubscription *subscription = requests->inlets[i].subscription;
        if (subscription && natsSubscription_DrainCompletionStatus(subscription) == NATS_ILLEGAL_STATE)
            return false;
    }
    return true;
}

void requests_free(struct nats_door *door)
{
    requests_close(door);
}
