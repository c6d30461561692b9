/*
 * delivery/outbox.h: sends what the outbox holds until it arrives, or is dead.
 *
 * Callbacks are POSTed as Standard Webhooks say (webhook-id, webhook-timestamp, webhook-signature: v1,…). A 2xx is an
 * arrival; anything else is tried again with growing waits (Retry-After honoured) until [webhook] retry_for has
 * passed; then the delivery is a dead letter, to be seen with `exportd deliveries --dead` and sent again by `exportd
 * deliveries retry ID`. A receiver that answers 410 Gone is not asked again. Redirects are not followed. Addresses
 * are checked when the connection is made, so that a name can't be one address when it is looked at and another when
 * it is used. Loop thread only.
 */
#ifndef EXPORTD_DELIVERY_OUTBOX_H
#define EXPORTD_DELIVERY_OUTBOX_H

#include "base/error.h"
#include "config/config.h"
#include "store/store.h"

#include <uv.h>

struct outbox;

struct outbox *outbox_new(uv_loop_t *loop, const struct config *config, struct store *store, struct error *error);

/* From now on [webhook] is this configuration's. */
void outbox_adopt(struct outbox *outbox, const struct config *config);

/* Something may be due: look. */
void outbox_kick(struct outbox *outbox);

/* Ends what is under way (it will be sent again at the next start), then calls on_closed(client); the outbox is freed
 * by then. */
void outbox_close(struct outbox *outbox, void (*on_closed)(void *client), void *client);

struct outbox_stats {
    uint64_t delivered, failed_attempts, dead;
    int sending;
};

struct outbox_stats outbox_stats(const struct outbox *outbox);

#endif
