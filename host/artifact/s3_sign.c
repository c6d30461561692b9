/*
 * Keys, URLs, and URLs that carry their signature (Signature Version 4, in the query).
 */
#include "artifact/s3_internal.h"
#include "base/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define EXPIRES_MAX_S 604800

static char *escape(char *out, unsigned char byte)
{
    static const char hex[] = "0123456789ABCDEF";
    *out++ = '%';
    *out++ = hex[byte >> 4];
    *out++ = hex[byte & 15];
    return out;
}

char *s3_encode(const char *text, const char *kept)
{
    char *encoded = memory_zeroed(strlen(text), 3 + 1);
    char *out = encoded;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((isascii(*c) && (isalnum(*c) || strchr("-._~", *c))) || strchr(kept, *c))
            *out++ = (char)*c;
        else
            out = escape(out, *c);
    }
    return encoded;
}

char *s3_key(const struct config_s3 *config, const char *job_id, const char *name)
{
    const char *escaped = strcmp(job_id, ".") == 0 || strcmp(job_id, "..") == 0 ? "/\\%." : "/\\%";
    char *folder = memory_zeroed(strlen(job_id), 3 + 1);
    char *out = folder;
    for (const unsigned char *c = (const unsigned char *)job_id; *c; c++) {
        if (strchr(escaped, *c))
            out = escape(out, *c);
        else
            *out++ = (char)*c;
    }
    char *key = memory_format("%s%s/%s", config->prefix, folder, name);
    free(folder);
    return key;
}

/* Where the bucket is: the scheme, what goes into the Host header, and the path of what is in it. */
struct place {
    const char *scheme;
    char *host;
    char *path; /* without a key; "/" or "/bucket/" at the end */
};

static struct place find(const struct config_s3 *config)
{
    struct place place;
    char *amazon = NULL;
    const char *endpoint = config->endpoint;
    if (!endpoint[0])
        endpoint = amazon = memory_format("https://s3.%s.amazonaws.com%s", config->region,
                                          strncmp(config->region, "cn-", 3) == 0 ? ".cn" : "");
    bool plain = strncasecmp(endpoint, "http://", 7) == 0;
    const char *host = strstr(endpoint, "://") ? strstr(endpoint, "://") + 3 : endpoint;
    size_t host_length = strcspn(host, "/?#");
    const char *base = host + host_length;
    size_t base_length = strcspn(base, "?#");
    while (base_length > 0 && base[base_length - 1] == '/')
        base_length--;
    /* Clients leave a scheme's own port out of the Host header, which is signed. */
    const char *own_port = plain ? ":80" : ":443";
    if (host_length > strlen(own_port) &&
        strncmp(host + host_length - strlen(own_port), own_port, strlen(own_port)) == 0)
        host_length -= strlen(own_port);
    bool is_virtual = config->addressing == CONFIG_ADDRESSING_VIRTUAL;
    place.scheme = plain ? "http" : "https";
    place.host =
        memory_format("%s%s%.*s", is_virtual ? config->bucket : "", is_virtual ? "." : "", (int)host_length, host);
    for (char *c = place.host; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    place.path =
        memory_format("%.*s/%s%s", (int)base_length, base, is_virtual ? "" : config->bucket, is_virtual ? "" : "/");
    free(amazon);
    return place;
}

char *s3_url(const struct config_s3 *config, const char *key)
{
    struct place place = find(config);
    char *encoded = s3_encode(key, "/");
    char *url = memory_format("%s://%s%s%s", place.scheme, place.host, place.path, encoded);
    free(encoded);
    free(place.host);
    free(place.path);
    return url;
}

static void hmac(unsigned char out[crypto_auth_hmacsha256_BYTES], const void *key, size_t key_length,
                 const char *text)
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_length);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)text, strlen(text));
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

static void sign(const struct config_s3 *config, const char *day, const char *text, char hex[SHA256_HEX_MAX])
{
    unsigned char key[crypto_auth_hmacsha256_BYTES], next[crypto_auth_hmacsha256_BYTES];
    char *first = memory_format("AWS4%s", config->secret_key);
    const char *const steps[] = {config->region, "s3", "aws4_request", text};
    hmac(key, first, strlen(first), day);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        hmac(next, key, sizeof key, steps[i]);
        memcpy(key, next, sizeof key);
    }
    sodium_bin2hex(hex, SHA256_HEX_MAX, key, sizeof key);
    sodium_memzero(first, strlen(first));
    sodium_memzero(key, sizeof key);
    sodium_memzero(next, sizeof next);
    free(first);
}

char *s3_presign(const struct config_s3 *config, const char *key, time_t now, int64_t expires_s)
{
    struct place place = find(config);
    char time[32], day[16], hex[SHA256_HEX_MAX];
    unsigned char hash[crypto_hash_sha256_BYTES];
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &parts);
    strftime(day, sizeof day, "%Y%m%d", &parts);
    if (expires_s < 1)
        expires_s = 1;
    if (expires_s > EXPIRES_MAX_S)
        expires_s = EXPIRES_MAX_S;
    char *encoded = s3_encode(key, "/");
    char *access_key = s3_encode(config->access_key, "");
    char *query = memory_format("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F%s%%2F%s%%2Fs3%%2Faws4_"
                                "request&X-Amz-Date=%s&X-Amz-Expires=%lld&X-Amz-SignedHeaders=host",
                                access_key, day, config->region, time, (long long)expires_s);
    char *canonical =
        memory_format("GET\n%s%s\n%s\nhost:%s\n\nhost\nUNSIGNED-PAYLOAD", place.path, encoded, query, place.host);
    crypto_hash_sha256(hash, (const unsigned char *)canonical, strlen(canonical));
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    char *text = memory_format("AWS4-HMAC-SHA256\n%s\n%s/%s/s3/aws4_request\n%s", time, day, config->region, hex);
    sign(config, day, text, hex);
    char *url =
        memory_format("%s://%s%s%s?%s&X-Amz-Signature=%s", place.scheme, place.host, place.path, encoded, query, hex);
    free(text);
    free(canonical);
    free(query);
    free(access_key);
    free(encoded);
    free(place.host);
    free(place.path);
    return url;
}
