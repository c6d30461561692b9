#include "redis/address.h"

#include "base/memory.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

/* A new copy, or NULL where the URL has no such part. */
static char *part(CURLU *url, CURLUPart which)
{
    char *text = NULL;
    if (curl_url_get(url, which, &text, CURLU_URLDECODE) != CURLUE_OK || !text)
        return NULL;
    char *copy = *text ? memory_text(text) : NULL;
    curl_free(text);
    return copy;
}

static int refuse(struct error *error, const char *what)
{
    return error_set(error, "redis_url", false,
                     "[redis] url %s; write redis://[user:password@]host[:port][/database] or unix:///path", what);
}

int redis_address_read(const char *text, struct redis_address *address, struct error *error)
{
    *address = (struct redis_address){0};
    if (strncmp(text, "unix://", 7) == 0) {
        address->path = memory_text(text + 7);
        return address->path[0] == '/' ? 0 : refuse(error, "names no absolute path");
    }
    CURLU *url = curl_url();
    if (!url || curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
        curl_url_cleanup(url);
        return refuse(error, "can't be read");
    }
    address->host = part(url, CURLUPART_HOST);
    address->port = part(url, CURLUPART_PORT);
    address->user = part(url, CURLUPART_USER);
    address->password = part(url, CURLUPART_PASSWORD);
    char *path = part(url, CURLUPART_PATH);
    curl_url_cleanup(url);
    if (path && path[0] == '/' && path[1])
        address->database = memory_text(path + 1);
    free(path);
    if (!address->host)
        return refuse(error, "names no host");
    if (!address->port)
        address->port = memory_text("6379");
    /* [::1] */
    size_t length = strlen(address->host);
    if (address->host[0] == '[' && length > 2) {
        memmove(address->host, address->host + 1, length - 2);
        address->host[length - 2] = '\0';
    }
    if (address->database && address->database[strspn(address->database, "0123456789")])
        return refuse(error, "names a database that is no number");
    return 0;
}

void redis_address_clear(struct redis_address *address)
{
    free(address->path);
    free(address->host);
    free(address->port);
    free(address->user);
    free(address->password);
    free(address->database);
    *address = (struct redis_address){0};
}
