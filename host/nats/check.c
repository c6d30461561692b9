/*
 * For `exportd check`: what serve would find.
 */
#include "base/memory.h"
#include "nats/internal.h"

#include <stdlib.h>
#include <string.h>

static char *describe(const struct nats_setup *setup)
{
    if (!setup->jetstream)
        return memory_text("connected; the server has no JetStream, or it is off: requests are taken at most once");
    if (setup->source_count == 0)
        return memory_format("connected; JetStream is there: %s", setup->error.message);
    return memory_format("connected; requests come from the stream %s, consumer %s", setup->sources[0].stream,
                         setup->sources[0].consumer);
}

int nats_check_settings(const struct config *config, struct error *error)
{
    natsOptions *options = nats_options(&config->nats, NULL, 0, error);
    natsOptions_Destroy(options);
    return options ? 0 : -1;
}

int nats_check(const struct config *config, char **report, struct error *error)
{
    natsConnection *connection = NULL;
    natsOptions *options = nats_options(&config->nats, NULL, 0, error);
    *report = NULL;
    if (!options)
        return -1;
    natsStatus status = natsConnection_Connect(&connection, options);
    if (status != NATS_OK) {
        char *masked = nats_mask(config->nats.url);
        error_set(error, "nats_away", true, "[nats] url %s: %s", masked, nats_reason(status));
        free(masked);
    } else {
        struct nats_setup setup = {0};
        nats_setup_run(connection, &config->nats, false, &setup);
        bool will_be_made = setup.jetstream && setup.answers_known;
        if (error_is_set(&setup.error) && !(will_be_made && strcmp(setup.error.code, "nats_absent") == 0))
            *error = setup.error;
        else
            *report = describe(&setup);
        natsConnection_Destroy(connection);
    }
    natsOptions_Destroy(options);
    nats_CloseAndWait(2000);
    return *report ? 0 : -1;
}
