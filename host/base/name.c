#include "base/name.h"

#include <ctype.h>
#include <string.h>

#define NAME_BYTES_MAX 200

bool name_is_safe(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_BYTES_MAX || name[0] == '.')
        return false;
    for (const unsigned char *c = (const unsigned char *)name; *c; c++)
        if (!isascii(*c) || (!isalnum(*c) && *c != '.' && *c != '_' && *c != '-'))
            return false;
    return true;
}
