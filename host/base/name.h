/*
 * base/name.h: the names that artifacts may have; both sides of the socket pair hold to it.
 */
#ifndef EXPORTD_BASE_NAME_H
#define EXPORTD_BASE_NAME_H

#include <stdbool.h>

/* [A-Za-z0-9._-], no dot first, 1 to 200 bytes: safe as a file's name and as a URL's segment. */
bool name_is_safe(const char *name);

#endif
