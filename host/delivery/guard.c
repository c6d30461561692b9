#include "delivery/guard.h"

#include <exportd/kit/address.h>

bool guard_allows(const struct sockaddr *address, const struct config_list *allowed, char *text, size_t text_size)
{
    exportd_address_text(address, text, text_size);
    if (exportd_address_is_public(address))
        return true;
    for (size_t i = 0; i < allowed->count; i++)
        if (exportd_address_in_block(address, allowed->items[i]))
            return true;
    return false;
}
