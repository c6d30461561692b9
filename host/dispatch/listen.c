#include "base/memory.h"
#include "dispatch/internal.h"

#include <stdlib.h>
#include <string.h>

void dispatch_listen(struct dispatch *dispatch, const char *job_id, struct dispatch_listener *listener)
{
    listener->job_id = memory_text(job_id);
    listener->next = dispatch->listeners;
    dispatch->listeners = listener;
}

void dispatch_unlisten(struct dispatch *dispatch, struct dispatch_listener *listener)
{
    for (struct dispatch_listener **at = &dispatch->listeners; *at; at = &(*at)->next) {
        if (*at == listener) {
            *at = listener->next;
            free(listener->job_id);
            listener->job_id = NULL;
            return;
        }
    }
}

void dispatch_tell(struct dispatch *dispatch, const char *job_id, const char *event, json_t *data, bool last)
{
    struct dispatch_listener *next;
    for (struct dispatch_listener *listener = dispatch->listeners; listener; listener = next) {
        next = listener->next;
        if (strcmp(listener->job_id, job_id) == 0)
            listener->on_event(listener, event, data, last);
    }
    json_decref(data);
}

json_t *dispatch_progress(struct dispatch *dispatch, const char *job_id)
{
    struct active *active = dispatch_find_id(dispatch, job_id);
    if (!active || active->state != ACTIVE_RUNNING)
        return NULL;
    return json_pack("{s:f, s:s}", "progress", active->fraction, "stage", active->stage);
}
